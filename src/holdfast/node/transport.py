"""The transport role of one server: sessions, intake, queue and delivery, put together.

See ``node.ports`` for how a node is driven.
"""

from __future__ import annotations

import random

from holdfast.directory.model import Organisation
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.node.ports import Peer, TransportOutput
from holdfast.transport.queue import QueueWrite, RecoveredQueue
from holdfast.wire import store


class TransportNode:
    """Everything the transport role decides."""

    def __init__(
        self, organisation: Organisation, server_name: str, recovered: RecoveredQueue, luck: random.Random
    ) -> None:
        self.outputs: list[TransportOutput] = []

    # --- the world -------------------------------------------------------------------------

    def started(self, now: float) -> None:
        """Begin work: deliver what was found in the queue."""

    def organisation_changed(self, now: float, organisation: Organisation) -> None:
        """Go by another organisation from now on; sessions that are open keep their limits."""

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called, or None."""

    def timer(self, now: float) -> None:
        """Do what is due."""

    def stopping(self, now: float) -> None:
        """Take no new message (421), finish what was acknowledged or is being received."""

    def idle(self) -> bool:
        """Whether nothing is open, being committed or being delivered: a stop loses no work."""

    # --- connections -----------------------------------------------------------------------

    def connection_opened(self, now: float, connection_id: ConnectionId, connector: str, peer: Peer) -> None:
        """A client came to a binding of a receive connector."""

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        """A client said something."""

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        """A client says no more, but may still read (a half-closed connection)."""

    def connection_lost(self, now: float, connection_id: ConnectionId) -> None:
        """A connection is gone, whoever closed it; what was not sent is lost."""

    def tls_started(self, now: float, connection_id: ConnectionId) -> None:
        """TLS is on; the session begins anew."""

    def password_checked(self, now: float, connection_id: ConnectionId, mailbox_id: MailboxId | None) -> None:
        """The answer to ``CheckPassword``."""

    # --- the queue database ----------------------------------------------------------------

    def queue_committed(self, now: float, writes: list[QueueWrite]) -> None:
        """Writes are durable."""

    def queue_failed(self, now: float, writes: list[QueueWrite], error: Unavailable) -> None:
        """Writes did not happen (a full disk): 452 to senders, try the rest again later."""

    def queued_read(self, now: float, number: int, data: bytes | None) -> None:
        """The data of a queued message; None when it could not be read now."""

    # --- the mailbox databases -------------------------------------------------------------

    def store_connected(self, now: float, database: str) -> None:
        """A mailbox database can be asked (again)."""

    def store_lost(self, now: float, database: str) -> None:
        """A mailbox database went away; every unanswered question to it is void."""

    def store_answered(self, now: float, number: int, answer: store.Answer) -> None:
        """The answer to ``CallStore`` of that number."""
