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


# Version 4 and the variant of RFC 9562, in the 128 bits of a UUID.
_UUID_4_CLEAR = ~(0xF << 76 | 0x3 << 62) & (1 << 128) - 1
_UUID_4_SET = 0x4 << 76 | 0x2 << 62


def new_network_message_id(luck: random.Random) -> NetworkMessageId:
    """Draw an id for a newly accepted message, written like Exchange writes it (a random UUID).

    Source: RFC 9562 section 5.4.
    """
    # Written by hand: uuid.UUID takes 5 µs, and every message needs one.
    digits = f"{luck.getrandbits(128) & _UUID_4_CLEAR | _UUID_4_SET:032x}"
    return NetworkMessageId(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")


def new_mailbox_id(luck: random.Random) -> MailboxId:
    """Draw an id for a new mailbox."""
    return MailboxId(uuid.UUID(int=luck.getrandbits(128), version=4).hex)
