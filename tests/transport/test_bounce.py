"""Who is told what became of a message: failed, delayed, delivered, relayed, expanded."""

from __future__ import annotations

import email
import email.policy
import random
from dataclasses import replace
from email.message import EmailMessage

import pytest

from holdfast.directory.model import (
    AcceptedDomain,
    DistributionGroup,
    DsnText,
    Mailbox,
    Organisation,
    SendConnector,
)
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.transport.bounce import Bounced, Bouncer
from holdfast.transport.categorize import Categorizer
from holdfast.transport.envelope import EnvelopeOptions, RecipientOptions
from holdfast.transport.queue import (
    AddMessage,
    Failure,
    Marks,
    Queue,
    QueuedMessage,
    RecipientOutcome,
    RecoveredQueue,
    Served,
    TrackOnly,
)
from holdfast.transport.queue_operations import REMOVED
from holdfast.transport.route import Router
from holdfast.transport.tracking import EventId, TrackingWriter, parse_line
from holdfast.wire.dsn import RecipientStatus, parse_delivery_status

ORGANISATION = Organisation(
    accepted_domains=(AcceptedDomain("example.test"),),
    mailboxes=(
        Mailbox("alice@example.test", MailboxId("a"), "db"),
        Mailbox("hans@example.test", MailboxId("h"), "db", language="de"),
        Mailbox("off@example.test", MailboxId("o"), "db", enabled=False),
    ),
    distribution_groups=(DistributionGroup("list@example.test", ("alice@example.test",)),),
)
OUT = SendConnector("internet", ("elsewhere.test",))
FAILED = [("bob@example.test", Failure("5.2.2", "full")), ("c@example.test", Failure("5.1.1", "gone"))]
ORIGINAL = b"Message-ID: <1@x>\r\nSubject: hi\r\n\r\nbody\r\n"
BOB = "bob@example.test"


def bouncer(organisation: Organisation = ORGANISATION, *, routed: bool = True) -> Bouncer:
    queue = Queue(RecoveredQueue((), 8, {}))
    tracking = TrackingWriter("mail.example.test", with_subject=True)
    made = Bouncer(queue, Categorizer(organisation), tracking, random.Random(1), "mail.example.test")
    if routed:
        made.router = Router(organisation, "")
    return made


def message(sender: str, options: EnvelopeOptions | None = None) -> QueuedMessage:
    nmid = NetworkMessageId("original")
    return QueuedMessage(
        *(7, nmid, 1e9, sender, (BOB,), 9, None, "<1@x>", "hi", b"f"), options=options or EnvelopeOptions()
    )


def asked(recipient: str = BOB, *notify: str, orcpt: str = "", **envelope: str) -> EnvelopeOptions:
    """What the envelope said, about one recipient."""
    return EnvelopeOptions(recipients=((recipient, RecipientOptions(notify, orcpt)),), **envelope)  # type: ignore[arg-type]  # texts, by name


def report(bounced: Bounced | None) -> tuple[QueuedMessage, EmailMessage, tuple[RecipientStatus, ...]]:
    assert bounced is not None
    assert bounced.event is None
    assert isinstance(bounced.write, AddMessage)
    sent = bounced.write.message
    assert sent.data is not None
    parsed = email.message_from_bytes(sent.data, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    start = sent.data.index(b"\r\n\r\n", sent.data.index(b"delivery-status\r\n")) + 4
    return sent, parsed, parse_delivery_status(sent.data[start : sent.data.index(b"\r\n--report", start)])


def words_of(parsed: EmailMessage) -> str:
    part = next(part for part in parsed.walk() if part.get_content_type() == "text/plain")
    text = part.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", ["alice@example.test", "list@example.test", "x@elsewhere.test"])
def test_senders_are_told(sender: str) -> None:
    told = bouncer(replace(ORGANISATION, send_connectors=(OUT,)))
    bounced = told.bounce(1e9, message(sender), FAILED, ORIGINAL)
    sent, parsed, statuses = report(bounced)
    assert (sent.number, sent.reverse_path, sent.recipients, sent.fingerprint) == (8, "", (sender,), b"")
    assert sent.data is not None
    assert sent.size_bytes == len(sent.data)
    assert [(each.recipient, each.action, each.status, each.text) for each in statuses] == [
        ("bob@example.test", "failed", "5.2.2", "full"),
        ("c@example.test", "failed", "5.1.1", "gone"),
    ]
    assert (parsed["Subject"], parsed["To"], parsed["In-Reply-To"]) == (
        "Undeliverable: hi",
        sender,
        "<1@x>",
    )
    assert b"body" not in sent.data
    event = parse_line(bounced.write.tracking)
    assert (event.event_id, event.reference, event.recipients) == (EventId.DSN, "original", (sender,))
    assert event.related_recipients == ("bob@example.test", "c@example.test")


@pytest.mark.parametrize("routed", [True, False])
@pytest.mark.parametrize("sender", ["", "x@elsewhere.test", "off@example.test", "nobody@example.test", "odd"])
def test_others_are_not_and_the_log_says_so(sender: str, *, routed: bool) -> None:
    bounced = bouncer(routed=routed).bounce(1e9, message(sender), FAILED, b"")
    assert isinstance(bounced.write, TrackOnly)
    assert bounced.event is not None
    event = parse_line(bounced.write.tracking)
    assert (event.event_id, event.recipients) == (EventId.DROP, ())
    assert event.custom_data == bounced.event.fields["reason"]


def test_without_routing_our_own_users_are_told() -> None:
    for sender in ("alice@example.test", "list@example.test"):
        report(bouncer(routed=False).bounce(1e9, message(sender), FAILED, b""))


def test_what_a_next_hop_said() -> None:
    refused = Failure("5.1.1", "mx said: 550 5.1.1 who?", "mx.elsewhere.test", "550 5.1.1 who?")
    told = bouncer().bounce(1e9, message("alice@example.test"), [("b@elsewhere.test", refused)], ORIGINAL)
    _, parsed, (status,) = report(told)
    assert (status.diagnosed_by, status.text) == ("smtp", "550 5.1.1 who?")
    assert status.remote_host == "mx.elsewhere.test"
    assert status.last_attempt_date == "Sun, 9 Sep 2001 01:46:40 +0000"
    text = words_of(parsed)
    assert text.startswith(
        "Your message could not be delivered to:\n\n  b@elsewhere.test\n\nThere is no such"
    )
    assert (
        "Generating server: mail.example.test\nMessage: <1@x> (network message id original)\n\n"
        "b@elsewhere.test: failed, 5.1.1\nRemote server: mx.elsewhere.test\nIt replied: 550 5.1.1 who?\n"
    ) in text


def test_what_an_administrator_removed_was_not_refused_by_the_recipients_server() -> None:
    _, parsed, _ = report(bouncer().bounce(1e9, message("alice@example.test"), [(BOB, REMOVED)], ORIGINAL))
    assert "It cannot be delivered, and trying again" in words_of(parsed)
    assert "refused" not in words_of(parsed)
    theirs = Failure("5.3.0", "x", "mx.example.test", "550 5.3.0 no")
    _, parsed, _ = report(bouncer().bounce(1e9, message("alice@example.test"), [(BOB, theirs)], ORIGINAL))
    assert "The recipient's server refused it" in words_of(parsed)


def test_recipients_with_the_same_trouble_share_its_words() -> None:
    full = [(f"{name}@example.test", Failure("5.2.2", "full")) for name in "abc"]
    _, parsed, _ = report(bouncer().bounce(1e9, message("alice@example.test"), [*full, FAILED[1]], b""))
    text = words_of(parsed)
    assert "  a@example.test\n  b@example.test\n  c@example.test\n\nThe recipient's mailbox is full." in text
    assert text.count("mailbox is full") == 1


@pytest.mark.parametrize(
    ("notify", "told"), [((), True), (("FAILURE",), True), (("NEVER",), False), (("SUCCESS", "DELAY"), False)]
)
def test_notify(notify: tuple[str, ...], *, told: bool) -> None:
    options = asked(BOB, *notify)
    bounced = bouncer().bounce(1e9, message("alice@example.test", options), FAILED[:1], b"")
    assert isinstance(bounced.write, AddMessage) == told
    # Somebody else, of whom nothing was asked, is reported on alone.
    _, _, statuses = report(bouncer().bounce(1e9, message("alice@example.test", options), FAILED, b""))
    assert len(statuses) == 1 + told


def test_what_was_asked_for_a_group_holds_for_its_members() -> None:
    options = asked("list@example.test", "NEVER")
    failed = [("alice@example.test", Failure("5.2.2", "full"))]
    bounced = bouncer().bounce(1e9, message("hans@example.test", options), failed, b"")
    assert isinstance(bounced.write, TrackOnly)
    assert bounced.event is None  # nothing to look at: it was wanted so
    assert parse_line(bounced.write.tracking).custom_data.startswith("no bounce: the sender asked")


def test_without_a_subject() -> None:
    sent, parsed, _ = report(
        bouncer().bounce(1e9, replace(message("alice@example.test"), subject=""), FAILED, b"")
    )
    assert sent.subject == "Undeliverable:"
    assert "Subject:" not in words_of(parsed)


def test_envelope_id_original_recipient_and_whole_message() -> None:
    options = asked(BOB, "FAILURE", orcpt="rfc822;Bob+2Bx@a.test", return_content="FULL", envelope_id="Q+3D1")
    sent, _, (status,) = report(
        bouncer().bounce(1e9, message("alice@example.test", options), FAILED[:1], ORIGINAL)
    )
    assert status.original_recipient == "rfc822;Bob+x@a.test"
    assert sent.data is not None
    assert b"Original-Envelope-Id: Q=1\r\n" in sent.data
    assert ORIGINAL in sent.data
    headers_only = replace(options, return_content="HDRS")
    sent, _, _ = report(
        bouncer().bounce(1e9, message("alice@example.test", headers_only), FAILED[:1], ORIGINAL)
    )
    assert sent.data is not None
    assert b"body" not in sent.data


def test_what_the_report_needs_of_the_next_hop() -> None:
    sent, _, _ = report(bouncer().bounce(1e9, message("alice@example.test"), FAILED, ORIGINAL))
    assert sent.options == EnvelopeOptions()
    organisation = replace(ORGANISATION, send_connectors=(OUT,))
    original = "Subject: ü\r\n\r\n".encode()
    sent, _, _ = report(bouncer(organisation).bounce(1e9, message("ü@elsewhere.test"), FAILED, original))
    assert sent.options == EnvelopeOptions(eight_bit=True, smtputf8=True)


# --- language ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "headers", "organisation", "begin"),
    [
        ("alice@example.test", b"", "en", "Your message"),
        ("alice@example.test", b"", "fr", "Votre message"),
        ("alice@example.test", b"Accept-Language: es-MX, en\r\n", "fr", "No se pudo"),
        ("alice@example.test", b"Content-Language: xx, fr\r\n", "en", "Votre message"),
        ("hans@example.test", b"Accept-Language: es\r\n", "fr", "Ihre Nachricht"),
    ],
)
def test_language(sender: str, headers: bytes, organisation: str, begin: str) -> None:
    made = bouncer(replace(ORGANISATION, dsn_language=organisation))
    _, parsed, _ = report(made.bounce(1e9, message(sender), FAILED, headers + ORIGINAL))
    assert words_of(parsed).startswith(begin)


def test_the_words_of_the_administrator() -> None:
    text = "Call 4711.\n\nWe are glad to help, " + "really " * 20
    made = bouncer(replace(ORGANISATION, dsn_texts=(DsnText("de 5.2.2", text),)))
    _, parsed, _ = report(made.bounce(1e9, message("hans@example.test"), FAILED[:1], ORIGINAL))
    assert "\n\nCall 4711.\n\nWe are glad" in words_of(parsed)
    assert max(len(line) for line in words_of(parsed).split("\n")) <= 76


# --- delays -------------------------------------------------------------------------------------

LATE = [(BOB, Failure("4.4.1", "no answer"))]


def test_a_delay_says_until_when_it_is_tried() -> None:
    made = bouncer(replace(ORGANISATION, expiry_s=86400.0))
    sent, parsed, (status,) = report(made.delay(1e9 + 14400, message("alice@example.test"), LATE, ORIGINAL))
    assert (status.action, status.status) == ("delayed", "4.4.1")
    assert status.will_retry_until == "Mon, 10 Sep 2001 01:46:40 +0000"
    assert parsed["Subject"] == "Delayed: hi"
    assert "Tries go on until: Mon, 10 Sep 2001 01:46:40 +0000\nSubject: hi\n" in words_of(parsed)
    assert sent.reverse_path == ""


def test_what_a_next_hop_said_some_time_ago_is_told_without_a_date() -> None:
    said = Failure("4.2.1", "mx said: 450 4.2.1 later", "mx.test", "450 4.2.1 later")
    delay = bouncer().delay(1e9, message("alice@example.test"), [(BOB, said)], b"")
    too_long = [(BOB, replace(said, status="4.4.7"))]
    bounce = bouncer().bounce(1e9, message("alice@example.test"), too_long, ORIGINAL)
    for made, expected in ((delay, "4.2.1"), (bounce, "4.4.7")):
        _, _, (status,) = report(made)
        assert (status.status, status.remote_host, status.text) == (expected, "mx.test", "450 4.2.1 later")
        assert (status.diagnosed_by, status.last_attempt_date) == ("smtp", "")


def test_a_delay_is_not_told_as_a_failure() -> None:
    waiting = [(BOB, Failure("5.7.1", "TLS is required"))]
    _, _, (status,) = report(bouncer().delay(1e9, message("alice@example.test"), waiting, b""))
    assert (status.action, status.status) == ("delayed", "4.4.7")


@pytest.mark.parametrize(
    ("inside", "outside", "sender", "told"),
    [
        (True, False, "alice@example.test", True),
        (False, True, "alice@example.test", False),
        (False, True, "x@elsewhere.test", True),
        (True, False, "x@elsewhere.test", False),
        (True, True, "", False),
        (True, True, "x@nowhere.test", False),
    ],
)
def test_who_hears_of_delays(sender: str, *, inside: bool, outside: bool, told: bool) -> None:
    organisation = replace(
        ORGANISATION,
        send_connectors=(OUT,),
        delay_notice_internal=inside,
        delay_notice_external=outside,
    )
    assert (bouncer(organisation).delay(1e9, message(sender), LATE, b"") is not None) == told


@pytest.mark.parametrize(
    ("notify", "told"), [((), True), (("DELAY",), True), (("FAILURE",), False), (("NEVER",), False)]
)
def test_notify_of_delays(notify: tuple[str, ...], *, told: bool) -> None:
    options = asked(BOB, *notify)
    assert (bouncer().delay(1e9, message("alice@example.test", options), LATE, b"") is not None) == told


# --- successes ----------------------------------------------------------------------------------


def test_successes_are_reported_to_who_asked() -> None:
    notify = RecipientOptions(("SUCCESS", "FAILURE"))
    names = ("a@example.test", "b@elsewhere.test", "list@example.test")
    options = EnvelopeOptions(return_content="FULL", recipients=tuple((name, notify) for name in names))
    served = [
        ("a@example.test", Served.DELIVERED, ""),
        ("b@elsewhere.test", Served.RELAYED, "mx.elsewhere.test"),
        ("list@example.test", Served.EXPANDED, ""),
        ("nobody-asked@example.test", Served.DELIVERED, ""),
    ]
    made = bouncer()
    sent, parsed, statuses = report(
        made.success(1e9, message("alice@example.test", options), served, ORIGINAL)
    )
    assert [(each.recipient, each.action, each.status, each.remote_host) for each in statuses] == [
        ("a@example.test", "delivered", "2.0.0", ""),
        ("b@elsewhere.test", "relayed", "2.1.9", "mx.elsewhere.test"),
        ("list@example.test", "expanded", "2.0.0", ""),
    ]
    text = words_of(parsed)
    for frame in ("was delivered to:", "was handed on for:", "was distributed to the members of:"):
        assert frame in text
    assert sent.data is not None
    assert b"body" not in sent.data  # RFC 3461 section 4.3: the whole message goes back with failures only


@pytest.mark.parametrize(
    ("sender", "options"),
    [
        ("alice@example.test", EnvelopeOptions()),
        ("alice@example.test", asked(BOB, "FAILURE")),
        ("", asked(BOB, "SUCCESS")),
        ("x@nowhere.test", asked(BOB, "SUCCESS")),
    ],
)
def test_others_hear_nothing_of_success(sender: str, options: EnvelopeOptions) -> None:
    assert bouncer().success(1e9, message(sender, options), [(BOB, Served.DELIVERED, "")], b"") is None


# --- all outcomes of one commit ---------------------------------------------------------------


def test_outcomes_of_one_commit() -> None:
    options = asked(BOB, "SUCCESS", "FAILURE")
    asking = message("alice@example.test", options)
    silent = message("alice@example.test")
    stored = RecipientOutcome((BOB,), "", served=Served.DELIVERED)
    failed = RecipientOutcome(("c@example.test",), "", failure=Failure("5.1.1", "gone"))
    dropped = RecipientOutcome(("d@example.test",), "")
    made = bouncer()
    cases = [
        (silent, (stored, dropped), []),
        (silent, (stored, failed), ["failed"]),
        (asking, (dropped,), []),
        (asking, (stored,), ["delivered"]),
        (asking, (failed, stored), ["failed", "delivered"]),
    ]
    for told, outcomes, actions in cases:
        reports = made.reports(1e9, told, outcomes, ORIGINAL)
        assert [report(each)[2][0].action for each in reports] == actions
        assert made.needs_original(told, outcomes) == bool(actions)


def test_nobody_is_told_of_what_comes_from_the_safety_net() -> None:
    options = asked(BOB, "SUCCESS", "FAILURE", "DELAY")
    again = replace(message("alice@example.test", options), marks=Marks(resubmitted=True))
    stored = RecipientOutcome((BOB,), "", served=Served.DELIVERED)
    failed = RecipientOutcome((BOB,), "", failure=Failure("5.1.1", "gone"))
    made = bouncer()
    assert not made.needs_original(again, (stored,))
    assert not made.needs_original(again, (failed,))
    assert made.delay(1e9, again, [(BOB, Failure("4.4.7", "waits"))], b"") is None
