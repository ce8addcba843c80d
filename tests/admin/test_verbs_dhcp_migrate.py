"""One scope of two halves by verbs: the plan, the merge, the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.admin.conftest import World
from tests.admin.dhcp_answers import DhcpRole, lease
from tests.admin.test_verbs_dhcp_import import packed

from dhcp.moving_samples import WINDOWS
from holdfast.directory.model import Organisation, Reservation, Scope
from holdfast.directory.model import Role as ServerRole
from holdfast.directory.plan import plan_change
from holdfast.drivers.dhcp_requests import IMPORT_LEASES, LeasesImported
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.iprange import parse_ip_range

Call = Callable[..., Any]
SUBNET = parse_ip_range("10.0.0.0/16")
LEASES = b"""lease 10.0.0.9 {
  ends 6 2036/11/21 01:17:19;
  binding state active;
  hardware ethernet 02:00:00:00:00:09;
}
"""


class Role(DhcpRole):
    """A role that leases, and that leases arrive in."""

    arrived: tuple[Any, ...] = ()

    def __call__(self, verb: str, body: bytes) -> bytes:
        if verb == IMPORT_LEASES.name:
            self.arrived += IMPORT_LEASES.read(body).leases
            return msgspec.msgpack.encode(LeasesImported(len(self.arrived), ()))
        return super().__call__(verb, body)


def change(store: DirectoryStore, after: Organisation) -> None:
    plan = plan_change(store.read(), after)
    assert plan.problems == ()
    store.apply(plan, who="test", why="", at=0.0)


@pytest.fixture
def halves(store: DirectoryStore, world: World) -> Organisation:
    """A subnet that "old" leases 20 % of, and this server 80 %."""
    before = store.read()
    here = replace(before.servers[0], roles=(*before.servers[0].roles, ServerRole.DHCP))
    old = replace(here, name="old", fqdn="old.example.test", roles=(ServerRole.DHCP,), imap=())
    whole = parse_ip_range("10.0.0.1-10.0.4.255")
    scopes = (
        Scope("office20", SUBNET, "old", whole, exclusions=(parse_ip_range("10.0.1.0-10.0.4.255"),)),
        Scope("office80", SUBNET, here.name, whole, exclusions=(parse_ip_range("10.0.0.1-10.0.0.255"),)),
    )
    reservations = (Reservation("office20", IPv4Address("10.0.0.5"), "02:00:00:00:00:05"),)
    change(store, replace(before, servers=(here, old), scopes=scopes, reservations=reservations))
    world.dhcp = Role(lease("10.0.1.7", "02:00:00:00:00:07", scope="office80"))
    return store.read()


def test_two_scopes_of_ours_become_one_and_two_again(
    call: Call, halves: Organisation, world: World, tmp_path: Path, store: DirectoryStore
) -> None:
    given = {
        "source": "office20",
        "destination": "office80",
        "leases": [packed(tmp_path, "a.leases", LEASES)],
    }
    plan = call("dhcp migrate split-scope", **given)
    assert (plan.applied, plan.backup, plan.conflicts) == (False, "", [])
    assert store.read() == halves
    (row,) = plan.scopes
    assert (row.pool, row.exclusions, row.reservation_count, row.lease_count) == (
        "10.0.0.1-10.0.4.255",
        [],
        1,
        1,
    )
    done = call("dhcp migrate split-scope", yes=True, why="one server", relationship="pair", **given)
    assert done.applied
    after = store.read()
    assert [(each.name, each.exclusions) for each in after.scopes] == [("office80", ())]
    assert [each.scope for each in after.reservations] == ["office80"]
    (pair,) = after.failover_relationships
    assert (pair.servers, pair.scopes) == ((halves.servers[0].name, "old"), ("office80",))
    assert [each.mac.hex() for each in world.dhcp.arrived] == ["020000000009"]  # type: ignore[union-attr]  # Role
    assert (tmp_path / "backups" / done.backup).stat().st_mode & 0o077 == 0
    assert str(done.revision) in done.next_step
    undone = call("dhcp migrate undo", yes=True)
    assert undone.applied
    back = store.read()
    assert (back.scopes, back.reservations, back.failover_relationships) == (
        halves.scopes,
        halves.reservations,
        (),
    )


def test_two_servers_are_all_their_common_subnets(call: Call, halves: Organisation) -> None:
    here = halves.servers[0].name
    plan = call("dhcp migrate split-scope", source="old", destination=here, without_leases=True)
    assert [each.scope for each in plan.scopes] == ["office80"]
    with pytest.raises(Refusal, match="have no subnet in common"):
        call("dhcp migrate split-scope", source=here, destination=here, without_leases=True)


def test_contradictions_stop_it_until_somebody_decides(
    call: Call, halves: Organisation, world: World, tmp_path: Path, store: DirectoryStore
) -> None:
    stranger = LEASES.replace(b"10.0.0.9", b"10.0.1.7")
    given = {
        "source": "office20",
        "destination": "office80",
        "leases": [packed(tmp_path, "a.leases", stranger)],
    }
    plan = call("dhcp migrate split-scope", **given)
    assert [each.subject for each in plan.conflicts] == ["10.0.1.7"]
    with pytest.raises(Refusal, match="nothing was changed: 1 conflicts"):
        call("dhcp migrate split-scope", yes=True, **given)
    assert store.read() == halves
    assert call(
        "dhcp migrate split-scope", yes=True, prefer="destination", exclusions=["10.0.3.0/24"], **given
    ).applied
    assert store.read().scopes[0].exclusions == (parse_ip_range("10.0.3.0/24"),)


def test_kea_leases_and_no_role(call: Call, halves: Organisation, world: World, tmp_path: Path) -> None:
    csv = (
        b"address,hwaddr,client_id,valid_lifetime,expire,subnet_id\n"
        b"10.0.0.9,02:00:00:00:00:09,,60,2100000000,1\n"
    )
    given = {"source": "office20", "destination": "office80", "leases": [packed(tmp_path, "a.csv", csv)]}
    assert call("dhcp migrate split-scope", **given).scopes[0].lease_count == 1
    world.dhcp = None
    with pytest.raises(Unavailable, match="whether leases contradict each other is not known"):
        call("dhcp migrate split-scope", **given)
    call("dhcp migrate split-scope", source="office20", destination="office80", without_leases=True)
    assert "is not known" in world.warnings[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give --source and --destination"),
        ({"source": "office20"}, "give --source and --destination"),
        ({"source": "office20", "destination": "office80"}, "holdfast dhcp export isc dhcpd.leases --leases"),
        (
            {"source": "office80", "destination": "office20", "without_leases": True},
            'the leases go to server "old"',
        ),
        ({"source": "office80", "destination": "office80", "without_leases": True}, "are of one server"),
        (
            {
                "source": "office20",
                "destination": "office80",
                "without_leases": True,
                "exclusions": ["192.0.2.0/24"],
            },
            "the exclusion 192.0.2.0/24 lies in none of the scopes",
        ),
        ({"source": "nowhere", "destination": "office80", "without_leases": True}, "nowhere"),
    ],
)
def test_what_cannot_be_merged_says_why(
    call: Call, halves: Organisation, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refusal) as caught:
        call("dhcp migrate split-scope", **given)
    assert said in caught.value.text


def test_a_relationship_of_other_servers_is_refused(
    call: Call, halves: Organisation, store: DirectoryStore
) -> None:
    from holdfast.directory.model import FailoverRelationship

    third = replace(halves.servers[1], name="third", fqdn="third.example.test")
    pair = FailoverRelationship("pair", ("old", "third"))
    change(store, replace(halves, servers=(*halves.servers, third), failover_relationships=(pair,)))
    with pytest.raises(Refusal, match='failover relationship "pair" is of old and third'):
        call(
            "dhcp migrate split-scope",
            source="office20",
            destination="office80",
            without_leases=True,
            relationship="PAIR",
        )


def test_undo_tells_what_it_undoes_besides(
    call: Call, halves: Organisation, world: World, store: DirectoryStore
) -> None:
    with pytest.raises(Refusal, match="there is no migration of revision 0 to undo; there is one of: none"):
        call("dhcp migrate undo")
    done = call(
        "dhcp migrate split-scope", source="office20", destination="office80", without_leases=True, yes=True
    )
    call("dhcp scope set", name="office80", description="new")
    plan = call("dhcp migrate undo", plan=True)
    assert any('changed scope "office80" since' in each for each in plan.dangers)
    with pytest.raises(Refusal, match="there is no migration of revision 1 to undo"):
        call("dhcp migrate undo", revision=1)
    assert call("dhcp migrate undo", revision=done.revision, yes=True).applied


def test_two_windows_exports(call: Call, world: World, tmp_path: Path, store: DirectoryStore) -> None:
    call("dhcp enable")
    world.dhcp = Role()
    text = WINDOWS.decode()
    # The other half: the printer's reservation as well, other exclusions, one lease.
    other = text.replace(
        "<StartRange>192.0.2.20</StartRange><EndRange>192.0.2.29</EndRange>",
        "<StartRange>192.0.2.20</StartRange><EndRange>192.0.2.24</EndRange>",
    ).replace("192.0.2.60", "192.0.2.70")
    given = {
        "source_export": packed(tmp_path, "old.xml", other.encode()),
        "destination_export": packed(tmp_path, "main.xml", text.encode()),
    }
    plan = call("dhcp migrate split-scope", scope=["Office"], **given)
    (row,) = plan.scopes
    assert (row.scope, row.exclusions) == ("Office", ["192.0.2.20-192.0.2.24"])
    assert plan.conflicts == []
    done = call("dhcp migrate split-scope", yes=True, **given)
    assert [each.scope for each in done.scopes] == ["Office", "Office (198.51.100.0/24)"]
    assert len(store.read().reservations) == 3
    assert {str(IPv4Address(each.address)) for each in world.dhcp.arrived} >= {"192.0.2.60", "192.0.2.70"}
    for wrong, said in (
        ({"source_export": given["source_export"]}, "give both"),
        (given | {"source": "x"}, "give both"),
        (given | {"scope": ["10.0.0.0/8"]}, "have no subnet in common, or none that was named"),
    ):
        with pytest.raises(Refusal, match=said):
            call("dhcp migrate split-scope", **wrong)
