"""``holdfast dhcp probe`` on the command line: who is known, and what is shown. At work: tests/interop."""

from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from holdfast.cli.dhcp_probe import known_servers, probe_result
from holdfast.cli.main import DONE, REFUSED, run
from holdfast.dhcp.server_search import Finding, Known

Capture = pytest.CaptureFixture[str]
OURS = IPv4Address("10.0.0.1")
FINDING = Finding(
    OURS, OURS, b"\x02\0\0\0\0\x07", None, "OFFER", IPv4Address("10.0.0.9"), (IPv4Address("10.0.0.254"),), (),
    3600.0, 0.01234,
)  # fmt: skip
ROGUE = replace(FINDING, server=IPv4Address("10.0.0.66"), source=IPv4Address("10.0.0.66"), lease_s=math.inf)


def test_rogues_come_first_and_are_counted() -> None:
    known = Known({OURS: "ns1"}, frozenset(), is_complete=True)
    result = probe_result([("eth0", FINDING), ("eth1", ROGUE)], known, "")
    assert (result.server_count, result.rogue_count) == (2, 1)
    first, second = result.servers
    assert (first.standing, first.interface, first.lease_s, first.name) == ("rogue", "eth1", None, "")
    assert first.why == "no server of the organisation, and not named with --known"
    assert (second.standing, second.name, second.why, second.lease_s) == ("ours", "ns1", "", 3600.0)
    assert (second.mac, second.offers, second.after_s) == ("02:00:00:00:00:07", "10.0.0.9", 0.012)


def test_nobody_to_compare_with(tmp_path: Path) -> None:
    known, note = known_servers(tmp_path, [])
    assert not known.is_complete
    assert f"no server answers at {tmp_path}" in note
    known, note = known_servers(tmp_path, ["10.0.0.7"])
    assert (known.named, known.is_complete, note) == (frozenset({IPv4Address("10.0.0.7")}), True, "")


def test_what_the_organisation_knows(home: Path, capsys: Capture) -> None:
    known, note = known_servers(home, [])
    assert (known.is_complete, note) == (
        False, "no server of the organisation leases addresses, and none was named with --known",
    )  # fmt: skip
    assert run(["--home", str(home), "dhcp", "enable", "--yes"]) == DONE
    assert run(["--home", str(home), "server", "set", "demo", "--default", "address", "--yes"]) == DONE
    known, note = known_servers(home, [])
    assert not known.is_complete
    assert note.endswith(
        "so nobody is called a rogue; declare it: holdfast server set demo --address ADDRESS"
    )
    declare = ["server", "set", "demo", "--address", "10.0.0.1", "--address", "2001:db8::1", "--yes"]
    assert run(["--home", str(home), *declare]) == DONE, capsys.readouterr().err
    known, note = known_servers(home, [])
    assert (known.ours, known.is_complete, note) == ({OURS: "demo"}, True, "")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--interface", "nosuch"), 'there is no interface "nosuch"'),
        (("--wait", "0s"), "wait: 0 s is not between 0 and an hour"),
        (("--wait", "2h"), "wait: 7200 s is not between 0 and an hour"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], text: str, capsys: Capture) -> None:
    assert run(["dhcp", "probe", *words]) == REFUSED
    assert text in capsys.readouterr().err
