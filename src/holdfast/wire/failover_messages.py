"""What two partners of the DHCP failover protocol say to each other; ``failover`` has it as bytes.

Instants are seconds since 1970, UTC, by the clock of who says them. What says nothing but its name is no
tuple: two empty tuples are equal.

Source: draft-ietf-dhc-failover-12 sections 7 and 12; spec/dhcp.md sections 2.3 to 2.6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, cast

# Reject reasons (section 12.21)
ILLEGAL_ADDRESS, FATAL_CONFLICT, MISSING_INFORMATION, TIME_MISMATCH, INVALID_MCLT, UNKNOWN_REASON = range(
    1, 7
)
DUPLICATE_CONNECTION, INVALID_PARTNER, TLS_NOT_SUPPORTED, TLS_NOT_CONFIGURED, TLS_REQUIRED = range(7, 12)
DIGEST_NOT_SUPPORTED, DIGEST_NOT_CONFIGURED, VERSION_MISMATCH, OUTDATED, LESS_CRITICAL, NO_TRAFFIC = range(
    12, 18
)
BUCKETS_CONFLICT, NOT_RESERVED, DIGEST_FAILED, DIGEST_MISSING = range(18, 22)
OTHER_REASON = 254
REASON_TEXTS = {
    ILLEGAL_ADDRESS: "the address is in no pool of the relationship",
    FATAL_CONFLICT: "the address is in use by another client",
    MISSING_INFORMATION: "information is missing",
    TIME_MISMATCH: "the clocks differ too much",
    INVALID_MCLT: "the MCLT is another one",
    UNKNOWN_REASON: "unknown reason",
    DUPLICATE_CONNECTION: "there is a connection already",
    INVALID_PARTNER: "not a partner",
    TLS_NOT_SUPPORTED: "TLS is not supported",
    TLS_NOT_CONFIGURED: "TLS is not configured",
    TLS_REQUIRED: "TLS is required",
    DIGEST_NOT_SUPPORTED: "message digests are not supported",
    DIGEST_NOT_CONFIGURED: "a message digest came, and no shared secret is configured",
    VERSION_MISMATCH: "another version of the protocol",
    OUTDATED: "newer information is known",
    LESS_CRITICAL: "more critical information is known",
    NO_TRAFFIC: "nothing was heard for too long",
    BUCKETS_CONFLICT: "the hash buckets are other ones",
    NOT_RESERVED: "the address is not reserved here",
    DIGEST_FAILED: "the message digest is wrong: the shared secrets differ",
    DIGEST_MISSING: "a message digest is missing: the sender has no shared secret",
    OTHER_REASON: "other reason",
}

STARTUP_FLAG = 1  # server flags: what is told is the state before the start
RESERVED_FLAG: Final = 1  # IP flags
BOOTP_FLAG: Final = 2


class Binding(NamedTuple):
    """What is told of one address; None where nothing is said of it. Instants are seconds since 1970, UTC.

    Attributes:
        address: as a number.
        status: 1 FREE to 7 BACKUP, as ``dhcp.lease`` has them.
        client_id: option 61 of the client.
        hardware: hardware type and address of the client.
        expires_at: when the client's lease ends.
        potential_at: until when the teller may extend it.
        changed_at: since when the address is in this status.
        seen_at: when the client last spoke to the teller.
        ip_flags: RESERVED_FLAG, BOOTP_FLAG; 0 is not written.
        request_options: four bytes of magic and options of the client's request.
        reply_options: likewise of the answer.
        ddns: two bytes of flags and the name in DNS encoding.
        vendor_options: what two servers of one vendor tell each other.
    """

    address: int
    status: int
    client_id: bytes | None = None
    hardware: bytes | None = None
    expires_at: int | None = None
    potential_at: int | None = None
    changed_at: int | None = None
    seen_at: int | None = None
    ip_flags: int = 0
    request_options: bytes | None = None
    reply_options: bytes | None = None
    ddns: bytes | None = None
    vendor_options: bytes | None = None


# A named tuple's own call takes 0.3 us more, and each lease is told and answered once.
new_binding: Final = cast("Callable[[tuple[object, ...]], Binding]", partial(tuple.__new__, Binding))


@dataclass(frozen=True, slots=True)
class PoolRequest:
    """The partner is short of free addresses."""


class PoolResponse(NamedTuple):
    """How many addresses it is given."""

    transferred: int


class Update(NamedTuple):
    """BNDUPD: what happened to addresses."""

    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class WrittenUpdate:
    """BNDUPD whose options are written already (``failover.batches``)."""

    options: bytes


class Answer(NamedTuple):
    """The answer about one address; a ``reason`` of 0 accepts."""

    address: int
    reason: int = 0
    text: str = ""


new_answer: Final = cast("Callable[[tuple[object, ...]], Answer]", partial(tuple.__new__, Answer))


class Acknowledgement(NamedTuple):
    """BNDACK: all that is accepted is durable at the partner."""

    answers: tuple[Answer, ...]


class Connect(NamedTuple):
    """The primary's first message.

    Attributes:
        relationship: its name, in bytes.
        unacked_max: how many updates may be under way to the sender.
        receive_timer_s: after which silence the sender gives up the connection.
        vendor: what the sender is.
        version: of the protocol.
        tls: 0 no, 1 wanted, 2 required; None is not written.
        mclt_s: the maximum client lead time.
        buckets: 256 bits; a bit that is set is the primary's (ISC; the draft says the secondary's).
        delayed_service_s: after how many seconds of a client the other answers; None is not written.
        vendor_options: what only servers of the same vendor understand; None is not written.
    """

    relationship: bytes
    unacked_max: int
    receive_timer_s: int
    vendor: bytes
    version: int
    tls: int | None
    mclt_s: int
    buckets: bytes
    delayed_service_s: int | None = None
    vendor_options: bytes | None = None


class ConnectAnswer(NamedTuple):
    """The secondary's answer; see ``Connect``. A ``reason`` of 0 accepts."""

    relationship: bytes
    unacked_max: int
    receive_timer_s: int
    vendor: bytes
    version: int
    tls: int | None
    reason: int = 0
    text: str = ""
    vendor_options: bytes | None = None


@dataclass(frozen=True, slots=True)
class UpdateRequestAll:
    """Tell me everything."""


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """Tell me what I have not acknowledged."""


@dataclass(frozen=True, slots=True)
class UpdateDone:
    """All of it was told, and answered."""


class StateTold(NamedTuple):
    """The sender's state, since when, and whether it has just started."""

    state: int
    flags: int
    since: int


@dataclass(frozen=True, slots=True)
class Contact:
    """The sender lives."""


class Disconnect(NamedTuple):
    """The sender closes the connection."""

    reason: int
    text: str = ""


class Unknown(NamedTuple):
    """A message that may be ignored (types from 128 on).

    Attributes:
        type: of the message.
        data: option 29 (vendor-specific), where it has that: what two servers of ours say beyond the draft.
    """

    type: int
    data: bytes = b""


Content = (
    PoolRequest | PoolResponse | Update | WrittenUpdate | Acknowledgement | Connect | ConnectAnswer
    | UpdateRequestAll | UpdateRequest | UpdateDone | StateTold | Contact | Disconnect | Unknown
)  # fmt: skip


class Message(NamedTuple):
    """One message.

    Attributes:
        time: when it was sent, by the sender's clock.
        xid: what its answer repeats.
        content: what it says.
    """

    time: int
    xid: int
    content: Content
