"""The mailbox role of one server: who asked what of a mailbox database, and who must be told.

A driver takes ``PerformWrites`` to its one writer: all that wait are performed
in one transaction (``mailbox.service.perform`` each) and answered after its
commit. ``PerformRead`` goes to a reader at once. See ``node.ports`` for how a
node is driven.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.kernel.events import LogEvent
from holdfast.kernel.ids import ConnectionId
from holdfast.wire import store


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Write one frame to a client."""

    client_id: ConnectionId
    frame: bytes


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close a client that does not speak the store protocol."""

    client_id: ConnectionId


@dataclass(frozen=True, slots=True)
class Perform:
    """One operation for the database: to the writer when ``writes``, else to a reader."""

    client_id: ConnectionId
    number: int
    operation: store.Operation
    writes: bool


@dataclass(frozen=True, slots=True)
class Performed:
    """What came of a ``Perform``: the answer, and the folders it changed with their new positions."""

    client_id: ConnectionId
    number: int
    answer: store.Answer
    touched: tuple[tuple[int, int], ...]  # (folder_id, position)


@dataclass(frozen=True, slots=True)
class MailboxLog:
    """Write an event of the catalogue to the log."""

    event: LogEvent


MailboxOutput = SendFrame | Disconnect | Perform | MailboxLog


class MailboxNode:
    """Everything the mailbox role decides about one mailbox database, but for the operations themselves."""

    def __init__(self) -> None:
        self.outputs: list[MailboxOutput] = []

    def client_connected(self, client_id: ConnectionId) -> None:
        """Transport or access opened a connection."""

    def client_lost(self, client_id: ConnectionId) -> None:
        """A client is gone, with its watches; what it asked is still performed."""

    def bytes_received(self, client_id: ConnectionId, data: bytes) -> None:
        """A client asked something."""

    def performed(self, results: list[Performed]) -> None:
        """Operations are durable (or read): answer, and tell who watches."""

    def idle(self) -> bool:
        """Whether every operation was answered."""
