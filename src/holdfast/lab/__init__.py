"""Real processes in network namespaces, for drills."""
