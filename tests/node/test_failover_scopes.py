"""Scopes that leave a relationship and come back: who leases them, and what nobody else may have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dhcp.partners import FIRST, Pair, Server
from holdfast.dhcp.failover_record import read_spans
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import ACTIVE, BACKUP, UNTOLD, Lease
from holdfast.directory.model import Organisation
from holdfast.node.failover import Command
from holdfast.wire.failover_messages import UpdateRequestAll

MCLT_S = 60


def without(declared: Organisation, *, keeper: str = "ns1") -> Organisation:
    """The scope is in no relationship any more."""
    scopes = tuple(replace(each, server=keeper) for each in declared.scopes)
    pair = tuple(replace(each, scopes=()) for each in declared.failover_relationships)
    return replace(declared, scopes=scopes, failover_relationships=pair)


def first_alone() -> tuple[Pair, Organisation]:
    """Two in NORMAL that share no scope yet, the first leases it alone; and what is declared when they do."""
    pair = Pair()
    shared = pair.first.declared
    pair.first.declared = pair.second.declared = without(shared)
    return pair.normal(), shared


def deleted(declared: Organisation, *, keeper: str = "ns1") -> Organisation:
    return replace(without(declared, keeper=keeper), failover_relationships=())


def split(declared: Organisation, percent: int) -> Organisation:
    pair = tuple(replace(each, split_percent=percent) for each in declared.failover_relationships)
    return replace(declared, failover_relationships=pair)


def flipped(declared: Organisation) -> Organisation:
    """The other server is the primary."""
    scopes = tuple(replace(each, server="ns2") for each in declared.scopes)
    pair = tuple(
        replace(each, servers=("ns2", "ns1"), addresses=each.addresses[::-1])
        for each in declared.failover_relationships
    )
    return replace(declared, scopes=scopes, failover_relationships=pair)


def statuses(server: Server) -> set[int]:
    return {each.status for each in server.disk.values()}


def given(server: Server, clients: range) -> int:
    """How many of these get an address."""
    return sum(server.lease(client) is not None for client in clients)


@pytest.mark.parametrize("change", [without, deleted], ids=["scope removed", "relationship deleted"])
def test_the_server_that_keeps_a_scope_leases_everything_after_mclt(change: type) -> None:
    pair = Pair().normal()
    kept = pair.first.lease(1)
    assert kept is not None
    pair.pass_s(1)
    shared = pair.first.declared
    pair.second.change(change(shared))
    pair.first.change(change(shared))
    assert pair.second.lease(2) is None
    assert pair.first.renew(1, kept[0]) == (kept[0], 3600)  # nobody else extends it
    assert given(pair.first, range(10, 20)) == 4  # four of its five are free; the others may be leased
    pair.pass_s(MCLT_S - 5)
    assert pair.first.lease(30) is None
    pair.pass_s(10)
    assert given(pair.first, range(40, 50)) == 5
    assert pair.first.departed == {}
    assert BACKUP not in statuses(pair.first)
    assert (
        not pair.first.node.server.chooser.authority(pair.first.node.server.table.scopes[0])
        .changed(pair.first.disk[FIRST])
        .flags
        & UNTOLD
    )  # type: ignore[union-attr]  # it runs
    assert any("leased by this server alone; free addresses" in each for each in pair.first.texts("DHC-0410"))
    assert len(pair.first.texts("DHC-0411")) == 1


def test_what_is_held_back_stays_so_over_a_restart_and_while_nothing_can_be_written() -> None:
    pair = Pair().normal()
    pair.first.change(deleted(pair.first.declared))
    assert pair.first.records == {}
    pair.first.stop()
    pair.pass_s(MCLT_S / 2)
    pair.first.start()
    assert given(pair.first, range(10, 20)) == 5
    pair.first.durable = False
    pair.pass_s(MCLT_S / 2 + 5)
    assert BACKUP in statuses(pair.first)
    pair.first.durable = True
    pair.pass_s(3)
    assert BACKUP not in statuses(pair.first)
    assert given(pair.first, range(20, 30)) == 5


def test_a_relationship_that_is_deleted_while_its_server_is_off_is_left_at_the_start() -> None:
    pair = Pair().normal()
    pair.first.stop()
    pair.first.declared = deleted(pair.first.declared)
    pair.pass_s(5)
    pair.first.start()
    assert given(pair.first, range(10, 20)) == 5
    pair.pass_s(MCLT_S + 2)
    assert given(pair.first, range(20, 30)) == 5


def test_the_secondary_keeps_the_scope_of_a_primary_that_is_gone() -> None:
    pair = Pair().normal()
    kept = pair.first.lease(1)
    assert kept is not None
    pair.pass_s(1)
    pair.first.stop()
    pair.pass_s(1)
    assert pair.second.node is not None
    pair.second.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.second.drain()
    pair.pass_s(MCLT_S / 2)
    pair.second.change(deleted(pair.second.declared, keeper="ns2"))
    assert given(pair.second, range(10, 20)) == 5  # its own
    pair.pass_s(MCLT_S / 2 + 3)  # counted from PARTNER-DOWN on: the partner was silent since
    assert pair.second.renew(1, kept[0]) is not None
    assert given(pair.second, range(20, 30)) == 4
    assert statuses(pair.second) == {ACTIVE}


def test_a_lease_that_the_partner_may_have_extended_stays_its_clients() -> None:
    pair = Pair().normal()
    pair.now += 1
    address = pair.first.lease(1)
    assert address is not None
    pair.pass_s(1)
    assert pair.first.renew(1, address[0]) == (address[0], 3600)
    pair.pass_s(1)
    (number,) = [each.address for each in pair.first.disk.values() if each.status == ACTIVE]
    acked = pair.first.disk[number].potential_acked
    assert acked > pair.now + 3600
    pair.second.change(deleted(pair.second.declared))
    pair.first.change(deleted(pair.first.declared))
    pair.pass_s(MCLT_S + 2)
    lease = pair.first.disk[number]
    assert (lease.status, lease.potential_acked) == (ACTIVE, 0)
    assert lease.expires_at == acked + MCLT_S  # by so much the partner may have extended it, untold


def test_a_partner_that_was_not_told_holds_its_addresses_as_long_as_it_leases() -> None:
    pair = Pair()
    pair.normal()
    pair.first.change(without(pair.first.declared))
    pair.pass_s(20)
    assert pair.states == ("NORMAL", "NORMAL")
    taken = pair.second.lease(7)
    assert taken is not None
    pair.pass_s(MCLT_S - 10)
    assert given(pair.first, range(10, 20)) == 5  # what it said since the scope left counts
    pair.second.change(without(pair.second.declared))
    pair.pass_s(2 * MCLT_S)
    assert given(pair.first, range(20, 30)) == 5


def test_a_scope_that_is_shared_again_is_told_and_nothing_is_leased_twice() -> None:
    pair = Pair().normal()
    shared = pair.first.declared
    stale = pair.second.lease(1)
    assert stale is not None
    pair.pass_s(1)
    pair.second.change(without(shared))
    pair.first.change(without(shared))
    pair.pass_s(MCLT_S + 5)
    assert given(pair.first, range(10, 30)) >= 9
    pair.first.change(shared)
    pair.second.change(shared)
    assert pair.second.lease(60) is None  # it knows nothing of the scope yet
    pair.second.said.clear()
    pair.pass_s(15)
    assert pair.states == ("NORMAL", "NORMAL")
    assert pair.second.said.count(UpdateRequestAll()) == 1
    assert read_spans(pair.second.records["pair"].wanted) == []
    held = [
        {(each.address, each.key) for each in server.disk.values() if each.status == ACTIVE}
        for server in (pair.first, pair.second)
    ]
    assert held[0] == held[1]
    # A scope that is new to a partner in NORMAL is no lost disk: nobody's lease is prolonged.
    assert all(each.expires_at <= pair.now + 3700 for each in pair.first.disk.values())


def test_a_scope_that_joins_while_the_primary_is_gone_is_not_leased_by_the_secondary() -> None:
    pair = Pair().normal()
    shared = pair.second.declared
    pair.second.change(without(shared))
    pair.pass_s(5)
    pair.first.stop()
    pair.pass_s(2)
    pair.second.change(shared)
    pair.pass_s(8)
    assert pair.second.node is not None
    pair.second.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.second.drain()
    pair.pass_s(MCLT_S + 5)
    assert pair.second.state is State.PARTNER_DOWN
    assert given(pair.second, range(10, 20)) == 0  # what the primary leased there it was never told
    pair.first.start()
    pair.pass_s(2 * MCLT_S)
    assert pair.states == ("NORMAL", "NORMAL")
    assert given(pair.second, range(20, 30)) > 0


def test_a_relationship_that_is_made_again_begins_anew() -> None:
    pair = Pair().normal()
    shared = pair.first.declared
    pair.second.change(deleted(shared))
    pair.first.change(deleted(shared))
    assert pair.second.records == {}
    pair.pass_s(MCLT_S + 5)
    assert given(pair.first, range(10, 17)) == 7
    pair.first.change(shared)
    pair.second.change(shared)
    pair.pass_s(2 * MCLT_S)
    assert pair.states == ("NORMAL", "NORMAL")
    assert sum(each.status == ACTIVE for each in pair.second.disk.values()) == 7
    assert given(pair.second, range(20, 30)) <= 3


def test_the_leases_of_a_scope_that_joins_are_told() -> None:
    pair, shared = first_alone()
    assert given(pair.first, range(3)) == 3
    pair.first.change(shared)
    pair.second.change(shared)
    pair.pass_s(15)
    assert sum(each.status == ACTIVE for each in pair.second.disk.values()) == 3
    assert not any(each.flags & UNTOLD for each in pair.first.disk.values())


def test_records_of_before_take_what_they_find_as_shared() -> None:
    pair = Pair().normal()
    for server in (pair.first, pair.second):
        server.stop()
        server.records["pair"] = server.records["pair"]._replace(version=1, primary=0, shared=b"", mclt_s=0)
        server.start()
    pair.second.said.clear()
    pair.pass_s(12)
    assert pair.states == ("NORMAL", "NORMAL")
    assert UpdateRequestAll() not in pair.second.said
    record = pair.first.records["pair"]
    assert (record.version, record.primary, record.mclt_s, len(read_spans(record.shared))) == (2, 1, 60, 1)


def test_a_disk_that_is_full_when_a_scope_joins_delays_it() -> None:
    pair = Pair().normal()
    shared = pair.first.declared
    pair.second.change(without(shared))
    pair.first.change(without(shared))
    pair.pass_s(MCLT_S + 5)
    now = int(pair.now)
    pair.second.disk[FIRST] = Lease(FIRST, BACKUP, 0, b"", b"", now, now, now, 0)
    pair.second.stop()
    pair.second.start()
    pair.second.durable = False
    pair.second.change(shared)
    pair.first.change(shared)
    pair.pass_s(10)
    assert not pair.second.endpoint.is_connected
    pair.second.durable = True
    pair.pass_s(15)
    assert pair.states == ("NORMAL", "NORMAL")
    free = [
        {each.address for each in server.disk.values() if each.status == BACKUP}
        for server in (pair.first, pair.second)
    ]
    assert free[0] == free[1]


def test_a_relationship_that_is_made_after_a_full_disk() -> None:
    """Found by the simulator: such a server waited for the end of that commit for ever."""
    pair = Pair()
    shared = pair.first.declared
    pair.first.declared = pair.second.declared = deleted(shared)
    pair.first.start()
    pair.second.start()
    pair.first.durable = False
    assert pair.first.lease(1) is None
    pair.pass_s(5)
    pair.first.durable = True
    pair.pass_s(5)
    pair.first.change(shared)
    pair.second.change(shared)
    pair.pass_s(2 * MCLT_S)
    assert pair.states == ("NORMAL", "NORMAL")


def test_a_scope_that_the_primary_does_not_share_yet_is_not_known_to_the_secondary() -> None:
    """Found by the simulator: what the primary tells is no word about a scope that it still leases alone."""
    pair = Pair().normal()
    shared = pair.first.declared
    pair.second.change(without(shared))
    pair.first.change(without(shared))
    pair.pass_s(MCLT_S + 5)
    assert given(pair.first, range(10, 15)) == 5
    pair.second.change(shared)
    pair.pass_s(15)
    assert pair.states == ("NORMAL", "NORMAL")
    assert len(read_spans(pair.second.records["pair"].wanted)) == 1
    pair.second.said.clear()
    pair.pass_s(20)
    assert pair.second.said.count(UpdateRequestAll()) == 0  # it would be asked for ever
    pair.first.change(shared)
    pair.pass_s(15)
    assert read_spans(pair.second.records["pair"].wanted) == []
    assert sum(each.status == ACTIVE for each in pair.second.disk.values()) == 5


def test_settings_that_change_are_no_absence() -> None:
    """A server that lives has not been away since it was started, and looks for its partner briefly."""
    pair = Pair().normal()
    pair.second.stop()
    pair.pass_s(3 * MCLT_S)
    pair.first.change(split(pair.first.declared, 70))
    pair.pass_s(7)
    assert given(pair.first, range(10, 11)) == 1


def test_settings_that_change_while_the_disk_is_full_forget_no_change_of_state() -> None:
    pair = Pair().normal()
    pair.second.stop()
    pair.pass_s(10)
    assert pair.first.node is not None
    pair.first.durable = False
    pair.first.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.first.drain()
    pair.first.change(split(pair.first.declared, 70))
    pair.first.durable = True
    pair.pass_s(10)
    assert pair.first.state is State.PARTNER_DOWN
    assert pair.first.records["pair"].state == State.PARTNER_DOWN


@pytest.mark.parametrize("is_seen", [True, False], ids=["seen by the process", "while it was off"])
def test_a_secondary_that_becomes_the_primary_leases_nothing_that_the_other_may_have_leased(
    is_seen: bool,
) -> None:
    pair = Pair().normal()
    shared = pair.first.declared
    pair.cut = True
    taken = [pair.first.lease(client) for client in range(10)]
    assert sum(each is not None for each in taken) == 5  # and the other one hears of none
    if not is_seen:
        pair.second.stop()
    for server in (pair.first, pair.second):
        server.change(deleted(shared, keeper="ns2"))
        server.change(flipped(shared))
    if not is_seen:
        pair.second.start()
    pair.pass_s(MCLT_S - 10)
    others = [pair.second.lease(client) for client in range(20, 40)]
    assert not {each[0] for each in taken if each} & {each[0] for each in others if each}
    assert sum(each is not None for each in others) == 5  # its own
    pair.cut = False
    pair.pass_s(3 * MCLT_S)
    assert pair.states == ("NORMAL", "NORMAL")
    held = [{(each.address, each.key) for each in disk.values() if each.status == ACTIVE} for disk in (
        pair.first.disk, pair.second.disk,
    )]  # fmt: skip
    assert held[0] == held[1]


def test_a_secondary_that_becomes_the_primary_has_lost_nothing_meanwhile() -> None:
    """It asked its partner for everything, which took that for a lost disk and abandoned addresses."""
    pair = Pair().normal()
    shared = pair.first.declared
    kept = pair.first.lease(1)
    assert kept is not None
    pair.pass_s(2)
    assert pair.first.renew(1, kept[0]) is not None
    pair.pass_s(2)
    pair.cut = True
    pair.first.release(1, kept[0])  # and nobody hears it but the first
    pair.now += 5
    assert pair.second.renew(1, kept[0]) is not None  # the client is back there
    for server in (pair.first, pair.second):
        server.change(deleted(shared, keeper="ns2"))
        server.change(flipped(shared))
    pair.cut = False
    pair.pass_s(3 * MCLT_S)
    assert pair.states == ("NORMAL", "NORMAL")
    assert pair.second.renew(1, kept[0]) is not None
    pair.pass_s(2)
    for server in (pair.first, pair.second):
        assert [each.key[-1] for each in server.disk.values() if each.status == ACTIVE] == [1]


def test_a_lease_that_one_server_gave_alone_does_not_end_before_its_client_knows() -> None:
    """The first renewal in a pair is short; an ACK that is lost leaves the client with what it had."""
    pair, shared = first_alone()
    kept = pair.first.lease(1)
    assert kept is not None
    assert kept[1] == 3600
    (before,) = [each.expires_at for each in pair.first.disk.values() if each.status == ACTIVE]
    pair.cut = True
    pair.first.change(shared)
    pair.second.change(shared)
    pair.pass_s(8)
    assert pair.first.renew(1, kept[0]) == (kept[0], MCLT_S)
    (lease,) = [each for each in pair.first.disk.values() if each.status == ACTIVE]
    assert lease.expires_at == before


def test_what_the_partner_is_told_of_a_scope_that_joins_it_may_extend() -> None:
    """A client gave its address back here, and went on there untold, for as long as the partner knew."""
    pair, shared = first_alone()
    kept = pair.first.lease(1)
    assert kept is not None
    pair.first.change(shared)
    pair.second.change(shared)
    pair.pass_s(15)
    assert pair.states == ("NORMAL", "NORMAL")
    pair.cut = True
    pair.first.release(1, kept[0])
    pair.now += 5
    assert pair.second.renew(1, kept[0]) == (kept[0], 3600)
    pair.pass_s(10)
    pair.second.stop()
    assert pair.first.node is not None
    pair.first.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.first.drain()
    pair.pass_s(2 * MCLT_S)
    others = [pair.first.lease(client) for client in range(20, 40)]
    assert kept[0] not in [each[0] for each in others if each]
