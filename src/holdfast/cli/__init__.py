"""The verbs on a terminal: arguments in, tables and JSON out."""
