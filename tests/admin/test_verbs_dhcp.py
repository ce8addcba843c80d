"""Servers get the role dhcp and lose it, and their settings change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.dhcp import DhcpServer
from holdfast.directory.model import Role
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_role_comes_and_goes(call: Call, store: DirectoryStore) -> None:
    with pytest.raises(
        Refusal, match="no server has the role dhcp; give it to one with: holdfast dhcp enable"
    ):
        call("dhcp show")
    call("dhcp enable")
    assert Role.DHCP in store.read().servers[0].roles
    assert call("dhcp enable").applied is False
    call("dhcp set", probe_count="2", interface=["eth0"], yes=True)
    (row,) = call("dhcp list").servers
    assert (row.server, row.scope_count, row.interfaces) == ("demo", 0, ["eth0"])
    with pytest.raises(Refusal, match="dangerous"):
        call("dhcp disable", server="DEMO")
    call("dhcp disable", server="DEMO", yes=True)
    assert Role.DHCP not in store.read().servers[0].roles
    assert store.read().dhcp_servers == ()


def test_settings_change_and_are_shown(call: Call, store: DirectoryStore) -> None:
    call("dhcp enable")
    call("dhcp set", server="DEMO", probe_count="2", authoritative="no", decline="1h")
    assert store.read().dhcp_servers == (
        DhcpServer("demo", probe_count=2, authoritative=False, decline_s=3600.0),
    )
    shown = call("dhcp show")
    assert {each.name: each.value for each in shown.settings}["probe_count"] == "2"
    call("dhcp set", default=["probe-count"])
    assert store.read().dhcp_servers[0].probe_count == 0
    with pytest.raises(Refusal, match="nothing was changed") as caught:
        call("dhcp set", probe_count="6")
    assert "it is at most 5" in str(caught.value.problems[0])


def test_role_is_not_taken_while_there_are_scopes(call: Call) -> None:
    call("dhcp enable")
    call("dhcp scope add", name="office", subnet="192.0.2.0/24")
    with pytest.raises(Refusal) as caught:
        call("dhcp disable", yes=True)
    assert 'server "demo" does not have the role dhcp' in str(caught.value.problems[0])


def test_unknown_server_is_named(call: Call) -> None:
    with pytest.raises(Refusal, match='there is no server "dem"; the nearest name is "demo"'):
        call("dhcp set", server="dem", probe_count="1")
