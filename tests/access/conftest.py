"""A small world around AccessNode: the real mailbox room on tables in memory, and clients that type."""

from __future__ import annotations

import random
from collections import deque

import pytest

from holdfast.access.imap_conversation import SessionSettings
from holdfast.directory.model import (
    ImapListener,
    Mailbox,
    MailboxDatabase,
    Organisation,
    Server,
)
from holdfast.kernel.events import LogEvent
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.mailbox import service
from holdfast.node.access import AccessNode
from holdfast.node.ports import (
    AccessOutput,
    CallStore,
    CheckPassword,
    Close,
    Log,
    PauseReading,
    Peer,
    ResumeReading,
    Send,
    StartTls,
)
from holdfast.sim.mailbox_tables import MemoryTables
from holdfast.wire import store

PASSWORDS = {"alice@example.test": "wonderland", "bob@example.test": "builder", "imapuser": "password"}


def organisation(quota_bytes: int | None = None) -> Organisation:
    return Organisation(
        name="example",
        servers=(Server("mail1", "mail1.example.test", "home", imap=(ImapListener("0.0.0.0:2143"),)),),
        mailbox_databases=(MailboxDatabase("db1", "mail1"),),
        mailboxes=tuple(
            Mailbox(
                address,
                MailboxId(f"id-{address}"),
                "db1",
                aliases=(f"the-{address}",),
                quota_bytes=quota_bytes,
            )
            for address in PASSWORDS
        ),
    )


class Client:
    """One connection, seen from the client's side."""

    def __init__(self, world: World, connection_id: ConnectionId) -> None:
        self.world = world
        self.connection_id = connection_id
        self.inbox = bytearray()
        self.sends: list[int] = []
        self.closed = False
        self.paused = False
        self.tls_wanted = False

    def send(self, data: bytes) -> None:
        self.world.node.bytes_received(self.world.now, self.connection_id, data)
        self.world.pump()

    def read(self) -> bytes:
        data = bytes(self.inbox)
        self.inbox.clear()
        return data

    def lines(self) -> list[str]:
        return self.read().decode("utf-8", "replace").split("\r\n")[:-1]

    def do(self, command: str) -> list[str]:
        """Send one command (CRLF inside it stays) and return the lines of the answer."""
        self.send(command.encode() + b"\r\n")
        return self.lines()

    def append(self, folder: str, message: bytes, flags: str = "") -> list[str]:
        words = f"a APPEND {folder} {flags + ' ' if flags else ''}{{{len(message)}+}}\r\n"
        self.send(words.encode() + message + b"\r\n")
        return self.lines()

    def start_tls(self) -> None:
        self.world.node.tls_started(self.world.now, self.connection_id)
        self.world.pump()

    def drop(self) -> None:
        self.world.node.connection_lost(self.world.now, self.connection_id)
        self.world.pump()


class World:
    """Drives an AccessNode as a driver does, with one mailbox database."""

    def __init__(self, settings: SessionSettings | None = None, quota_bytes: int | None = None) -> None:
        self.now = 1_000_000_000.0
        self.luck = random.Random(1)
        self.node = AccessNode(organisation(quota_bytes), "mail1", self.luck, settings)
        self.tables = MemoryTables()
        self.clients: dict[ConnectionId, Client] = {}
        self.watches: set[int] = set()
        self.logs: list[LogEvent] = []
        self.operations: list[store.Operation] = []
        self.hold_store = False
        self.hold_drain = False
        self.hold_passwords = False
        self.held: deque[AccessOutput] = deque()
        self.full = False  # the disk takes no writes
        self.refusals: dict[type, store.Refused] = {}
        self.cut_messages_to: int | None = None
        self.node.store_connected(self.now, "db1")
        self.pump()

    def connect(self, address: str = "127.0.0.1", *, tls: bool = False) -> Client:
        connection_id = ConnectionId(len(self.clients) + 1)
        client = Client(self, connection_id)
        self.clients[connection_id] = client
        self.node.connection_opened(self.now, connection_id, Peer(address, 4000, "192.0.2.1", 2143, tls))
        self.pump()
        return client

    def sign_in(self, user: str = "alice@example.test") -> Client:
        client = self.connect()
        client.do(f"l LOGIN {user} {PASSWORDS[user]}")
        return client

    def wait(self, seconds: float) -> None:
        """Let time pass; the node's timer is called when it asks for it."""
        until = self.now + seconds
        while (due := self.node.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.node.timer(self.now)
            self.pump()
        self.now = until

    def release(self) -> None:
        """Do what was held back."""
        self.hold_store = self.hold_drain = self.hold_passwords = False
        held, self.held = self.held, deque()
        for output in held:
            self._do(output)
        self.pump()

    def drain_one(self) -> None:
        """Report to the node that one held piece has left."""
        output = self.held.popleft()
        assert isinstance(output, Send)
        self.node.connection_drained(self.now, output.connection_id)
        self.pump()

    def pump(self) -> None:
        while self.node.outputs:
            outputs, self.node.outputs = self.node.outputs, []
            for output in outputs:
                self._do(output)

    def _do(self, output: AccessOutput) -> None:
        match output:
            case Send():
                self._send(output)
            case CallStore():
                if self.hold_store:
                    self.held.append(output)
                else:
                    self._call(output)
            case CheckPassword():
                if self.hold_passwords:
                    self.held.append(output)
                    return
                known = PASSWORDS.get(output.user) == output.password
                mailbox_id = MailboxId(f"id-{output.user}") if known else None
                self.node.password_checked(self.now, output.connection_id, mailbox_id)
            case Close():
                self.clients[output.connection_id].closed = True
                self.node.connection_lost(self.now, output.connection_id)
            case StartTls():
                self.clients[output.connection_id].tls_wanted = True
            case PauseReading():
                assert not self.clients[output.connection_id].paused
                self.clients[output.connection_id].paused = True
            case ResumeReading():
                assert self.clients[output.connection_id].paused
                self.clients[output.connection_id].paused = False
            case Log():
                output.event.message()
                self.logs.append(output.event)

    def _send(self, output: Send) -> None:
        client = self.clients[output.connection_id]
        assert not client.closed
        if not output.data:
            self.node.connection_drained(self.now, output.connection_id)
            return
        client.inbox += output.data
        client.sends.append(len(output.data))
        if self.hold_drain:
            self.held.append(Send(output.connection_id, b""))
        else:
            self.node.connection_drained(self.now, output.connection_id)

    def _call(self, call: CallStore) -> None:
        assert call.database == "db1"
        self.operations.append(call.operation)
        if isinstance(call.operation, store.Watch):
            change = self.watches.add if call.operation.wanted else self.watches.discard
            change(call.operation.folder_id)
            self.node.store_answered(self.now, call.number, store.Done())
            return
        if self.full and getattr(call.operation, "claim_recent", False):
            reason = store.RefusalReason.UNAVAILABLE
            self.node.store_answered(self.now, call.number, store.Refused(reason, "the disk is full"))
            return
        if type(call.operation) in self.refusals:
            self.node.store_answered(self.now, call.number, self.refusals[type(call.operation)])
            return
        performance = service.perform(call.operation, self.tables, self.now, self.luck)
        self.tables.commit()
        answer = performance.answer
        if isinstance(answer, store.Messages) and self.cut_messages_to is not None:
            cut = answer.messages[: self.cut_messages_to]
            answer = store.Messages(cut, answer.complete and len(cut) == len(answer.messages))
        self.node.store_answered(self.now, call.number, answer)
        for folder_id, position in performance.touched:
            if folder_id in self.watches:
                self.node.store_answered(self.now, 0, store.Changed(folder_id, position))


@pytest.fixture(scope="session")
def make_world() -> type[World]:
    """The class itself, because tests need worlds with different settings."""
    return World


@pytest.fixture
def world() -> World:
    return World()
