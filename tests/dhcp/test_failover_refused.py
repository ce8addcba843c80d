"""What is said of updates that were refused."""

from __future__ import annotations

from holdfast.dhcp.failover_bindings import Refused
from holdfast.dhcp.failover_refused import Refusals
from holdfast.dhcp.failover_settings import Settings
from holdfast.dhcp.lease import ACTIVE, Lease
from holdfast.dhcp.saying import Sayer
from holdfast.wire.failover_messages import FATAL_CONFLICT, ILLEGAL_ADDRESS, OUTDATED

SETTINGS = Settings("pair", primary=True, partner="10.0.0.2", scopes=("office",))
SCOPES = {1: "office", 2: "lab"}


def made() -> tuple[Sayer, Refusals]:
    said = Sayer()
    return said, Refusals(said, SETTINGS, lambda address: SCOPES.get(address >> 24, ""))


def lease(hardware: bytes) -> Lease:
    return Lease(0x0A000005, ACTIVE, 0, hardware, b"", 1, 9, 1, 1)


def test_two_clients_of_one_address_are_named_and_each_time() -> None:
    said, refusals = made()
    mine, theirs = lease(b"\x01\0\0\0\0\0\x01"), lease(b"\x01\0\0\0\0\0\x02")
    conflict = Refused(mine.address, FATAL_CONFLICT, "", True, mine, theirs)
    refusals.say(1.0, [conflict, conflict])
    assert refusals.lines == ()
    assert [each.kind.event_id for each in said.events] == ["DHC-0408", "DHC-0408"]
    assert "10.0.0.5 was leased to 00:00:00:00:00:01 by us" in said.events[0].message()


def test_the_rest_is_said_once_in_a_while_by_whoever_refused() -> None:
    said, refusals = made()
    by_us = Refused(5, OUTDATED, "", True, None, None)
    refusals.say(1.0, [by_us, by_us, by_us._replace(by_us=False, text="no thanks")])
    assert [each.kind.event_id for each in said.events] == ["DHC-0406", "DHC-0407"]
    assert "no thanks" in said.events[1].message()


def test_an_address_that_one_alone_shares_is_named_with_its_scope() -> None:
    said, refusals = made()
    for at, by_us in ((0x01000005, True), (0x02000005, True), (0x03000005, True), (0x01000009, False)):
        refusals.say(at, [Refused(at, ILLEGAL_ADDRESS, "", by_us, None, None)])
    refusals.say(1.0, [Refused(0x02000006, ILLEGAL_ADDRESS, "", True, None, None)])
    assert refusals.lines == (
        'the partner tells of 1.0.0.5, which is in no pool of scope "office" here',
        'the partner tells of 2.0.0.5 of scope "lab", which is not shared here',
        "the partner tells of 3.0.0.5, which is in no scope that this server leases",
        'the partner refuses 1.0.0.9 of scope "office": the address is in no pool of the relationship',
    )
    assert 'it is in no pool of scope "office" here' in said.events[0].message()
    assert '(it is of scope "office" here)' in said.events[-1].message()
    refusals.forget()
    assert refusals.lines == ()


def test_a_flood_is_remembered_within_bounds() -> None:
    _, refusals = made()
    SCOPES.update({number: f"scope {number}" for number in range(10, 40)})
    refused = [Refused(number << 24, ILLEGAL_ADDRESS, "", True, None, None) for number in range(10, 40)]
    refusals.say(1.0, refused)
    assert len(refusals.lines) == 8
