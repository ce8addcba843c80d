"""Which certificate is for which name, and which one a door shows."""
