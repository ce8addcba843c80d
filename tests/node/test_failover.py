"""Two partners as a whole: the rows of spec/dhcp.md section 3 with both sides ours, and what does not fit."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from dhcp.partners import FIRST, Pair
from holdfast.dhcp.failover_states import State
from holdfast.dhcp.lease import ABANDONED, ACTIVE, BACKUP, FREE, RELEASED, UNTOLD, Lease, address_text
from holdfast.directory.failover import FailoverMode
from holdfast.kernel.errors import Refusal
from holdfast.node.dhcp import CommitLeases, DhcpNode
from holdfast.node.failover import Command, Partners
from holdfast.wire import dhcp4
from holdfast.wire.failover import write_message
from holdfast.wire.failover_messages import Binding, Message, Update, UpdateRequest, UpdateRequestAll


def status_counts(pair: Pair) -> tuple[list[int], list[int]]:
    """How many addresses are FREE, ACTIVE and BACKUP with each; what nobody knows of is FREE."""
    found = []
    for server in (pair.first, pair.second):
        statuses = [each.status for each in server.disk.values()]
        free = 10 - len(statuses) + statuses.count(FREE)
        found.append([free, statuses.count(ACTIVE), statuses.count(BACKUP)])
    return found[0], found[1]


def test_a_server_without_partners_takes_no_connection_and_no_order(pair: Pair) -> None:
    node = DhcpNode(pair.first.declared, "ns3", [])
    partners = node.failover
    assert isinstance(partners, Partners)
    assert partners.accepted(1.0, "10.0.0.9") is None
    assert partners.status(1.0) == []
    assert partners.deadline() is None
    with pytest.raises(Refusal, match='no failover relationship "office"; it has none'):
        partners.command(1.0, "office", Command.PARTNER_DOWN)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_first_start_with_empty_stores(pair: Pair) -> None:
    pair.normal()
    assert status_counts(pair) == ([5, 0, 5], [5, 0, 5])
    # Each asked for everything, since it had nothing; and nobody waited for MCLT.
    assert UpdateRequestAll() in pair.first.said
    assert UpdateRequestAll() in pair.second.said


def test_one_alone_serves_nobody_before_the_first_pairing(pair: Pair) -> None:
    pair.first.start()
    pair.pass_s(100)
    assert pair.first.state is State.RECOVER
    assert pair.first.lease(1) is None
    pair.second.start()
    pair.pass_s(12)
    assert pair.states == ("NORMAL", "NORMAL")


def test_a_server_that_leased_alone_goes_on_until_its_partner_comes(pair: Pair) -> None:
    now = int(pair.now)
    pair.first.disk[FIRST] = Lease(FIRST, ACTIVE, 0, b"\x01\x02\x00\0\0\0\x07", b"", now, now + 999, now, now)
    pair.first.start()
    pair.pass_s(6)
    assert pair.first.state is State.PARTNER_DOWN
    assert pair.first.lease(1) is not None
    pair.second.start()
    pair.pass_s(12)
    assert pair.states == ("NORMAL", "NORMAL")
    assert {each.address for each in pair.second.disk.values() if each.status == ACTIVE} == {FIRST, FIRST + 1}


def test_a_first_lease_lasts_mclt_and_a_renewed_one_what_is_desired(pair: Pair) -> None:
    pair.normal()
    given = pair.first.lease(1)
    assert given is not None
    address, seconds = given
    assert seconds == 60
    pair.pass_s(30)
    assert pair.second.disk[FIRST + int(address.split(".")[3]) - 10].status == ACTIVE
    assert pair.first.renew(1, address) == (address, 3600)
    pair.pass_s(1)
    assert not any(each.flags & UNTOLD for each in pair.first.disk.values())
    # The partner knows of it as well, and may extend it as long.
    assert pair.second.renew(1, address) == (address, 3600)


def leased(pair: Pair, client: int = 1) -> int:
    """Have the first server lease an address; its number."""
    given = pair.first.lease(client)
    assert given is not None
    return FIRST + int(given[0].split(".")[3]) - 10


def known(pair: Pair, address: int) -> Lease:
    """A lease as the first server knows it."""
    assert pair.first.node is not None
    return pair.first.node.server.table.leases[address]


def test_what_the_partner_acknowledged_is_durable_a_second_later(pair: Pair) -> None:
    pair.normal()
    address = leased(pair)
    pair.deliver()
    assert not known(pair, address).flags & UNTOLD
    assert pair.first.disk[address].flags & UNTOLD
    pair.pass_s(1.5)
    assert pair.first.disk[address] == known(pair, address)


def test_what_the_partner_acknowledged_is_durable_when_the_server_is_stopped(pair: Pair) -> None:
    pair.normal()
    address = leased(pair)
    pair.deliver()
    assert pair.first.node is not None
    pair.first.node.failover.stopping(pair.now)
    pair.first.drain()
    assert not pair.first.disk[address].flags & UNTOLD


def test_what_the_partner_acknowledged_survives_a_disk_that_is_full(pair: Pair) -> None:
    pair.normal()
    address = leased(pair)
    pair.deliver()
    pair.first.durable = False
    pair.pass_s(2)
    assert pair.first.disk[address].flags & UNTOLD
    pair.first.durable = True
    pair.pass_s(20)
    assert pair.first.disk[address] == known(pair, address)
    assert not known(pair, address).flags & UNTOLD


def test_who_forgets_what_the_partner_acknowledged_tells_it_again(pair: Pair) -> None:
    pair.normal()
    address = leased(pair)
    pair.deliver()
    pair.first.stop()
    pair.first.start()
    assert known(pair, address).flags & UNTOLD
    pair.pass_s(15)
    assert pair.states == ("NORMAL", "NORMAL")
    assert not pair.first.disk[address].flags & UNTOLD
    ends = [each.disk[address].expires_at for each in (pair.first, pair.second)]
    assert ends[1] - ends[0] in (0, 1)  # what is told of an end is rounded up


def test_an_ack_never_waits_for_the_partner(pair: Pair) -> None:
    pair.normal()
    pair.cut = True  # and nobody has noticed
    assert pair.first.lease(1) is not None
    assert pair.first.state is State.NORMAL


def test_each_answers_its_share_and_both_answer_who_waits(pair: Pair) -> None:
    pair.normal()
    for client in range(4):
        offered = [bool(server.ask(client, {53: b"\x01"})) for server in (pair.first, pair.second)]
        assert sorted(offered) == [False, True]
        waited = [bool(server.ask(client, {53: b"\x01"}, secs=3)) for server in (pair.first, pair.second)]
        assert waited == [True, True]


def test_a_partner_that_dies_is_noticed_and_its_clients_keep_their_addresses(pair: Pair) -> None:
    pair.normal()
    given = pair.first.lease(1)
    assert given is not None
    pair.pass_s(1)
    pair.first.stop()
    pair.pass_s(1)
    assert pair.second.state is State.COMMUNICATIONS_INTERRUPTED
    assert pair.second.renew(1, given[0]) is not None
    # Out of its own half: five of ten, and no more.
    others = [pair.second.lease(client) for client in range(2, 9)]
    assert sum(each is not None for each in others) == 5


def test_a_cut_is_noticed_within_the_receive_timer_and_healed_at_once(pair: Pair) -> None:
    pair.normal()
    pair.cut = True
    pair.pass_s(4)
    assert pair.states == ("COMMUNICATIONS-INTERRUPTED", "COMMUNICATIONS-INTERRUPTED")
    assert pair.first.lease(1) is not None
    assert pair.second.lease(2) is not None
    pair.cut = False
    pair.pass_s(15)
    assert pair.states == ("NORMAL", "NORMAL")
    counts = status_counts(pair)
    assert counts[0] == counts[1]
    assert counts[0][1] == 2


def test_partner_down_gives_the_partners_half_after_mclt_and_not_before(pair: Pair) -> None:
    pair.normal()
    pair.second.stop()
    pair.pass_s(1)
    assert pair.first.node is not None
    pair.first.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.first.drain()
    assert pair.first.state is State.PARTNER_DOWN
    given = [pair.first.lease(client) for client in range(10)]
    assert sum(each is not None for each in given) == 5
    assert {each[1] for each in given if each} == {3600}  # nobody else leases: full time
    pair.pass_s(59)
    assert pair.first.lease(20) is None
    pair.pass_s(4)
    assert pair.first.lease(21) is not None


def test_the_switch_over_interval_does_the_same_by_itself() -> None:
    pair = Pair(switch_over_s=30.0).normal()
    pair.second.stop()
    pair.pass_s(25)
    assert pair.first.state is State.COMMUNICATIONS_INTERRUPTED
    pair.pass_s(7)
    assert pair.first.state is State.PARTNER_DOWN


def test_a_partner_that_was_away_asks_for_what_it_missed_and_waits_for_mclt(pair: Pair) -> None:
    pair.normal()
    pair.second.stop()
    pair.pass_s(1)
    assert pair.first.node is not None
    pair.first.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.first.drain()
    assert pair.first.lease(1) is not None
    pair.pass_s(10)
    pair.second.said.clear()
    pair.second.start()
    pair.pass_s(10)
    assert pair.second.state is State.RECOVER_WAIT
    assert UpdateRequest() in pair.second.said  # its store is there: not everything
    assert pair.second.lease(2) is None
    assert pair.first.lease(2) is not None
    pair.pass_s(60)
    assert pair.states == ("NORMAL", "NORMAL")
    counts = status_counts(pair)
    assert counts[0] == counts[1]


def test_a_lost_disk_is_filled_again_and_waits_for_mclt(pair: Pair) -> None:
    pair.normal()
    assert pair.first.lease(1) is not None
    pair.pass_s(1)
    pair.second.stop()
    pair.second.disk.clear()
    pair.second.records.clear()
    pair.second.alive_at = 0.0
    pair.pass_s(2)
    pair.second.start()
    pair.pass_s(30)
    assert pair.second.state is State.RECOVER_WAIT
    assert pair.first.state is State.COMMUNICATIONS_INTERRUPTED  # and it serves
    assert pair.first.lease(2) is not None
    pair.pass_s(45)
    assert pair.states == ("NORMAL", "NORMAL")
    assert status_counts(pair)[0] == status_counts(pair)[1]


def test_both_took_the_other_for_down_and_the_primarys_client_keeps_the_address(pair: Pair) -> None:
    pair.normal()
    pair.cut = True
    pair.pass_s(4)
    for server in (pair.first, pair.second):
        assert server.node is not None
        server.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
        server.drain()
    pair.pass_s(65)
    ours = {pair.first.lease(client) for client in range(10)}
    theirs = {pair.second.lease(client) for client in range(20, 30)}
    assert {each[0] for each in ours if each} & {each[0] for each in theirs if each}
    pair.cut = False
    pair.pass_s(3)
    pair.pass_s(12)
    assert pair.states == ("NORMAL", "NORMAL")
    for address in range(FIRST, FIRST + 10):
        assert pair.first.disk[address].key == pair.second.disk[address].key
        assert pair.first.disk[address].key[-1] < 10
    assert any("keeps it" in each for each in pair.first.texts("DHC-0408"))


def test_a_clean_stop_is_told_and_the_other_goes_on_at_once(pair: Pair) -> None:
    pair.normal()
    assert pair.second.node is not None
    pair.second.node.failover.stopping(pair.now)
    pair.second.drain()
    pair.deliver()
    assert pair.first.state is State.COMMUNICATIONS_INTERRUPTED


def test_shutdown_hands_everything_over_and_resume_comes_back(pair: Pair) -> None:
    pair.normal()
    node = pair.second.node
    assert node is not None
    node.failover.command(pair.now, "pair", Command.SHUTDOWN)
    pair.second.drain()
    pair.pass_s(2)
    assert pair.states == ("PARTNER-DOWN", "SHUTDOWN")
    with pytest.raises(Refusal, match="SHUTDOWN already"):
        node.failover.command(pair.now, "pair", Command.PAUSE)
    node.failover.command(pair.now, "pair", Command.RESUME)
    pair.second.drain()
    pair.pass_s(100)
    assert pair.states == ("NORMAL", "NORMAL")


def test_partner_down_is_not_taken_while_the_partner_serves(pair: Pair) -> None:
    pair.normal()
    assert pair.first.node is not None
    with pytest.raises(Refusal, match="speaks with us and is in NORMAL; switch it off first"):
        pair.first.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)


def test_an_address_that_was_given_back_is_free_with_both(pair: Pair) -> None:
    pair.normal()
    given = pair.first.lease(1)
    assert given is not None
    pair.pass_s(2)
    pair.first.release(1, given[0])
    pair.pass_s(1)
    assert status_counts(pair)[0][1] == status_counts(pair)[1][1] == 0


def test_a_release_that_comes_after_the_partner_gave_the_address_again_is_old(pair: Pair) -> None:
    """It had waited at a server that was busy; the simulator found the address with two clients then."""
    pair.normal()
    given = pair.first.lease(1)
    assert given is not None
    pair.pass_s(2)
    assert pair.second.renew(1, given[0]) is not None
    pair.pass_s(1)
    pair.first.release(1, given[0])
    pair.pass_s(1)
    assert status_counts(pair)[0][1] == status_counts(pair)[1][1] == 1
    pair.second.release(1, given[0])
    pair.pass_s(1)
    assert status_counts(pair)[0][1] == status_counts(pair)[1][1] == 0


# What does not fit: a named reason on both sides, and no lease is changed


MISFITS = {
    "another secret": ({"secrets": ("one", "two")}, "the message digest is wrong: the shared secrets differ"),
    "a secret on one side only": ({"secrets": ("one", None)}, "a message digest came, and no shared secret"),
}


@pytest.mark.parametrize(("more", "reason"), MISFITS.values(), ids=MISFITS.keys())
def test_partners_that_do_not_share_a_secret(more: dict[str, tuple[str, str]], reason: str) -> None:
    pair = Pair(**more).start().pass_s(20)  # type: ignore[arg-type]  # as the class takes it
    assert pair.states == ("RECOVER", "RECOVER")
    assert any(reason in text for text in pair.second.texts("DHC-0404"))
    assert pair.first.texts("DHC-0404") or pair.first.texts("DHC-0405")
    assert not pair.first.disk
    assert not pair.second.disk


def test_a_shared_secret(pair: Pair) -> None:
    Pair(secrets=("the same", "the same")).normal()


def refused(first: Pair, what: str) -> None:
    assert any(what in text for text in first.second.texts("DHC-0404")), first.second.log
    assert any(what in text for text in first.first.texts("DHC-0405")), first.first.log
    assert not first.first.disk
    assert not first.second.disk


def test_another_mclt(pair: Pair) -> None:
    pair.second.declared = Pair(mclt_s=90.0).second.declared
    refused(pair.start().pass_s(20), "the MCLT is 60 s at the primary, 90 s here")


def test_a_clock_ten_minutes_off(pair: Pair) -> None:
    pair.first.ahead_s = 600.0
    refused(pair.start().pass_s(20), "the clocks differ by 600 s")


def test_another_relationship(pair: Pair) -> None:
    pair.second.declared = Pair(name="other").second.declared
    pair.first.start()
    pair.second.start()
    pair.pass_s(20)
    assert any("no such relationship" in text for text in pair.first.texts("DHC-0405"))
    assert any(
        'no such relationship with this partner "pair"' in text for text in pair.second.texts("DHC-0409")
    )


def test_two_primaries(pair: Pair) -> None:
    pair.second.declared = Pair(servers=("ns2", "ns1"), addresses=("10.9.0.2", "10.9.0.1")).second.declared
    pair.start().pass_s(20)
    for server in (pair.first, pair.second):
        texts = server.texts("DHC-0404") + server.texts("DHC-0405")
        assert any("both servers say that they are the primary" in text for text in texts)


def test_updates_for_addresses_that_are_not_ours_change_nothing(pair: Pair) -> None:
    pair.normal()
    before = dict(pair.second.disk)
    link = pair.first.endpoint.link
    for at in range(200):
        strange = Binding(0x0B000000 + at, ACTIVE, None, b"\x01mac123", 2_000_000_000, 2_000_000_000)
        link.say(pair.now, Update((strange,)))
    pair.pass_s(1)
    assert pair.second.disk == before
    assert len(pair.second.texts("DHC-0406")) == 1
    assert "it is in no scope that this server leases" in pair.second.texts("DHC-0406")[0]
    assert pair.second.node is not None
    (status,) = pair.second.node.failover.status(pair.now)
    assert status.refused == ("the partner tells of 11.0.0.0, which is in no scope that this server leases",)


def test_a_message_cut_short_ends_the_connection_and_nothing_else(pair: Pair) -> None:
    pair.normal()
    link = pair.first.endpoint.link
    link.sent.append((link.connection, b"\xff\xff"))
    pair.pass_s(1)
    assert any("65535 bytes" in text for text in pair.second.texts("DHC-0404"))
    pair.pass_s(20)
    assert pair.states == ("NORMAL", "NORMAL")


def test_a_message_that_is_said_again_is_not_taken_again() -> None:
    pair = Pair(secrets=("same", "same")).normal()
    link = pair.first.endpoint.link
    data = write_message(Message(int(pair.now), 1, UpdateRequest()), link.seal)
    link.sent.append((link.connection, data))
    pair.pass_s(1)
    assert any("it was said before" in text for text in pair.second.texts("DHC-0404"))


def test_a_full_disk_answers_no_update(pair: Pair) -> None:
    pair.normal()
    given = pair.first.lease(1)
    assert given is not None
    pair.second.durable = False
    pair.pass_s(2)
    assert pair.first.renew(1, given[0]) is not None
    pair.pass_s(2)
    assert pair.first.endpoint.bindings.untold_count > 0
    pair.second.durable = True
    pair.pass_s(20)
    assert pair.first.endpoint.bindings.untold_count == 0
    assert pair.second.disk[FIRST + int(given[0].split(".")[3]) - 10].status == ACTIVE


def test_what_partners_and_clients_say_together_gets_one_commit(pair: Pair) -> None:
    pair.normal()
    theirs = pair.second.lease(3)
    assert theirs is not None
    pair.pass_s(1)
    ours = pair.first.lease(1)
    assert ours is not None
    (told,) = [each for each in pair.queue if each[0] == 2]
    pair.queue = []
    node, connection, update = pair.second.node, told[1], told[2]
    assert node is not None
    assert update is not None
    with node.together():
        node.failover.received(pair.now, connection, update)
        assert pair.second.renew(3, theirs[0]) is None  # not before it is durable
    (commit,) = [each for each in node.outputs if isinstance(each, CommitLeases)]
    assert [address_text(each.address) for each in commit.leases] == [ours[0], theirs[0]]
    pair.second.drain()
    assert [each.options[53] for each in pair.second.answers] == [b"\x05"]
    pair.pass_s(1)
    assert pair.first.endpoint.bindings.untold_count == pair.second.endpoint.bindings.untold_count == 0


def test_how_it_goes_is_told(pair: Pair) -> None:
    pair.normal()
    assert pair.first.node is not None
    (status,) = pair.first.node.failover.status(pair.now)
    assert (status.state, status.partner_state, status.connected) == ("NORMAL", "NORMAL", True)
    assert status.free_counts == (("office", 5, 5, 5),)
    assert status.untold_count == 0
    assert status.clock_difference_s is not None
    assert abs(status.clock_difference_s) <= 1.0
    assert address_text(FIRST) == "10.0.0.10"


def test_a_standby_that_has_used_its_reserve_says_whose_the_rest_is() -> None:
    # It said that 2 of 10 were leased and none was free, and a moment later that 8 were free again.
    pair = Pair(mode=FailoverMode.HOT_STANDBY, reserve_percent=20).normal()
    pair.first.stop()
    pair.pass_s(6)
    assert [pair.second.lease(client) is not None for client in range(3)] == [True, True, False]
    pair.pass_s(20)
    (said,) = pair.second.texts("DHC-0101")
    assert "2 leased, 0 offered, 0 declined, 8 free and the failover partner's, of 10" in said
    assert pair.second.texts("DHC-0102") == []
    pair.first.start()
    pair.pass_s(20)
    assert pair.states == ("NORMAL", "NORMAL")
    assert pair.second.texts("DHC-0102") == ['scope "office" has free addresses again: 2']


def test_a_release_that_waited_for_commits_of_partners_messages_ends_nothing(pair: Pair) -> None:
    """Found by the simulator: no commit took a second, but another began before datagrams were read."""
    pair.normal()
    given = pair.first.lease(1)
    assert given is not None
    pair.pass_s(2)
    node, address = pair.first.node, int(IPv4Address(given[0]))
    assert node is not None

    def heard(at: float) -> None:
        pair.first.endpoint._keep(spoken_at=int(at))

    node.failover._do(pair.now, heard)
    node.failover._do(pair.now, heard)  # waits for the commit of the first
    node.outputs.clear()
    pair.first.release(1, given[0])
    for elapsed_s in (0.9, 1.8):
        assert node.server.table.leases[address].status == ACTIVE
        node.leases_committed(pair.now + elapsed_s, 0.9)
        node.outputs.clear()
    assert node.server.table.leases[address].status == ACTIVE
    pair.now += 5.0
    pair.first.release(1, given[0])
    assert node.server.table.leases[address].status == RELEASED


def test_an_address_that_both_gave_up_is_not_told_to_and_fro(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the simulator: each took the other's word about its end by turns, for ever."""
    pair.normal()
    given = pair.first.lease(1)
    assert given is not None
    pair.pass_s(2)
    pair.apart()
    for server in (pair.first, pair.second):
        assert server.renew(1, given[0]) is not None
        own = IPv4Address(int(IPv4Address("10.0.0.0")) + server.number).packed
        server.ask(1, {53: bytes((dhcp4.DECLINE,)), 50: IPv4Address(given[0]).packed, 54: own})
        pair.pass_s(30)
    ends = [server.disk[int(IPv4Address(given[0]))].expires_at for server in (pair.first, pair.second)]
    assert ends[1] > ends[0] + 20
    sent, send = [], pair.send

    def counted(server: int, connection: int, data: bytes) -> None:
        sent.append(data)
        assert len(sent) < 200, "it goes on for ever"
        send(server, connection, data)

    monkeypatch.setattr(pair, "send", counted)
    pair.cut = False
    pair.pass_s(20)
    assert pair.states == ("NORMAL", "NORMAL")
    for server in (pair.first, pair.second):
        lease = server.disk[int(IPv4Address(given[0]))]
        assert (lease.status, lease.flags) == (ABANDONED, 0)
        assert abs(lease.expires_at - ends[1]) <= 1
