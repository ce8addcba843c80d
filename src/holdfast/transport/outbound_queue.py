"""One queue to a next hop, with its connections: decide how many there should be.

A connection is used for one message after the other and kept for a moment when
there is none. Another one is opened only when more messages wait than
connections are free, and not faster than the next hop takes them: with each
connection that stands one more may be on its way.

Source: exchange-behaviour QU-7, SC-7; RFC 5321 section 4.5.4.1.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from holdfast.kernel.ids import ConnectionId
from holdfast.transport.host_health import Choice, Endpoint
from holdfast.transport.outbound_session import OutboundSession
from holdfast.transport.queue import Lane, Part
from holdfast.transport.route import HopProfile
from holdfast.transport.tls_policy import TlsDemand

# So many waiting messages are worth a connection of their own: opening one takes longer than they do.
MESSAGES_PER_NEW_CONNECTION = 4


class QueueStatus(enum.Enum):
    """What a queue is doing, in Exchange's words."""

    READY = "ready"
    ACTIVE = "active"  # connections stand or are being opened
    RETRY = "retry"  # the next hop could not be reached
    SUSPENDED = "suspended"  # an administrator stopped it


@dataclass(slots=True, eq=False)
class OutboundConnection:
    """A connection of ours to a next hop.

    Attributes:
        choice: the host and its address.
        given: what the session has and did not finish, by transaction number; the first is under way.
        doubtful: transactions whose final dot may have reached the next hop, and no answer did.
        given_count: transactions it was given in all.
        done_count: those that the next hop answered.
        idle_since: since when it has nothing to do; None while it has.
        deadline: until when the next hop must have said something.
        connected: whether the connection stands.
        tls: what its TLS needs; None for none at all.
        profile: what it was opened by; once its queue has another one it is given nothing more.
        closing: it is given nothing more.
        encoding: a message is being encoded for it; it is given nothing more until that is done.
    """

    connection_id: ConnectionId
    queue: OutboundQueue
    choice: Choice
    session: OutboundSession
    tls: TlsDemand | None = None
    profile: HopProfile | None = None
    deadline: float | None = None
    connected: bool = False
    ready: bool = False
    given: dict[int, Part] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    given_count: int = 0
    done_count: int = 0
    idle_since: float | None = None
    closing: bool = False
    encoding: bool = False

    @property
    def host(self) -> str:
        """The next hop's name, or its address where it has none."""
        return self.choice.host.name

    @property
    def address(self) -> str:
        """The next hop's address."""
        return self.choice.address


@dataclass(slots=True, eq=False)
class OutboundQueue(Lane):
    """The queue of one next-hop key.

    Attributes:
        profile: how the next hop is reached; None until it is asked for, and after a change.
        connections: open or being opened, by number.
        idle: those with nothing to do; the last used is used first, so that others may end.
        unfit: hosts that do not give the TLS that this queue needs: until when that counts, and why. The
            mail of other domains may need less there, so it is no matter of the host's health.
    """

    profile: HopProfile | None = None
    connections: dict[ConnectionId, OutboundConnection] = field(default_factory=dict)
    idle: list[OutboundConnection] = field(default_factory=list)
    unfit: dict[Endpoint, tuple[float, str]] = field(default_factory=dict)

    def unfit_now(self, now: float) -> dict[Endpoint, str]:
        """The hosts that are of no use to this queue now, and why."""
        if self.unfit:
            self.unfit = {each: said for each, said in self.unfit.items() if now < said[0]}
        return {each: reason for each, (_, reason) in self.unfit.items()}

    def may_send(self, now: float) -> bool:
        """Whether it may try."""
        return not self.held and now >= self.not_before

    def wanted_count(self, count_max: int) -> int:
        """How many more connections to open, when none is free; ``count_max`` is for this queue."""
        waiting = len(self.waiting)
        if not waiting:
            return 0
        connecting = sum(not each.ready for each in self.connections.values())
        standing = len(self.connections) - connecting
        return max(
            0,
            min(
                -(-waiting // MESSAGES_PER_NEW_CONNECTION) - connecting,
                standing + 1 - connecting,
                count_max - len(self.connections),
            ),
        )

    def status(self, now: float) -> QueueStatus:
        """What it is doing."""
        if self.held:
            return QueueStatus.SUSPENDED
        if now < self.not_before:
            return QueueStatus.RETRY
        return QueueStatus.ACTIVE if self.connections else QueueStatus.READY
