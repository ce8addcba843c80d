"""Decide when a message may be acknowledged, and whether it is a second try of one we have.

A message is acknowledged (250) only after the commit that put it into the queue
database. Between that commit and the moment the sender has read our 250, the
sender may believe that we do not have the message and send it again. We know
that it read the 250 when it says anything after it. So a message's fingerprint
is *uncertain*

- when its connection was lost before that, or
- when its sender has been silent for ``UNREAD_S`` since the message (its host may be
  gone without our noticing), for the same client address, or
- when the process died before it wrote down that the 250 was read.

A message with an uncertain fingerprint is a second try: it gets its 250 and no
second copy. Every other message is one in its own right, also when it equals
an earlier one: who sends the same thing twice on purpose gets it twice. The one
exception is a client that pipelines it several times right after a lost first
try: what comes before it has read an answer counts as the second try.

The queue database keeps a row per fingerprint, put in by the message's own
commit. That the 250 was read is written lazily (``SettleAnswers``): with the
next commit, ``SETTLE_S`` later without one. So what is uncertain survives a
crash, and so does what is certain, but for that short time.

The first two rules ask for a Message-ID. Scripts that pipe the same alarm into
the port every few minutes, without Message-ID and without waiting for the end,
look just like second tries; dropping one of those would lose a message, and
that is worse than a second copy. After a crash no script is behind the
repetition more likely than a sender that got no answer, so there the rule holds
for every message.

What another server of ours hands over is known by its bytes too, not by its network
message id: by that, what comes here once more, since the server that it went on to lost
its disk, would be dropped.

The second rule asks for the same client: a sender whose host is gone comes back
as itself. The price: of a farm of senders that shares its queue, one that takes
over from another whose host went away silently delivers a second copy; and who
keeps a connection open and silent, and sends the very same message with the same
Message-ID from the same address again, has the second dropped.

Source: exchange-behaviour SR13-5; RFC 5321 sections 4.5.3.2.6 and 6.1; RFC 1047.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import ConnectionId, NetworkMessageId, new_network_message_id
from holdfast.transport.delivery import facts_of
from holdfast.transport.queue import (
    NO_MARKS,
    UNCERTAIN_COUNT_MAX,
    AddMessage,
    Marks,
    Queue,
    QueuedMessage,
    QueueWrite,
    SettleAnswers,
    TrackOnly,
)
from holdfast.transport.session_terms import MessageReceived
from holdfast.transport.tracking import EventId, LineDetails, TrackingWriter, transferred_from
from holdfast.wire.headers import Trace, decode_words, received_header

UNREAD_S = 5.0
UNNAMED_S = 3600.0
# How long it may take, without any other commit, until it is durable that a 250 was read.
SETTLE_S = 1.0
FINGERPRINT_BYTES = 16
TRIES_KNOWN_MAX = 3  # of one message, at servers one after the other


# Not frozen, as all that is made per message: each field would take 0.3 µs more. Nobody changes it.
@dataclass(slots=True, unsafe_hash=True)
class Origin:
    """Where a message came from, for its trace header and the tracking log."""

    client_ip: str
    connector: str
    fqdn: str


@dataclass(slots=True, eq=False)
class _Answer:
    """What we know of one acknowledgement, from the message's arrival until its sender has read it.

    Attributes:
        connection_id: None when the connection is gone.
        network_message_id: of the copy that we have; for a second try that of the first.
        since: when the message came. Not when the 250 was said: after a slow commit a sender may have
            lost patience by then, and its reset may never reach us.
        durable: whether the commit is done.
        duplicate: whether it is a second try.
        named: whether the message has a Message-ID, so that its repetition is a second try.
        client_ip: who sent it.
    """

    connection_id: ConnectionId | None
    fingerprint: bytes
    network_message_id: NetworkMessageId
    since: float
    named: bool
    client_ip: str
    durable: bool = False
    duplicate: bool = False


def fingerprint_of(message: MessageReceived) -> bytes:
    """Digest envelope and message as received."""
    digest = blake2b(digest_size=FINGERPRINT_BYTES)
    # Neither can contain NUL, so no other envelope gives the same bytes.
    envelope = "\0".join((message.reverse_path, *message.recipients, ""))
    digest.update(envelope.encode("utf-8", "surrogatepass"))
    digest.update(message.data)
    return digest.digest()


_DELAY_TOLD = Marks(delay_told=True)


def _server_of(message: MessageReceived) -> str:
    return message.client.server if message.client is not None else ""


class Intake:
    """Takes messages in for one queue."""

    def __init__(
        self,
        queue: Queue,
        tracking: TrackingWriter,
        luck: random.Random,
        *,
        memory_s: float,
        count_max: int = UNCERTAIN_COUNT_MAX,
    ) -> None:
        self._queue = queue
        self._tracking = tracking
        self._luck = luck
        self._count_max = count_max
        self.memory_s = memory_s
        # Fingerprint to copy and since when, oldest first.
        self._uncertain: OrderedDict[bytes, tuple[NetworkMessageId, float]] = OrderedDict()
        # Answers that wait for their commit, by what is being committed.
        self._pending: dict[int | TrackOnly, _Answer] = {}
        # Answers that were given and perhaps not read, by connection; more than one where a
        # client pipelines whole messages.
        self._unread: dict[ConnectionId, list[_Answer]] = {}
        self._by_fingerprint: dict[bytes, list[_Answer]] = {}
        # First tries that other servers took in, by fingerprint, oldest first: of each the copies with until
        # when they count, the last one last.
        self._elsewhere: OrderedDict[bytes, tuple[tuple[NetworkMessageId, float], ...]] = OrderedDict()
        # Fingerprints that the queue database holds, and those of them that it may forget.
        self._kept: set[bytes] = set()
        self._settled: dict[bytes, None] = {}

    def first_try_elsewhere(
        self, now: float, fingerprint: bytes, network_message_id: NetworkMessageId, *, named: bool
    ) -> None:
        """Another server of ours takes this message in at this moment; its sender may come here next.

        The same message is then one of ours as well, since the other one may get lost before it is
        acknowledged. It keeps its network message id, by which mailboxes take only one of the two.

        ``named``: it has a Message-ID. One without may be an alarm that a script sends again and again; when
        the news that its answer was read got lost, that is taken for a second try no longer than a sender
        that got no answer waits at first.
        """
        before = self._elsewhere.pop(fingerprint, ())
        others = tuple(each for each in before if each[0] != network_message_id)
        until = now + (self.memory_s if named else UNNAMED_S)
        self._elsewhere[fingerprint] = (*others[1 - TRIES_KNOWN_MAX :], (network_message_id, until))
        while len(self._elsewhere) > self._count_max:
            self._elsewhere.popitem(last=False)

    def try_gone_elsewhere(self, fingerprint: bytes, network_message_id: NetworkMessageId) -> None:
        """Another server needs no copy of a first try any more: perhaps it never took the message in.

        When there is another first try of the same message, that one is the message.
        """
        known = self._elsewhere.get(fingerprint, ())
        rest = tuple(each for each in known if each[0] != network_message_id)
        if rest:
            self._elsewhere[fingerprint] = rest

    def answers_read_elsewhere(self, fingerprints: Iterable[bytes]) -> None:
        """Senders have read the 250 of another server: the same again is a message in its own right."""
        for fingerprint in fingerprints:
            self._elsewhere.pop(fingerprint, None)

    def _given_id(self, now: float, message: MessageReceived, fingerprint: bytes) -> NetworkMessageId | None:
        """The network message id that a message has already: from the server that hands it over, or that
        took in its first try.
        """
        if message.transfer is not None:
            return NetworkMessageId(message.transfer.network_message_id)
        known = self._elsewhere.get(fingerprint)
        if known is None or now >= known[-1][1]:
            return None
        return known[-1][0]

    def recovered(self, now: float, uncertain: Mapping[bytes, NetworkMessageId]) -> None:
        """Take over what an earlier life of this process left uncertain."""
        self._kept.update(uncertain)
        for fingerprint, network_message_id in uncertain.items():
            self._remember(now, fingerprint, network_message_id)

    @property
    def uncertain(self) -> dict[bytes, NetworkMessageId]:
        """The fingerprints that a clean stop must hand to the next life."""
        found = {fingerprint: known[0] for fingerprint, known in self._uncertain.items()}
        found.update(
            {
                each.fingerprint: each.network_message_id
                for answers in self._unread.values()
                for each in answers
                if each.named
            }
        )
        return found

    @property
    def pending_count(self) -> int:
        """How many messages wait for their commit."""
        return len(self._pending)

    def receive(
        self, now: float, connection_id: ConnectionId, message: MessageReceived, origin: Origin
    ) -> AddMessage | TrackOnly:
        """Take a message that came whole, and say what must be durable before it is acknowledged.

        Raises:
            Refusal: 451 4.3.0, its first try is still on its way to the disk.
        """
        fingerprint = fingerprint_of(message)
        message_id = message.header.message_id
        named = bool(message_id)
        known = self._known(now, fingerprint, origin.client_ip if named else None)
        # The lines about a second try must not close what is open of the first.
        chosen_id = None if known is not None else self._given_id(now, message, fingerprint)
        queued, add = self._queued(now, message, origin, (fingerprint, message_id), chosen_id)
        write: AddMessage | TrackOnly = add
        if known is not None:
            line = self._tracking.line(
                now,
                EventId.DROP,
                "SMTP",
                facts_of(queued),
                message.recipients,
                LineDetails(reference=known, custom_data=f"duplicate of {known}"),
            )
            write = TrackOnly(add.tracking + line)
        answer = _Answer(
            connection_id,
            fingerprint,
            known or queued.network_message_id,
            now,
            named,
            origin.client_ip,
            duplicate=known is not None,
        )
        # What the database holds of it counts again.
        self._settled.pop(fingerprint, None)
        self._pending[write if isinstance(write, TrackOnly) else queued.number] = answer
        self._by_fingerprint.setdefault(fingerprint, []).append(answer)
        return write

    def _queued(
        self,
        now: float,
        message: MessageReceived,
        origin: Origin,
        known_by: tuple[bytes, str],
        chosen_id: NetworkMessageId | None,
    ) -> tuple[QueuedMessage, AddMessage]:
        """Make the message to be queued; ``known_by`` are its fingerprint and its Message-ID."""
        fingerprint, message_id = known_by
        transfer = message.transfer
        network_message_id = chosen_id or new_network_message_id(self._luck)
        recipients = message.recipients
        wall = self._tracking.wall(now)
        trace = Trace(
            helo=message.helo,
            client_address=origin.client_ip,
            by=origin.fqdn,
            protocol=message.protocol,
            message_id=network_message_id,
            recipient=recipients[0] if len(recipients) == 1 else "",
            tls=message.tls,
        )
        data = received_header(trace, wall) + message.data
        queued = QueuedMessage(
            number=self._queue.take_number(),
            network_message_id=network_message_id,
            received_at=wall if transfer is None else wall - transfer.age_s,
            reverse_path=message.reverse_path,
            recipients=recipients,
            size_bytes=len(data),
            data=data,
            message_id=message_id,
            subject=decode_words(message.header.subject),
            fingerprint=fingerprint,
            options=message.options,
            marks=NO_MARKS if transfer is None or not transfer.delay_told else _DELAY_TOLD,
            line_ends_checked=True,  # by the session (``session_data``, ``session_chunks``)
        )
        details = LineDetails(
            client_ip=origin.client_ip,
            client_hostname=message.helo,
            connector=origin.connector,
            custom_data=transferred_from(_server_of(message)) if transfer is not None else "",
            directionality="Originating" if message.signed_in else "Incoming",
        )
        line = self._tracking.line(now, EventId.RECEIVE, "SMTP", facts_of(queued), recipients, details)
        return queued, AddMessage(queued, line)

    def _known(self, now: float, fingerprint: bytes, client_ip: str | None) -> NetworkMessageId | None:
        """The copy that we have, when this is a second try; ``client_ip`` None for one without Message-ID."""
        self._forget_old(now)
        known = self._uncertain.get(fingerprint)
        if known is not None:
            return known[0]
        for answer in self._by_fingerprint.get(fingerprint, ()) if client_ip is not None else ():
            silent = now - answer.since >= UNREAD_S and answer.client_ip == client_ip
            if answer.connection_id is None or silent:
                if not answer.durable:
                    raise Refusal("your first try is still being stored", code=451, status="4.3.0")
                return answer.network_message_id
        return None

    def is_pending(self, write: QueueWrite) -> bool:
        """Whether a session waits for this write (or did until its connection broke)."""
        if isinstance(write, AddMessage):
            return write.message.number in self._pending
        return isinstance(write, TrackOnly) and write in self._pending

    def committed(
        self, now: float, write: AddMessage | TrackOnly
    ) -> tuple[ConnectionId | None, NetworkMessageId]:
        """Record that a message is durable.

        Returns:
            The connection to acknowledge it on, None when that is gone; and the copy that we have.
        """
        answer = self._pending.pop(write.message.number if isinstance(write, AddMessage) else write)
        answer.durable = True
        self._kept.add(answer.fingerprint)
        if answer.connection_id is None:
            self._lost(now, answer)
        else:
            self._unread.setdefault(answer.connection_id, []).append(answer)
        return answer.connection_id, answer.network_message_id

    def failed(self, write: AddMessage | TrackOnly) -> ConnectionId | None:
        """Record that a message is not durable, nothing of it is kept; returns the connection to tell."""
        answer = self._pending.pop(write.message.number if isinstance(write, AddMessage) else write)
        self._forget_answer(answer)
        self._settle(answer.fingerprint)
        return answer.connection_id

    def client_spoke(self, connection_id: ConnectionId) -> None:
        """The client said something: it has read the answer it had."""
        read = self._unread.pop(connection_id, ())
        # All first: a client that pipelines may have had several answers to the same message.
        for answer in read:
            self._forget_answer(answer)
        for answer in read:
            if answer.duplicate:
                self._settle_first_tries(answer)
            self._settle(answer.fingerprint)

    def _settle_first_tries(self, second: _Answer) -> None:
        """Forget the answers to first tries that were lost, since the one to the second was read."""
        self._uncertain.pop(second.fingerprint, None)
        for first in list(self._by_fingerprint.get(second.fingerprint, ())):
            if first.network_message_id == second.network_message_id and first.durable:
                self._forget_answer(first)
                assert first.connection_id is not None
                self._unread[first.connection_id].remove(first)

    def connection_lost(self, now: float, connection_id: ConnectionId) -> None:
        """A connection is gone; whether its client has read our answer we shall never know."""
        for answer in self._unread.pop(connection_id, ()):
            self._lost(now, answer)
        for pending in self._pending.values():
            if pending.connection_id == connection_id:
                pending.connection_id = None

    def _lost(self, now: float, answer: _Answer) -> None:
        """Whether an answer was read we shall never know."""
        self._forget_answer(answer)
        if answer.named:
            self._remember(now, answer.fingerprint, answer.network_message_id)
        else:
            self._settle(answer.fingerprint)

    # --- what is written down ----------------------------------------------------------------

    @property
    def has_settled(self) -> bool:
        """Whether the queue database may forget fingerprints."""
        return bool(self._settled)

    def take_settled(self) -> SettleAnswers:
        """What to write, so that the queue database forgets them."""
        settled, self._settled = self._settled, {}
        self._kept.difference_update(settled)
        return SettleAnswers(tuple(settled))

    def settle_failed(self, write: SettleAnswers) -> None:
        """Record that the queue database still holds fingerprints; they are settled with the next write."""
        self._kept.update(write.fingerprints)
        for fingerprint in write.fingerprints:
            self._settle(fingerprint)

    def _settle(self, fingerprint: bytes) -> None:
        """Let the queue database forget a fingerprint, unless some answer to it may still be unread."""
        if (
            fingerprint in self._kept
            and fingerprint not in self._by_fingerprint
            and fingerprint not in self._uncertain
        ):
            self._settled[fingerprint] = None
            self._elsewhere.pop(fingerprint, None)

    def _forget_answer(self, answer: _Answer) -> None:
        answers = self._by_fingerprint[answer.fingerprint]
        answers.remove(answer)
        if not answers:
            del self._by_fingerprint[answer.fingerprint]

    def _remember(self, now: float, fingerprint: bytes, network_message_id: NetworkMessageId) -> None:
        self._uncertain.pop(fingerprint, None)
        self._uncertain[fingerprint] = (network_message_id, now)
        self._forget_old(now)
        while len(self._uncertain) > self._count_max:
            self._settle(self._uncertain.popitem(last=False)[0])

    def _forget_old(self, now: float) -> None:
        while self._uncertain:
            fingerprint, (_, since) = next(iter(self._uncertain.items()))
            if now - since < self.memory_s:
                return
            del self._uncertain[fingerprint]
            self._settle(fingerprint)
