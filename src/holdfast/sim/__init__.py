"""The made-up world: network, disk, clock and faults, all decided by one seed."""
