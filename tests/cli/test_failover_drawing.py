"""A relationship is drawn with both servers, the link, and both states marked."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from holdfast.admin.failover_words import STATES
from holdfast.admin.results_dhcp_failover import FailoverShown
from holdfast.cli.failover_drawing import WEB, draw, servers, web


def shown(**changes: object) -> FailoverShown:
    values: dict[str, object] = dict.fromkeys(FailoverShown.__struct_fields__, "") | {
        "name": "pair",
        "primary": "ns1",
        "secondary": "ns2",
        "server": "ns2",
        "partner": "ns1",
        "live": True,
        "state": "COMMUNICATIONS-INTERRUPTED",
        "partner_state": "NORMAL",
        "connected": False,
    }
    return FailoverShown(**(values | changes))  # type: ignore[arg-type]  # as drawn


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_in_the_web_and_is_marked(state: str) -> None:
    assert sum(f"[{state}]" in line for line in web(state, "")) == 1
    assert sum(f"({state})" in line for line in web("", state)) == 1
    assert sum(f"[({state})]" in line for line in web(state, state)) == 1
    assert [len(line) for line in web(state, state)] == [len(line) for line in WEB.splitlines()]


def test_nothing_is_marked_where_nothing_is_known() -> None:
    assert web("", "") == WEB.splitlines()
    assert web("MCLT", "DREAMING") == WEB.splitlines()


def test_two_boxes_and_the_link_between_them() -> None:
    lines = servers(shown(connected=True, state="NORMAL", partner_state=""))
    assert len({len(line) for line in lines}) == 1
    assert "ns2 (secondary), this server" in lines[1]
    assert "ns1 (primary)" in lines[1]
    assert "NORMAL" in lines[2]
    assert "<========>" in lines[2]
    assert "never seen" in lines[2]
    assert "<==    ==>" in servers(shown())[2]


def test_picture_is_printed_only_with_a_role_that_answers() -> None:
    for live in (False, True):
        out = io.StringIO()
        draw(shown(live=live), Console(file=out, width=200))
        assert ("[COMMUNICATIONS-INTERRUPTED]" in out.getvalue()) is live
        assert ("(NORMAL)" in out.getvalue()) is live
