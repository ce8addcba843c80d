"""Mail on its way: from the first byte of a session to the message being handed on."""
