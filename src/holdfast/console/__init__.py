"""The verbs as web pages."""
