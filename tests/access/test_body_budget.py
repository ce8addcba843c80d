"""Turns and bounds of what sessions hold of messages."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.access.body_budget import SMALL_SHARE_BYTES, BodyBudget
from holdfast.kernel.ids import ConnectionId, MailboxId

SMALL = SMALL_SHARE_BYTES
A, B = MailboxId("a"), MailboxId("b")


def granted(budget: BodyBudget) -> list[int]:
    found = []
    while (connection_id := budget.grant()) is not None:
        found.append(int(connection_id))
    return found


def test_turns_go_by_the_order_of_asking_and_one_mailbox_gets_a_quarter() -> None:
    budget = BodyBudget(8 * SMALL, 100)
    for number in range(1, 5):
        budget.ask(ConnectionId(number), A, SMALL)
    budget.ask(ConnectionId(9), B, SMALL)
    assert granted(budget) == [1, 2, 9]
    budget.release(ConnectionId(2))
    budget.release(ConnectionId(3))
    assert granted(budget) == [4]


def test_a_large_share_does_not_keep_small_ones_waiting() -> None:
    budget = BodyBudget(4 * SMALL, 4 * SMALL)
    budget.ask(ConnectionId(1), A, 9 * SMALL)
    budget.ask(ConnectionId(2), A, 2 * SMALL)
    budget.ask(ConnectionId(3), B, SMALL)
    assert granted(budget) == [3, 1], "more than all there is, when nobody else has any"
    budget.release(ConnectionId(1))
    assert granted(budget) == [2]
    assert budget.used_bytes == 3 * SMALL


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 12 * SMALL)), max_size=40))
def test_no_fund_is_overdrawn_and_all_have_their_turn(steps: list[tuple[int, int]]) -> None:
    budget = BodyBudget(8 * SMALL, 10 * SMALL)
    asked: set[int] = set()
    held: set[int] = set()
    for number, byte_count in steps:
        if number in asked or number in held:
            budget.release(ConnectionId(number))
            asked.discard(number)
            held.discard(number)
        else:
            budget.ask(ConnectionId(number), MailboxId(str(number % 3)), byte_count)
            asked.add(number)
        now = set(granted(budget))
        assert now <= asked
        asked -= now
        held |= now
        assert budget.used_bytes <= 8 * SMALL + 12 * SMALL
    while held:
        budget.release(ConnectionId(held.pop()))
        now = set(granted(budget))
        asked -= now
        held |= now
    assert (asked, budget.used_bytes) == (set(), 0)
