"""What the checkers find, each on a world made by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.directory.model import DistributionGroup, Organisation
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.sim.checkers import MailChecker
from holdfast.sim.disk import QueueDisk
from holdfast.sim.organisation import make_organisation
from holdfast.sim.queue_view import QueueView, marker_of
from holdfast.sim.scenario import Rates
from holdfast.sim.senders import Letter
from holdfast.sim.world import Violation, World
from holdfast.transport.queue import AddMessage, QueuedMessage, TrackOnly
from holdfast.transport.tracking import EventId, LineDetails, MessageFacts, TrackingWriter
from holdfast.wire.store import StoredMessage

ALICE, BOB = "user0@example.test", "user1@example.test"
ALICE_BOX, BOB_BOX = MailboxId("mailbox-0"), MailboxId("mailbox-1")
DATA = b"X-Letter: L1\r\n\r\nhello\r\n"


def organisation() -> Organisation:
    return make_organisation(Rates(mailbox_count=2), World(1).luck("organisation"))


class Made:
    """A world made by hand: one letter, a queue disk and inboxes."""

    def __init__(self, *tried: tuple[str, ...]) -> None:
        self.disk = QueueDisk(1000.0)
        self.boxes: dict[MailboxId, list[StoredMessage]] = {ALICE_BOX: [], BOB_BOX: []}
        self.checker = MailChecker(organisation(), (QueueView(self.disk),), self.read)
        self.letter = Letter("L1", "", (ALICE, BOB), DATA, tried=list(tried))
        self.checker.posted(self.letter)

    def read(self, mailbox_id: MailboxId, after_uid: int) -> tuple[list[StoredMessage], int]:
        messages = self.boxes[mailbox_id]
        return [message for message in messages if message.uid > after_uid], len(messages)

    def store(
        self, uid: int, mailbox_id: MailboxId = ALICE_BOX, data: bytes = b"Received: x\r\n" + DATA
    ) -> None:
        self.boxes[mailbox_id].append(StoredMessage(uid, f"item-{uid}", 0.0, len(data), 0, data))

    def queue(self, *recipients: str) -> None:
        message = QueuedMessage(
            number=1,
            network_message_id=NetworkMessageId("id-1"),
            received_at=0.0,
            reverse_path="",
            recipients=recipients,
            size_bytes=0,
            data=b"Received: x\r\n" + DATA,
            message_id="",
            subject="",
            fingerprint=b"",
        )
        self.disk.apply([AddMessage(message, line(EventId.RECEIVE, *recipients))])

    def acknowledge(self, *recipients: str) -> None:
        self.letter.acknowledged.append(recipients)
        self.letter.pending = [each for each in self.letter.pending if each not in recipients]
        self.checker.acknowledged(self.letter, recipients)


def line(event_id: EventId, *recipients: str) -> str:
    facts = MessageFacts(1, "", "id-1", 1, "", "")
    return TrackingWriter("hub", with_subject=False).line(0.0, event_id, "SMTP", facts, recipients)


def test_what_is_in_the_queue_or_in_the_inbox_is_kept() -> None:
    made = Made((ALICE, BOB))
    made.queue(BOB)
    made.store(1)
    made.acknowledge(ALICE, BOB)
    made.checker.check_durable()
    assert made.checker.acknowledged_count == 1
    assert made.checker.delivered_count == 1


def expect(words: str, act: Callable[[], None]) -> None:
    with pytest.raises(Violation, match=words):
        act()


def test_what_is_nowhere_is_lost() -> None:
    made = Made((ALICE, BOB))
    made.store(1)
    expect(f"got 250 for {BOB} and is neither", lambda: made.acknowledge(ALICE, BOB))


def test_what_was_lost_later_is_found_after_the_next_fault() -> None:
    made = Made((ALICE,))
    made.queue(ALICE)
    made.acknowledge(ALICE)
    made.disk.messages.clear()
    expect("unaccounted: 1", made.checker.check_durable)
    made.disk.tracking.clear()
    expect("neither in the queue", made.checker.check_durable)


def test_250_without_the_final_dot_is_found() -> None:
    expect("final dot was never sent", lambda: Made().acknowledge(ALICE))


@pytest.mark.parametrize(
    ("tried", "uids", "data", "words"),
    [
        ((ALICE,), [1, 2], b"R: x\r\n" + DATA, "holds L1 2 times, by 1 different tries"),
        ((BOB,), [1], b"R: x\r\n" + DATA, "never sent to it to the end"),
        ((ALICE,), [1], b"R: x\r\n" + DATA + b".\r\n", "other bytes"),
        ((ALICE,), [1], b"R: x\r\n\r\n" + DATA[14:], "nobody sent"),
    ],
)
def test_copies_that_should_not_be_there(
    tried: tuple[str, ...], uids: list[int], data: bytes, words: str
) -> None:
    made = Made(tried)
    for uid in uids:
        made.store(uid, data=data)
    expect(words, made.checker.check_durable)


def test_two_tries_to_different_recipients_may_be_two_copies() -> None:
    made = Made((ALICE,), (ALICE, BOB))
    made.store(1)
    made.store(2)
    made.checker.check_durable()


def test_a_message_that_vanishes_is_found() -> None:
    made = Made((ALICE,))
    made.store(1)
    made.checker.check_durable()
    made.boxes[ALICE_BOX].clear()
    expect("had 1 messages, got 0 and has 0", made.checker.check_durable)


def test_uids_that_do_not_grow_are_found() -> None:
    made = Made((ALICE,), (ALICE, BOB))
    made.store(5)
    made.store(5)
    expect("gives UID 5 after UID 5", made.checker.check_durable)


def test_a_mailbox_that_is_numbered_anew_is_found() -> None:
    made = Made((ALICE,))
    made.store(1)
    made.checker.check_durable()
    made.acknowledge(ALICE)
    made.letter.pending = []
    message = made.boxes[ALICE_BOX].pop()
    made.boxes[ALICE_BOX].append(StoredMessage(1, "another", 0.0, message.size_bytes, 0, message.data))
    expect("numbered its messages anew", made.checker.check_end)


def test_the_end_wants_an_empty_queue_and_finished_letters() -> None:
    made = Made((ALICE,))
    expect("L1 is not accepted long after", made.checker.check_end)
    made.queue(ALICE)
    expect("still waits", made.checker.check_end)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([EventId.RECEIVE, EventId.DELIVER], ""),
        ([EventId.RECEIVE], "unaccounted: 1"),
        ([EventId.RECEIVE, EventId.DELIVER, EventId.DELIVER], "close what is not open"),
        ([EventId.RECEIVE, EventId.FAIL], "given up for user0@example.test, who can be served"),
    ],
)
def test_the_ledger(events: list[EventId], words: str) -> None:
    made = Made()
    made.disk.apply([TrackOnly(line(event_id, ALICE)) for event_id in events])
    if words:
        expect(words, made.checker.check_ledger)
    else:
        made.checker.check_ledger()


BOUNCE = b"Message-ID: <bounce@hub>\r\nContent-Type: multipart/report\r\n\r\n" + DATA


def limited_to_alice() -> Made:
    made = Made((ALICE,))
    made.letter = Letter("L1", BOB, (ALICE,), DATA, tried=[(ALICE,)])
    made.checker = MailChecker(organisation(), (QueueView(made.disk),), made.read, limited=(ALICE_BOX,))
    made.checker.posted(made.letter)
    facts = MessageFacts(1, "<L1@sender.example>", "id-1", 1, "", BOB)
    tracking = TrackingWriter("hub", with_subject=False)
    for event_id in (EventId.RECEIVE, EventId.FAIL):
        made.disk.apply([TrackOnly(tracking.line(0.0, event_id, "SMTP", facts, (ALICE,)))])
    bounce = MessageFacts(2, "<bounce@hub>", "id-2", 1, "", "")
    dsn = tracking.line(0.0, EventId.DSN, "DSN", bounce, (BOB,), LineDetails(reference="id-1"))
    closed = tracking.line(0.0, EventId.DELIVER, "SMTP", bounce, (BOB,))
    made.disk.apply([TrackOnly(dsn + closed)])
    return made


def test_mail_for_a_full_mailbox_is_given_up_once_and_its_sender_told_once() -> None:
    made = limited_to_alice()
    made.acknowledge(ALICE)
    expect("its sender, who is one of us, was not told", made.checker.check_end)
    made.store(1, BOB_BOX, BOUNCE)
    made.checker.check_end()
    made.store(2, BOB_BOX, BOUNCE)
    expect("2 bounces of L1, too many", made.checker.check_end)


def test_a_bounce_for_somebody_else_is_found() -> None:
    made = limited_to_alice()
    made.store(1, ALICE_BOX, BOUNCE)
    expect("of what it did not send", made.checker.check_durable)


def test_a_failure_that_the_ledger_does_not_count_is_found() -> None:
    made = limited_to_alice()
    made.checker.check_ledger()
    made.disk.tracking.clear()
    expect("0 bounced, but 1 recipients have FAIL", made.checker.check_ledger)


def test_refusals_are_for_strangers_only() -> None:
    made = Made(("stranger@example.test",))
    expect("whom we do not serve", made.checker.check_refusals)
    made = Made((ALICE,))
    made.letter.refused["stranger@example.test"] = "550 no"
    made.checker.check_refusals()
    made.letter.refused[BOB] = "550 no"
    expect("whom we serve: 550 no", made.checker.check_refusals)


def test_letters_that_are_too_large_are_refused_and_never_taken() -> None:
    made = Made((ALICE,))
    made.checker = MailChecker(
        organisation(), (QueueView(made.disk),), made.read, message_bytes_max=len(DATA) - 1
    )
    made.checker.posted(made.letter)
    made.letter.refused[BOB] = "552 too large"
    made.checker.check_refusals()
    made.letter.acknowledged.append((ALICE,))
    expect("which is too large", made.checker.check_refusals)


def test_groups_are_opened_once_and_aliases_known() -> None:
    made = Made()
    assert made.checker.mailboxes_of("ALL@example.test") == [ALICE_BOX, BOB_BOX]
    assert made.checker.mailboxes_of("nested@example.test") == [ALICE_BOX, BOB_BOX]
    assert made.checker.mailboxes_of("alias1@example.test") == [BOB_BOX]
    assert made.checker.mailboxes_of("nobody@example.test") == []
    loop = Organisation(distribution_groups=(DistributionGroup("a@x.test", ("b@x.test", "a@x.test")),))
    assert MailChecker(loop, (QueueView(QueueDisk(1.0)),), made.read).mailboxes_of("a@x.test") == []


def test_markers() -> None:
    assert marker_of(DATA) == "L1"
    assert marker_of(b"none") == ""


def read_once() -> Made:
    """One letter, delivered, and its 250 was read."""
    made = Made((ALICE, BOB))
    facts = MessageFacts(1, "<L1@sender.example>", "id-1", 1, "", "")
    writer = TrackingWriter("hub", with_subject=False)
    for event_id in (EventId.RECEIVE, EventId.DELIVER):
        made.disk.apply([TrackOnly(writer.line(0.0, event_id, "SMTP", facts, (ALICE, BOB)))])
    made.store(1)
    made.store(1, BOB_BOX)
    made.acknowledge(ALICE, BOB)
    made.letter.try_count = 1
    made.letter.confirmed.append((ALICE, BOB))
    return made


@pytest.mark.parametrize(("copy_count", "died_too_soon"), [(1, False), (1, True), (2, False)])
def test_what_was_sent_twice_on_purpose_comes_twice(copy_count: int, died_too_soon: bool) -> None:
    made = read_once()
    if died_too_soon:
        made.disk.uncertain = {b"f": (NetworkMessageId("id-1"), 0.0)}
        made.checker.transport_ended(QueueView(made.disk))
    again = Letter("L1", "", (ALICE, BOB), DATA, tried=[(ALICE, BOB)], acknowledged=[(ALICE, BOB)])
    made.checker.repeated(again)
    again.pending = []
    for uid in range(2, copy_count + 1):
        made.store(uid)
        made.store(uid, BOB_BOX)
    if copy_count == 1 and not died_too_soon:
        expect("once, which was sent twice", made.checker.check_end)
    else:
        made.checker.check_end()


def test_an_answer_that_was_read_and_is_uncertain_for_ever_is_found() -> None:
    made = read_once()
    made.disk.uncertain = {b"f": (NetworkMessageId("id-1"), 0.0)}
    expect("still uncertain", made.checker.check_end)
