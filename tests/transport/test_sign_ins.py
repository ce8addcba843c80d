"""Which passwords are looked at, and which wait for it."""

from __future__ import annotations

import pytest

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import ConnectionId
from holdfast.transport.sign_ins import Attempt, SignIns


def attempt(user: str = "alice", source: str = "192.0.2.1") -> Attempt:
    return Attempt(user, "a password", source)


def sign_ins(failure_count_max: int) -> SignIns:
    made = SignIns()
    made.throttle.failure_count_max = failure_count_max
    return made


def ready(made: SignIns, now: float = 0.0) -> list[tuple[int, str]]:
    return [
        (connection_id, "" if refusal is None else f"{refusal.code}")
        for connection_id, _, refusal in made.ready(now)
    ]


def test_of_one_account_as_many_as_may_still_fail_whatever_their_sources() -> None:
    made = sign_ins(2)
    wanted = [made.wanted(0.0, ConnectionId(n), attempt("aliCE"[n % 2 :], f"192.0.2.{n}")) for n in range(4)]
    assert wanted == [True, True, True, True], "these are two accounts"
    assert not made.wanted(0.0, ConnectionId(9), attempt("ALICE", "198.51.100.1"))
    assert ready(made) == []
    made.answered(0.0, ConnectionId(0), right=True)
    assert ready(made) == [(9, "")]


def test_of_one_source_as_many_as_may_still_fail_whatever_the_accounts() -> None:
    made = sign_ins(3)
    assert made.answered(0.0, ConnectionId(99), right=False) is None, "nobody asked"
    assert [made.wanted(0.0, ConnectionId(n), attempt(f"user{n}")) for n in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert made.wanted(0.0, ConnectionId(7), attempt("user7", "198.51.100.1")), "others are not kept waiting"
    made.answered(0.0, ConnectionId(0), right=False)
    assert ready(made) == [], "a failure makes no room"
    made.answered(0.0, ConnectionId(1), right=True)
    assert ready(made) == [(3, "")]
    made.answered(0.0, ConnectionId(2), right=False)
    locked = made.answered(0.0, ConnectionId(3), right=False)
    assert locked is not None
    assert (locked.user, locked.source) == ("user3", "192.0.2.1")
    assert ready(made) == [(4, "421")]
    with pytest.raises(Refusal):
        made.wanted(0.0, ConnectionId(8), attempt("user8"))
    assert made.wanted(made.throttle.lock_s, ConnectionId(8), attempt("user8"))


def test_from_this_machine_only_the_account_counts() -> None:
    made = sign_ins(2)
    assert all(made.wanted(0.0, ConnectionId(n), attempt(f"user{n}", "127.0.0.1")) for n in range(20))
    assert not all(made.wanted(0.0, ConnectionId(n), attempt("bob", "127.0.0.1")) for n in range(20, 23))


def test_who_leaves_waits_no_more_and_what_is_looked_at_counts_all_the_same() -> None:
    made = sign_ins(1)
    assert made.wanted(0.0, ConnectionId(1), attempt())
    assert not made.wanted(0.0, ConnectionId(2), attempt())
    made.gone(ConnectionId(2))
    made.gone(ConnectionId(1))
    assert made.answered(0.0, ConnectionId(1), right=False) == attempt()
    assert ready(made) == []


def test_who_goes_while_another_one_is_answered_is_passed_over() -> None:
    made = sign_ins(1)
    made.wanted(0.0, ConnectionId(1), attempt())
    for number in (2, 3):
        made.wanted(0.0, ConnectionId(number), attempt())
    made.answered(0.0, ConnectionId(1), right=False)
    found = made.ready(0.0)
    assert next(found)[0] == 2
    made.gone(ConnectionId(3))
    assert list(found) == []
