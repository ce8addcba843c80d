"""Pure assembly: organisation and server name in, the machines of that server out."""
