"""What a lease says of its names in DNS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.dhcp.dns_state import (
    FORWARD,
    FORWARD_DONE,
    NOTHING,
    PROTECTED,
    REFUSED,
    REVERSE,
    REVERSE_DONE,
    STALE_COUNT_MAX,
    DnsState,
    Registration,
    is_pending,
    merged,
    read_state,
    to_go_on_with,
    told,
    with_wish,
    write_state,
)

BOTH = FORWARD | REVERSE | PROTECTED
DONE = FORWARD_DONE | REVERSE_DONE
A, B = bytes(35), b"\1" * 35


def wish(name: str = "a.test", dhcid: bytes = A, flags: int = BOTH) -> Registration:
    return Registration(name, dhcid, flags)


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=253)
registrations = st.builds(Registration, names, st.binary(max_size=35), st.integers(0, 63))
states = st.builds(DnsState, st.none() | registrations, st.lists(registrations, max_size=4).map(tuple))


@given(states)
def test_what_is_written_is_read(state: DnsState) -> None:
    written = write_state(state)
    assert read_state(written) == state
    assert is_pending(written) is state.is_pending


@given(st.binary(max_size=60))
def test_any_bytes_are_a_state(data: bytes) -> None:
    assert isinstance(read_state(data), DnsState)
    assert isinstance(read_state(b"\x10" + data), DnsState)


def test_nothing_takes_no_room_and_another_version_is_nothing() -> None:
    assert write_state(NOTHING) == b""
    assert read_state(b"\x20" + write_state(DnsState(wish()))[1:]) == NOTHING


@pytest.mark.parametrize(
    ("flags", "pending"),
    [
        (BOTH, True),
        (BOTH | FORWARD_DONE, True),
        (BOTH | REVERSE_DONE, True),
        (BOTH | DONE, False),
        (BOTH | REFUSED, False),
        (REVERSE | REVERSE_DONE, False),
        (FORWARD | FORWARD_DONE, False),
    ],
)
def test_what_is_still_to_be_done(flags: int, pending: bool) -> None:
    assert is_pending(write_state(DnsState(wish(flags=flags)))) is pending


OLD = DnsState(wish(flags=BOTH | DONE))
CASES: dict[str, tuple[DnsState, Registration | None, bool, DnsState]] = {
    "first": (NOTHING, wish(), True, DnsState(wish())),
    "renewed": (OLD, wish(), True, OLD),
    "renewed before it was done": (DnsState(wish()), wish(), True, DnsState(wish())),
    "renewed, the name was another's": (DnsState(wish(flags=BOTH | REFUSED)), wish(), True, DnsState(wish())),
    "another name": (
        OLD,
        wish("b.test"),
        True,
        DnsState(wish("b.test"), (wish(flags=FORWARD | PROTECTED),)),
    ),
    "another name, the old one was refused": (
        DnsState(wish(flags=BOTH | REFUSED)),
        wish("b.test"),
        True,
        DnsState(wish("b.test")),
    ),
    "another client of the same name": (
        OLD,
        wish(dhcid=B),
        True,
        DnsState(wish(dhcid=B), (wish(flags=FORWARD | PROTECTED),)),
    ),
    "another client, and names stay": (OLD, wish("b.test", B), False, DnsState(wish("b.test", B))),
    "the end": (OLD, None, True, DnsState(None, (wish(),))),
    "the end, and names stay": (OLD, None, False, NOTHING),
    "from now on without the address's name": (
        OLD,
        wish(flags=FORWARD | PROTECTED),
        True,
        DnsState(wish(flags=FORWARD | PROTECTED), (wish(flags=REVERSE | PROTECTED),)),
    ),
    "from now on the client's own": (
        OLD,
        wish(flags=REVERSE | PROTECTED),
        True,
        DnsState(wish(flags=REVERSE | PROTECTED), (wish(flags=FORWARD | PROTECTED),)),
    ),
}


@pytest.mark.parametrize(("before", "wanted", "remove", "expected"), CASES.values(), ids=CASES.keys())
def test_a_client_speaks(
    before: DnsState, wanted: Registration | None, remove: bool, expected: DnsState
) -> None:
    assert read_state(with_wish(write_state(before), wanted, remove=remove)) == expected


def test_what_must_go_is_bounded() -> None:
    dns = b""
    for number in range(20):
        dns = with_wish(dns, wish(f"host{number}.test"), remove=True)
    state = read_state(dns)
    assert [each.name for each in state.stale] == [f"host{n}.test" for n in range(19 - STALE_COUNT_MAX, 19)]


def test_work_is_written_into_what_the_lease_says_meanwhile() -> None:
    began = DnsState(wish(), (wish("old.test"),))
    reached = DnsState(wish(flags=BOTH | DONE))
    assert merged(began, began, reached) == reached
    # Its client took another name meanwhile: what was done goes, what was removed is removed.
    now = DnsState(wish("b.test"), (wish("old.test"), wish(flags=FORWARD | PROTECTED)))
    assert merged(now, began, reached) == DnsState(wish("b.test"), (wish(flags=FORWARD | PROTECTED),))
    # It ended meanwhile.
    ended = DnsState(None, (wish("old.test"), wish()))
    assert merged(ended, began, reached) == DnsState(None, (wish(),))


def test_what_a_partner_registered_is_known_and_its_to_do() -> None:
    theirs = write_state(DnsState(wish(), (wish("old.test"),)))
    known = told(b"", theirs)
    assert read_state(known) == DnsState(wish())  # what must go is its to remove
    assert not is_pending(known)
    assert is_pending(to_go_on_with(known))
    assert told(known, write_state(DnsState(wish(flags=BOTH | DONE)))) == write_state(
        DnsState(wish(flags=BOTH | DONE))
    )
    assert told(known, b"") == known


def test_what_is_being_done_here_goes_on() -> None:
    ours = write_state(DnsState(wish()))
    assert told(ours, write_state(DnsState(wish(flags=BOTH | FORWARD_DONE)))) == ours
    removing = write_state(DnsState(None, (wish("old.test"),)))
    known = told(removing, write_state(DnsState(wish())))
    assert read_state(known) == DnsState(wish(), (wish("old.test"),))
    assert is_pending(known)


@given(states, st.binary(max_size=60))
def test_whatever_a_partner_tells_is_a_state(state: DnsState, data: bytes) -> None:
    assert isinstance(read_state(told(write_state(state), b"\x10" + data)), DnsState)
