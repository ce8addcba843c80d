"""May this peer send this message: sender policy and the advice about it."""
