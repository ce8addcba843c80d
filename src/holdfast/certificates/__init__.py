"""Which certificate for which connector, and how it is renewed."""
