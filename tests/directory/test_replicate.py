"""What partners share is compared, told, read back, and made equal; what is each one's own stays."""

from __future__ import annotations

import dataclasses
import typing
from ipaddress import IPv4Address

import pytest
from tests.directory.dhcp_organisation import BASE, MAC, OTHER_MAC, office, reserve

from holdfast.directory.dhcp import (
    Condition,
    ConditionField,
    DhcpServer,
    FilterAction,
    MacFilter,
    Policy,
)
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.directory.model import FailoverRelationship, Organisation, Scope
from holdfast.directory.plan import plan_change
from holdfast.directory.replicate import (
    digest_of,
    made_equal,
    made_equal_server_wide,
    read_part,
    server_part,
    shared_part,
    told_part,
    write_part,
)
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range

PAIR = FailoverRelationship("pair", ("dhcp1", "dhcp2"), ("office",))
OTHER = Scope("other", parse_ip_range("198.51.100.0/24"), "dhcp1")
PHONES = DhcpClass("Phones", ClassKind.VENDOR, "phone")
PRINTERS = DhcpClass("Printers", ClassKind.USER, "printer")
UNUSED = DhcpClass("Unused", ClassKind.USER, "x")
POLICY = Policy("phones", (Condition(ConditionField.VENDOR_CLASS, ("pho*",)),))
OFFICE = office(
    policies=(POLICY,),
    options=(OptionValue(224, ("1",), user_class="printers"), OptionValue(3, ("192.0.2.1",))),
)
MINE = dataclasses.replace(
    BASE,
    scopes=(OTHER, OFFICE),
    reservations=(reserve("192.0.2.5", MAC), reserve("198.51.100.5", OTHER_MAC, "other")),
    dhcp_classes=(UNUSED, PRINTERS, PHONES),
    option_definitions=(
        OptionDefinition(224, "own", (OptionType.UINT8,)),
        OptionDefinition(225, "else", (OptionType.UINT8,)),
    ),
    dhcp_servers=(DhcpServer("dhcp1", probe_count=1),),
    failover_relationships=(PAIR,),
)


def changed(**changes: typing.Any) -> Organisation:
    return dataclasses.replace(MINE, **changes)


def part(organisation: Organisation) -> Organisation:
    return shared_part(organisation, organisation.failover_relationships[0])


def test_part_is_what_the_relationship_needs_and_nothing_else() -> None:
    found = part(MINE)
    assert found.scopes == (OFFICE,)
    assert [each.address for each in found.reservations] == [IPv4Address("192.0.2.5")]
    assert found.dhcp_classes == (PHONES, PRINTERS)
    assert [each.code for each in found.option_definitions] == [224]
    assert found.failover_relationships == (PAIR,)
    assert (found.servers, found.dhcp_servers) == ((), ())
    assert shared_part(MINE, PAIR, ["office"]).failover_relationships == ()
    assert read_part(write_part(found), "the partner") == found


SAME = {
    "other objects in another order": changed(dhcp_classes=(PHONES, PRINTERS), scopes=(OFFICE, OTHER)),
    "what is the server's own": changed(dhcp_servers=()),
    "another scope": changed(scopes=(OFFICE,), reservations=MINE.reservations[:1]),
    "what each may have for itself": changed(
        failover_relationships=(dataclasses.replace(PAIR, receive_timeout_s=9.0, unacknowledged_count_max=1),)
    ),
}
DIFFERENT: dict[str, tuple[Organisation, list[str]]] = {
    "a reservation more": (
        changed(reservations=(*MINE.reservations, reserve("192.0.2.6", OTHER_MAC))),
        ["add reservation office/192.0.2.6"],
    ),
    "a reservation less": (
        changed(reservations=MINE.reservations[1:]),
        ["remove reservation office/192.0.2.5"],
    ),
    "a reservation for somebody else": (
        changed(reservations=(reserve("192.0.2.5", OTHER_MAC), MINE.reservations[1])),
        ["change reservation office/192.0.2.5"],
    ),
    "another pool": (
        changed(scopes=(OTHER, dataclasses.replace(OFFICE, pool=parse_ip_range("192.0.2.10-192.0.2.20")))),
        ["change scope office"],
    ),
    "an exclusion": (
        changed(
            scopes=(OTHER, dataclasses.replace(OFFICE, exclusions=(parse_ip_range("192.0.2.20-192.0.2.29"),)))
        ),
        ["change scope office"],
    ),
    "another policy": (
        changed(
            scopes=(OTHER, dataclasses.replace(OFFICE, policies=(dataclasses.replace(POLICY, lease_s=60.0),)))
        ),
        ["change scope office"],
    ),
    "where names are registered": (
        changed(scopes=(OTHER, dataclasses.replace(OFFICE, dns_suffix="example.test", dns_remove=False))),
        ["change scope office"],
    ),
    "an option of a reservation": (
        changed(
            reservations=(
                dataclasses.replace(MINE.reservations[0], options=(OptionValue(6, ("192.0.2.53",)),)),
                MINE.reservations[1],
            )
        ),
        ["change reservation office/192.0.2.5"],
    ),
    "another definition of an option in use": (
        changed(
            option_definitions=(
                OptionDefinition(224, "own", (OptionType.UINT16,)),
                MINE.option_definitions[1],
            )
        ),
        ["change option definition 224"],
    ),
    "another class": (
        changed(dhcp_classes=(UNUSED, PRINTERS, dataclasses.replace(PHONES, data="telephone"))),
        ["change dhcp class Phones"],
    ),
    "another lead time": (
        changed(failover_relationships=(dataclasses.replace(PAIR, mclt_s=60.0),)),
        ["change failover relationship pair"],
    ),
    "a scope more": (
        changed(failover_relationships=(dataclasses.replace(PAIR, scopes=("other", "office")),)),
        ["change failover relationship pair"],
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_what_is_the_same_has_the_same_digest_and_changes_nothing(case: str) -> None:
    theirs = SAME[case]
    assert digest_of(part(theirs)) == digest_of(part(MINE))
    assert plan_change(MINE, made_equal(MINE, part(theirs))).changes == ()


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_differs_is_told_and_made_equal(case: str) -> None:
    theirs, expected = DIFFERENT[case]
    assert digest_of(part(theirs)) != digest_of(part(MINE))
    after = made_equal(MINE, part(theirs))
    plan = plan_change(MINE, after)
    assert [f"{each.action} {each.kind} {each.name}" for each in plan.changes] == expected
    assert part(after) == part(theirs) or digest_of(part(after)) == digest_of(part(theirs))
    # Of what is not shared everything is as it was.
    assert after.dhcp_servers == MINE.dhcp_servers
    assert OTHER in after.scopes
    assert MINE.reservations[1] in after.reservations


SERVER_OPTION = OptionValue(225, ("1",), user_class="Unused")
SERVER_POLICY = Policy("x", (Condition(ConditionField.USER_CLASS, ("Unused",)),), lease_s=60.0)
FILTERS = (
    MacFilter("02:00:00:00:00:*", FilterAction.DENY, servers=("dhcp2",)),
    MacFilter("02:00:00:00:01:*", FilterAction.ALLOW),
    MacFilter("02:00:00:00:02:*", FilterAction.ALLOW, servers=("dhcp1",)),
)


def test_what_a_server_tells_all_its_clients_is_taken_over_on_request_alone() -> None:
    told = DhcpServer(
        "dhcp2", port=1067, options=(SERVER_OPTION,), policies=(SERVER_POLICY,), deny_filter=True,
        dns_servers=("192.0.2.53",), authoritative=False,
    )  # fmt: skip
    theirs = changed(dhcp_servers=(told,), mac_filters=FILTERS)
    part_of_it = read_part(write_part(told_part(theirs, PAIR, "dhcp2")), "the partner")
    shared = shared_part(part_of_it, part_of_it.failover_relationships[0])
    assert plan_change(MINE, made_equal(MINE, shared)).changes == ()
    bare = changed(dhcp_classes=MINE.dhcp_classes[1:], option_definitions=MINE.option_definitions[:1])
    after = made_equal_server_wide(bare, part_of_it, "dhcp1")
    entry = after.dhcp_server("dhcp1")
    assert entry == dataclasses.replace(told, server="dhcp1", port=67, probe_count=1)
    assert [(each.pattern, each.servers) for each in after.mac_filters] == [
        ("02:00:00:00:00:*", ()),
        ("02:00:00:00:01:*", ()),
    ]
    assert UNUSED in after.dhcp_classes
    assert [each.code for each in after.option_definitions] == [224, 225]
    assert made_equal_server_wide(after, part_of_it, "dhcp1") == after
    assert digest_of(server_part(after, "dhcp1")) == digest_of(server_part(theirs, "dhcp2"))


def test_filters_of_other_servers_stay() -> None:
    mine = changed(mac_filters=FILTERS)
    after = made_equal_server_wide(mine, told_part(MINE, PAIR, "dhcp1"), "dhcp1")
    assert after.mac_filters == FILTERS[:1]


def test_a_partner_that_does_not_tell_of_its_server_is_said_so() -> None:
    with pytest.raises(Refusal, match="it runs another version"):
        made_equal_server_wide(MINE, part(MINE), "dhcp1")


def test_one_scope_alone_leaves_the_relationship_as_it_is() -> None:
    theirs, _ = DIFFERENT["another lead time"]
    theirs = dataclasses.replace(theirs, reservations=MINE.reservations[1:])
    after = made_equal(MINE, shared_part(theirs, theirs.failover_relationships[0], ["office"]))
    assert after.failover_relationships == (PAIR,)
    assert after.reservations == MINE.reservations[1:]


def test_a_partner_that_has_nothing_yet_gets_everything() -> None:
    new = dataclasses.replace(BASE, scopes=())
    after = made_equal(new, part(MINE))
    assert digest_of(part(after)) == digest_of(part(MINE))


def test_what_is_no_organisation_is_refused() -> None:
    with pytest.raises(Refusal, match="the partner"):
        read_part("[[scope]]\nname = 1\n", "the partner")
    with pytest.raises(Refusal, match="tells of mailboxes"):
        read_part('[[mailbox]]\naddress = "a@example.test"\ndatabase = "DB"\n', "the partner")
