"""Reservations come one by one or from a file, change, are found, and go."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from tests.admin.conftest import World
from tests.admin.dhcp_answers import DhcpRole, lease

from holdfast.directory.dhcp import ClientKind, Reservation
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _office(call: Call) -> None:
    call("dhcp enable")
    call("dhcp scope add", name="office", subnet="192.0.2.0/24", pool="192.0.2.10-192.0.2.29")
    call("dhcp scope add", name="lab", subnet="198.51.100.0/24", router=["198.51.100.1"])


def _add(call: Call, address: str = "192.0.2.12", **given: Any) -> Any:
    return call("dhcp reservation add", address=address, **({"mac": "00-1A-2B-3C-4D-5E"} | given))


def test_scope_is_found_by_its_subnet_and_the_address_of_hardware_gets_one_form(
    call: Call, store: DirectoryStore
) -> None:
    _add(call, name="printer", serves="dhcp", description="third floor")
    assert store.read().reservations == (
        Reservation(
            "office",
            IPv4Address("192.0.2.12"),
            "00:1a:2b:3c:4d:5e",
            name="printer",
            serves=ClientKind.DHCP,
            description="third floor",
        ),
    )


def test_what_cannot_be_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match=r"203.0.113.5 lies in the subnet of no scope; see"):
        _add(call, "203.0.113.5")
    _add(call)
    with pytest.raises(Refusal, match="is reserved already, for 00:1a:2b:3c:4d:5e; change it with"):
        _add(call, client_id="ff0001")
    with pytest.raises(Refusal) as caught:
        _add(call, "192.0.2.13")
    assert "for whom 192.0.2.12 is reserved already" in str(caught.value.problems[0])
    with pytest.raises(Refusal) as caught:
        _add(call, "192.0.2.14", mac="printer")
    assert '"printer" is not a hardware address' in str(caught.value.problems[0])
    with pytest.raises(Refusal, match=r"192.0.2.99 is not reserved; see"):
        call("dhcp reservation show", address="192.0.2.99")


def test_reservation_for_who_has_the_address_now(call: Call, store: DirectoryStore, world: World) -> None:
    with pytest.raises(Refusal, match=r"is not known: the dhcp role is not running.*give the client's --mac"):
        call("dhcp reservation add", address="192.0.2.12", from_lease=True)
    world.dhcp = DhcpRole(
        lease("192.0.2.12", "02:00:00:00:00:0c", host_name="desk"),
        lease("192.0.2.13", "", client_id="ff:00:01"),
    )
    call("dhcp reservation add", address="192.0.2.12", from_lease=True)
    call("dhcp reservation add", address="192.0.2.13", from_lease=True, name="door")
    assert [(each.mac, each.client_id, each.name) for each in store.read().reservations] == [
        ("02:00:00:00:00:0c", "", "desk"),
        ("", "ff:00:01", "door"),
    ]
    with pytest.raises(Refusal, match=r"192.0.2.14 is leased to nobody; give"):
        call("dhcp reservation add", address="192.0.2.14", from_lease=True)


def test_reservation_of_an_address_that_another_client_has_is_told(call: Call, world: World) -> None:
    world.dhcp = DhcpRole(
        lease("192.0.2.12", "02:00:00:00:00:0c", host_name="desk"),
        lease("192.0.2.13", "00:1a:2b:3c:4d:5e"),
        lease("192.0.2.14", "02:00:00:00:00:0e", state="declined"),
    )
    with pytest.raises(Refusal) as caught:
        _add(call, "192.0.2.12")
    assert [each.text for each in caught.value.problems] == [
        "192.0.2.12 is leased to desk (02:00:00:00:00:0c) now, which must take another address when it renews"
    ]
    _add(call, "192.0.2.13")  # it is its own
    with pytest.raises(Refusal) as caught:
        call("dhcp reservation set", address="192.0.2.13", to="192.0.2.12")
    assert "192.0.2.12 is leased to desk" in caught.value.problems[-1].text
    assert call("dhcp reservation set", address="192.0.2.13", to="192.0.2.14", plan=True).dangers == [
        '192.0.2.13 in scope "office" is no longer reserved: its client may get another address, and '
        "others may get this one"
    ]
    assert world.warnings == []


def test_reservation_changes_and_moves_with_its_options(call: Call, store: DirectoryStore) -> None:
    _add(call, name="printer")
    call("dhcp option set", option="host-name", value=["p"], reservation="192.0.2.12")
    call("dhcp reservation set", address="192.0.2.12", name="plotter")
    with pytest.raises(Refusal, match="dangerous"):
        call("dhcp reservation set", address="192.0.2.12", to="192.0.2.50")
    call("dhcp reservation set", address="192.0.2.12", to="192.0.2.50", yes=True)
    (found,) = store.read().reservations
    assert (str(found.address), found.name, found.options[0].values) == ("192.0.2.50", "plotter", ("p",))


def test_list_is_by_address_and_can_be_narrowed(call: Call, world: World) -> None:
    _add(call, "192.0.2.100", mac="02:00:00:00:00:01", name="desk")
    _add(call, "192.0.2.20", mac="02:00:00:00:00:02", description="a Desk too")
    _add(call, "198.51.100.9", mac="02:00:00:00:00:03")
    rows = call("dhcp reservation list").reservations
    assert [each.address for each in rows] == ["192.0.2.20", "192.0.2.100", "198.51.100.9"]
    found = call("dhcp reservation list", scope="lab").reservations
    assert [each.address for each in found] == ["198.51.100.9"]
    found = call("dhcp reservation list", match="DESK").reservations
    assert [each.address for each in found] == ["192.0.2.20", "192.0.2.100"]
    found = call("dhcp reservation list", limit="1").reservations
    assert [each.address for each in found] == ["192.0.2.20"]
    assert world.warnings == ["3 reservations, the first 1 are listed; raise --limit"]


def test_show_tells_what_the_client_is_told_and_who_has_the_address(call: Call, world: World) -> None:
    _add(call, "198.51.100.9", name="door")
    call("dhcp option set", option="dns-servers", value=["198.51.100.2"], reservation="198.51.100.9")
    call("dhcp option set", option="dns-servers", value=["198.51.100.3"], scope="lab")
    world.dhcp = DhcpRole(lease("198.51.100.9", "00:1a:2b:3c:4d:5e"))
    shown = call("dhcp reservation show", address="198.51.100.9")
    assert [(each.level, each.code, each.text) for each in shown.options] == [
        ("scope", 3, "198.51.100.1"),
        ("reservation", 6, "198.51.100.2"),
    ]
    assert (shown.inside_pool, shown.lease) == (False, "active, 00:1a:2b:3c:4d:5e")
    assert {each.name: each.value for each in shown.settings}["name"] == "door"


def test_several_are_removed_at_once_or_none(call: Call, store: DirectoryStore) -> None:
    _add(call)
    _add(call, "192.0.2.13", mac="02:00:00:00:00:0d")
    with pytest.raises(Refusal, match="is not reserved"):
        call("dhcp reservation remove", address=["192.0.2.12", "192.0.2.99"], yes=True)
    with pytest.raises(Refusal, match="dangerous"):
        call("dhcp reservation remove", address=["192.0.2.12"])
    call("dhcp reservation remove", address=["192.0.2.12", "192.0.2.13"], yes=True)
    assert store.read().reservations == ()


FILE = """\ufeffAddress, MAC, name, client_id
192.0.2.12, 00-1a-2b-3c-4d-5e, printer,
192.0.2.13, , , ff0001
198.51.100.9, 02:00:00:00:00:09, "door, left",
"""


def test_file_is_taken_whole(call: Call, store: DirectoryStore) -> None:
    _add(call, description="third floor")
    done = call("dhcp reservation import", file=["r.csv", FILE])
    assert len(done.changes) == 3  # one gets a name, two are new
    found = {str(each.address): each for each in store.read().reservations}
    assert (found["192.0.2.12"].name, found["192.0.2.12"].description) == ("printer", "third floor")
    assert found["192.0.2.13"].client_id == "ff:00:01"
    assert (found["198.51.100.9"].scope, found["198.51.100.9"].name) == ("lab", "door, left")
    assert call("dhcp reservation import", file=["r.csv", FILE]).applied is False


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("mac\n02:00:00:00:00:01\n", 'r.csv line 1: it has no column "address"; the first line names the'),
        ("address,colour\n", 'r.csv line 1: it has a column "colour"'),
        ("", 'r.csv line 1: it has no column "address"'),
        ("address,mac\n192.0.2.9,02,x\n", "r.csv line 2: it has more fields than there are columns"),
        ("address,mac\n\n192.0.2.999,02\n", 'r.csv line 3: "192.0.2.999" is not an IPv4 address'),
        ("address,mac\n203.0.113.1,02\n", "r.csv line 2: 203.0.113.1 lies in the subnet of no scope"),
        ("address,mac\n192.0.2.9,xyz\n", '"xyz" is not a hardware address'),
    ],
)
def test_file_with_a_fault_is_not_taken_at_all(
    call: Call, store: DirectoryStore, text: str, fault: str
) -> None:
    with pytest.raises(Refusal) as caught:
        call("dhcp reservation import", file=["r.csv", text])
    told = [caught.value.text, *map(str, caught.value.problems)]
    assert any(fault in each for each in told), told
    assert store.read().reservations == ()
