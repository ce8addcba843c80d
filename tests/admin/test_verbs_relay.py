"""Relaying is opened on purpose and said in plain words; passwords are kept out of sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.admin.verbs_relay import the_server
from holdfast.directory.model import Organisation, PermissionGroup, TlsMode, Usage
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_a_relay_connector_shares_the_port_of_the_internet(call: Call, store: DirectoryStore) -> None:
    planned = call("connector allow-relay", name="scanners", remote_range=["192.0.2.64/28"], plan=True)
    assert not planned.applied
    assert planned.opens[0] == (
        "whoever connects from 192.0.2.64/28 (16 addresses) to 127.0.0.1:2525 may send mail to any address "
        "in the world, as any sender, without a password"
    )
    assert len(store.read().receive_connectors) == 3
    assert call("connector allow-relay", name="scanners", remote_range=["192.0.2.64/28"]).applied
    relay = store.read().receive_connectors[-1]
    assert (relay.name, relay.bindings, relay.usage) == ("scanners", ("127.0.0.1:2525",), Usage.RELAY)
    assert (relay.anonymous_relay, relay.permission_groups) == (True, (PermissionGroup.ANONYMOUS,))
    assert relay.tls is TlsMode.STARTTLS
    result = call("connector allow-relay", name="Scanners", remote_range=["192.0.2.99", "192.0.2.64/28"])
    assert [line.split(" (")[0] for line in result.opens[:2]] == [
        "whoever connects from 192.0.2.64/28",
        "whoever connects from 192.0.2.99",
    ]
    assert "(1 address)" in result.opens[1]
    assert [str(each) for each in store.read().receive_connectors[-1].remote_ranges] == [
        "192.0.2.64/28",
        "192.0.2.99",
    ]


def test_a_wide_range_needs_yes(call: Call, store: DirectoryStore) -> None:
    wide = {"name": "all", "remote_range": ["0.0.0.0/1"], "binding": ["127.0.0.1:2600"]}
    with pytest.raises(Refusal, match="dangerous") as caught:
        call("connector allow-relay", **wide)
    assert "is an open relay: anybody in 0.0.0.0/1" in str(caught.value.problems[0])
    assert call("connector allow-relay", **wide, yes=True).dangers
    with pytest.raises(Refusal, match="is there already; change where it listens"):
        call("connector allow-relay", **wide)


def test_two_halves_of_a_wide_range_need_yes(call: Call) -> None:
    halves = {"remote_range": ["10.0.0.0/8", "11.0.0.0/8"], "binding": ["127.0.0.1:2600"]}
    with pytest.raises(Refusal, match="dangerous") as caught:
        call("connector allow-relay", name="all", **halves)
    assert "is an open relay: anybody in 10.0.0.0/7" in str(caught.value.problems[0])
    assert call(
        "connector allow-relay", name="half", remote_range=["10.0.0.0/8"], binding=["127.0.0.1:2600"]
    ).applied
    with pytest.raises(Refusal, match="dangerous"):
        call("connector allow-relay", name="half", remote_range=["11.0.0.0/8"])


def test_other_verbs_say_what_a_relay_opens(call: Call) -> None:
    on, door = {"anonymous_relay": "yes"}, {"name": "new", "binding": ["127.0.0.1:2600"]}
    said = (
        "whoever connects from 127.0.0.0/8 (16777216 addresses) to 127.0.0.1:2600 may send mail to any "
        "address in the world, as any sender, without a password"
    )
    for plan in (True, False):
        added = call(
            "connector add-receive", **door, **on, usage="relay", remote_range=["127.0.0.0/8"], plan=plan
        )
        assert (added.applied, added.opens[0]) == (not plan, said)
    assert call("connector set", name="new", tarpit="1s").opens == []
    with pytest.raises(Refusal, match="dangerous"):
        call("connector set", name="new", remote_range=["127.0.0.0/8", "126.0.0.0/8"])
    further = call("connector set", name="new", remote_range=["127.0.0.0/9", "192.0.2.1"])
    assert [line.split(" (")[0] for line in further.opens[:-1]] == ["whoever connects from 192.0.2.1"]
    call("connector disable", name="new", yes=True)
    assert len(call("connector enable", name="new").opens) == 3
    call("connector set", name="new", anonymous_relay="no", permission_group=["anonymous", "users"])
    assert len(call("connector set", name="new", **on).opens) == 3


def test_a_connector_for_everybody_is_not_made_a_relay(call: Call) -> None:
    with pytest.raises(Refusal, match=r"serves 0.0.0.0/0, and all of it could relay; choose a new name"):
        call("connector allow-relay", name="internet", remote_range=["192.0.2.1"])


def test_a_connector_for_known_hosts_becomes_a_relay(call: Call, store: DirectoryStore) -> None:
    for name, port, settings in (
        ("users", 2601, {"permission_group": ["users"], "require_tls": "yes"}),
        ("client2", 2602, {"usage": "client"}),
        ("plain", 2603, {}),
    ):
        call(
            "connector add-receive",
            name=name,
            binding=[f"127.0.0.1:{port}"],
            remote_range=["192.0.2.0/28"],
            **settings,
        )
        result = call("connector allow-relay", name=name, remote_range=["192.0.2.0/28"])
        assert ("only under TLS" in result.opens) == (name == "users")
    groups = {each.name: each.permission_groups for each in store.read().receive_connectors}
    assert groups["users"] == groups["client2"] == (PermissionGroup.USERS, PermissionGroup.ANONYMOUS)
    assert groups["plain"] == ()


def test_a_server_without_a_port_for_the_internet(call: Call, store: DirectoryStore) -> None:
    call("connector remove", name="internet", yes=True)
    with pytest.raises(Refusal, match="say where to listen with --binding"):
        call("connector allow-relay", name="scanners", remote_range=["192.0.2.1"])
    call("connector allow-relay", name="scanners", remote_range=["192.0.2.1"], binding=["127.0.0.1:2526"])
    assert store.read().receive_connectors[-1].bindings == ("127.0.0.1:2526",)


def test_which_server() -> None:
    assert the_server(Organisation(), "a") == "a"
    with pytest.raises(Refusal, match="there are 0 servers; say which one with --server"):
        the_server(Organisation(), None)


def test_password_of_a_send_connector(call: Call, store: DirectoryStore, world: Any) -> None:
    call("connector add-send", name="out", address_space=["*"], smart_host=["smart.example.com"])
    with pytest.raises(Refusal, match="give the password with --password-file"):
        call("connector set-password", name="out")
    with pytest.raises(Refusal, match="not both"):
        call("connector set-password", name="out", password="open sesame", forget=True)
    result = call("connector set-password", name="Out", password="open sesame")
    assert (result.name, result.has_password) == ("out", True)
    assert "--auth basic-require-tls --user NAME" in world.warnings[0]
    assert store.connector_password("out") == "open sesame"
    shown = {row.name: row.value for row in call("connector show", name="out").settings}
    assert shown["password"] == "set"
    assert "sesame" not in call("organisation export").text
    assert "sesame" not in str(call("organisation history"))
    assert not call("connector set-password", name="out", forget=True).has_password
    assert store.connector_password("out") is None
    with pytest.raises(Refusal, match="there is no send connector"):
        call("connector set-password", name="internet", password="open sesame")


def test_no_warning_where_the_connector_signs_in(call: Call, world: Any) -> None:
    call(
        "connector add-send",
        name="out",
        address_space=["*"],
        smart_host=["smart.example.com"],
        auth="basic-require-tls",
        user="us",
    )
    call("connector set-password", name="out", password="open sesame")
    assert world.warnings == []
