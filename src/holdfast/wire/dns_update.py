"""What is asked of a DNS server that is to change a zone, and what it answered, as plain values.

The bytes and the signature are a driver's work (``drivers.dns_updates``); rooms see only these. Names are
lower case, ASCII, without the final dot; data is in the form of zone files.

Source: RFC 2136 sections 2.2, 2.4 and 2.5.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class If(enum.Enum):
    """What must be so, else nothing is changed (RFC 2136 section 2.4)."""

    NAME_UNUSED = "name is not in use"
    NAME_USED = "name is in use"
    RECORD_IS = "the records of the type are this one"
    NO_RECORD = "there is no record of the type"


class Do(enum.Enum):
    """One change (RFC 2136 section 2.5)."""

    ADD = "add"
    DELETE_RECORD = "delete this record"
    DELETE_ALL = "delete all records of the type"


class Condition(NamedTuple):
    """A prerequisite; type and data are empty where it says nothing of them."""

    kind: If
    name: str
    record_type: str = ""
    data: str = ""


class Change(NamedTuple):
    """A change; the time to live is for ADD alone."""

    kind: Do
    name: str
    record_type: str
    data: str = ""
    ttl_s: int = 0


class DnsUpdate(NamedTuple):
    """One message: all of its changes are made, or none.

    Attributes:
        number: by which the answer names it.
        zone: the zone that is changed.
        conditions: what must be so.
        changes: what is done then.
    """

    number: int
    zone: str
    conditions: tuple[Condition, ...]
    changes: tuple[Change, ...]


class UpdateOutcome(enum.Enum):
    """What came of an update."""

    DONE = "done"
    NAME_USED = "the name is in use"  # YXDOMAIN
    NO_NAME = "the name is not in use"  # NXDOMAIN
    RECORD_THERE = "there is such a record"  # YXRRSET
    OTHER_RECORD = "there is no such record"  # NXRRSET
    FAILED = "no server did it"


class UpdateAnswer(NamedTuple):
    """What a server said.

    Attributes:
        outcome: in one word.
        reason: of a failure, in words: which server, which key, what it said.
        code: of a failure, as Windows numbers it: 9000 and the RCODE, 1460 for no answer.
    """

    outcome: UpdateOutcome
    reason: str = ""
    code: int = 0
