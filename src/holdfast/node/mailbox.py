"""The mailbox role of one server: who asked what of a mailbox database, and who must be told.

A driver takes ``Perform`` with ``writes`` to its one writer: all that wait are
performed in one transaction (``mailbox.service.perform`` each) and reported by
``performed`` after its commit. One without ``writes`` goes to a reader at once.
See ``node.ports`` for how a node is driven.

Invariants: every question gets one answer; ``Changed`` goes out only for what
is durable; what one client may have open at a time is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.kernel.errors import Refusal
from holdfast.kernel.events import LogEvent, happened
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.mailbox.events import CLIENT_MALFORMED, CLIENT_OVERLOADED
from holdfast.wire import store
from holdfast.wire.framing import FrameReader

# One client is a whole role with all its sessions, so these are generous.
OUTSTANDING_COUNT_MAX = 20_000
OUTSTANDING_BYTES_MAX = 512 << 20
WATCH_COUNT_MAX = 200_000
KNOWN_MAILBOX_COUNT_MAX = 100_000


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


@dataclass(slots=True)
class _Client:
    reader: FrameReader = field(default_factory=FrameReader)
    watched: set[int] = field(default_factory=set)
    outstanding_bytes: dict[int, int] = field(default_factory=dict)  # by number
    total_bytes: int = 0
    overloaded: bool = False


class MailboxNode:
    """Everything the mailbox role decides about one mailbox database, but for the operations themselves."""

    def __init__(self) -> None:
        self.outputs: list[MailboxOutput] = []
        self._clients: dict[ConnectionId, _Client] = {}
        self._watchers: dict[int, set[ConnectionId]] = {}
        self._performing_count = 0
        # Mailboxes that surely exist: a first use makes the mailbox, so it must go to the writer.
        self._known_mailboxes: set[MailboxId] = set()

    def client_connected(self, client_id: ConnectionId) -> None:
        """Transport or access opened a connection."""
        assert client_id not in self._clients
        self._clients[client_id] = _Client()

    def client_lost(self, client_id: ConnectionId) -> None:
        """A client is gone, with its watches; what it asked is still performed."""
        client = self._clients.pop(client_id, None)
        if client is not None:
            for folder_id in client.watched:
                self._unwatch(client_id, folder_id)

    def bytes_received(self, client_id: ConnectionId, data: bytes) -> None:
        """A client asked something."""
        client = self._clients.get(client_id)
        if client is None:
            return  # it was disconnected, and some bytes were still on their way
        try:
            for body in client.reader.feed(data):
                self._asked(client_id, client, store.decode_request(body), len(body))
        except Refusal as refusal:
            event = happened(CLIENT_MALFORMED, client_id=client_id, reason=refusal.text)
            self.outputs += [MailboxLog(event), Disconnect(client_id)]
            self.client_lost(client_id)

    def performed(self, results: list[Performed]) -> None:
        """Operations are durable (or read): answer, and tell who watches."""
        reached: dict[int, int] = {}
        for result in results:
            self._performing_count -= 1
            client = self._clients.get(result.client_id)
            if client is not None:
                client.total_bytes -= client.outstanding_bytes.pop(result.number)
                client.overloaded = client.overloaded and bool(client.outstanding_bytes)
                self._answer(result.client_id, result.number, result.answer)
            for folder_id, position in result.touched:
                reached[folder_id] = max(position, reached.get(folder_id, 0))
        assert self._performing_count >= 0
        for folder_id, position in reached.items():
            for client_id in sorted(self._watchers.get(folder_id, ())):
                self._answer(client_id, 0, store.Changed(folder_id, position))

    def idle(self) -> bool:
        """Whether every operation was answered."""
        return self._performing_count == 0

    def _asked(self, client_id: ConnectionId, client: _Client, request: store.Request, size: int) -> None:
        number, operation = request.number, request.operation
        if number in client.outstanding_bytes:
            raise Refusal(f"question {number} is still open")
        if isinstance(operation, store.Watch):
            self._answer(client_id, number, self._watch(client_id, client, operation))
            return
        open_count = len(client.outstanding_bytes)
        if open_count >= OUTSTANDING_COUNT_MAX or (
            open_count and client.total_bytes + size > OUTSTANDING_BYTES_MAX
        ):
            self._refuse_overload(client_id, client, number)
            return
        client.outstanding_bytes[number] = size
        client.total_bytes += size
        self._performing_count += 1
        self.outputs.append(Perform(client_id, number, operation, self._writes(operation)))

    def _refuse_overload(self, client_id: ConnectionId, client: _Client, number: int) -> None:
        if not client.overloaded:
            client.overloaded = True  # said once until all is answered
            event = happened(
                CLIENT_OVERLOADED,
                client_id=client_id,
                outstanding_count=len(client.outstanding_bytes),
                outstanding_bytes=client.total_bytes,
            )
            self.outputs.append(MailboxLog(event))
        text = "the mailbox database is busy; try again later"
        self._answer(client_id, number, store.Refused(store.RefusalReason.UNAVAILABLE, text))

    def _writes(self, operation: store.Operation) -> bool:
        match operation:
            case store.FetchMessages() | store.FetchSlice() | store.ReadUsage() | store.FindMissing():
                return False
            case store.ReadChanges():
                return operation.claim_recent
            case store.ListFolders():
                return self._is_first_use(operation.mailbox_id)
            case store.OpenFolder():
                return self._is_first_use(operation.mailbox_id) or operation.claim_recent
            case _:
                return True

    def _is_first_use(self, mailbox_id: MailboxId) -> bool:
        # Asked again before the first answer it may go to a reader that does not see
        # the mailbox yet; the reader's driver hands such an operation to the writer.
        if mailbox_id in self._known_mailboxes:
            return False
        if len(self._known_mailboxes) >= KNOWN_MAILBOX_COUNT_MAX:
            self._known_mailboxes.clear()
        self._known_mailboxes.add(mailbox_id)
        return True

    def _watch(self, client_id: ConnectionId, client: _Client, watch: store.Watch) -> store.Answer:
        folder_id = watch.folder_id
        if not watch.wanted:
            if folder_id in client.watched:
                client.watched.remove(folder_id)
                self._unwatch(client_id, folder_id)
            return store.Done()
        if len(client.watched) >= WATCH_COUNT_MAX:
            text = f"more than {WATCH_COUNT_MAX} folders are watched already"
            return store.Refused(store.RefusalReason.UNAVAILABLE, text)
        client.watched.add(folder_id)
        self._watchers.setdefault(folder_id, set()).add(client_id)
        return store.Done()

    def _unwatch(self, client_id: ConnectionId, folder_id: int) -> None:
        watchers = self._watchers[folder_id]
        watchers.remove(client_id)
        if not watchers:
            del self._watchers[folder_id]

    def _answer(self, client_id: ConnectionId, number: int, answer: store.Answer) -> None:
        self.outputs.append(SendFrame(client_id, store.encode_frame(store.Response(number, answer))))
