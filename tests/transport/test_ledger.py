"""The ledger adds up, and says so when something is missing."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.transport.ledger import LedgerBuilder
from holdfast.transport.tracking import (
    EventId,
    LineDetails,
    MessageFacts,
    TrackingWriter,
    file_header,
    sent_details,
    transferred_details,
    transferred_from,
)

Queued = Sequence[tuple[str, tuple[str, ...]]]

WRITER = TrackingWriter("s", with_subject=True)


def line(
    event_id: EventId, message: str, *recipients: str, related: tuple[str, ...] = (), number: int = 1
) -> str:
    facts = MessageFacts(number, "<m>", message, 100, "s", "a@x")
    return WRITER.line(0.0, event_id, "SMTP", facts, recipients, LineDetails(related_recipients=related))


def counts(lines: list[str], queued: Queued = ()) -> tuple[int, ...]:
    builder = LedgerBuilder()
    builder.add_lines("".join(lines))
    ledger = builder.finish((message, 1, recipients) for message, recipients in queued)
    parts = (
        ledger.delivered_count,
        ledger.relayed_count,
        ledger.queued_count,
        ledger.bounced_count,
        ledger.dropped_count,
    )
    assert ledger.accepted_count == sum(parts) + ledger.unaccounted_count
    return (ledger.accepted_count, *parts, ledger.unaccounted_count, ledger.unmatched_count)


R, D, F, X, E = EventId.RECEIVE, EventId.DELIVER, EventId.FAIL, EventId.DROP, EventId.EXPAND
S = EventId.SEND

CASES: dict[str, tuple[list[str], list[tuple[str, tuple[str, ...]]], tuple[int, ...]]] = {
    # accepted, delivered, relayed, queued, bounced, dropped, unaccounted, unmatched
    "nothing": ([], [], (0, 0, 0, 0, 0, 0, 0, 0)),
    "delivered": ([line(R, "1", "a", "b"), line(D, "1", "a", "b")], [], (2, 2, 0, 0, 0, 0, 0, 0)),
    "one waits": ([line(R, "1", "a", "b"), line(D, "1", "a")], [("1", ("b",))], (2, 1, 0, 1, 0, 0, 0, 0)),
    "lost": ([line(R, "1", "a", "b"), line(D, "1", "a")], [], (2, 1, 0, 0, 0, 0, 1, 0)),
    "second delivery": (
        [line(R, "1", "a", "a2"), line(D, "1", "a"), line(EventId.DUPLICATEDELIVER, "1", "a2")],
        [],
        (2, 2, 0, 0, 0, 0, 0, 0),
    ),
    "bounced, and the bounce delivered": (
        [
            line(R, "1", "a"),
            line(F, "1", "a"),
            line(EventId.DSN, "2", "s", related=("a",)),
            line(D, "2", "s"),
        ],
        [],
        (2, 1, 0, 0, 1, 0, 0, 0),
    ),
    "no bounce possible": (
        [line(R, "1", "a"), line(F, "1", "a"), line(X, "1", related=("a",))],
        [],
        (1, 0, 0, 0, 1, 0, 0, 0),
    ),
    "second try": ([line(R, "1", "a"), line(X, "1", "a")], [], (1, 0, 0, 0, 0, 1, 0, 0)),
    "a group counts as its members": (
        [line(R, "1", "all", "a"), line(E, "1", "b", "c", related=("all",)), line(D, "1", "a", "b", "c")],
        [],
        (3, 3, 0, 0, 0, 0, 0, 0),
    ),
    "a group whose members are all there": (
        [line(R, "1", "all", "a"), line(E, "1", related=("all",)), line(D, "1", "a")],
        [],
        (1, 1, 0, 0, 0, 0, 0, 0),
    ),
    "relayed, delivered and waiting": (
        [line(R, "1", "a", "b", "c"), line(S, "1", "a"), line(D, "1", "b")],
        [("1", ("c",))],
        (3, 1, 1, 1, 0, 0, 0, 0),
    ),
    "sent again after a crash": (
        [line(R, "1", "a"), line(S, "1", "a"), line(S, "1", "a")],
        [],
        (1, 0, 1, 0, 0, 0, 0, 1),
    ),
    "twice in the queue, once from the Safety Net": (
        [
            line(R, "1", "group", "a"),
            line(E, "1", "a", "b", related=("group",)),
            line(EventId.RESUBMIT, "1", "group", "a", number=2),
            line(E, "1", "a", "b", related=("group",), number=2),
            line(D, "1", "a", "b", number=2),
            line(EventId.DUPLICATEDELIVER, "1", "b"),
        ],
        [("1", ("a",))],
        (4, 3, 0, 1, 0, 0, 0, 0),
    ),
    "an address that stands for another": (
        [line(R, "1", "alias"), line(EventId.RESOLVE, "1", "a", related=("alias",)), line(D, "1", "a")],
        [],
        (1, 1, 0, 0, 0, 0, 0, 0),
    ),
    "deferred, loaded and whatever else lets it wait on": (
        [
            line(R, "1", "a"),
            *(
                line(each, "1", "a")
                for each in (
                    EventId.DEFER,
                    EventId.LOAD,
                    EventId.REDIRECT,
                    EventId.TRANSFER,
                    EventId.RESUBMIT,
                    EventId.POISONMESSAGE,
                )
            ),
        ],
        [("1", ("a",))],
        (1, 0, 0, 1, 0, 0, 0, 0),
    ),
    "older than the log, waits": ([], [("9", ("a", "b"))], (2, 0, 0, 2, 0, 0, 0, 0)),
    "older than the log, delivered": ([line(D, "9", "a")], [], (0, 0, 0, 0, 0, 0, 0, 1)),
    "damage is passed over": (
        [file_header(0.0), "nonsense\r\n", line(R, "1", "a"), "\r\n", line(D, "1", "a")],
        [],
        (1, 1, 0, 0, 0, 0, 0, 0),
    ),
}


def test_cases() -> None:
    assert {name: counts(lines, queued) for name, (lines, queued, _) in CASES.items()} == {
        name: expected for name, (_, _, expected) in CASES.items()
    }


def test_what_is_unaccounted_is_named() -> None:
    builder = LedgerBuilder()
    builder.add_line(line(R, "1", "b", "a").strip())
    assert builder.finish([]).unaccounted == (("1", "a"), ("1", "b"))


@given(
    st.lists(
        st.lists(
            st.sampled_from(["delivered", "relayed", "queued", "bounced", "dropped", "lost"]),
            min_size=1,
            max_size=4,
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60)
def test_any_interleaving_adds_up(messages: list[list[str]], luck: random.Random) -> None:
    closes = {"delivered": D, "relayed": S, "bounced": F, "dropped": X}
    pending: list[list[str]] = []
    queued: list[tuple[str, tuple[str, ...]]] = []
    for number, fates in enumerate(messages):
        names = [f"r{at}@x" for at in range(len(fates))]
        lines = [line(R, str(number), *names)]
        lines += [
            line(closes[f], str(number), name) for name, f in zip(names, fates, strict=True) if f in closes
        ]
        pending.append(lines)
        waits = tuple(name for name, fate in zip(names, fates, strict=True) if fate == "queued")
        if waits:
            queued.append((str(number), waits))
    written: list[str] = []
    while any(pending):
        pending = [lines for lines in pending if lines]
        written.append(luck.choice(pending).pop(0))
    every = [fate for fates in messages for fate in fates]
    wanted = [every.count(fate) for fate in ("delivered", "relayed", "queued", "bounced", "dropped", "lost")]
    assert counts(written, queued) == (len(every), *wanted, 0)


def test_a_group_of_very_many_goes_over_several_lines() -> None:
    members = tuple(f"member{number}" for number in range(2500))
    expand = line(E, "1", *members, related=("group",))
    assert expand.count("\r\n") == 3
    delivered = line(D, "1", *members)
    assert counts([line(R, "1", "group"), expand, delivered]) == (2500, 2500, 0, 0, 0, 0, 0, 0)
    many = line(R, "2", *members) + line(EventId.DSN, "3", "s", related=members)
    builder = LedgerBuilder()
    builder.add_lines(many)
    ledger = builder.finish(())
    assert (ledger.message_count, ledger.accepted_count) == (2, 2501)


def test_what_goes_from_one_server_of_ours_to_another_is_accounted_for_by_both() -> None:
    def facts(event: EventId, details: LineDetails, *recipients: str) -> str:
        return WRITER.line(0.0, event, "SMTP", MessageFacts(1, "", "1", 100, "", "a@x"), recipients, details)

    sent = sent_details("", "mail2", "192.0.2.2", "250 ok")
    first = LedgerBuilder()
    first.add_lines(line(R, "1", "a", "b", "c") + line(D, "1", "a") + line(S, "1", "c"))
    first.add_lines(facts(S, transferred_details(sent, "mail2"), "b"))
    ledger = first.finish(())
    assert (ledger.accepted_count, ledger.delivered_count, ledger.relayed_count) == (3, 1, 1)
    assert (ledger.transferred_out_count, ledger.transferred_in_count, ledger.unaccounted_count) == (1, 0, 0)
    second = LedgerBuilder()
    second.add_lines(facts(R, LineDetails(custom_data=transferred_from("mail1")), "b") + line(D, "1", "b"))
    ledger = second.finish(())
    assert (ledger.accepted_count, ledger.delivered_count, ledger.relayed_count) == (1, 1, 0)
    assert (ledger.transferred_out_count, ledger.transferred_in_count, ledger.unaccounted_count) == (0, 1, 0)
