"""What is asked of DNS and what it answered, as plain values.

Resolving is a driver's work (``drivers.resolver``); rooms see only these.

Source: RFC 1035; RFC 5321 section 5.1 (MX); RFC 7505 (null MX); RFC 6698 (TLSA).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


class RecordType(enum.Enum):
    """The records that mail needs."""

    MX = "MX"
    A = "A"
    AAAA = "AAAA"
    TLSA = "TLSA"
    TXT = "TXT"
    CNAME = "CNAME"  # only whether there is one, and whether it is validated


class Question(NamedTuple):
    """One question; the name in lower case, ASCII, without the final dot."""

    name: str
    record_type: RecordType


class MxRecord(NamedTuple):
    """A mail exchanger; ``host`` in lower case without the final dot, empty for a null MX."""

    preference: int
    host: str


class TlsaRecord(NamedTuple):
    """A certificate association (RFC 6698 section 2.1)."""

    usage: int
    selector: int
    matching_type: int
    data: bytes


Record = MxRecord | TlsaRecord | str  # A and AAAA: the address as text; TXT: the strings joined


class Outcome(enum.Enum):
    """What came of a question."""

    FOUND = "found"
    NO_DATA = "no such record"
    NO_NAME = "no such name"
    FAILED = "no usable answer"  # time-out, SERVFAIL, a loop of CNAMEs, nonsense: try again later


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes:
        records: of the asked type only; empty unless ``FOUND``.
        canonical_name: where CNAMEs led to; the asked name where there were none.
        validated: whether a resolver that we may trust says that DNSSEC proved it
            (also that there is nothing).
        ttl_s: how long it may be kept, in seconds; of a failure how long it is not asked again.
        reason: for people, when it FAILED.
    """

    question: Question
    outcome: Outcome
    records: tuple[Record, ...] = ()
    canonical_name: str = ""
    validated: bool = False
    ttl_s: float = 0.0
    reason: str = ""
