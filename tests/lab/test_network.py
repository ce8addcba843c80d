"""The plan of a lab's network, as commands; whether they do what they should is tried in tests/interop."""

from __future__ import annotations

import pytest

from holdfast.kernel.errors import Refusal
from holdfast.lab.network import OUTSIDE, Cut, Network, cuts_between, prefix_of
from holdfast.lab.sheet import TWO_SERVERS, read_sheet

SHEET = read_sheet("name,site\nmail1,North\nmail2,South\nmail3,South\n", "lab.csv")
NETWORK = Network("3f21aa", SHEET)


def test_every_namespace_is_of_this_lab() -> None:
    made = {command[3] for command in NETWORK.up() if command[:3] == ("ip", "netns", "add")}
    assert made == {f"hf-3f21aa-{name}" for name in ("router", "mail1", "mail2", "mail3", OUTSIDE)}
    used = {command[2] for command in NETWORK.up() if command[:2] == ("ip", "-n")}
    assert used <= made


def test_a_bridge_per_site_and_a_gateway_in_each_network() -> None:
    commands = [" ".join(command) for command in NETWORK.up()]
    bridges = [each for each in commands if each.endswith("type bridge")]
    assert len(bridges) == 2
    assert "ip -n hf-3f21aa-router addr add 10.61.1.254/24 dev site1" in commands
    assert "ip -n hf-3f21aa-mail2 addr add 10.61.1.12/24 dev eth0" in commands
    assert "ip -n hf-3f21aa-mail2 route add default via 10.61.1.254" in commands
    assert "ip -n hf-3f21aa-router link set port2 master site1" in commands


def test_names_of_interfaces_fit_the_kernel() -> None:
    names = [command[5] for command in NETWORK.up() if command[3:5] == ("link", "add")]
    assert names
    assert all(len(name) <= 15 for name in names)


def test_down_takes_only_what_is_of_this_lab() -> None:
    existing = ["hf-3f21aa-mail1", "hf-3f21ab-mail1", "other"]
    assert NETWORK.down(existing) == [("ip", "netns", "del", "hf-3f21aa-mail1")]
    assert prefix_of("3f21aa") == "hf-3f21aa-"


@pytest.mark.parametrize(
    ("one", "other", "one_way", "pairs"),
    [
        ("mail1", "mail2", True, [("10.61.0.11", "10.61.1.12")]),
        ("mail1", "mail2", False, [("10.61.0.11", "10.61.1.12"), ("10.61.1.12", "10.61.0.11")]),
        ("mail1", "", True, [("10.61.0.11", "")]),
        ("mail1", "", False, [("10.61.0.11", ""), ("", "10.61.0.11")]),
        ("North", "South", True, [("10.61.0.11", "10.61.1.12"), ("10.61.0.11", "10.61.1.13")]),
        ("South", "mail2", True, [("10.61.1.13", "10.61.1.12")]),
    ],
)
def test_what_a_cut_drops(one: str, other: str, one_way: bool, pairs: list[tuple[str, str]]) -> None:
    assert [(cut.source, cut.target) for cut in cuts_between(SHEET, one, other, one_way=one_way)] == pairs


def test_a_cut_is_in_the_bridges_and_in_the_router_and_heals_the_same_way() -> None:
    for cut, words in (
        (Cut("10.61.0.11", "10.61.1.12"), "pairs { 10.61.0.11 . 10.61.1.12 }"),
        (Cut("10.61.0.11", ""), "silent { 10.61.0.11 }"),
        (Cut("", "10.61.0.11"), "deaf { 10.61.0.11 }"),
    ):
        begun = [command[-1] for command in NETWORK.cut(cut)]
        assert begun == [f"add element {family} lab {words}" for family in ("bridge", "inet")]
        ended = [command[-1] for command in NETWORK.heal(cut)]
        assert ended == [each.replace("add", "delete", 1) for each in begun]


def test_a_server_that_is_not_there_cannot_be_cut() -> None:
    with pytest.raises(Refusal, match='no server "mail9"'):
        cuts_between(TWO_SERVERS, "mail9", "", one_way=False)
