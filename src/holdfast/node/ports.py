"""What a node tells its drivers, and the words both sides use for it.

A node is a machine without a clock: each input is a method that takes ``now``
(seconds since the epoch on a steady clock), changes the node's state and puts what is to be done
into ``outputs``; the driver drains ``outputs`` after every input, in order.
``deadline()`` says when ``timer(now)`` wants to be called next. The simulator
drives the very same nodes.

``now`` serves every deadline and age. Nobody sets that clock: it is the wall time
at which the process started, and what has passed since. Where an instant is
written down, a node adds its ``clock_offset_s``, wall clock minus steady clock,
which the driver keeps up to date.

Connections are opened by drivers and numbered by them. A driver that has been
told ``Close`` still reports ``connection_lost`` when the close is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from holdfast.directory.model import Organisation
from holdfast.kernel.events import LogEvent
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.transport.kept import KeptFile
from holdfast.transport.queue import QueueWrite
from holdfast.transport.tls_policy import TlsDemand, TlsFacts
from holdfast.wire import store
from holdfast.wire.dns_answers import Question


# What is made per message is not frozen: each field would take 0.3 µs more. Nobody changes it.
@dataclass(slots=True, unsafe_hash=True)
class Send:
    """Write bytes to a connection; one output is one write, so one reply is one segment."""

    connection_id: ConnectionId
    data: bytes


@dataclass(slots=True, unsafe_hash=True)
class Close:
    """Close a connection after what was sent before."""

    connection_id: ConnectionId


@dataclass(frozen=True, slots=True)
class StartTls:
    """Begin TLS on a connection after what was sent before; ``tls_started`` reports success.

    Attributes:
        connector: on a client's connection: the receive connector, whose certificate is shown.
        demand: on a connection of ours to a next hop: what is needed. A handshake that fails, or
            does not satisfy it, is reported by ``connection_lost`` with the reason; one that is
            only reported is told in the facts of ``tls_started``.
        of_servers: on a client's connection: it is asked for the certificate of a server of ours.
    """

    connection_id: ConnectionId
    connector: str = ""
    demand: TlsDemand | None = None
    of_servers: bool = False


@dataclass(slots=True, unsafe_hash=True)
class Connect:
    """Open a connection to a next hop.

    The node numbers these itself, from -1 downwards, so that they never meet those of clients.
    ``outbound_connected`` reports success, ``connection_lost`` with a reason that it failed. All else
    is as with a client's connection: Send, Close, StartTls, PauseReading, ResumeReading;
    ``bytes_received``, ``connection_ended``, ``connection_lost``.

    Attributes:
        source_address: ours; empty lets the system choose.
        tls: for TLS from the first byte (port 465): what is needed; ``tls_started`` comes right after
            ``outbound_connected``.
        timeout_s: after so long it has failed.
    """

    connection_id: ConnectionId
    address: str
    port: int
    source_address: str = ""
    tls: TlsDemand | None = None
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop a connection at once; ``connection_lost`` follows."""

    connection_id: ConnectionId


@dataclass(frozen=True, slots=True)
class Resolve:
    """Ask DNS; ``resolved`` gives the answer, always, in bounded time."""

    question: Question


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Fetch the MTA-STS policy of a domain over HTTPS (RFC 8461 section 3.3); ``policy_fetched`` reports."""

    domain: str


@dataclass(frozen=True, slots=True)
class GoOn:
    """Call ``go_on`` once everybody else was looked at: there is work that is done in steps."""


@dataclass(slots=True, unsafe_hash=True)
class InFlight:
    """Note that a next hop may have a message from the next ``Send`` on (RFC 1047).

    The note survives the end of this process, and is read at its next start; it need not survive
    a power cut. A message may be noted several times, for several next hops.
    """

    number: int


@dataclass(slots=True, unsafe_hash=True)
class Landed:
    """Take notes of ``InFlight`` away, one per number given: what became of them is durable."""

    numbers: list[int]


@dataclass(slots=True, unsafe_hash=True)
class PauseReading:
    """Read no more from a connection until ``ResumeReading``; this bounds what a session buffers."""

    connection_id: ConnectionId


@dataclass(slots=True, unsafe_hash=True)
class ResumeReading:
    """Read from a connection again."""

    connection_id: ConnectionId


@dataclass(frozen=True, slots=True)
class CallStore:
    """Ask a mailbox database; the number comes back with the answer, or with ``store_lost``."""

    database: str
    number: int
    operation: store.Operation


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Verify a password off the hot path; ``password_checked`` reports the mailbox id or None."""

    connection_id: ConnectionId
    user: str
    password: str


@dataclass(slots=True, unsafe_hash=True)
class CommitQueue:
    """Make writes durable in the queue database, all in one transaction with whatever else waits.

    The driver answers with ``queue_committed`` (the same writes) or ``queue_failed``.
    """

    writes: list[QueueWrite]


@dataclass(frozen=True, slots=True)
class ReadQueued:
    """Read the data of queued messages by number; ``queued_read`` reports each."""

    numbers: list[int]


@dataclass(frozen=True, slots=True)
class ReadKept:
    """Read some messages of the Safety Net, by number, without data; ``kept_read`` reports them.

    Attributes:
        since, until: when they got there, by the wall clock, both included.
        after_number: only those with a higher number.
    """

    since: float
    until: float
    after_number: int


@dataclass(frozen=True, slots=True)
class Log:
    """Write an event of the catalogue to the log."""

    event: LogEvent


ConnectionOutput = Send | Close | StartTls | PauseReading | ResumeReading
OutboundOutput = Connect | Abort | Resolve | FetchPolicy | KeptFile | GoOn | InFlight | Landed
TransportOutput = (
    ConnectionOutput | OutboundOutput | CallStore | CheckPassword | CommitQueue | ReadQueued | ReadKept | Log
)
AccessOutput = ConnectionOutput | CallStore | CheckPassword | Log


Output = TypeVar("Output", TransportOutput, AccessOutput)


class Node(Protocol[Output]):
    """What both nodes hear; the docstrings of TransportNode and AccessNode say what each does with it."""

    outputs: list[Output]
    clock_offset_s: float

    def organisation_changed(self, now: float, organisation: Organisation) -> None: ...
    def deadline(self) -> float | None: ...
    def timer(self, now: float) -> None: ...
    def stopping(self, now: float) -> None: ...
    def idle(self) -> bool: ...
    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None: ...
    def connection_ended(self, now: float, connection_id: ConnectionId) -> None: ...
    def connection_lost(self, now: float, connection_id: ConnectionId, reason: str = "") -> None: ...
    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None = None) -> None: ...
    def password_checked(
        self, now: float, connection_id: ConnectionId, mailbox_id: MailboxId | None
    ) -> None: ...
    def store_connected(self, now: float, database: str) -> None: ...
    def store_lost(self, now: float, database: str) -> None: ...
    def store_answered(self, now: float, number: int, answer: store.Answer) -> None: ...


@dataclass(slots=True, unsafe_hash=True)
class Peer:
    """Who is at the other end of a connection, and at which door of ours.

    Attributes:
        address: the client's IP address as text.
        port: the client's port.
        local_address: our address that it came to, as text.
        local_port: our port that it came to.
        tls: whether TLS is on from the first byte.
        facts: what its handshake gave, then.
    """

    address: str
    port: int
    local_address: str
    local_port: int
    tls: bool
    facts: TlsFacts | None = None
