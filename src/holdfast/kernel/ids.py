"""The identifiers that travel between rooms, each a type of its own."""

from __future__ import annotations

import random
import uuid
from typing import NewType

# One per accepted message; the same over every copy, split and server, so that
# the ledger and two servers' tracking logs join on it (exchange-behaviour MT).
NetworkMessageId = NewType("NetworkMessageId", str)

# Names a mailbox for ever; addresses may change, this does not.
MailboxId = NewType("MailboxId", str)

# Names one open connection inside one process; never reused while it runs.
ConnectionId = NewType("ConnectionId", int)

# Counts the changes to the organisation; 0 is the empty organisation.
Revision = NewType("Revision", int)


def new_network_message_id(luck: random.Random) -> NetworkMessageId:
    """Draw an id for a newly accepted message, written like Exchange writes it (a random UUID)."""
    return NetworkMessageId(str(uuid.UUID(int=luck.getrandbits(128), version=4)))


def new_mailbox_id(luck: random.Random) -> MailboxId:
    """Draw an id for a new mailbox."""
    return MailboxId(uuid.UUID(int=luck.getrandbits(128), version=4).hex)
