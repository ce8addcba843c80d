"""Leases of other servers, as they arrive here."""

from __future__ import annotations

import math

import pytest

from holdfast.dhcp.migrate_leases import add_isc_leases, add_kea_leases, from_isc, from_kea, still_active
from holdfast.dhcp.moving import Arrival, LeaseState, MovedLease
from holdfast.directory.dhcp import DhcpServer
from holdfast.wire import isc_leases, kea_leases
from holdfast.wire.isc_leases import BindingState, IscLease
from holdfast.wire.kea_leases import KeaLease

MAC = bytes.fromhex("020000000001")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (BindingState.ACTIVE, LeaseState.ACTIVE),
        (BindingState.BOOTP, LeaseState.ACTIVE),
        (BindingState.ABANDONED, LeaseState.DECLINED),
        (BindingState.EXPIRED, LeaseState.REMEMBERED),
        (BindingState.RELEASED, LeaseState.REMEMBERED),
        (BindingState.RESET, LeaseState.REMEMBERED),
        (BindingState.FREE, LeaseState.REMEMBERED),
        (BindingState.BACKUP, LeaseState.REMEMBERED),
    ],
)
def test_binding_states_of_isc(state: BindingState, expected: LeaseState) -> None:
    lease = from_isc(IscLease(9, state, 1, MAC, b"\1a", 5.0, 50.0, 5.0, b"pc", line=7))
    assert lease == MovedLease(9, expected, 1, MAC, b"\1a", 5.0, 50.0, b"pc", 7)


def test_a_free_address_that_nobody_had_says_nothing() -> None:
    assert from_isc(IscLease(9, BindingState.FREE)) is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (0, LeaseState.ACTIVE),
        (1, LeaseState.DECLINED),
        (2, LeaseState.REMEMBERED),
        (3, LeaseState.REMEMBERED),
    ],
)
def test_states_of_kea(state: int, expected: LeaseState) -> None:
    lease = from_kea(KeaLease(9, MAC, b"", 60, 100, 1, hostname="pc", state=state, line=3))
    assert lease == MovedLease(9, expected, 1, MAC, b"", 40.0, 100.0, b"pc", 3)


def test_a_lease_without_end() -> None:
    lease = from_kea(KeaLease(9, MAC, b"", kea_leases.UNLIMITED_S, 100, 1))
    assert (lease.starts_at, lease.ends_at) == (0.0, math.inf)
    assert still_active(lease, 1e12)
    assert not still_active(lease._replace(ends_at=10.0), 10.0)
    assert not still_active(lease._replace(state=LeaseState.DECLINED), 0.0)


def test_files_are_put_together_and_what_is_odd_is_noted() -> None:
    arrival = Arrival(DhcpServer("a"))
    add_isc_leases(
        arrival,
        isc_leases.read_leases(
            b"lease 10.0.0.9 {\n hardware ethernet 2:0:0:0:0:1;\n odd;\n}\n"
            b"lease 10.0.0.8 {\n binding state free;\n}\n"
            b'failover peer "x" state {\n}\nhost h {\n dynamic;\n}\nserver-duid "x";\n'
        ),
        name="a.leases",
    )
    head = b"address,hwaddr,client_id,valid_lifetime,expire,subnet_id\n"
    rows = b"10.0.0.9,02:00:00:00:00:02,,60,100,1\n" + b"x\n" * 101
    add_kea_leases(arrival, kea_leases.read_leases(head + rows), name="b.csv")
    assert [each.mac[-1] for each in arrival.leases.values()] == [2]
    places = [(each.place, each.what) for each in arrival.notes]
    assert places[:4] == [
        ("a.leases line 3", "odd"),
        ("a.leases", 'failover peer "x"'),
        ("a.leases line 10", "host h"),
        ("b.csv line 3", "it has fewer columns than the first line"),
    ]
    assert places[-1] == ("b.csv", "1 more rows")
