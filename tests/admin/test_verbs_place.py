"""Verbs about sites, servers, domains and databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.admin.context import Usage
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId

Call = Callable[..., Any]


def test_sites_come_and_go(call: Call) -> None:
    call("site add", name="berlin", subnet=["192.0.2.0/24"])
    rows = {row.name: row for row in call("site list").sites}
    assert rows["berlin"].subnets == ["192.0.2.0/24"]
    assert rows["Main"].servers == ["demo"]
    with pytest.raises(Refusal, match="there already"):
        call("site add", name="berlin")
    with pytest.raises(Refusal):
        call("site remove", name="Main", yes=True)
    call("site remove", name="berlin", yes=True)
    with pytest.raises(Refusal, match="there is no site"):
        call("site remove", name="berlin")


def test_domains_come_and_go(call: Call) -> None:
    call("domain add", name="Second.Test")
    assert [(row.name, row.kind, row.address_count) for row in call("domain list").domains] == [
        ("example.test", "authoritative", 2),
        ("second.test", "authoritative", 0),
    ]
    with pytest.raises(Refusal, match="accepted already"):
        call("domain add", name="second.test")
    with pytest.raises(Refusal, match="nothing was changed"):
        call("domain remove", name="example.test", yes=True)
    call("domain remove", name="second.test", yes=True)
    with pytest.raises(Refusal, match="there is no accepted domain"):
        call("domain remove", name="second.test")


def test_a_site_becomes_a_hub_and_gets_other_subnets(call: Call) -> None:
    call("site add", name="berlin", subnet=["192.0.2.0/24"])
    with pytest.raises(Refusal, match="dangerous"):
        call("site set", name="Berlin", hub="yes")
    call("site set", name="Berlin", hub="yes", subnet=["198.51.100.0/24"], yes=True)
    rows = {row.name: row for row in call("site list").sites}
    assert (rows["berlin"].hub, rows["berlin"].subnets) == (True, ["198.51.100.0/24"])
    call("site set", name="berlin", default=["hub", "subnet"])
    rows = {row.name: row for row in call("site list").sites}
    assert (rows["berlin"].hub, rows["berlin"].subnets) == (False, [])


def test_who_has_the_mailboxes_of_a_domain(call: Call) -> None:
    call("connector add-send", name="inside", address_space=["far.example"])
    call("domain add", name="far.example", kind="internal-relay")
    assert call("domain list").domains[-1].kind == "internal-relay"
    with pytest.raises(Refusal, match="dangerous"):
        call("domain set", name="far.example", kind="external-relay")
    call("domain set", name="FAR.example", kind="external-relay", yes=True)
    assert call("domain list").domains[-1].kind == "external-relay"


def test_servers_show_what_listens_on_them(call: Call) -> None:
    assert call("server list").servers[0].roles == ["transport", "mailbox", "access"]
    shown = call("server show", name="demo")
    assert "127.0.0.1:2525 (internet)" in shown.smtp
    assert "127.0.0.1:2143 (starttls)" in shown.imap
    assert shown.databases == ["DB01"]
    with pytest.raises(Refusal, match='did you mean "demo"'):
        call("server show", name="demmo")


def test_databases_show_what_they_hold(call: Call, world: Any) -> None:
    world.usages = {MailboxId("a" * 32): Usage(1000, 3), MailboxId("b" * 32): Usage(24, 1)}
    (row,) = call("database list").databases
    assert (row.mailbox_count, row.size_bytes, row.message_count) == (2, 1024, 4)
    assert world.progress == [(0, 1, "asking DB01")]
    world.usages = None
    shown = call("database show", name="DB01")
    assert (shown.size_bytes, shown.prohibit_send_bytes) == (None, 2 << 30)
    with pytest.raises(Refusal, match="there is no mailbox database"):
        call("database show", name="DB99")
