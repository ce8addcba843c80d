"""Which name a client gets in DNS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhcp.conversations import Client, scope
from holdfast.dhcp.client_match import Facts
from holdfast.dhcp.dns_names import NAME_CHARACTERS_MAX, ChosenName, choose_name, qualified
from holdfast.directory.dhcp import DnsUpdates
from holdfast.kernel.errors import Refusal

S, O, E, N = 1, 2, 4, 8  # noqa: E741 - the RFC's letters
NEVER, ON_REQUEST, ALWAYS = DnsUpdates.NEVER, DnsUpdates.ON_REQUEST, DnsUpdates.ALWAYS
SUFFIX, ZONES = "office.example.test", ("example.test",)


def fqdn(flags: int, name: bytes) -> bytes:
    if flags & E:
        parts = [each for each in name.split(b".") if each]
        name = b"".join(bytes((len(each),)) + each for each in parts) + (
            b"\0" if name.endswith(b".") else b""
        )
    return bytes((flags, 0, 0)) + name


def chosen(
    options: dict[int, bytes], *, zones: tuple[str, ...] = ZONES, reserved: str = "", **settings: object
) -> ChosenName | None:
    facts = Facts(Client(1).discover(options))
    return choose_name(facts, scope(**settings), suffix=SUFFIX, zones=zones, reserved_name=reserved)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("updates", "flags", "forward", "reverse"),
    [  # RFC 4702 section 4; and what Windows does
        (ON_REQUEST, S, True, True),
        (ON_REQUEST, 0, False, True),
        (ON_REQUEST, N, None, None),
        (ALWAYS, 0, True, True),
        (ALWAYS, N, True, True),
        (NEVER, S, None, None),
    ],
)
def test_who_registers_what(
    updates: DnsUpdates, flags: int, forward: bool | None, reverse: bool | None
) -> None:
    found = chosen({81: fqdn(flags | E, b"desk")}, dns_updates=updates)
    expected = None if forward is None else ChosenName("desk.office.example.test", forward, bool(reverse))
    assert found == expected


def test_a_client_that_registers_its_own_name_may_have_it_anywhere() -> None:
    assert chosen({81: fqdn(E, b"desk.other.test.")}) == ChosenName("desk.other.test", False, True)
    assert chosen({81: fqdn(E, b"desk")}, dns_reverse=False) is None


def test_clients_that_say_nothing_of_it() -> None:
    assert chosen({12: b"desk"}) is None
    wanted = {"dns_without_request": True}
    assert chosen({12: b"desk"}, **wanted) == ChosenName("desk.office.example.test", True, True)
    assert chosen({}, **wanted) is None
    assert chosen({}, reserved="printer", **wanted) == ChosenName("printer.office.example.test", True, True)
    assert chosen({12: b"desk"}, reserved="printer", **wanted) == ChosenName(
        "desk.office.example.test", True, True
    )
    assert chosen({81: fqdn(S | E, b""), 12: b"desk"}) == ChosenName("desk.office.example.test", True, True)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (b"Desk", "desk.office.example.test"),
        (b"desk.office.example.test.", "desk.office.example.test"),
        (b"desk.other.example.test", "desk.other.example.test"),
        (b"www.victim.test", "www.office.example.test"),
        (b"a.b", "a.office.example.test"),
        (b"Anna's iPhone", "anna-s-iphone.office.example.test"),
        ("Jürgens-Büro".encode(), "j-rgens-b-ro.office.example.test"),
        (b"under_score", "under-score.office.example.test"),
        (b"-dash-\0", "dash.office.example.test"),
        (b"x" * 63, "x" * 63 + ".office.example.test"),
        (b"\xff\xfea", "a.office.example.test"),
    ],
)
def test_what_dns_cannot_have_is_replaced(said: bytes, name: str) -> None:
    assert qualified(said, SUFFIX, ZONES) == name


@pytest.mark.parametrize(
    ("said", "suffix", "reason"),
    [
        (b"x" * 64, SUFFIX, "has 64 characters; DNS has room for 63"),
        ("日本".encode(), SUFFIX, "no letter or digit"),
        (b"...", SUFFIX, "no letter or digit"),
        (b"a..b", SUFFIX, "no letter or digit"),
        (b"WPAD", SUFFIX, '"wpad" is a name that other machines look for'),
        (b"isatap.office.example.test", SUFFIX, '"isatap" is a name'),
        (b"desk", "", "there is no domain for it"),
        (b"x" * 60, ".".join(["y" * 60] * 4), "the whole name has"),
    ],
)
def test_what_cannot_be_registered_is_said(said: bytes, suffix: str, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        qualified(said, suffix, ())


@given(st.binary(max_size=255), st.sampled_from(["", SUFFIX]))
def test_any_bytes_are_a_host_name_or_refused(said: bytes, suffix: str) -> None:
    try:
        name = qualified(said, suffix, ZONES)
    except Refusal:
        return
    assert len(name.encode("ascii")) <= NAME_CHARACTERS_MAX
    assert name.endswith((f".{SUFFIX}", ".example.test"))
    assert all(0 < len(each) <= 63 for each in name.split("."))
