"""Words that all rooms share. Imports nothing of ours and touches nothing outside the process."""
