"""What a partner has is compared, shown, and taken over: of one scope or of all, asked or from a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.admin.conftest import NOW, World
from tests.admin.failover_answers import PairRole, state
from tests.admin.test_verbs_dhcp_failover import servers  # noqa: F401  # the fixture
from tests.directory.dhcp_organisation import MAC, reserve

from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.edit import with_object
from holdfast.directory.model import Organisation
from holdfast.directory.plan import plan_change
from holdfast.directory.replicate import shared_part, told_part, write_part
from holdfast.drivers.failover_requests import ASK_PARTNER, SharedQuestion, SharedTold
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal, Unavailable

Call = Callable[..., Any]


class PartnerRole(PairRole):
    """A role whose partner has another organisation."""

    def __init__(self, theirs: Organisation) -> None:
        super().__init__(state(configuration="different"))
        self.theirs = theirs

    def __call__(self, verb: str, body: bytes) -> bytes:
        if verb == ASK_PARTNER.name:
            assert ASK_PARTNER.read(body) == SharedQuestion("pair")
            (pair,) = self.theirs.failover_relationships
            return msgspec.msgpack.encode(SharedTold(write_part(told_part(self.theirs, pair, "second"))))
        return super().__call__(verb, body)


@pytest.fixture
def theirs(call: Call, store: DirectoryStore, servers: None) -> Organisation:  # noqa: F811  # the fixture
    """What the partner has: one reservation more in office, one less in hall, and another MCLT."""
    call("dhcp failover create", name="pair", partner="second", yes=True)
    before = store.read()
    (pair,) = before.failover_relationships
    theirs = dataclasses.replace(
        before,
        reservations=(reserve("192.0.2.5", MAC),),
        failover_relationships=(dataclasses.replace(pair, mclt_s=60.0),),
    )
    ours = dataclasses.replace(before, reservations=(reserve("203.0.113.5", MAC, "hall"),))
    store.apply(plan_change(before, ours), who="test", why="", at=NOW)
    return theirs


def test_one_scope_is_compared_and_taken_over(
    call: Call, store: DirectoryStore, world: World, theirs: Organisation
) -> None:
    world.dhcp = PartnerRole(theirs)
    plan = call("dhcp failover replicate-scope", name="pair", scope=["OFFICE"], plan=True)
    assert (plan.same, plan.applied) == (False, False)
    (change,) = plan.changes
    assert change.startswith('add reservation "office/192.0.2.5"')
    done = call("dhcp failover replicate-scope", name="pair", scope=["office"])
    assert done.applied
    assert [each.key for each in store.read().reservations] == ["hall/203.0.113.5", "office/192.0.2.5"]
    assert store.read().failover_relationships[0].mclt_s == 3600.0
    assert call("dhcp failover replicate-scope", name="pair", scope=["office"]).same
    with pytest.raises(
        Refusal, match=r'at the partner scope "roof" is not in .* it has "hall", "lab", "office"'
    ):
        call("dhcp failover replicate-scope", name="pair", scope=["roof"])


def test_the_relationship_is_all_its_scopes_and_its_settings(
    call: Call, store: DirectoryStore, world: World, theirs: Organisation
) -> None:
    world.dhcp = PartnerRole(theirs)
    with pytest.raises(Refusal, match="dangerous") as caught:
        call("dhcp failover replicate-relationship", name="pair")
    assert any("changes its mclt" in each.text for each in caught.value.problems)
    done = call("dhcp failover replicate-relationship", name="PAIR", yes=True)
    assert len(done.changes) == 3
    after = store.read()
    assert [each.key for each in after.reservations] == ["office/192.0.2.5"]
    assert after.failover_relationships[0].mclt_s == 60.0
    assert call("dhcp failover replicate-relationship", name="pair").same


def test_what_the_partner_tells_all_its_clients_is_shown_and_taken_over_on_request(
    call: Call, store: DirectoryStore, world: World, theirs: Organisation
) -> None:
    option = OptionValue(6, ("192.0.2.53",))
    their_server = dataclasses.replace(theirs.dhcp_server("second"), options=(option,))
    world.dhcp = PartnerRole(with_object(theirs, their_server))
    plan = call("dhcp failover replicate-relationship", name="pair", plan=True)
    assert len(plan.changes) == 3
    (more,) = plan.server_wide
    assert "dhcp server" in more
    assert "192.0.2.53" in more
    assert "replicate-relationship pair --server-wide --plan" in world.warnings[-1]
    call("dhcp failover replicate-relationship", name="pair", yes=True)
    assert store.read().dhcp_server("demo").options == ()
    done = call("dhcp failover replicate-relationship", name="pair", server_wide=True, yes=True)
    assert done.changes == plan.server_wide
    assert store.read().dhcp_server("demo").options == (option,)
    again = call("dhcp failover replicate-relationship", name="pair")
    assert (again.same, again.server_wide) == (True, [])


def test_a_file_takes_the_place_of_a_partner_that_is_not_reached(
    call: Call, store: DirectoryStore, theirs: Organisation
) -> None:
    with pytest.raises(Unavailable, match="the dhcp role is not running"):
        call("dhcp failover replicate-relationship", name="pair", plan=True)
    text = write_part(shared_part(theirs, theirs.failover_relationships[0]))
    given = {"name": "pair", "from_file": ["pair.toml", text]}
    assert len(call("dhcp failover replicate-relationship", plan=True, **given).changes) == 3
    written = call("dhcp failover write", name="pair").text
    assert call("dhcp failover replicate-relationship", name="pair", from_file=["pair.toml", written]).same
    with pytest.raises(Refusal, match='is not that of failover relationship "pair"'):
        call(
            "dhcp failover replicate-relationship",
            name="pair",
            from_file=["x", '[organisation]\nname = "x"\n'],
        )


def test_a_difference_is_shown_with_what_to_do(call: Call, world: World, theirs: Organisation) -> None:
    world.dhcp = PartnerRole(theirs)
    shown = call("dhcp failover show", name="pair")
    assert shown.configuration == "different"
    assert shown.next_step.endswith("holdfast dhcp failover replicate-relationship pair --plan")
    world.dhcp = PairRole(state(configuration="different", differences=('scope "lab" is shared here',)))
    assert call("dhcp failover show", name="pair").differences == ['scope "lab" is shared here']
    world.dhcp = PairRole(state(configuration="the same"))
    assert call("dhcp failover show", name="pair").next_step == "nothing"


def test_a_server_that_is_no_partner_sends_to_one(call: Call, world: World, theirs: Organisation) -> None:
    world.dhcp = PartnerRole(theirs)
    world.server_name = "elsewhere"
    with pytest.raises(Refusal, match="do it at one of demo and second"):
        call("dhcp failover replicate-relationship", name="pair")
