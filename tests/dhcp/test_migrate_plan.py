"""What an arrival makes of an organisation that has something already."""

from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from dhcp.moving_samples import EMPTY, ISC, KEA, WINDOWS
from holdfast.dhcp.migrate_isc import arrive_from_isc
from holdfast.dhcp.migrate_kea import arrive_from_kea
from holdfast.dhcp.migrate_plan import keys_of, plan_arrival
from holdfast.dhcp.migrate_windows import arrive_from_windows
from holdfast.dhcp.moving import Arrival, LeaseState, MovedLease
from holdfast.directory.checks import check_organisation
from holdfast.directory.dhcp import (
    Condition,
    ConditionField,
    DhcpServer,
    FilterAction,
    MacFilter,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range
from holdfast.wire import isc_conf, kea_config, windows_dhcp_export

SUBNET = parse_ip_range("192.0.2.0/24")
OFFICE = Scope("Office", SUBNET, "dhcp1", parse_ip_range("192.0.2.10-192.0.2.99"))
MAC = bytes.fromhex("020000000001")
SAMPLES = {
    "isc": arrive_from_isc(isc_conf.read_configuration(ISC), server="dhcp1"),
    "kea": arrive_from_kea(kea_config.read_configuration(KEA), name="k", server="dhcp1")[0],
    "windows": arrive_from_windows(windows_dhcp_export.read_export(WINDOWS), name="w", server="dhcp1"),
}


def arrival(**parts: object) -> Arrival:
    return Arrival(DhcpServer("dhcp1"), **parts)  # type: ignore[arg-type]  # fields of Arrival


def lease(
    address: str, mac: bytes = MAC, ends_at: float = 100.0, state: LeaseState = LeaseState.ACTIVE
) -> MovedLease:
    return MovedLease(int(IPv4Address(address)), state, 1, mac, b"", 0.0, ends_at, b"", 5)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_moves_into_an_empty_organisation_and_again_changes_nothing(name: str) -> None:
    plan = plan_arrival(EMPTY, SAMPLES[name], 0.0)
    assert plan.conflicts == []
    assert list(check_organisation(plan.after)) == []
    assert plan.counts["scopes"] == len(SAMPLES[name].scopes)
    again = plan_arrival(plan.after, SAMPLES[name], 0.0)
    assert again.conflicts == []
    assert again.after == plan.after
    assert {key: value for key, value in again.counts.items() if value and "lease" not in key} in (
        {},
        {"remembered clients": 1, "declined addresses": 1},
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_on_a_second_server_conflicts_where_it_leases_the_same(name: str) -> None:
    one = plan_arrival(EMPTY, SAMPLES[name], 0.0).after
    other = replace(SAMPLES[name], server=replace(SAMPLES[name].server, server="dhcp2"))
    other = replace(other, scopes=[replace(each, server="dhcp2") for each in other.scopes])
    problems = [str(each) for each in check_organisation(plan_arrival(one, other, 0.0).after)]
    assert any("lease the same addresses" in each for each in problems)


def test_a_scope_with_other_settings_is_a_conflict_that_says_which() -> None:
    here = replace(EMPTY, scopes=(OFFICE,))
    arriving = replace(OFFICE, name="bureau", lease_s=60.0)
    plan = plan_arrival(here, arrival(scopes=[arriving]), 0.0)
    (conflict,) = plan.conflicts
    assert conflict.subject == 'scope "Office"'
    assert conflict.text == "is there already for 192.0.2.0/24, with other settings: lease_s"
    assert plan.after.scopes == (OFFICE,)


def test_names_that_are_taken_get_another() -> None:
    other = Scope("OFFICE", parse_ip_range("198.51.100.0/24"), "dhcp1")
    here = replace(EMPTY, scopes=(OFFICE,))
    reservation = Reservation("OFFICE", IPv4Address("198.51.100.9"), "02:00:00:00:00:09")
    plan = plan_arrival(here, arrival(scopes=[other], reservations=[reservation]), 0.0)
    assert [each.name for each in plan.after.scopes] == ["Office", "OFFICE (198.51.100.0/24)"]
    assert plan.after.reservations[0].scope == "OFFICE (198.51.100.0/24)"


def test_classes_go_by_what_clients_send() -> None:
    here = replace(
        EMPTY,
        dhcp_classes=(DhcpClass("pxe", ClassKind.VENDOR, "PXEClient"), DhcpClass("lab", ClassKind.USER, "x")),
    )
    policy = Policy(
        "p",
        (
            Condition(ConditionField.VENDOR_CLASS, ("boot*",)),
            Condition(ConditionField.USER_CLASS, ("lab",)),
            Condition(ConditionField.MAC, ("02*",)),
        ),
        options=(OptionValue(12, ("a",), user_class="lab"),),
    )
    arriving = arrival(
        classes=[
            DhcpClass("boot", ClassKind.VENDOR, "0x505845436c69656e74"),
            DhcpClass("lab", ClassKind.USER, "y"),
        ],
        scopes=[replace(OFFICE, policies=(policy,))],
        definitions=[OptionDefinition(7, "v", (OptionType.TEXT,), vendor_class="boot")],
    )
    plan = plan_arrival(here, arriving, 0.0)
    assert [each.name for each in plan.after.dhcp_classes] == ["pxe", "lab", "lab (user)"]
    (moved,) = plan.after.scopes[0].policies
    assert [each.values for each in moved.conditions] == [("pxe*",), ("lab (user)",), ("02*",)]
    assert moved.options[0].user_class == "lab (user)"
    assert plan.after.option_definitions[0].vendor_class == "pxe"
    assert list(check_organisation(plan.after)) == []


def test_definitions_of_another_form_conflict() -> None:
    ours = (
        OptionDefinition(224, "a", (OptionType.TEXT,)),
        OptionDefinition(225, "b", (OptionType.ADDRESS,)),
        OptionDefinition(226, "c", (OptionType.HEX,)),
    )
    arriving = [
        OptionDefinition(224, "z", (OptionType.TEXT,)),
        OptionDefinition(225, "b", (OptionType.ADDRESS,), array=True),
        OptionDefinition(227, "C", (OptionType.HEX,)),
    ]
    plan = plan_arrival(replace(EMPTY, option_definitions=ours), arrival(definitions=arriving), 0.0)
    assert [each.text for each in plan.conflicts] == ["arrives as an array of address, and is address here"]
    assert [each.name for each in plan.after.option_definitions] == ["a", "b", "c", "C-227"]


def test_reservations_of_a_scope_that_is_here() -> None:
    def reservation(address: str, mac: str, client_id: str = "") -> Reservation:
        return Reservation("Office", IPv4Address(address), mac, client_id=client_id, name="x")

    same, ours = reservation("192.0.2.5", "02:00:00:00:00:05"), reservation("192.0.2.6", "02:00:00:00:00:06")
    here = replace(EMPTY, scopes=(OFFICE,), reservations=(same, ours))
    theirs, new = reservation("192.0.2.6", "", "01:02"), reservation("192.0.2.7", "02:00:00:00:00:07")
    plan = plan_arrival(here, arrival(scopes=[OFFICE], reservations=[same, theirs, new]), 0.0)
    assert [each.text for each in plan.conflicts] == [
        'arrives for client id 01:02 ("x"), and is for hardware address 02:00:00:00:00:06 ("x") here'
    ]
    assert plan.after.reservations == (same, ours, new)


def test_filters_and_server_settings() -> None:
    ours = DhcpServer("dhcp1", probe_count=1, options=(OptionValue(3, ("192.0.2.1",)),))
    here = replace(
        EMPTY,
        dhcp_servers=(ours, DhcpServer("dhcp2", probe_count=2)),
        mac_filters=(MacFilter("02*", FilterAction.DENY), MacFilter("03*", FilterAction.DENY)),
    )
    theirs = DhcpServer(
        "dhcp1",
        probe_count=3,
        audit_log=False,
        options=(OptionValue(3, ("192.0.2.2",)), OptionValue(6, ("192.0.2.3",))),
    )
    filters = [
        MacFilter("02*", FilterAction.ALLOW),
        MacFilter("03*", FilterAction.DENY),
        MacFilter("04*", FilterAction.DENY),
    ]
    plan = plan_arrival(here, Arrival(theirs, filters=filters), 0.0)
    assert [each.text for each in plan.conflicts] == [
        "arrives on the allow list, and is on the deny list here",
        "probe_count arrives as 3, and is 1 here",
        "option 3 arrives with other values than it has here",
    ]
    assert plan.after.dhcp_server("dhcp1").options == (*ours.options, OptionValue(6, ("192.0.2.3",)))
    assert not plan.after.dhcp_server("dhcp1").audit_log
    assert [each.pattern for each in plan.after.mac_filters] == ["02*", "03*", "04*"]


def test_only_some_scopes() -> None:
    other = Scope("Lab", parse_ip_range("198.51.100.0/24"), "dhcp1")
    reservations = [Reservation("Lab", IPv4Address("198.51.100.9"), "02:00:00:00:00:09")]
    leases = {each.address: each for each in (lease("192.0.2.9"), lease("198.51.100.8"))}
    both = arrival(scopes=[OFFICE, other], reservations=reservations, leases=leases)
    for wanted in ("office", "192.0.2.0/24"):
        plan = plan_arrival(EMPTY, both, 0.0, scopes=[wanted, wanted])
        assert plan.after.scopes == (OFFICE,)
        assert plan.after.reservations == ()
        assert [each.address for each in plan.leases] == [int(IPv4Address("192.0.2.9"))]
    with pytest.raises(Refusal, match='no scope "x" arrives; those that do are: "Office", "Lab"'):
        plan_arrival(EMPTY, both, 0.0, scopes=["x"])


def test_leases() -> None:
    reserved = Reservation("Office", IPv4Address("192.0.2.5"), MAC.hex(":"))
    moved = [
        lease("192.0.2.4"),
        lease("192.0.2.5"),
        lease("192.0.2.6", ends_at=50.0),
        lease("192.0.2.7", ends_at=math.inf),
        lease("192.0.2.8", state=LeaseState.DECLINED),
        *(lease(f"203.0.113.{number}") for number in range(1, 30)),
    ]
    arriving = arrival(
        scopes=[OFFICE], reservations=[reserved], leases={each.address: each for each in moved}
    )
    plan = plan_arrival(EMPTY, arriving, 60.0)
    assert [(each.address & 255, each.state) for each in plan.leases] == [
        (4, LeaseState.ACTIVE),
        (5, LeaseState.ACTIVE),
        (6, LeaseState.REMEMBERED),
        (7, LeaseState.ACTIVE),
        (8, LeaseState.DECLINED),
    ]
    assert len(arriving.notes) == 21
    assert arriving.notes[0].what == "lease of 203.0.113.1 to 02:00:00:00:00:01"
    assert arriving.notes[-1].what == "9 more leases"


def test_a_lease_of_an_address_that_is_reserved_for_another_is_named() -> None:
    reserved = Reservation("Office", IPv4Address("192.0.2.5"), client_id="01:02:00:00:00:00:01")
    theirs = lease("192.0.2.5", b"\2\0\0\0\0\2")
    arriving = arrival(scopes=[OFFICE], reservations=[reserved], leases={theirs.address: theirs})
    assert plan_arrival(EMPTY, arriving, 0.0).leases == []
    assert arriving.notes[0].what == "lease of 192.0.2.5 to 02:00:00:00:00:02"
    own = lease("192.0.2.5")  # the same client, by its hardware address
    arriving = arrival(scopes=[OFFICE], reservations=[reserved], leases={own.address: own})
    assert plan_arrival(EMPTY, arriving, 0.0).leases == [own]
    assert keys_of(own._replace(client_id=b"\xff\1\2")) == (("id", b"\xff\1\2"), ("mac", b"\1" + MAC))
