"""Virtual services in front of the servers."""
