"""Leases: server, scopes, options and failover."""
