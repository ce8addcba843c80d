"""One entry point per role, one process per role, and the supervisor over them."""
