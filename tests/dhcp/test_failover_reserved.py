"""Reservations that one partner has and the other not: while they are apart, and until both have the same."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhcp.conversations import reservation
from dhcp.partners import FIRST, Pair, Server, related
from holdfast.dhcp import failover_reserved
from holdfast.dhcp.failover_link import Peer
from holdfast.dhcp.failover_record import Agreed
from holdfast.dhcp.lease import address_text
from holdfast.directory.model import Organisation
from holdfast.node.failover import Command

OWNER, OTHER = 201, 202


@pytest.fixture
def pair() -> Pair:
    return Pair().normal()


def mac(client: int) -> str:
    return f"02:00:00:00:00:{client:02x}"


def leases(server: Server, clients: range) -> list[str]:
    """Have all these clients ask; the addresses that they got."""
    return [given[0] for each in clients if (given := server.lease(each)) is not None]


def reserved(owners: dict[int, int] | None = None) -> Organisation:
    """These addresses, counted from the first one, are reserved; else all ten, for the clients 201 to 210."""
    found = dict(zip(range(10), range(201, 211), strict=True)) if owners is None else owners
    return replace(
        related(),
        reservations=tuple(
            reservation(address_text(FIRST + number), mac(client)) for number, client in found.items()
        ),
    )


def tell_both(pair: Pair, declared: Organisation) -> None:
    """Both are told, and find out that they have the same."""
    for server in (pair.first, pair.second):
        server.change(declared)
    pair.pass_s(12)
    assert doubts(pair) == ([], [])


def doubts(pair: Pair) -> tuple[list[int], list[int]]:
    """The addresses in doubt at either, counted from the first one."""
    first, second = (
        sorted(each - FIRST for each in server.endpoint.authority.unsettled)
        for server in (pair.first, pair.second)
    )
    return first, second


def removed_in_partner_down(pair: Pair) -> None:
    """Both had the same, the second one is declared down, and the first one is rid of all reservations."""
    tell_both(pair, reserved())
    pair.second.stop()
    pair.pass_s(6)
    assert pair.first.node is not None
    pair.first.node.failover.command(pair.now, "pair", Command.PARTNER_DOWN)
    pair.first.drain()
    pair.first.change(related())


def owned(pair: Pair, server: Server) -> list[int]:
    """The free addresses of a server, counted from the first one."""
    authority = server.endpoint.authority
    return [each for each in range(10) if authority.is_free(server.disk.get(FIRST + each))]


@pytest.mark.parametrize("number", [1, 2])
def test_a_reservation_that_one_alone_was_told_leases_no_address_twice(pair: Pair, number: int) -> None:
    # It happened: its owner got it here, while the partner, whose free address it was, leased it to another.
    told, other = pair.server(number), pair.server(3 - number)
    pair.apart()
    told.change(reserved())
    pair.pass_s(8)
    mine, theirs = leases(told, range(201, 211)), leases(other, range(1, 30))
    assert set(mine) & set(theirs) == set()
    assert (len(mine), len(theirs)) == (5, 5)
    # Which of them are whose is known again once both have the same, and have said so.
    other.change(reserved())
    pair.cut = False
    pair.pass_s(15)
    assert pair.states == ("NORMAL", "NORMAL")
    assert doubts(pair) == ([], [])


@pytest.mark.parametrize("number", [1, 2])
def test_a_reservation_that_both_have_is_its_owners_at_either_when_they_are_apart(
    pair: Pair, number: int
) -> None:
    tell_both(pair, reserved())
    pair.apart()
    assert len(leases(pair.server(number), range(201, 211))) == 10


def test_a_reservation_outside_the_pool_is_its_owners_at_once(pair: Pair) -> None:
    pair.apart()
    pair.second.change(replace(related(), reservations=(reservation("10.0.0.99", mac(OWNER)),)))
    pair.pass_s(8)
    assert leases(pair.second, range(OWNER, OWNER + 1)) == ["10.0.0.99"]


def test_who_cannot_have_what_is_reserved_for_it_yet_gets_another_address(pair: Pair) -> None:
    pair.apart()
    wanted = owned(pair, pair.first)[0]
    pair.second.change(reserved({wanted: OWNER}))
    pair.pass_s(8)
    own = owned(pair, pair.second)
    (got,) = leases(pair.second, range(OWNER, OWNER + 1))
    assert int(IPv4Address(got)) - FIRST in own
    assert pair.second.renew(OWNER, got) is not None


@pytest.mark.parametrize("number", [1, 2])
def test_a_reservation_that_was_removed_on_one_alone_leases_no_address_twice(pair: Pair, number: int) -> None:
    """It happened: one leased it to anybody, while the other one gave it to its owner."""
    told, other = pair.server(number), pair.server(3 - number)
    tell_both(pair, reserved())
    pair.apart()
    told.change(related())
    pair.pass_s(8)
    assert leases(told, range(1, 30)) == []
    theirs = leases(other, range(201, 211))
    assert len(theirs) == 10
    # Where the free address is the server's own, its owner gets it there as well.
    own = owned(pair, told)
    assert leases(told, range(201, 211)) == [address_text(FIRST + each) for each in own]


def test_what_was_removed_on_both_is_anybodys_once_they_know(pair: Pair) -> None:
    tell_both(pair, reserved())
    pair.apart()
    for server in (pair.first, pair.second):
        server.change(related())
    pair.pass_s(8)
    assert leases(pair.first, range(1, 30)) == []
    pair.cut = False
    pair.pass_s(15)
    assert doubts(pair) == ([], [])
    assert len(leases(pair.first, range(1, 10)) + leases(pair.second, range(10, 30))) == 10


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_reserved_for_another_one_is_nobodys_until_both_have_it(pair: Pair, number: int) -> None:
    told, other = pair.server(number), pair.server(3 - number)
    tell_both(pair, reserved({0: OWNER, 9: OWNER + 1}))
    pair.apart()
    told.change(reserved({0: OTHER + 1, 9: OTHER + 2}))
    pair.pass_s(8)
    wanted = {address_text(FIRST), address_text(FIRST + 9)}
    assert not wanted & set(leases(told, range(OTHER + 1, OTHER + 3)))
    assert set(leases(other, range(OWNER, OWNER + 2))) == wanted
    other.change(reserved({0: OTHER + 1, 9: OTHER + 2}))
    pair.cut = False
    pair.pass_s(15)
    assert doubts(pair) == ([], [])
    pair.pass_s(200)  # what the owners of before had has ended
    assert set(leases(pair.first, range(OTHER + 1, OTHER + 3))) == wanted


def test_what_was_removed_before_a_restart_is_in_doubt_after_it(pair: Pair) -> None:
    tell_both(pair, reserved())
    pair.apart()
    pair.second.change(related())
    pair.second.stop()
    pair.second.start()
    pair.pass_s(12)
    assert pair.second.state.text == "COMMUNICATIONS-INTERRUPTED"
    assert leases(pair.second, range(1, 30)) == []
    assert doubts(pair) == ([], list(range(10)))


def test_what_is_declared_as_before_is_in_doubt_until_the_partner_has_spoken(pair: Pair) -> None:
    """It may have heard of the change, agreed, and leased the address."""
    tell_both(pair, reserved())
    pair.apart()
    pair.second.change(related())
    pair.second.change(reserved())
    assert doubts(pair) == ([], list(range(10)))
    pair.cut = False
    pair.pass_s(15)
    assert doubts(pair) == ([], [])


def test_in_partner_down_a_reservation_that_was_removed_is_anybodys_after_mclt(pair: Pair) -> None:
    removed_in_partner_down(pair)
    pair.pass_s(2)
    assert leases(pair.first, range(1, 30)) == []
    pair.pass_s(70)
    assert len(leases(pair.first, range(1, 30))) == 10
    # The partner has them still, and is asked once it is back.
    pair.second.start()
    pair.pass_s(1)
    assert doubts(pair)[0] == list(range(10))


def test_only_an_answer_to_what_is_declared_now_ends_a_doubt(pair: Pair) -> None:
    tell_both(pair, reserved())
    pair.apart()
    pair.second.change(related())
    reservations = pair.second.node.failover.reservations if pair.second.node else None
    assert reservations is not None
    shared, endpoint = reservations._shared["pair"], pair.second.endpoint
    endpoint.link.peer = Peer(b"holdfast-1", 100, 5, True)
    digest = reservations._digest(endpoint, shared)

    def heard(edition: int, echoed: int, said: bytes) -> bool:
        reservations.heard("pair", failover_reserved._SAID.pack(edition, echoed, said, 0))
        return not shared.in_doubt

    assert not heard(7, shared.edition - 1, digest)  # it had not heard of it
    assert not heard(7, shared.edition, bytes(32))  # it has something else
    reservations.heard("pair", b"short")
    reservations.heard("another", bytes(40))
    assert heard(7, shared.edition, digest)


def test_nothing_is_said_before_it_is_durable_or_while_a_lease_there_is_untold(pair: Pair) -> None:
    pair.second.durable = False
    pair.second.change(reserved({0: OWNER}))
    reservations = pair.second.node.failover.reservations if pair.second.node else None
    assert reservations is not None
    shared, endpoint = reservations._shared["pair"], pair.second.endpoint
    assert not reservations._may_say(endpoint, shared)
    pair.second.durable = True
    pair.pass_s(2)
    assert reservations._may_say(endpoint, shared)
    number = owned(pair, pair.second)[0]
    tell_both(pair, related())
    pair.cut = True
    pair.pass_s(0.25)
    pair.second.change(reserved({number: OWNER}))
    assert reservations._may_say(endpoint, shared)
    assert pair.second.lease(OWNER) is not None
    assert not reservations._may_say(endpoint, shared)


def lose_disk(server: Server) -> None:
    server.stop()
    server.disk, server.records, server.agreed, server.alive_at = {}, {}, {}, 0.0


def apart_again(pair: Pair) -> list[str]:
    """Addresses that two clients get when the partners are apart once more, one of them a former owner."""
    pair.cut = True
    pair.pass_s(6)
    both = [leases(server, clients) for server, clients in (
        (pair.first, range(201, 211)), (pair.second, range(1, 30)),
    )]  # fmt: skip
    return sorted(set(both[0]) & set(both[1]))


def test_a_server_that_lost_its_disk_says_that_it_does_not_know_what_both_had(pair: Pair) -> None:
    """Neither had a doubt: the other one had what both had before, and this one nothing at all."""
    tell_both(pair, reserved())
    pair.apart()
    lose_disk(pair.second)
    pair.second.declared = related()
    pair.second.start()
    pair.cut = False
    pair.pass_s(120)
    assert pair.states == ("NORMAL", "NORMAL")
    assert doubts(pair)[0] == list(range(10))
    assert apart_again(pair) == []


def test_a_scope_that_left_and_joined_again_is_not_known_any_more(pair: Pair) -> None:
    tell_both(pair, reserved())
    pair.second.change(related(scopes=()))
    pair.pass_s(2)
    pair.second.change(related())
    pair.pass_s(20)
    assert pair.states == ("NORMAL", "NORMAL")
    assert doubts(pair)[0] == list(range(10))
    assert apart_again(pair) == []


def test_a_relationship_that_was_made_again_knows_nothing_of_the_one_before(pair: Pair) -> None:
    tell_both(pair, reserved())
    pair.second.change(replace(related(), failover_relationships=()))
    pair.pass_s(2)
    pair.second.change(related())
    pair.pass_s(150)
    assert pair.states == ("NORMAL", "NORMAL")
    assert doubts(pair)[0] == list(range(10))
    assert apart_again(pair) == []


@pytest.mark.parametrize("number", [1, 2])
def test_a_doubt_that_ends_opens_nothing_before_what_was_kept_is_gone(pair: Pair, number: int) -> None:
    """Between the two its owner of before got a free address of the partner, which leased it as well."""
    tell_both(pair, reserved())
    pair.apart()
    for server in (pair.first, pair.second):
        server.change(related())
    node, other = pair.server(number).node, pair.server(3 - number)
    assert node is not None
    reservations = node.failover.reservations
    own = [address_text(FIRST + each) for each in owned(pair, pair.server(number))]
    reservations._shared["pair"].agree()
    reservations._changed(pair.server(number).endpoint, reservations._shared["pair"])
    assert reservations.is_due
    assert leases(pair.server(number), range(201, 211)) == own
    pair.server(number).timer()
    assert not reservations.is_due
    assert doubts(pair)[number - 1] == []
    assert doubts(pair)[other.number - 1] != []


def as_isc(server: Server) -> Peer:
    """The next partner that this one hears is of another make."""
    peer = server.endpoint.link.peer = Peer(b"isc-4.4", 10, 60, True)
    return peer


def test_of_another_makers_partner_nothing_is_asked(pair: Pair) -> None:
    tell_both(pair, reserved())
    assert pair.first.node is not None
    reservations = pair.first.node.failover.reservations
    as_isc(pair.first)
    assert list(reservations.take_messages(pair.now)) == []
    pair.first.change(reserved({0: OTHER}))
    assert list(reservations.take_messages(pair.now)) == []
    assert reservations._kept == {}  # what is removed is gone, for it is its own administrator who knows
    assert 0 in doubts(pair)[0]  # and what is new takes none of its addresses
    assert failover_reserved._read(pair.first.agreed["pair"]).in_doubt == frozenset()  # a start takes it so


def test_another_makers_partner_is_taken_to_have_what_we_had_when_we_started(pair: Pair) -> None:
    """It was taken to have what had been reserved while it was away."""
    tell_both(pair, reserved({0: OWNER}))
    pair.apart()
    pair.first.stop()
    pair.first.start()
    pair.pass_s(6)
    pair.first.change(reserved({0: OWNER, 9: OTHER}))
    as_isc(pair.first)
    assert pair.first.node is not None
    pair.first.node.failover.reservations.heard("pair", bytes(failover_reserved._SAID.size))
    assert doubts(pair)[0] == [9]
    # One of ours that comes after it is one of ours at once, whoever speaks first.
    pair.first.endpoint.link.peer = Peer(b"holdfast-1", 100, 5, True)
    pair.first.node.failover.reservations.heard("pair", bytes(failover_reserved._SAID.size))
    assert not pair.first.node.failover.reservations._shared["pair"].is_foreign


def test_what_is_in_no_pool_holds_up_no_agreement(pair: Pair) -> None:
    """Of a reservation outside the pool both refused what the other said, and neither ever agreed again."""
    outside = replace(related(), reservations=(reservation("10.0.0.99", mac(OWNER)),))
    tell_both(pair, outside)
    assert leases(pair.first, range(OWNER, OWNER + 1)) == ["10.0.0.99"]
    pair.pass_s(2)
    pair.second.change(related())
    pair.pass_s(20)
    assert pair.first.renew(OWNER, "10.0.0.99") is not None
    pair.pass_s(5)
    tell_both(pair, related())
    tell_both(pair, reserved())


def test_however_often_an_owner_changes_two_are_enough(pair: Pair) -> None:
    tell_both(pair, reserved({0: OWNER}))
    pair.apart()
    for client in range(300):
        address = f"02:00:00:00:{client >> 8:02x}:{client & 255:02x}"
        pair.second.change(replace(related(), reservations=(reservation("10.0.0.10", address),)))
    assert pair.second.node is not None
    (owners,) = pair.second.node.failover.reservations._shared["pair"].doubts["office"].values()
    assert len(owners) == failover_reserved.SEVERAL
    tell_both_again = reserved({0: OWNER})
    pair.second.change(tell_both_again)
    pair.cut = False
    pair.pass_s(20)
    assert doubts(pair) == ([], [])


def test_who_leased_an_address_while_the_partner_was_down_goes_on_when_it_is_back(pair: Pair) -> None:
    """The reservation that the partner still had was kept, and every renewal refused."""
    removed_in_partner_down(pair)
    pair.pass_s(70)
    got = {client: given[0] for client in (1, 2, 3) if (given := pair.first.lease(client)) is not None}
    assert len(got) == 3
    pair.second.start()
    pair.pass_s(100)
    assert pair.states == ("NORMAL", "NORMAL")
    assert doubts(pair)[0] == list(range(10))
    for client, address in got.items():
        assert pair.first.renew(client, address) is not None
        again = pair.first.lease(client)
        assert again is not None
        assert again[0] == address


def test_who_has_an_address_whose_reservation_moved_keeps_it_until_it_can_have_the_other(pair: Pair) -> None:
    tell_both(pair, reserved({0: OWNER}))
    given = pair.first.lease(OWNER)
    assert given is not None
    pair.pass_s(2)
    pair.apart()
    wanted = owned(pair, pair.second)[0]
    pair.first.change(reserved({wanted: OWNER}))
    pair.pass_s(2)
    renewed = pair.first.renew(OWNER, given[0])
    assert renewed is not None
    assert renewed[0] == given[0]


def test_a_scope_that_left_goes_by_what_the_partner_may_have_given(pair: Pair) -> None:
    """Found by the simulator: what was reserved meanwhile was given although it was held back."""
    tell_both(pair, reserved({0: OWNER}))
    theirs = [each for each in owned(pair, pair.second) if each]
    pair.second.stop()
    declared = reserved({theirs[0]: OTHER})
    pair.first.change(replace(declared, failover_relationships=()))
    pair.pass_s(2)
    got = leases(pair.first, range(OTHER, OTHER + 1)) + leases(pair.first, range(1, 30))
    assert address_text(FIRST + theirs[0]) not in got
    assert address_text(FIRST) not in got  # its owner may have it, and nobody else
    pair.pass_s(70)
    more = leases(pair.first, range(30, 60))
    assert address_text(FIRST) in more
    assert pair.first.node is not None
    assert pair.first.node.failover.reservations._kept == {}


def test_a_relationship_that_is_deleted_is_forgotten(pair: Pair) -> None:
    tell_both(pair, reserved())
    assert pair.first.agreed
    pair.first.change(replace(related(), failover_relationships=()))
    assert pair.first.agreed == {}


_OWNERS = st.lists(st.binary(max_size=255), max_size=3).map(tuple)


@given(
    st.dictionaries(
        st.text(max_size=20).filter(lambda text: text.isprintable()),
        st.dictionaries(
            st.integers(0, 0xFFFFFFFF),
            st.lists(_OWNERS, min_size=1, max_size=4, unique=True).filter(any),
            max_size=5,
        ),
    ),
    st.booleans(),
)
def test_what_is_written_down_is_read_again(
    scopes: dict[str, dict[int, list[tuple[bytes, ...]]]], is_unknown: bool
) -> None:
    shared = failover_reserved._Shared()
    shared.is_unknown = is_unknown
    for scope, addresses in scopes.items():
        shared.agreed[scope] = {address: owners[0] for address, owners in addresses.items() if owners[0]}
        shared.doubts[scope] = {
            address: tuple(owners) for address, owners in addresses.items() if len(owners) > 1
        }
    read = failover_reserved._read(
        Agreed("pair", failover_reserved.VERSION, failover_reserved._write(shared))
    )
    assert (read.agreed, read.doubts) == (shared.agreed, shared.doubts)
    assert (read.was_written, read.is_dirty, read.is_unknown) == (True, False, is_unknown)


@given(st.binary(max_size=60))
def test_what_is_damaged_says_nothing(data: bytes) -> None:
    read = failover_reserved._read(Agreed("pair", failover_reserved.VERSION, data))
    assert all(any(owners) for doubts in read.doubts.values() for owners in doubts.values())
    other = failover_reserved._read(Agreed("pair", failover_reserved.VERSION + 1, data))
    assert (other.agreed, other.is_unknown, other.is_dirty) == ({}, True, True)


def test_an_owner_does_not_get_back_what_the_partner_may_have_freed(pair: Pair) -> None:
    """Found by the simulator: the partner had heard of the end, and leased the address to another client."""
    number = owned(pair, pair.second)[0]
    pair.apart()
    pair.second.change(reserved({number: OWNER}))
    pair.pass_s(2)
    given = pair.second.lease(OWNER)
    assert given == (address_text(FIRST + number), 60)
    pair.second.release(OWNER, given[0])
    again = pair.second.lease(OWNER)
    assert again is not None
    assert again[0] != given[0]


def test_who_lost_its_disk_agrees_to_nothing_before_what_it_gave_is_over(pair: Pair) -> None:
    """Found by the simulator: an owner was given an address that a client of the lost disk still had."""
    tell_both(pair, reserved())
    pair.apart()
    lose_disk(pair.second)
    pair.second.start()
    pair.cut = False
    pair.pass_s(20)
    assert pair.second.state.text == "RECOVER-WAIT"
    assert doubts(pair) == (list(range(10)), list(range(10)))
    pair.pass_s(100)
    assert pair.states == ("NORMAL", "NORMAL")
    assert doubts(pair) == ([], [])
