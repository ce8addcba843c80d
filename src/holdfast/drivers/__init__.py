"""The only room that touches the world: sockets, disks, clocks, threads."""
