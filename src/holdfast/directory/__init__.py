"""The organisation: what the administrator declared, how it changes, and what must hold across it."""
