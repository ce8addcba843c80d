"""The management verbs: the one catalogue behind command line, API and console."""
