"""What must hold, whatever the world does: every 250 is kept, and nobody gets a message twice.

The checkers look from outside: at what senders read, at what lies on the queue
disks, and at what a mail client would find in the inboxes. They know nothing of
the nodes' memory.

**mail**: every 250 that a sender read is in a queue or in the inbox of each
of its recipients; nothing is in an inbox twice, or that nobody finished
sending, or that was refused; what is stored ends with the very bytes that were
sent. Who sends a letter a second time on purpose, after the server knew that the
first 250 was read, gets it delivered a second time, unless the process died
before that knowledge was durable; soon after the last fault it is.
Somebody elsewhere has it from a next hop (``acceptances``), or was refused by one.
**mailbox**: UIDs only grow and nothing vanishes. **ledger**: accepted =
delivered + relayed + transferred + queued + bounced + dropped, unaccounted 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from holdfast.directory.model import DistributionGroup, Organisation
from holdfast.kernel.ids import MailboxId
from holdfast.sim.acceptances import BOUNCE_HEADER, Acceptances, is_elsewhere
from holdfast.sim.copies import CopyChecker
from holdfast.sim.next_hops import Taken
from holdfast.sim.queue_view import QueueView, marker_of
from holdfast.sim.senders import Letter
from holdfast.sim.world import Violation
from holdfast.transport.queue import QueuedMessage
from holdfast.transport.tracking import EventId, TrackingEvent
from holdfast.wire.store import StoredMessage

DELAYED = b"\r\nAction: delayed"
TWICE = "may be delivered twice"  # as the tracking log has it

# Reads the messages of an inbox above a UID, and tells how many there are in all.
ReadInbox = Callable[[MailboxId, int], tuple[list[StoredMessage], int]]


class MailChecker:
    """Compares what senders were told with what the disks hold."""

    def __init__(
        self,
        organisation: Organisation,
        queues: Sequence[QueueView],
        read_inbox: ReadInbox,
        *,
        message_bytes_max: int = 1 << 30,
        limited: tuple[MailboxId, ...] = (),
        refused_elsewhere: Callable[[str], bool] = lambda recipient: False,
    ) -> None:
        self._organisation = organisation
        self._queues = queues
        # Whether a message keeps its network message id from server to server: no mailbox takes it twice.
        self._one_id = len(queues) == 1 or all(server.certificate for server in organisation.servers)
        self.copies = CopyChecker(queues)
        # By letter, whom an unprotected message was for that was lost with a disk.
        self._lost: dict[str, list[str]] = {}
        # By letter, the network message ids that it got, and where first.
        self._ids: dict[str, dict[str, str]] = {}
        # By letter, second tries that their server could not know to be such: their recipients.
        self._unknown_tries: dict[str, list[tuple[str, ...]]] = {}
        # By letter, the recipients of what a partner took over: both may hand it to the world outside.
        self._taken_over: dict[str, list[tuple[str, ...]]] = {}
        # By letter, tries that nobody remembers, since the disk was lost.
        self._forgotten: dict[str, list[tuple[str, ...]]] = {}
        self._lost_bounces: list[str] = []  # letters whose bounce was unprotected and lost
        self._dead: list[str] = []
        self._read_inbox = read_inbox
        self._message_bytes_max = message_bytes_max
        self._limited = limited  # mailboxes whose quota is so small that mail for them may be given up
        self._refused_elsewhere = refused_elsewhere  # whether a next hop ever refused somebody for good
        self.acceptances = Acceptances()
        self._given_up: dict[str, list[str]] = {}
        self._bounce_count: dict[str, int] = {}
        self._received_markers: dict[str, str] = {}  # by network message id
        self._servers = frozenset(each for server in organisation.servers for each in server.addresses)
        # Messages that a server had from another one: its place and the network message id.
        self._handed_over: dict[tuple[str, str], None] = {}
        # By letter, the recipients of what may have been handed over when a server died, or when the
        # connection broke and the log says so: it comes again.
        self._in_flight: dict[str, list[tuple[str, ...]]] = {}
        self._bounced_markers: dict[str, str] = {}  # by the bounce's Message-ID
        self._letters: dict[str, Letter] = {}
        self._repeats: dict[str, Letter] = {}
        self._doubtful: list[str] = []  # letters whose repetition may be taken for a second try
        self._last_uid: dict[MailboxId, int] = {}
        self._copies: dict[MailboxId, dict[str, int]] = {}
        self._seen_uids: dict[MailboxId, list[tuple[int, str]]] = {}
        self.acknowledged_count = 0

    @property
    def delivered_count(self) -> int:
        """Copies of letters in all inboxes."""
        return sum(sum(copies.values()) for copies in self._copies.values())

    def posted(self, letter: Letter) -> None:
        """A sender has a letter for us."""
        self._letters[letter.marker] = letter

    def repeated(self, again: Letter) -> None:
        """A sender sends a letter a second time, on purpose."""
        self._repeats[again.marker] = again

    def transport_ended(self, queue: QueueView) -> None:
        """A process is gone; what lies on its disk as uncertain may be taken for a second try later."""
        self._doubtful += self._uncertain_markers((queue,))
        still_queued: dict[str, list[str]] = {}
        for marker, message in queue.waiting():
            still_queued.setdefault(marker, []).extend(message.recipients)
            if message.number in queue.disk.in_flight and len(self._queues) > 1:
                self._in_flight.setdefault(marker, []).append(message.recipients)
        self.acceptances.transport_ended(queue.place, still_queued)

    def taken_in(self, queue: QueueView, message: QueuedMessage) -> None:
        """A message is about to be in a queue: is it one of its own, and should its server have known better?

        A second try gets the network message id of the first where the server knows of that: by the
        fingerprint on its own disk, or by a copy that it held before the second try came (numbers are given
        in that order).
        """
        self._look_for_twins(queue, message)
        if not message.fingerprint or len(self._queues) == 1:
            return
        marker, fingerprint = marker_of(message.data or b""), message.fingerprint
        known_ids = self._ids.setdefault(marker, {})
        if message.network_message_id in known_ids:
            if queue.place != known_ids[message.network_message_id]:
                self._doubtful.append(marker)  # who sends it on purpose now may be taken for a second try
            return
        told = [
            each.message.network_message_id
            for each in queue.disk.shadows.copies.values()
            if each.message.fingerprint == fingerprint and each.message.number < message.number
        ]
        if fingerprint in queue.disk.uncertain:
            told.append(queue.disk.uncertain[fingerprint][0])
        # To know of a first try that was never taken in (its server died over it) does not help.
        knew = any(each in known_ids for each in told)
        if known_ids and not knew:
            self._unknown_tries.setdefault(marker, []).append(message.recipients)
        known_ids[message.network_message_id] = queue.place

    @staticmethod
    def _look_for_twins(queue: QueueView, message: QueuedMessage) -> None:
        held = [each.message for each in queue.disk.shadows.copies.values()]
        twin_count = sum(
            each.network_message_id == message.network_message_id and each.number != message.number
            for each in (*queue.disk.messages.values(), *held)
        )
        queue.twice = queue.twice or twin_count > 0

    def taken_over(self, queue: QueueView, messages: list[QueuedMessage]) -> None:
        """A server takes over messages that it holds for another one."""
        for message in messages:
            self._look_for_twins(queue, message)
            marker = marker_of(message.data or b"")
            self._doubtful.append(marker)
            self._taken_over.setdefault(marker, []).append(message.recipients)
            if message.network_message_id not in self._ids.get(marker, {}):
                # Its primary died before its own commit: its sender tries again, and nobody there knows.
                self._unknown_tries.setdefault(marker, []).append(message.recipients)
            self.acceptances.taken_over(marker, message.recipients)

    def disk_lost(self, queue: QueueView) -> None:
        """A disk is about to be lost: what its ledger calls unprotected may be missing from now on."""
        self._read_tracking()
        for marker, message in queue.waiting():
            if not queue.disk.shadows.holders.get(message.number, ("", 0.0))[0]:
                self._lost.setdefault(marker, []).extend(message.recipients)
                if BOUNCE_HEADER in (message.data or b""):
                    self._lost_bounces.append(self._bounced_letter(message.data or b""))
        # Who did not read its 250 comes again, and nobody knows of the first try any more.
        for marker in self._uncertain_markers((queue,)):
            if marker in self._letters:
                self._forgotten.setdefault(marker, []).extend(self._letters[marker].tried)
        self.copies.disk_lost(queue)
        queue.disk_lost()

    def dead(self, name: str) -> None:
        """A server never comes back; what is for its mailboxes waits."""
        self._dead.append(name)

    def taken_elsewhere(self, taken: Taken) -> None:
        """A next hop has just taken a message.

        Raises:
            Violation: it should not have got it.
        """
        self._read_tracking()  # it may tell of a hand-over between two servers that was in doubt
        marker = self._bounced_letter(taken.data) if BOUNCE_HEADER in taken.data else marker_of(taken.data)
        letter = self._letters.get(marker)
        self.acceptances.take(taken, letter, self._tries(letter, outside=True) if letter is not None else [])

    def _tries(self, letter: Letter, *, outside: bool = False) -> list[tuple[str, ...]]:
        """The recipients of each try that may be a message of its own.

        Two tries to different recipients are two messages to us; the same try again is one, but not when
        it went to another server that could not know it. Somebody outside may get what two servers
        answered for from both.
        """
        marker, again = letter.marker, self._repeats.get(letter.marker)
        tries = letter.tried + self._forgotten.get(marker, [])
        tries += again.tried if again is not None else []
        if outside or not self._one_id:
            tries += self._in_flight.get(marker, []) + self._taken_over.get(marker, [])
            for each in (letter, again) if again is not None else (letter,):
                tries += [recipients for recipients, _ in each.strays]
        else:
            tries += self._unknown_tries.get(marker, [])
        return tries

    def _uncertain_markers(self, queues: Iterable[QueueView]) -> list[str]:
        self._read_tracking()
        return [
            self._received_markers.get(known, "")
            for queue in queues
            for known, _ in queue.disk.uncertain.values()
            if (queue.place, known) not in self._handed_over
        ]

    def _check_repeats(self) -> None:
        """Check that what was sent twice on purpose came twice.

        Raises:
            Violation: a letter was taken for a second try of itself, or may be after the next crash.
        """
        for marker, again in self._repeats.items():
            if marker in self._doubtful or marker in self._lost or not again.acknowledged:
                continue
            first = self._letters[marker]
            for recipients in again.acknowledged:
                for mailbox_id in self._reached(recipients) if recipients in first.confirmed else ():
                    if self._holder_is_dead(mailbox_id):
                        continue
                    count = self._copies[mailbox_id].get(marker, 0)
                    if count < 2 and not self._was_given_up(first, mailbox_id):
                        raise Violation(f"mailbox {mailbox_id} holds {marker} once, which was sent twice")
        uncertain = self._uncertain_markers(self._queues)
        for marker, letter in self._letters.items():
            each_read = all(
                each.try_count == len(each.confirmed)
                for each in (letter, self._repeats.get(marker))
                if each is not None
            )
            if marker in uncertain and each_read and marker not in self._doubtful:
                raise Violation(f"{marker} is still uncertain, though every 250 for it was read")

    def _reached(self, recipients: tuple[str, ...]) -> list[MailboxId]:
        return [found for recipient in recipients for found in self.mailboxes_of(recipient)]

    def mailboxes_of(self, recipient: str) -> list[MailboxId]:
        """Who gets a letter for a recipient: groups opened, each mailbox once, in order."""
        found: list[MailboxId] = []
        opened: list[str] = []
        waiting = [recipient]
        while waiting:
            address = waiting.pop(0).casefold()
            holder = self._organisation.recipients.get(address)
            if isinstance(holder, DistributionGroup):
                if holder.address not in opened:
                    opened.append(holder.address)
                    waiting += holder.members
            elif holder is not None and holder.mailbox_id not in found:
                found.append(holder.mailbox_id)
        return found

    def acknowledged(self, letter: Letter, recipients: tuple[str, ...]) -> None:
        """A sender has just read 250.

        Raises:
            Violation: the letter is not durable, or its end was never sent.
        """
        self.acknowledged_count += 1
        if recipients not in letter.tried:
            raise Violation(f"{letter.marker} got 250 though its final dot was never sent")
        self._check_kept(letter, recipients)

    def check_durable(self) -> None:
        """Check that everything acknowledged is somewhere; called after every fault.

        Raises:
            Violation: something is not.
        """
        for mailbox in self._organisation.mailboxes:
            self._read_new(mailbox.mailbox_id)
        self.copies.check()
        self.check_ledger()
        for letter in self._letters.values():
            for recipients in letter.acknowledged:
                self._check_kept(letter, recipients)

    def _check_kept(self, letter: Letter, recipients: tuple[str, ...]) -> None:
        queued = self._queued(letter.marker)
        for recipient in recipients:
            if is_elsewhere(recipient):
                self._check_kept_elsewhere(letter, recipient)
                continue
            for mailbox_id in self.mailboxes_of(recipient):
                if mailbox_id in queued:
                    continue
                self._read_new(mailbox_id)
                copied = self._copies[mailbox_id].get(letter.marker)
                if (
                    not copied
                    and not self._was_given_up(letter, mailbox_id)
                    and not self._was_lost(letter, mailbox_id)
                ):
                    raise Violation(
                        f"{letter.marker} got 250 for {recipient} and is neither in the queue "
                        f"nor in the mailbox {mailbox_id}"
                    )

    def _check_kept_elsewhere(self, letter: Letter, recipient: str) -> None:
        self._read_tracking()
        if (
            not self.acceptances.holds(letter.marker, recipient)
            and recipient not in self._given_up.get(letter.marker, ())
            and recipient not in self._lost.get(letter.marker, ())
            and not any(
                recipient in message.recipients and marker == letter.marker
                for marker, message in self._kept_messages()
            )
        ):
            raise Violation(
                f"{letter.marker} got 250 for {recipient} and is neither in the queue nor with a next hop"
            )

    def _was_lost(self, letter: Letter, mailbox_id: MailboxId) -> bool:
        """Whether a message for a mailbox was lost with a disk, whose ledger had called it unprotected."""
        return any(mailbox_id in self.mailboxes_of(each) for each in self._lost.get(letter.marker, ()))

    def _was_given_up(self, letter: Letter, mailbox_id: MailboxId) -> bool:
        """Whether the tracking log says that a letter failed for a mailbox, which it may for some."""
        self._read_tracking()
        failed = self._given_up.get(letter.marker, [])
        return any(mailbox_id in self.mailboxes_of(recipient) for recipient in failed)

    def _read_tracking(self) -> None:
        """Take in what is new in the tracking log: who was given up, and which bounce is of which letter.

        Raises:
            Violation: a recipient was given up who can be served.
        """
        for queue in self._queues:
            for event in queue.new_events():
                self._read_event(queue, event)

    def _read_event(self, queue: QueueView, event: TrackingEvent) -> None:
        marker = event.message_id.strip("<>").split("@")[0]
        if event.event_id in (EventId.RECEIVE, EventId.HARECEIVE):
            self._received_markers[event.network_message_id] = marker
            if event.client_ip in self._servers:
                self._handed_over[(queue.place, event.network_message_id)] = None
        elif event.event_id is EventId.DEFER and TWICE in event.recipient_status:
            if len(self._queues) > 1:
                self._in_flight.setdefault(marker, []).append(event.recipients)
        elif event.event_id is EventId.DSN:
            self._bounced_markers[event.message_id] = self._received_markers.get(event.reference, "")
        elif event.event_id is EventId.FAIL:
            for recipient in event.recipients:
                if any(each not in self._limited for each in self.mailboxes_of(recipient)) or (
                    is_elsewhere(recipient) and not self._refused_elsewhere(recipient)
                ):
                    raise Violation(f"{marker} was given up for {recipient}, who can be served")
                self._given_up.setdefault(marker, []).append(recipient)
                queue.failed_count += 1

    def _waiting(self) -> list[tuple[str, QueuedMessage]]:
        """What waits in any queue, with the marker of its letter."""
        return [found for queue in self._queues if not queue.gone for found in queue.waiting()]

    def _kept_messages(self) -> list[tuple[str, QueuedMessage]]:
        """What waits in any queue or is held for another server, with the marker of its letter."""
        return self._waiting() + [found for queue in self._queues if not queue.gone for found in queue.held()]

    def _queued(self, marker: str) -> list[MailboxId]:
        """The mailboxes for which a letter waits in a queue, or is held for another server."""
        found: list[MailboxId] = []
        for each, message in self._kept_messages():
            if each == marker:
                for recipient in message.recipients:
                    found += self.mailboxes_of(recipient)
        return found

    def _read_new(self, mailbox_id: MailboxId) -> None:
        """Take in what is new in an inbox, checking each message.

        Raises:
            Violation: a message is there twice, is not what was sent, or should not be there.
        """
        copies = self._copies.setdefault(mailbox_id, {})
        seen = self._seen_uids.setdefault(mailbox_id, [])
        last_uid = self._last_uid.get(mailbox_id, 0)
        messages, message_count = self._read_inbox(mailbox_id, last_uid)
        if message_count != len(seen) + len(messages):
            raise Violation(
                f"mailbox {mailbox_id} had {len(seen)} messages, got {len(messages)} and has {message_count}"
            )
        if messages:
            self._read_tracking()  # it may tell why one of them came twice
        for message in messages:
            if message.uid <= last_uid:
                raise Violation(f"mailbox {mailbox_id} gives UID {message.uid} after UID {last_uid}")
            last_uid = message.uid
            seen.append((message.uid, message.item_id))
            self._check_copy(mailbox_id, message, copies)
        self._last_uid[mailbox_id] = last_uid

    def _check_copy(self, mailbox_id: MailboxId, message: StoredMessage, copies: dict[str, int]) -> None:
        marker = marker_of(message.data)
        letter = self._letters.get(marker)
        if BOUNCE_HEADER in message.data:
            self._check_bounce(mailbox_id, message.data)
            return
        if letter is None:
            raise Violation(f"mailbox {mailbox_id} holds a message that nobody sent: {message.data[:80]!r}")
        if not message.data.endswith(b"\r\n" + letter.data):
            raise Violation(f"mailbox {mailbox_id} holds {marker} with other bytes than were sent")
        copies[marker] = copies.get(marker, 0) + 1
        tries = [taken for taken in self._tries(letter) if self._reaches(taken, mailbox_id)]
        if not tries:
            raise Violation(f"mailbox {mailbox_id} holds {marker}, which was never sent to it to the end")
        if copies[marker] > len(tries):
            count = f"{copies[marker]} times, by {len(tries)} different tries"
            raise Violation(f"mailbox {mailbox_id} holds {marker} {count}")

    def _check_bounce(self, mailbox_id: MailboxId, data: bytes) -> None:
        """Check a bounce. The tracking log knows of what: it may come without the header of the original."""
        letter = self._letters.get(self._bounced_letter(data))
        if DELAYED in data:
            return
        if letter is None or mailbox_id not in self.mailboxes_of(letter.reverse_path):
            raise Violation(f"mailbox {mailbox_id} holds a bounce of what it did not send: {data[:200]!r}")
        count = self._bounce_count[letter.marker] = self._bounce_count.get(letter.marker, 0) + 1
        if count > len(self._given_up.get(letter.marker, [])) and self._one_id:
            raise Violation(f"mailbox {mailbox_id} holds {count} bounces of {letter.marker}, too many")

    def _bounced_letter(self, bounce: bytes) -> str:
        """Which letter a bounce is of."""
        self._read_tracking()
        start = bounce.index(b"Message-ID: ") + len(b"Message-ID: ")
        bounce_id = bounce[start : bounce.index(b"\r\n", start)].decode("ascii", "replace")
        return self._bounced_markers.get(bounce_id, "")

    def _reaches(self, recipients: tuple[str, ...], mailbox_id: MailboxId) -> bool:
        return any(mailbox_id in self.mailboxes_of(recipient) for recipient in recipients)

    def check_ledger(self) -> None:
        """Add up each ledger from what is on its queue disk; holds at any moment.

        Raises:
            Violation: something acknowledged is nowhere, is closed twice, or was given up.
        """
        bounced_count = 0
        for queue in self._queues:
            ledger = queue.ledger()
            if ledger.unaccounted:
                message_id, recipient = ledger.unaccounted[0]
                raise Violation(
                    f"ledger: unaccounted: {ledger.unaccounted_count}, first {recipient} of message "
                    f"{message_id}"
                )
            if ledger.unmatched_count and not queue.twice:
                raise Violation(f"ledger: {ledger.unmatched_count} lines close what is not open")
            bounced_count += ledger.bounced_count
        self._read_tracking()
        given_up_count = sum(queue.failed_count for queue in self._queues)
        if bounced_count != given_up_count and not any(queue.twice for queue in self._queues):
            raise Violation(f"ledger: {bounced_count} bounced, but {given_up_count} recipients have FAIL")

    def check_refusals(self) -> None:
        """Check that exactly the letters that are too large and the strangers were refused.

        Raises:
            Violation: a stranger or too large a letter was accepted, or somebody of ours refused.
        """
        for letter in self._letters.values():
            if len(letter.data) > self._message_bytes_max and letter.acknowledged:
                raise Violation(
                    f"{letter.marker} was taken with {len(letter.data)} bytes, which is too large"
                )
            too_large = len(letter.data) > self._message_bytes_max
            for taken in letter.tried:
                for recipient in taken:
                    if not self.mailboxes_of(recipient) and not self._relays(recipient):
                        raise Violation(f"{letter.marker} was taken for {recipient}, whom we do not serve")
            for recipient, reply in letter.refused.items():
                if (self.mailboxes_of(recipient) or is_elsewhere(recipient)) and not too_large:
                    raise Violation(f"{letter.marker} was refused for {recipient}, whom we serve: {reply}")

    def _relays(self, recipient: str) -> bool:
        ours = any(recipient.endswith(f"@{each.name}") for each in self._organisation.accepted_domains)
        return bool(self._organisation.send_connectors) and not ours

    def check_end(self) -> None:
        """Check at the end of the liveness phase that everything accepted was delivered.

        Raises:
            Violation: something still waits, or is not where it should be.
        """
        self.check_durable()
        self._check_repeats()
        for _, message in self._waiting():
            waiting = " ".join(each for each in message.recipients if not self._waits_for_ever(each))
            number = message.number
            if not waiting:
                continue
            raise Violation(f"queue number {number} still waits for {waiting} long after the last fault")
        for letter in self._letters.values():
            if not letter.finished:
                raise Violation(
                    f"{letter.marker} is not accepted long after the last fault: {letter.pending}"
                )
            told = self._bounce_count.get(letter.marker, 0)
            if letter.marker in self._lost_bounces or self._waits_for_ever(letter.reverse_path):
                continue
            if letter.marker in self._given_up and self.mailboxes_of(letter.reverse_path) and not told:
                raise Violation(
                    f"{letter.marker} was given up and its sender, who is one of us, was not told"
                )
        for mailbox in self._organisation.mailboxes:
            self._compare_all(mailbox.mailbox_id)

    def _holder_is_dead(self, mailbox_id: MailboxId) -> bool:
        """Whether a mailbox is on a server that is dead for ever."""
        organisation = self._organisation
        database = next(each.database for each in organisation.mailboxes if each.mailbox_id == mailbox_id)
        return organisation.databases_by_name[database].server in self._dead

    def _waits_for_ever(self, recipient: str) -> bool:
        """Whether a recipient is served by a server that is dead for ever."""
        found = self.mailboxes_of(recipient)
        if found:
            return any(self._holder_is_dead(each) for each in found)
        sources = {name for each in self._organisation.send_connectors for name in each.source_servers}
        return bool(sources) and sources <= set(self._dead)

    def _compare_all(self, mailbox_id: MailboxId) -> None:
        messages, _ = self._read_inbox(mailbox_id, 0)
        now = [(message.uid, message.item_id) for message in messages]
        if now != self._seen_uids[mailbox_id]:
            raise Violation(
                f"mailbox {mailbox_id} numbered its messages anew: {self._seen_uids[mailbox_id]} → {now}"
            )


class Observer:
    """Tells the checker what comes into one queue."""

    def __init__(self, checker: MailChecker, queue: QueueView) -> None:
        self._checker = checker
        self._queue = queue

    def taken_in(self, message: QueuedMessage) -> None:
        """A message is about to be there."""
        self._checker.taken_in(self._queue, message)

    def taken_over(self, messages: list[QueuedMessage]) -> None:
        """Messages of another server are about to be there."""
        self._checker.taken_over(self._queue, messages)
