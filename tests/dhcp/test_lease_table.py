"""The table of leases: whatever happens, its indexes tell the same as its leases."""

from __future__ import annotations

import random

from dhcp.conversations import organisation, packed, reservation, scope
from holdfast.dhcp.lease import ABANDONED, ACTIVE, FREE, NEVER, RELEASED, Lease
from holdfast.dhcp.lease_table import LeaseTable, ScopeState
from holdfast.dhcp.served import ServedScope, make_served

FIRST = int.from_bytes(packed("10.0.0.10"), "big")


def table(size: int = 10, **more: object) -> LeaseTable:
    made = LeaseTable()
    made.follow(served(size, **more))
    return made


def served(size: int = 10, **more: object) -> tuple[ServedScope, ...]:
    last = ".".join(map(str, (FIRST + size - 1).to_bytes(4, "big")))
    declared = organisation(scope(subnet="10.0.0.0/16", pool=f"10.0.0.10-{last}"), **more)
    return make_served(declared, "ns1").scopes


def lease(number: int, client: bytes, status: int = ACTIVE, until: int = 1000) -> Lease:
    return Lease(FIRST + number, status, 0, b"\x01" + client, b"", 0, until, 0, 0)


def check(made: LeaseTable) -> None:
    (state,) = made.scopes
    active = [each for each in made.leases.values() if each.status == ACTIVE]
    assert {each.key: each.address for each in active} == {
        key: address for key, address in state.by_client.items() if made.leases[address].status == ACTIVE
    }
    for key, address in state.by_client.items():
        assert made.leases[address].key == key
    assert state.counts[ACTIVE] + state.reserved_counts[ACTIVE] == len(active)
    assert sum(state.counts) + sum(state.reserved_counts) == len(made.leases)


def test_what_is_put_is_found_by_address_client_and_end() -> None:
    made = table()
    made.put(lease(0, b"a", until=500))
    made.put(lease(1, b"b", until=400))
    made.put(lease(2, b"c", until=NEVER))
    check(made)
    assert made.next_due() == 400
    assert [each.address - FIRST for each in made.due(450, 10)] == [1]
    assert [each.address - FIRST for each in made.due(10_000, 10)] == [0]
    assert made.next_due() is None


def test_a_renewal_is_found_at_its_new_end_and_not_before() -> None:
    made = table()
    made.put(lease(0, b"a", until=500))
    made.put(lease(0, b"a", until=900))
    assert made.due(500, 10) == []
    assert [each.expires_at for each in made.due(900, 10)] == [900]
    made.put(lease(0, b"a", until=2000))
    made.put(lease(0, b"a", until=1500))
    assert [each.expires_at for each in made.due(1500, 10)] == [1500]


def test_leasing_and_releasing_for_ever_queues_one_end_per_address() -> None:
    made = table()
    for round_ in range(1000):
        made.put(lease(0, b"a", until=5000 + round_))
        made.put(lease(0, b"a", FREE, until=round_))
    assert len(made._ends) == 1


def test_undoing_is_putting_what_was_there() -> None:
    luck = random.Random(3)
    made = table()
    for _ in range(3000):
        number, client = luck.randrange(10), bytes((luck.randrange(6),))
        if luck.random() < 0.1:
            made.remove(FIRST + number)
            check(made)
            continue
        status = luck.choice((ACTIVE, FREE, ABANDONED))
        if status == ACTIVE and any(
            each.status == ACTIVE and (each.key == b"\x01" + client or each.address == FIRST + number)
            for each in made.leases.values()
        ):
            continue  # the server gives nobody a second one
        before = dict(made.leases)
        old = made.put(lease(number, client, status))
        if luck.random() < 0.5:
            if old is None:
                made.remove(FIRST + number)
            else:
                made.put(old)
            assert made.leases == before
        check(made)


def test_every_free_address_is_found_whatever_happened() -> None:
    luck = random.Random(5)
    made = table()
    (state,) = made.scopes
    for round_ in range(300):
        made.put(lease(luck.randrange(10), bytes((round_ % 250,)), luck.choice((ACTIVE, FREE))))
        if round_ % 10 == 0:
            free = {
                address
                for address in range(FIRST, FIRST + 10)
                if (known := made.leases.get(address)) is None or known.status == FREE
            }
            taken = set()
            while (address := state.pools[0].take(FREE, fresh=True)) is not None:
                taken.add(address)
            assert taken == free
            for address in taken:
                made.offer_dropped(state, address)


def test_a_scope_that_changes_keeps_what_is_known() -> None:
    made = table(10)
    (before,) = made.scopes
    made.put(lease(0, b"a"))
    made.put(lease(1, b"b", FREE))
    made.follow(served(10))
    assert made.scopes == [before], "the same addresses: nothing is built anew"
    made.follow(served(20))
    check(made)
    assert made.scopes[0] is not before
    assert made.scopes[0].counts[ACTIVE] == 1
    made.follow(())
    assert made.scope_of(FIRST) is None
    made.put(lease(3, b"c"))
    made.remove(FIRST + 3)
    made.follow(served(10))
    check(made)


def test_a_reserved_address_is_counted_apart() -> None:
    made = table(10, reservations=(reservation("10.0.0.10", "02:00:00:00:00:07"),))
    (state,) = made.scopes
    assert isinstance(state, ScopeState)
    assert state.free_count == 9
    made.put(lease(0, b"a")._replace(flags=1))
    assert state.free_count == 9
    made.put(lease(1, b"b"))
    assert state.free_count == 8
    made.put(lease(0, b"a", RELEASED))
    assert state.free_count == 8


def test_an_address_is_counted_by_what_is_reserved_now() -> None:
    """It happened: an address that was reserved, and is leased still, was taken to be free."""
    made = table(10, reservations=(reservation("10.0.0.10", "02:00:00:00:00:07"),))
    made.put(lease(0, b"a")._replace(flags=1))
    made.put(lease(1, b"b"))
    made.follow(served(10))
    assert made.scopes[0].free_count == 8
    made.follow(served(10, reservations=(reservation("10.0.0.11", "02:00:00:00:00:08"),)))
    assert made.scopes[0].free_count == 8
    check(made)


def test_what_is_loaded_is_as_if_it_had_been_put_in_the_order_of_its_changes() -> None:
    """In whatever order the database has it: also which free address is next, and who ends first."""
    luck = random.Random(7)
    statuses = (ACTIVE, FREE, ABANDONED)
    leases = [
        lease(number, bytes((number,)), luck.choice(statuses), until=luck.choice((300, 700, NEVER)))._replace(
            changed_at=luck.randrange(5)
        )
        for number in range(40)
    ]
    loaded, put = LeaseTable(), table(60)
    loaded.load(luck.sample(leases, len(leases)))
    loaded.follow(served(60))
    check(loaded)
    for each in sorted(leases, key=lambda known: (known.changed_at, known.address)):
        put.put(each)
    assert loaded.next_due() == put.next_due() == 300
    for now in (300, 700):
        assert sorted(loaded.due(now, 100)) == sorted(put.due(now, 100)) != []
    assert loaded.next_due() is None
    (ours,), (theirs,) = loaded.scopes, put.scopes
    assert (ours.counts, ours.by_client) == (theirs.counts, theirs.by_client)
    taken = [ours.pools[0].take(FREE, fresh=True) for _ in range(60)]
    assert taken == [theirs.pools[0].take(FREE, fresh=True) for _ in range(60)]
    assert taken[20:] != sorted(filter(None, taken[20:])), "what has been free for longest comes first"
