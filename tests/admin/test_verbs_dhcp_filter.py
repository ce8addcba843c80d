"""Clients come on a list and off it, and lists are switched at each server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.dhcp import FilterAction, MacFilter
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _role(call: Call) -> None:
    call("dhcp enable")


def test_filters_come_and_go(call: Call, store: DirectoryStore) -> None:
    call("dhcp filter add", pattern=["00-1A-2B*", "02:00:00:00:00:01"], action="deny", description="old")
    call("dhcp filter add", pattern=["04*"], action="allow", server=["DEMO"])
    assert store.read().mac_filters == (
        MacFilter("00:1a:2b*", FilterAction.DENY, description="old"),
        MacFilter("02:00:00:00:00:01", FilterAction.DENY, description="old"),
        MacFilter("04*", FilterAction.ALLOW, ("demo",)),
    )
    call("dhcp filter enable", list="deny")
    rows = {each.pattern: each for each in call("dhcp filter list").filters}
    assert rows["00:1a:2b*"].on == ["demo"]
    assert rows["04*"].on == []
    # An entry is on one list: put on the other, it leaves the first.
    call("dhcp filter add", pattern=["001a2b*"], action="allow")
    assert store.read().mac_filters[0].action is FilterAction.ALLOW
    call("dhcp filter remove", pattern=["00:1A:2B*", "020000000001", "04*"])
    assert store.read().mac_filters == ()


def test_lists_are_switched_after_their_danger_was_told(call: Call, store: DirectoryStore) -> None:
    with pytest.raises(Refusal) as caught:
        call("dhcp filter enable", list="allow")
    assert [each.text for each in caught.value.problems][1] == (
        'the allow list of dhcp server "demo" is on, but empty: nobody is served; add clients with: '
        "holdfast dhcp filter add"
    )
    call("dhcp filter enable", list="allow", yes=True)
    assert store.read().dhcp_servers[0].allow_filter
    call("dhcp filter disable", list="allow", server="demo")
    assert not store.read().dhcp_servers[0].allow_filter


def test_what_is_no_pattern_is_refused(call: Call) -> None:
    with pytest.raises(Refusal) as caught:
        call("dhcp filter add", pattern=["printer"], action="deny")
    assert '"printer" is not hexadecimal digits' in str(caught.value.problems[0])
    with pytest.raises(Refusal, match='there is no mac filter "printer"'):
        call("dhcp filter remove", pattern=["printer"])
