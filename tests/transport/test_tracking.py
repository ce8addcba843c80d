"""The tracking log: what is written is read back, whatever a peer puts into a message."""

from __future__ import annotations

import contextlib
import csv
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.transport.tracking import (
    FIELDS,
    VALUE_CHARACTERS_MAX,
    EventId,
    LineDetails,
    MessageFacts,
    TrackingCriteria,
    TrackingEvent,
    TrackingWriter,
    comparable,
    file_header,
    format_instant,
    join_recipients,
    parse_instant,
    parse_line,
    parse_lines,
    read_outcome,
    sent_details,
    split_recipients,
    transferred_details,
    transferred_from,
)

FACTS = MessageFacts(7, "<1@x>", "0e6e2b1c-0000-4000-8000-000000000001", 5000, "Hello", "sender@other.test")
WRITER = TrackingWriter("mail1.example.test", "192.0.2.1", with_subject=True)
PRINTABLE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40)


def line_of(**changes: object) -> str:
    return WRITER.line(1700000000.25, EventId.RECEIVE, "SMTP", replace(FACTS, **changes), ("a@example.test",))


def test_a_line_has_the_thirty_fields_of_exchange() -> None:
    line = line_of()
    assert line.endswith("\r\n")
    values = dict(zip(FIELDS, line.rstrip().split(","), strict=True))
    assert values["date-time"] == "2023-11-14T22:13:20.250Z"
    assert values["event-id"] == "RECEIVE"
    assert values["recipient-address"] == "a@example.test"
    assert values["server-ip"] == "192.0.2.1"
    assert len(FIELDS) == 30


def test_the_header_names_the_fields() -> None:
    header = file_header(0.0)
    assert header.startswith("#Software: Holdfast\r\n#Version: ")
    assert header.endswith("#Fields: " + ",".join(FIELDS) + "\r\n")
    assert list(parse_lines(header + line_of())) == [parse_line(line_of())]


@given(subject=PRINTABLE, sender=PRINTABLE, message_id=PRINTABLE, custom=PRINTABLE)
@settings(max_examples=150)
def test_values_are_read_back_as_they_were(subject: str, sender: str, message_id: str, custom: str) -> None:
    facts = replace(FACTS, subject=subject, sender=sender, message_id=message_id)
    details = LineDetails(
        client_ip="192.0.2.9",
        client_hostname=custom,
        connector=subject,
        recipient_status=custom,
        related_recipients=("b@example.test", '"a;b"@example.test'),
        reference=message_id,
        custom_data=custom,
    )
    line = WRITER.line(
        1700000000.0, EventId.FAIL, "STOREDRIVER", facts, ('"x,;\\"y"@example.test', "+c@x"), details
    )
    event = parse_line(line)
    assert event.subject == subject
    assert event.sender == sender
    assert event.message_id == event.reference == message_id
    assert event.custom_data == event.recipient_status == event.client_hostname == custom
    assert event.connector == subject
    assert event.recipients == ('"x,;\\"y"@example.test', "+c@x")
    assert event.related_recipients == ("b@example.test", '"a;b"@example.test')
    assert event.at == 1700000000.0
    assert event.size_bytes == 5000
    assert read_outcome(line) == (
        EventId.FAIL,
        str(FACTS.internal_message_id),
        FACTS.network_message_id,
        event.recipients,
        event.related_recipients,
        False,
    )


def test_what_went_to_a_server_of_ours_or_came_from_one_is_told_apart() -> None:
    sent = sent_details("", "mail2.example.test", "192.0.2.2", "250 2.0.0 ok")
    for event, details, expected in (
        (EventId.SEND, sent, False),
        (EventId.SEND, transferred_details(sent, "mail2"), True),
        (EventId.RECEIVE, LineDetails(custom_data=transferred_from("mail1")), True),
        # A next hop that is called so is still none of ours.
        (EventId.SEND, sent_details("out", "S:TransferredTo=mail2", "", "250"), False),
    ):
        line = WRITER.line(0.0, event, "SMTP", FACTS, ("a@x",), details)
        assert read_outcome(line).transferred is expected
    assert (
        parse_line(
            WRITER.line(0.0, EventId.SEND, "SMTP", FACTS, ("a@x",), transferred_details(sent, "mail2"))
        ).custom_data
        == "S:TransferredTo=mail2;S:RemoteHost=mail2.example.test [192.0.2.2]"
    )


@given(st.text(max_size=60))
@settings(max_examples=150)
def test_no_value_ends_its_line_or_becomes_a_formula(text: str) -> None:
    line = line_of(subject=text, sender=text, message_id=text)
    assert line.count("\r") == line.count("\n") == 1
    line.encode()  # no lone surrogate gets through
    event = parse_line(line)
    assert event.subject == comparable(text)
    # A comma inside quotation marks ends no cell.
    for value in next(csv.reader([line])):
        assert value[:1] not in ("=", "+", "-", "@")


def test_a_long_value_is_cut() -> None:
    assert parse_line(line_of(subject="x" * 5000)).subject == "x" * VALUE_CHARACTERS_MAX


def test_the_subject_is_left_out_where_the_organisation_wants_it() -> None:
    writer = TrackingWriter("s", with_subject=False)
    line = writer.line(0.0, EventId.RECEIVE, "SMTP", FACTS, ("a@x",))
    assert parse_line(line).subject == ""


@given(st.lists(st.sampled_from(["a@x", '"a;b"@x', '"\\";"@x', "b@y"]), min_size=0, max_size=4))
def test_recipients_in_one_field(recipients: list[str]) -> None:
    joined = join_recipients(tuple(recipients)) if recipients else ""
    assert split_recipients(joined) == tuple(recipients)


@given(st.text(max_size=200) | st.lists(st.text(max_size=5), min_size=30, max_size=30).map(",".join))
@settings(max_examples=200, deadline=None)
def test_any_line_is_read_or_refused(text: str) -> None:
    for reader in (parse_line, read_outcome):
        with contextlib.suppress(Refusal):
            reader(text)
    assert isinstance(list(parse_lines(text)), list)


@pytest.mark.parametrize(
    ("field", "value"),
    [(8, "NOTHING"), (14, "many"), (14, "²"), (0, "yesterday"), (0, "2023-11-14T22:13:20"), (0, "Z")],
)
def test_a_damaged_line_is_refused(field: int, value: str) -> None:
    values = line_of().rstrip().split(",")
    values[field] = value
    with pytest.raises(Refusal):
        parse_line(",".join(values))


def test_quotes_that_do_not_close_are_refused() -> None:
    with pytest.raises(Refusal, match="not CSV"):
        parse_line('a,"b')
    with pytest.raises(Refusal, match="too long"):
        parse_line("x" * (5 << 20))
    with pytest.raises(Refusal):
        read_outcome("a,b")


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_instants_are_read_back_to_the_millisecond(milliseconds: int) -> None:
    assert abs(parse_instant(format_instant(milliseconds / 1000)) - milliseconds / 1000) < 0.0021


EVENT: TrackingEvent = parse_line(
    WRITER.line(
        1000.0,
        EventId.EXPAND,
        "ROUTING",
        FACTS,
        ("a@example.test",),
        LineDetails(related_recipients=("All@example.test",)),
    )
)


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        (TrackingCriteria(), True),
        (TrackingCriteria(sender="OTHER.test"), True),
        (TrackingCriteria(sender="nobody"), False),
        (TrackingCriteria(recipient="A@example.test"), True),
        (TrackingCriteria(recipient="all@"), True),
        (TrackingCriteria(recipient="b@"), False),
        (TrackingCriteria(subject="hell"), True),
        (TrackingCriteria(subject="bye"), False),
        (TrackingCriteria(message_id="1@x"), True),
        (TrackingCriteria(message_id="<2@x>"), False),
        (TrackingCriteria(network_message_id=FACTS.network_message_id.upper()), True),
        (TrackingCriteria(network_message_id="0"), False),
        (TrackingCriteria(since=1000.0, until=1000.5), True),
        (TrackingCriteria(since=1000.5), False),
        (TrackingCriteria(until=1000.0), False),
    ],
)
def test_criteria(criteria: TrackingCriteria, matches: bool) -> None:
    assert criteria.matches(EVENT) is matches


def test_many_recipients_go_over_lines_that_each_can_be_read() -> None:
    facts = MessageFacts(1, "<m>", "n", 100, "s", "a@x")
    recipients = tuple(f"r{number}@x" for number in range(1500))
    related = tuple(f"g{number}@x" for number in range(2001))
    writer = TrackingWriter("s", with_subject=True)
    text = writer.line(
        0.0, EventId.EXPAND, "ROUTING", facts, recipients, LineDetails(related_recipients=related)
    )
    events = list(parse_lines(text))
    assert [len(each.recipients) for each in events] == [1000, 500, 0]
    assert tuple(name for each in events for name in each.recipients) == recipients
    assert tuple(name for each in events for name in each.related_recipients) == related


def test_a_sent_line_names_the_next_hop_and_what_it_said() -> None:
    details = sent_details("internet", "mx1.example.org", "192.0.2.25", "250 2.0.0 queued as 4Xy")
    event = parse_line(WRITER.line(0.0, EventId.SEND, "SMTP", FACTS, ("b@example.org",), details))
    assert (event.event_id, event.connector, event.recipient_status, event.custom_data) == (
        EventId.SEND,
        "internet",
        "250 2.0.0 queued as 4Xy",
        "S:RemoteHost=mx1.example.org [192.0.2.25]",
    )
    assert sent_details("", "hub.example.test", "", "250 OK").custom_data == "S:RemoteHost=hub.example.test"
