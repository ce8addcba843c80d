"""Names of clients, and what they are told about them (RFC 4702 section 4)."""

from __future__ import annotations

import pytest

from dhcp.conversations import Client
from holdfast.dhcp.client_match import Facts
from holdfast.dhcp.names import answer_name, host_name_of
from holdfast.directory.dhcp import DnsUpdates

S, O, E, N = 1, 2, 4, 8  # noqa: E741 - the letters of the standard


def facts(options: dict[int, bytes]) -> Facts:
    return Facts(Client(1).discover(options))


@pytest.mark.parametrize(
    ("updates", "registers", "asked", "answered"),
    [
        (DnsUpdates.ON_REQUEST, True, S, S),
        (DnsUpdates.ON_REQUEST, True, 0, 0),
        (DnsUpdates.ON_REQUEST, True, N, N),
        (DnsUpdates.ALWAYS, True, 0, S | O),
        (DnsUpdates.ALWAYS, True, S, S),
        (DnsUpdates.NEVER, True, S, N | O),
        (DnsUpdates.ON_REQUEST, False, S, N | O),
        (DnsUpdates.ON_REQUEST, False, 0, N),
    ],
)
def test_flags(updates: DnsUpdates, registers: bool, asked: int, answered: int) -> None:
    value = answer_name(facts({81: bytes((asked | E, 0, 0)) + b"\x04host\0"}), updates, registers=registers)
    assert value == bytes((answered | E, 255, 255)) + b"\x04host\0"


def test_no_answer_to_what_is_no_name() -> None:
    assert answer_name(facts({}), DnsUpdates.ALWAYS, registers=True) is None
    assert answer_name(facts({81: b"\x04\0\0\x40x"}), DnsUpdates.ALWAYS, registers=True) is None


def test_host_names() -> None:
    assert host_name_of(facts({12: b"host\0"})) == b"host"
    assert host_name_of(facts({81: b"\x04\0\0\x04host\x03lab\0"})) == b"host.lab"
    assert host_name_of(facts({81: b"\x04"})) == b""
    assert host_name_of(facts({})) == b""
    assert host_name_of(facts({12: b"x" * 300})) == b"x" * 255


def test_a_client_hears_its_whole_name_in_the_form_that_it_uses() -> None:
    told = {"registers": True, "name": "host.example.test"}
    encoded = answer_name(facts({81: bytes((S | E, 0, 0)) + b"\x04host"}), DnsUpdates.ON_REQUEST, **told)  # type: ignore[arg-type]  # by name
    assert encoded == bytes((S | E, 255, 255)) + b"\x04host\x07example\x04test\0"
    plain = answer_name(facts({81: bytes((0, 0, 0)) + b"host"}), DnsUpdates.ALWAYS, **told)  # type: ignore[arg-type]  # by name
    assert plain == bytes((S | O, 255, 255)) + b"host.example.test."
