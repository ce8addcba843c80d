"""The access role of one server: IMAP sessions and what they ask the mailbox databases.

A session is a machine that knows one client (``access.imap_session``); this
node gives it numbers for its questions, the time, and news of watched folders,
and ends it when it is silent for too long.

See ``node.ports`` for how a node is driven.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field

from holdfast.access import events
from holdfast.access.body_budget import BodyBudget
from holdfast.access.crowd import Crowd
from holdfast.access.imap_conversation import SessionSettings
from holdfast.access.imap_session import (
    AskStore,
    BytesReleased,
    BytesWanted,
    ImapSession,
    PasswordGiven,
    ReadingPaused,
    ReadingResumed,
    Reply,
    SessionEnded,
    SessionEvent,
    TlsWanted,
    Watching,
)
from holdfast.access.sign_in import Account, FailureMemory, account_of, find_mailbox, is_loopback
from holdfast.directory.model import ImapListener, Organisation, TlsMode
from holdfast.kernel.events import EventKind, Field, happened
from holdfast.kernel.ids import ConnectionId, MailboxId
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
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire import store

SIGN_IN_S = 60.0  # to be signed in
UNREAD_S = 300.0  # for a client to read a piece of its answer
INACTIVITY_S = 1800.0  # RFC 3501 section 5.4: at least 30 minutes
SESSIONS_PER_MAILBOX_MAX = 100
REFUSALS_SAID_EVERY_S = 60.0  # a flood of connections must not become one of log lines

_GONE = store.Refused(store.RefusalReason.UNAVAILABLE, "The mailbox cannot be reached now; try again later.")


@dataclass(slots=True)
class _Client:
    """One connection and what the node knows about it.

    Attributes:
        opened_at, active_at: when it came, and when it last said or read something.
        asked: the user whose password is being checked.
        check_at: when the password may be checked, or None.
        unread_since: since when it has not read what it was answered, or None.
        due_at: when the timer looks at it next.
        watched: the folder that its IDLE watches.
        counted_for: the mailbox whose sessions it was counted among.
        closing: it was told to close and only ``connection_lost`` is to come.
    """

    session: ImapSession
    peer: Peer
    opened_at: float
    active_at: float
    asked: PasswordGiven | None = None
    check_at: float | None = None
    unread_since: float | None = None
    due_at: float = math.inf
    watched: tuple[str, int] | None = None
    counted_for: MailboxId | None = None
    closing: bool = False


@dataclass(slots=True)
class _Question:
    """An unanswered question; ``connection_id`` is None for the node's own."""

    database: str
    connection_id: ConnectionId | None


@dataclass(slots=True)
class _Watched:
    """A folder that sessions watch."""

    mailbox_id: MailboxId
    connection_ids: set[ConnectionId] = field(default_factory=set)


class AccessNode:
    """Everything the access role decides.

    Attributes:
        clock_offset_s: what the wall clock is ahead of the steady clock that ``now`` is read from; set by
            the driver. Only the date of a message that comes without one needs it.
    """

    def __init__(
        self,
        organisation: Organisation,
        server_name: str,
        luck: random.Random,
        settings: SessionSettings | None = None,
    ) -> None:
        self.outputs: list[AccessOutput] = []
        self.clock_offset_s = 0.0
        self._organisation = organisation
        self._server_name = server_name
        self._luck = luck
        self._settings = settings or SessionSettings()
        self._clients: dict[ConnectionId, _Client] = {}
        self._due: list[tuple[float, ConnectionId]] = []
        self._questions: dict[int, _Question] = {}
        self._last_number = 0
        self._connected: set[str] = set()
        self._watched: dict[tuple[str, int], _Watched] = {}
        self._failures = FailureMemory()
        self._session_counts: dict[MailboxId, int] = {}
        self._budget = BodyBudget()
        self._crowd = Crowd(self._settings)
        self._refused_count = 0
        self._refusal_said_at = -math.inf
        self._granting = False
        self._stopping = False

    # --- the world -------------------------------------------------------------------------------

    def organisation_changed(self, now: float, organisation: Organisation) -> None:
        """Go by another organisation from now on; who may not sign in any more is sent away."""
        self._organisation = organisation
        for connection_id, client in list(self._clients.items()):
            account = client.session.conversation.account
            if account is None:
                continue
            renewed = account_of(organisation, account.mailbox_id)
            if renewed is None or renewed.database != account.database:
                client.session.say_goodbye("This mailbox is not served here any more.")
                self._perform(now, connection_id, client)
            else:
                client.session.conversation.account = renewed

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called, or None."""
        return self._due[0][0] if self._due else None

    def timer(self, now: float) -> None:
        """Check passwords that had to wait, and end sessions that are silent for too long."""
        while self._due and self._due[0][0] <= now:
            due_at, connection_id = heapq.heappop(self._due)
            client = self._clients.get(connection_id)
            if client is None or due_at != client.due_at:
                continue  # it is gone, or an earlier look is planned
            client.due_at = math.inf
            if client.check_at is not None and client.check_at <= now:
                self._check_password(connection_id, client)
            elif not client.closing and self._silent_until(client) <= now:
                self._end_silent(now, connection_id, client)
            if not client.closing:
                self._plan_look(connection_id, client)

    def _plan_look(self, connection_id: ConnectionId, client: _Client) -> None:
        """Let the timer look at a client when it is due, unless it does so earlier anyway."""
        due_at = self._next_due(client)
        if due_at < client.due_at:
            client.due_at = due_at
            heapq.heappush(self._due, (due_at, connection_id))

    def stopping(self, now: float) -> None:
        """Say BYE to every session once its command is finished."""
        self._stopping = True
        for connection_id, client in list(self._clients.items()):
            if not client.closing:
                client.session.say_goodbye("The server is stopping; connect again.")
                self._perform(now, connection_id, client)

    def idle(self) -> bool:
        """Whether no session is left."""
        return not self._clients

    # --- connections -----------------------------------------------------------------------------

    def connection_opened(self, now: float, connection_id: ConnectionId, peer: Peer) -> None:
        """A client came."""
        session = ImapSession(
            self._settings,
            tls_active=peer.tls,
            tls_offered=self._tls_offered(peer),
            local_client=is_loopback(peer.address),
        )
        client = _Client(session, peer, now, now)
        self._clients[connection_id] = client
        self._plan_look(connection_id, client)
        too_many = self._crowd.came(connection_id, peer.address)
        if self._stopping:
            session.say_goodbye("The server is stopping; connect again.")
        elif too_many:
            self._say_refused(now, too_many, peer.address)
            session.say_goodbye("Too many connections; try again later.")
        else:
            session.greet()
        self._perform(now, connection_id, client)

    def _say_refused(self, now: float, reason: str, source: str) -> None:
        self._refused_count += 1
        if now - self._refusal_said_at >= REFUSALS_SAID_EVERY_S:
            self._log(
                events.CONNECTION_REFUSED, refused_count=self._refused_count, reason=reason, source=source
            )
            self._refusal_said_at, self._refused_count = now, 0

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        """A client said something."""
        client = self._live(connection_id)
        if client is not None:
            client.active_at = now
            client.session.receive(now + self.clock_offset_s, data)
            self._perform(now, connection_id, client)

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        """A client says no more, but may still read."""
        client = self._live(connection_id)
        if client is not None:
            client.session.peer_ended()
            self._perform(now, connection_id, client)

    def connection_lost(self, now: float, connection_id: ConnectionId, reason: str = "") -> None:
        """A connection is gone."""
        client = self._clients.pop(connection_id, None)
        if client is None:
            return
        self._watch(connection_id, client, None)
        self._crowd.left(connection_id)
        self._budget.release(connection_id)
        if client.counted_for is not None:
            count = self._session_counts[client.counted_for] - 1
            if count:
                self._session_counts[client.counted_for] = count
            else:
                del self._session_counts[client.counted_for]
        self._grant_shares(now)

    def connection_drained(self, now: float, connection_id: ConnectionId) -> None:
        """What was sent has left: a session that paused a long answer may go on."""
        client = self._live(connection_id)
        if client is not None:
            client.active_at = now
            client.unread_since = None
            client.session.drained()
            self._perform(now, connection_id, client)

    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None = None) -> None:
        """TLS is on."""
        client = self._live(connection_id)
        if client is not None:
            client.session.tls_started()
            self._perform(now, connection_id, client)

    # --- sign-in ---------------------------------------------------------------------------------

    def password_checked(self, now: float, connection_id: ConnectionId, mailbox_id: MailboxId | None) -> None:
        """The answer to ``CheckPassword``."""
        client = self._live(connection_id)
        if client is None or client.asked is None:
            return
        asked, client.asked = client.asked, None
        source = client.peer.address
        crowded = False
        account = None if mailbox_id is None else account_of(self._organisation, mailbox_id)
        if account is None:
            self._failures.failed(now, source, self._throttled_name(asked.user))
            self._log(events.SIGN_IN_FAILED, user=asked.user, source=source)
        else:
            self._failures.succeeded(source, account.address)
            account = self._count_session(client, account)
            crowded = account is None
        if account is not None:
            self._crowd.signed_in(connection_id)
        client.session.password_checked(account)
        if crowded:
            client.session.say_goodbye("Too many sessions of this user.")
        self._perform(now, connection_id, client)

    def _count_session(self, client: _Client, account: Account) -> Account | None:
        """Take a session into the count of its mailbox; None when that is full."""
        mailbox_id = MailboxId(account.mailbox_id)
        count = self._session_counts.get(mailbox_id, 0)
        source = client.peer.address
        if count >= SESSIONS_PER_MAILBOX_MAX:
            self._log(events.SESSION_REFUSED, user=account.address, session_count=count, source=source)
            return None
        self._session_counts[mailbox_id] = count + 1
        client.counted_for = mailbox_id
        self._log(events.SIGNED_IN, user=account.address, source=source)
        return account

    def _begin_sign_in(
        self, now: float, connection_id: ConnectionId, client: _Client, asked: PasswordGiven
    ) -> None:
        client.asked = asked
        source = client.peer.address
        wait_s = self._failures.wait_s(now, source, self._throttled_name(asked.user))
        if wait_s == 0.0:
            self._check_password(connection_id, client)
            return
        self._log(events.SIGN_IN_DELAYED, user=asked.user, source=source, wait_s=wait_s)
        client.check_at = now + wait_s
        self._plan_look(connection_id, client)

    def _check_password(self, connection_id: ConnectionId, client: _Client) -> None:
        assert client.asked is not None
        client.check_at = None
        mailbox = find_mailbox(self._organisation, client.asked.user)
        # An unknown user is checked like a known one, so that the time tells nothing.
        user = client.asked.user if mailbox is None else mailbox.address
        self.outputs.append(CheckPassword(connection_id, user, client.asked.password))

    def _throttled_name(self, user: str) -> str:
        mailbox = find_mailbox(self._organisation, user)
        return user if mailbox is None else mailbox.address

    # --- the mailbox databases -------------------------------------------------------------------

    def store_connected(self, now: float, database: str) -> None:
        """A mailbox database can be asked (again); what is watched there is watched anew."""
        self._connected.add(database)
        self._log(events.DATABASE_BACK, database=database)
        for (watched_database, folder_id), watched in list(self._watched.items()):
            if watched_database == database:
                self._send_watch(database, watched.mailbox_id, folder_id, wanted=True)
                self._tell_watchers(now, watched)

    def store_lost(self, now: float, database: str) -> None:
        """A mailbox database went away; every unanswered question to it is void."""
        self._connected.discard(database)
        lost = [number for number, question in self._questions.items() if question.database == database]
        self._log(events.DATABASE_LOST, database=database, question_count=len(lost))
        for number in lost:
            self._answer(now, self._questions.pop(number), _GONE)

    def store_answered(self, now: float, number: int, answer: store.Answer) -> None:
        """The answer to ``CallStore`` of that number; 0 brings a ``Changed``."""
        if number == 0:
            assert isinstance(answer, store.Changed), answer
            for (_, folder_id), watched in list(self._watched.items()):
                if folder_id == answer.folder_id:
                    self._tell_watchers(now, watched)
            return
        question = self._questions.pop(number, None)
        if question is not None:
            self._answer(now, question, answer)

    def _answer(self, now: float, question: _Question, answer: store.Answer) -> None:
        if question.connection_id is None:
            return
        client = self._live(question.connection_id)
        if client is not None:
            client.session.store_answered(answer)
            self._perform(now, question.connection_id, client)

    def _call_store(
        self, database: str, connection_id: ConnectionId | None, operation: store.Operation
    ) -> None:
        self._last_number += 1
        self._questions[self._last_number] = _Question(database, connection_id)
        self.outputs.append(CallStore(database, self._last_number, operation))

    def _tell_watchers(self, now: float, watched: _Watched) -> None:
        for connection_id in sorted(watched.connection_ids):
            client = self._live(connection_id)
            if client is not None:
                client.session.folder_changed()
                self._perform(now, connection_id, client)

    def _watch(self, connection_id: ConnectionId, client: _Client, folder_id: int | None) -> None:
        """Let a session watch a folder, or none; the store is told of the first watcher and the last."""
        if client.watched is not None:
            watched = self._watched[client.watched]
            watched.connection_ids.discard(connection_id)
            if not watched.connection_ids:
                del self._watched[client.watched]
                database, left_folder_id = client.watched
                self._send_watch(database, watched.mailbox_id, left_folder_id, wanted=False)
            client.watched = None
        account = client.session.conversation.account
        if folder_id is not None and account is not None:
            key = (account.database, folder_id)
            if key not in self._watched:
                self._watched[key] = _Watched(MailboxId(account.mailbox_id))
                self._send_watch(account.database, MailboxId(account.mailbox_id), folder_id, wanted=True)
            self._watched[key].connection_ids.add(connection_id)
            client.watched = key

    def _send_watch(self, database: str, mailbox_id: MailboxId, folder_id: int, *, wanted: bool) -> None:
        if database in self._connected:
            self._call_store(database, None, store.Watch(mailbox_id, folder_id, wanted))

    # --- doing what sessions ask -----------------------------------------------------------------

    def _perform(self, now: float, connection_id: ConnectionId, client: _Client) -> None:
        """Do what a session asks for, and what it asks for after that."""
        asked = client.session.take_events()
        while asked:
            for event in asked:
                self._perform_one(now, connection_id, client, event)
            asked = client.session.take_events()
        self._watch_reader(now, connection_id, client)
        self._grant_shares(now)

    def _grant_shares(self, now: float) -> None:
        """Let sessions go on that wait for a share of what may be held of messages."""
        if self._granting:
            return  # the outer call goes on until nobody can get one
        self._granting = True
        try:
            while (connection_id := self._budget.grant()) is not None:
                client = self._live(connection_id)
                if client is None:
                    self._budget.release(connection_id)
                else:
                    client.session.bytes_granted()
                    self._perform(now, connection_id, client)
        finally:
            self._granting = False

    def _perform_one(
        self, now: float, connection_id: ConnectionId, client: _Client, event: SessionEvent
    ) -> None:
        match event:
            case Reply():
                self.outputs.append(Send(connection_id, event.data))
            case AskStore():
                account = client.session.conversation.account
                assert account is not None
                if account.database in self._connected:
                    self._call_store(account.database, connection_id, event.operation)
                else:
                    client.session.store_answered(_GONE)
            case BytesWanted():
                account = client.session.conversation.account
                assert account is not None
                self._budget.ask(connection_id, MailboxId(account.mailbox_id), event.byte_count)
            case BytesReleased():
                self._budget.release(connection_id)
            case PasswordGiven():
                self._begin_sign_in(now, connection_id, client, event)
            case Watching():
                self._watch(connection_id, client, event.folder_id if event.wanted else None)
            case TlsWanted():
                self.outputs.append(StartTls(connection_id))
            case ReadingPaused():
                self.outputs.append(PauseReading(connection_id))
            case ReadingResumed():
                self.outputs.append(ResumeReading(connection_id))
            case SessionEnded():
                self._close(connection_id, client)

    def _close(self, connection_id: ConnectionId, client: _Client) -> None:
        client.closing = True
        self._watch(connection_id, client, None)
        self.outputs.append(Close(connection_id))

    def _live(self, connection_id: ConnectionId) -> _Client | None:
        """The client of a connection that is not being closed."""
        client = self._clients.get(connection_id)
        return None if client is None or client.closing else client

    # --- silence ---------------------------------------------------------------------------------

    def _watch_reader(self, now: float, connection_id: ConnectionId, client: _Client) -> None:
        """Note since when a client has not read what waits for it."""
        if not client.session.writing:
            client.unread_since = None
        elif client.unread_since is None:
            client.unread_since = now
            self._plan_look(connection_id, client)

    def _silent_until(self, client: _Client) -> float:
        if client.unread_since is not None:
            return client.unread_since + UNREAD_S
        if client.session.conversation.account is None:
            return client.opened_at + SIGN_IN_S
        return client.active_at + INACTIVITY_S

    def _next_due(self, client: _Client) -> float:
        due = self._silent_until(client)
        return due if client.check_at is None else min(due, client.check_at)

    def _end_silent(self, now: float, connection_id: ConnectionId, client: _Client) -> None:
        """Say BYE; a session that cannot even finish its command is closed without."""
        self._log(
            events.SESSION_TIMED_OUT, source=client.peer.address, silence_s=round(now - client.active_at)
        )
        client.session.say_goodbye("Silent for too long.")
        self._perform(now, connection_id, client)
        if not client.closing:
            self._close(connection_id, client)

    # --- small things ----------------------------------------------------------------------------

    def _tls_offered(self, peer: Peer) -> bool:
        """Whether the listener that a client came to offers STARTTLS."""
        server = self._organisation.own_server(self._server_name)
        listeners = server.imap if server is not None else ()
        for listener in listeners:
            if _port_of(listener) == peer.local_port:
                return listener.tls is TlsMode.STARTTLS
        return False

    def _log(self, kind: EventKind, **fields: Field) -> None:
        self.outputs.append(Log(happened(kind, **fields)))


def _port_of(listener: ImapListener) -> int:
    port = listener.bind.rpartition(":")[2]
    return int(port) if port.isdigit() else 0
