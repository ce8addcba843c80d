"""Mail at rest: folders, messages and the change log that every client follows."""
