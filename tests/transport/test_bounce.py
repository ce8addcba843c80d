"""A bounce goes to our own users only, with the null sender and the reasons."""

from __future__ import annotations

import random

import pytest

from holdfast.directory.model import AcceptedDomain, DistributionGroup, Mailbox, Organisation
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.transport.bounce import Bouncer
from holdfast.transport.categorize import Categorizer
from holdfast.transport.queue import AddMessage, Failure, Queue, QueuedMessage, RecoveredQueue, TrackOnly
from holdfast.transport.tracking import EventId, TrackingWriter, parse_line
from holdfast.wire.dsn import parse_delivery_status

ORGANISATION = Organisation(
    accepted_domains=(AcceptedDomain("example.test"),),
    mailboxes=(
        Mailbox("alice@example.test", MailboxId("a"), "db"),
        Mailbox("off@example.test", MailboxId("o"), "db", enabled=False),
    ),
    distribution_groups=(DistributionGroup("list@example.test", ("alice@example.test",)),),
)
FAILED = [("bob@example.test", Failure("5.2.2", "full")), ("c@example.test", Failure("5.1.1", "gone"))]


def bouncer() -> Bouncer:
    queue = Queue(RecoveredQueue((), 8, {}))
    tracking = TrackingWriter("mail.example.test", with_subject=True)
    return Bouncer(queue, Categorizer(ORGANISATION), tracking, random.Random(1), "mail.example.test")


def message(sender: str) -> QueuedMessage:
    nmid = NetworkMessageId("original")
    return QueuedMessage(7, nmid, 1e9, sender, ("bob@example.test",), 9, None, "<1@x>", "hi", b"f")


@pytest.mark.parametrize("sender", ["alice@example.test", "list@example.test"])
def test_our_own_senders_are_told(sender: str) -> None:
    bounced = bouncer().bounce(1e9, message(sender), FAILED, b"Subject: hi\r\n\r\nbody")
    assert bounced.event is None
    assert isinstance(bounced.write, AddMessage)
    sent = bounced.write.message
    assert (sent.number, sent.reverse_path, sent.recipients, sent.fingerprint) == (8, "", (sender,), b"")
    assert sent.data is not None
    assert sent.size_bytes == len(sent.data)
    status = sent.data.split(b"message/delivery-status\r\n\r\n")[1].split(b"\r\n--")[0]
    assert [(each.recipient, each.status) for each in parse_delivery_status(status)] == [
        ("bob@example.test", "5.2.2"),
        ("c@example.test", "5.1.1"),
    ]
    event = parse_line(bounced.write.tracking)
    assert (event.event_id, event.reference, event.recipients) == (EventId.DSN, "original", (sender,))
    assert event.related_recipients == ("bob@example.test", "c@example.test")


@pytest.mark.parametrize("sender", ["", "x@elsewhere.test", "off@example.test", "nobody@example.test"])
def test_others_are_not_and_the_log_says_so(sender: str) -> None:
    bounced = bouncer().bounce(1e9, message(sender), FAILED, b"")
    assert isinstance(bounced.write, TrackOnly)
    assert bounced.event is not None
    event = parse_line(bounced.write.tracking)
    assert (event.event_id, event.recipients) == (EventId.DROP, ())
    assert event.custom_data == bounced.event.fields["reason"]
