"""Holdfast: the mail and address service of an organisation that must not stop."""
