"""Clients that decline everything."""

from __future__ import annotations

from holdfast.dhcp import declines
from holdfast.dhcp.declines import DECLINES_MAX, PUT_OFF_S, WINDOW_S, Declines


def test_who_declines_in_a_row_is_put_off_for_a_while() -> None:
    seen = Declines()
    assert [seen.declined(0, b"a") for _ in range(DECLINES_MAX)] == [0] * (DECLINES_MAX - 1) + [DECLINES_MAX]
    assert seen.is_put_off(PUT_OFF_S - 1, b"a")
    assert not seen.is_put_off(1, b"b")
    assert not seen.is_put_off(PUT_OFF_S + 1, b"a")
    assert not seen.is_put_off(1, b"a")


def test_who_keeps_an_address_or_declines_seldom_is_not() -> None:
    seen = Declines()
    for _ in range(3 * DECLINES_MAX):
        assert seen.declined(0, b"a") == 0
        seen.kept(b"a")
    assert [seen.declined(number * WINDOW_S * 1.1, b"b") for number in range(10)] == [0] * 10


def test_what_is_remembered_is_bounded() -> None:
    seen = Declines()
    for number in range(declines.CLIENTS_MAX + 50):
        for _ in range(DECLINES_MAX - 1):
            seen.declined(0, number.to_bytes(4, "big"))
    assert len(seen._counts) == declines.CLIENTS_MAX
