"""Choosing free addresses: in order, never one that is taken, and at one cost."""

from __future__ import annotations

import time

from holdfast.dhcp.lease import ACTIVE, BACKUP, FREE, Lease
from holdfast.dhcp.pool import Pool


def lease(address: int, status: int = ACTIVE) -> Lease:
    return Lease(address, status, 0, b"\x01a", b"", 0, 0, 0, 0)


def test_addresses_never_leased_come_first_then_what_was_free_for_longest() -> None:
    leases: dict[int, Lease] = {}
    pool = Pool(((10, 12), (20, 20)), leases, set(), set())
    for address in (11, 10):
        leases[address] = lease(address, FREE)
        pool.freed(address, FREE)
    assert [pool.take(FREE, fresh=True) for _ in range(5)] == [12, 20, 11, 10, None]
    assert pool.size == 4
    assert [address for address in range(9, 22) if address in pool] == [10, 11, 12, 20]


def test_what_is_offered_reserved_or_leased_is_passed_over() -> None:
    leases = {10: lease(10)}
    offered, reserved = {11}, {12}
    pool = Pool(((10, 13),), leases, offered, reserved)
    assert pool.take(FREE, fresh=True) == 13
    assert pool.take(FREE, fresh=True) is None
    offered.clear()
    pool.freed(11, FREE)
    assert pool.take(FREE, fresh=True) == 11


def test_addresses_of_a_partner_are_not_ours() -> None:
    leases = {address: lease(address, BACKUP if address % 2 else FREE) for address in range(10, 16)}
    pool = Pool(((10, 15),), leases, set(), set())
    for address, known in leases.items():
        pool.freed(address, known.status)
    assert [pool.take(BACKUP, fresh=False) for _ in range(4)] == [11, 13, 15, None]
    assert [pool.take(FREE, fresh=False) for _ in range(4)] == [10, 12, 14, None]


def test_a_pool_without_addresses() -> None:
    pool = Pool((), {}, set(), set())
    assert pool.take(FREE, fresh=True) is None
    assert 10 not in pool
    assert "10" not in pool


def test_a_full_pool_costs_as_much_as_an_empty_one() -> None:
    size = 1 << 16
    leases: dict[int, Lease] = {}
    pool = Pool(((0, size - 1),), leases, set(), set())

    def spent(count: int) -> float:
        started = time.process_time()
        for _ in range(count):
            address = pool.take(FREE, fresh=True)
            assert address is not None
            leases[address] = lease(address)
        return time.process_time() - started

    empty = spent(5000)
    while len(leases) < size - 1000:
        address = pool.take(FREE, fresh=True)
        assert address is not None
        leases[address] = lease(address)
    for address in range(0, size, 16):  # a few come free, here and there
        leases[address] = lease(address, FREE)
        pool.freed(address, FREE)
    full = spent(5000)
    # A search through the pool would take a thousand times longer.
    assert full < 20 * empty + 0.05
