"""Relationships come, change, are shown and go; what cannot be is refused, what is dangerous is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.admin.conftest import NOW, World
from tests.admin.failover_answers import PairRole, state

from holdfast.directory.failover import FailoverMode, FailoverRelationship
from holdfast.directory.model import Role, Scope, Server
from holdfast.directory.plan import plan_change
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range

Call = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("servers")
SUBNETS = {
    "office": "192.0.2.0/24",
    "lab": "198.51.100.0/24",
    "hall": "203.0.113.0/24",
    "attic": "10.9.0.0/24",
}


@pytest.fixture
def servers(call: Call, store: DirectoryStore) -> None:
    """The servers demo and second; office, lab and hall belong to the first, attic to the second."""
    call("dhcp enable")
    before = store.read()
    second = Server("second", "second.example.test", "Main", (Role.DHCP,), ("127.0.0.2",), metrics="")
    scopes = tuple(
        Scope(name, parse_ip_range(subnet), "second" if name == "attic" else "demo")
        for name, subnet in SUBNETS.items()
    )
    after = replace(before, servers=(*before.servers, second), scopes=scopes)
    store.apply(plan_change(before, after), who="test", why="", at=NOW)


def test_relationship_has_all_scopes_and_the_usual_settings(
    call: Call, store: DirectoryStore, world: World
) -> None:
    with pytest.raises(Refusal, match="dangerous") as caught:
        call("dhcp failover create", name="pair", partner="second")
    assert "until both have reached each other once" in str(caught.value.problems[0])
    assert call("dhcp failover create", name="pair", partner="SECOND", plan=True).applied is False
    assert call("dhcp failover create", name="pair", partner="SECOND", yes=True).applied
    assert "do not sign what they say" in world.warnings[0]
    (pair,) = store.read().failover_relationships
    assert pair == FailoverRelationship("pair", ("demo", "second"), ("office", "lab", "hall"))
    (row,) = call("dhcp failover list").relationships
    assert (row.name, row.mode, row.primary, row.secondary, row.secret) == (
        "pair",
        "load-balance",
        "demo",
        "second",
        False,
    )
    with pytest.raises(Refusal, match="there already; change it with: holdfast dhcp failover set PAIR"):
        call("dhcp failover create", name="PAIR", partner="second")


def test_all_scopes_are_those_that_can_be_shared(call: Call, store: DirectoryStore) -> None:
    before = store.read()
    pools = (parse_ip_range("10.0.0.1-10.0.0.9"), parse_ip_range("10.0.0.10-10.0.0.19"))
    halves = tuple(
        Scope(f"half-{server}", parse_ip_range("10.0.0.0/24"), server, pool)
        for server, pool in zip(("demo", "second"), pools, strict=True)
    )
    after = replace(before, scopes=(*before.scopes, *halves))
    store.apply(plan_change(before, after), who="test", why="", at=NOW)
    call("dhcp failover create", name="one", partner="second", scope=["LAB"], yes=True)
    call("dhcp failover create", name="two", server="second", partner="demo", yes=True)
    one, two = store.read().failover_relationships
    assert one.scopes == ("lab",)
    assert (two.servers, two.scopes) == (("second", "demo"), ("attic",))


def test_settings_change_and_have_their_defaults_again(call: Call, store: DirectoryStore) -> None:
    call(
        "dhcp failover create",
        name="pair",
        partner="second",
        mode="hot-standby",
        reserve_percent="10",
        mclt="30m",
        switch_over="2h",
        yes=True,
    )
    (pair,) = store.read().failover_relationships
    assert (pair.mode, pair.reserve_percent) == (FailoverMode.HOT_STANDBY, 10)
    assert (pair.mclt_s, pair.switch_over_s) == (1800.0, 7200.0)
    call("dhcp failover set", name="PAIR", split_percent="70", default=["mclt", "mode"], yes=True)
    (pair,) = store.read().failover_relationships
    assert (pair.mode, pair.split_percent, pair.mclt_s) == (FailoverMode.LOAD_BALANCE, 70, 3600.0)
    shown = call("dhcp failover show", name="pair")
    assert (shown.server, shown.partner, shown.partner_address) == ("demo", "second", "127.0.0.2")
    assert {row.name: row.value for row in shown.settings}["switch_over"] == "2h"
    with pytest.raises(Refusal) as caught:
        call("dhcp failover set", name="pair", split_percent="101", yes=True)
    assert "split_percent is 101; it is at most 100" in str(caught.value.problems[0])


def test_a_server_that_is_no_partner_is_told_so(call: Call, world: World, store: DirectoryStore) -> None:
    call("dhcp failover create", name="pair", partner="second", yes=True)
    world.server_name = "elsewhere"
    shown = call("dhcp failover show", name="pair")
    assert (shown.server, shown.partner, shown.partner_address, shown.live) == ("", "", "", False)
    assert [each.scope for each in shown.scopes] == ["office", "lab", "hall"]


def test_how_it_goes_is_shown_with_what_it_means(call: Call, world: World) -> None:
    call("dhcp failover create", name="pair", partner="second", yes=True)
    shown = call("dhcp failover show", name="pair")
    assert (shown.live, shown.state, shown.connected) == (False, "", None)
    assert "how the relationship goes is not known" in world.warnings[0]
    world.dhcp = PairRole(state(state="COMMUNICATIONS-INTERRUPTED", connected=False, trouble="no answer"))
    shown = call("dhcp failover show", name="pair")
    assert (shown.live, shown.connected, shown.trouble) == (True, False, "no answer")
    assert "the partner is not reached" in shown.meaning
    assert shown.next_step.endswith("holdfast dhcp failover partner-down pair")
    office, lab, hall = shown.scopes
    assert (office.server, office.own_free, office.partner_free, office.wanted) == ("demo", 50, 51, 50)
    assert (lab.own_free, hall.server) == (None, "demo")


def test_scopes_join_and_leave(call: Call, store: DirectoryStore) -> None:
    call("dhcp failover create", name="pair", partner="second", scope=["office"], yes=True)
    call("dhcp failover add-scope", name="pair", scope=["HALL"], yes=True)
    with pytest.raises(Refusal) as caught:
        call("dhcp failover add-scope", name="pair", scope=["attic"], yes=True)
    assert 'scope "attic" belongs to server "second", which is the secondary' in str(caught.value.problems[0])
    assert store.read().failover_relationships[0].scopes == ("office", "hall")
    with pytest.raises(Refusal, match='scope "hall" is in failover relationship "pair" already'):
        call("dhcp failover add-scope", name="pair", scope=["hall"])
    with pytest.raises(Refusal, match='scope "lab" is not in failover relationship "pair"'):
        call("dhcp failover remove-scope", name="pair", scope=["lab"])
    with pytest.raises(Refusal, match="dangerous") as caught:
        call("dhcp failover remove-scope", name="pair", scope=["hall"])
    assert 'server "demo" leases scope "hall" alone from now on' in str(caught.value.problems[0])
    call("dhcp failover remove-scope", name="pair", scope=["office", "Hall"], yes=True)
    assert store.read().failover_relationships[0].scopes == ()


@pytest.mark.parametrize("verb", ["remove-scope", "delete"])
def test_either_partner_keeps_the_scopes(call: Call, store: DirectoryStore, verb: str) -> None:
    call("dhcp failover create", name="pair", partner="second", scope=["office", "hall"], yes=True)
    more = {"scope": ["office", "hall"]} if verb == "remove-scope" else {}
    with pytest.raises(Refusal, match='there is no server "elsewhere"'):
        call(f"dhcp failover {verb}", name="pair", keeper="elsewhere", **more)
    with pytest.raises(Refusal, match="dangerous") as caught:
        call(f"dhcp failover {verb}", name="pair", keeper="second", **more)
    (problem,) = caught.value.problems
    assert problem.text.startswith('server "second" leases scopes "hall", "office" alone from now on')
    assert "first on demo" in problem.text
    call(f"dhcp failover {verb}", name="pair", keeper="SECOND", yes=True, **more)
    servers = {each.name: each.server for each in store.read().scopes}
    assert (servers["office"], servers["hall"], servers["lab"]) == ("second", "second", "demo")


def test_a_scope_is_in_one_relationship(call: Call) -> None:
    call("dhcp failover create", name="one", partner="second", scope=["office"], yes=True)
    with pytest.raises(Refusal) as caught:
        call("dhcp failover create", name="two", partner="second", scope=["office"], yes=True)
    assert 'scope "office": is in failover relationships "one" and "two"' in str(caught.value.problems[0])


def test_secret_is_set_forgotten_and_never_shown(call: Call, store: DirectoryStore, world: World) -> None:
    call("dhcp failover create", name="pair", partner="second", secret="open sesame", yes=True)
    assert world.warnings == []
    assert store.failover_secret("pair") == "open sesame"
    said = [call("dhcp failover list"), call("dhcp failover show", name="pair")]
    assert "sesame" not in str(said) + str(call("organisation history")) + call("organisation export").text
    assert said[1].secret
    with pytest.raises(Refusal, match="or --forget, not both"):
        call("dhcp failover set-secret", name="pair", secret="open sesame", forget=True)
    with pytest.raises(Refusal, match="--secret-file FILE or --ask-secret, or --forget to have none"):
        call("dhcp failover set-secret", name="pair")
    assert call("dhcp failover set-secret", name="PAIR", secret="another one").secret
    assert "while they differ, the partners refuse each other" in world.warnings[0]
    assert store.failover_secret("pair") == "another one"
    assert not call("dhcp failover set-secret", name="pair", forget=True).secret
    assert store.failover_secret("pair") is None


def test_a_secret_of_a_plan_is_not_kept(call: Call, store: DirectoryStore) -> None:
    call("dhcp failover create", name="pair", partner="second", secret="open sesame", plan=True)
    call("dhcp failover create", name="pair", partner="second", yes=True)
    assert store.failover_secret("pair") is None


def test_relationship_goes(call: Call, store: DirectoryStore) -> None:
    call("dhcp failover create", name="pair", partner="second", yes=True)
    with pytest.raises(Refusal, match="dangerous") as caught:
        call("dhcp failover delete", name="pair")
    assert [each.text for each in caught.value.problems] == [
        'server "demo" leases scopes "hall", "lab", "office" alone from now on: clients keep their '
        "addresses, and free addresses that were the partner's are leased after 1h (MCLT). Change it on both "
        "partners, first on second: one that is not told goes on leasing the same addresses, also one that "
        "is off now and comes back",
    ]
    call("dhcp failover delete", name="PAIR", yes=True)
    assert store.read().failover_relationships == ()
    with pytest.raises(Refusal, match="there is none at all yet"):
        call("dhcp failover show", name="pair")
