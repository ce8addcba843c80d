"""The access role of one server: IMAP sessions and what they ask the mailbox databases.

See ``node.ports`` for how a node is driven.
"""

from __future__ import annotations

import random

from holdfast.directory.model import Organisation
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.node.ports import AccessOutput, Peer
from holdfast.wire import store


class AccessNode:
    """Everything the access role decides."""

    def __init__(self, organisation: Organisation, server_name: str, luck: random.Random) -> None:
        self.outputs: list[AccessOutput] = []

    def organisation_changed(self, now: float, organisation: Organisation) -> None:
        """Go by another organisation from now on."""

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called, or None."""

    def timer(self, now: float) -> None:
        """Do what is due (inactivity)."""

    def stopping(self, now: float) -> None:
        """Say BYE to every session once its command is finished."""

    def idle(self) -> bool:
        """Whether no session is left."""

    def connection_opened(self, now: float, connection_id: ConnectionId, peer: Peer) -> None:
        """A client came."""

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        """A client said something."""

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        """A client says no more, but may still read."""

    def connection_lost(self, now: float, connection_id: ConnectionId) -> None:
        """A connection is gone."""

    def connection_drained(self, now: float, connection_id: ConnectionId) -> None:
        """What was sent has left: a session that paused a long answer may go on.

        The driver calls this whenever the write buffer of the connection has become
        small again after it was large, and also after each send that left it small.
        """

    def tls_started(self, now: float, connection_id: ConnectionId) -> None:
        """TLS is on."""

    def password_checked(self, now: float, connection_id: ConnectionId, mailbox_id: MailboxId | None) -> None:
        """The answer to ``CheckPassword``."""

    def store_connected(self, now: float, database: str) -> None:
        """A mailbox database can be asked (again)."""

    def store_lost(self, now: float, database: str) -> None:
        """A mailbox database went away; every unanswered question to it is void."""

    def store_answered(self, now: float, number: int, answer: store.Answer) -> None:
        """The answer to ``CallStore`` of that number; 0 brings a ``Changed``."""
