"""Updates both ways: lazily, bounded, answered once durable, and said again when they were not taken."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.dhcp.dns_state import (
    FORWARD,
    FORWARD_DONE,
    DnsState,
    Registration,
    is_pending,
    read_state,
    to_go_on_with,
    write_state,
)
from holdfast.dhcp.failover_bindings import AGAIN_S, UNANSWERED_S, Bindings, Book
from holdfast.dhcp.failover_link import Link, Peer, Phase
from holdfast.dhcp.failover_settings import Settings
from holdfast.dhcp.lease import ABANDONED, ACTIVE, BACKUP, EXPIRED, FREE, NEVER, RELEASED, UNTOLD, Lease
from holdfast.wire.failover import read_message
from holdfast.wire.failover_messages import (
    OUTDATED,
    Acknowledgement,
    Answer,
    Binding,
    Content,
    Update,
    UpdateDone,
)

NOW = 1_700_000_000.0


class Side:
    """One side's updates, with a link that is up and a partner that is written by hand."""

    def __init__(self, *leases: Lease, vendor: bytes = b"holdfast-1", unacked_max: int = 10) -> None:
        self.leases = {each.address: each for each in leases}
        self.registers = False
        self.is_closed = False  # nobody is told that a lease is durable
        self.link = Link(Settings("office", primary=True, partner="10.0.0.2"), lambda: True)
        self.link.phase = Phase.UP
        self.link.connection = 1
        self.link.peer = Peer(vendor, unacked_max, 3, True)
        self.bindings = Bindings(
            Book(
                self.leases.get,
                lambda address: address < 1000,
                self._put,
                self._put_acknowledged,
                self._all,
                lambda lease: b"gone" if lease.dns else b"",
                lambda: self.registers,
            ),
            self.link,
            primary=True,
        )
        self.bindings.load(NOW)

    def _put(self, lease: Lease) -> None:
        self.leases[lease.address] = lease
        if not self.is_closed:
            self.bindings.changed(NOW, [lease])

    def _put_acknowledged(self, now: float, lease: Lease) -> None:
        self.leases[lease.address] = lease

    def _all(self) -> Iterable[Lease]:
        return list(self.leases.values())

    def said(self) -> list[tuple[int, Content]]:
        messages = [read_message(data) for _, data in self.link.sent]
        self.link.sent = []
        return [(each.xid, each.content) for each in messages]

    def pump(self, now: float = NOW) -> list[tuple[int, Content]]:
        self.bindings.pump(now, tells=True)
        return self.said()


def lease(address: int, status: int = ACTIVE, flags: int = UNTOLD, **more: int) -> Lease:
    plain = Lease(
        address, status, flags, b"\x01mac123", b"id", 1000, 1_700_000_600, 1000, 1000, b"host", b"relay"
    )
    return plain._replace(**more)  # type: ignore[arg-type]  # fields by name


def test_what_is_untold_is_told_in_batches_between_two_of_ours() -> None:
    side = Side(*(lease(each) for each in range(100)), lease(200, flags=0))
    told = side.pump()
    assert sum(len(content.bindings) for _, content in told if isinstance(content, Update)) == 100
    assert len(told) < 10
    assert side.pump() == []


def test_isc_gets_one_binding_per_message_and_no_more_than_it_takes() -> None:
    side = Side(*(lease(each) for each in range(100)), vendor=b"isc-4.4.3-P1", unacked_max=10)
    told = side.pump()
    assert len(told) == 10
    binding = told[0][1].bindings[0]  # type: ignore[union-attr]  # an Update
    assert binding.request_options is None
    xid = told[0][0]
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(0),)))
    assert len(side.pump()) == 1


def test_an_answer_makes_the_lease_told_and_its_time_acknowledged() -> None:
    side = Side(lease(7, potential_sent=5000), lease(8, EXPIRED))
    ((xid, _),) = side.pump()
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7), Answer(8))))
    assert (side.leases[7].flags, side.leases[7].potential_acked) == (0, 5000)
    assert side.leases[8].status == FREE  # the partner freed it as well


def test_what_was_refused_is_said_again_later_and_later() -> None:
    side = Side(lease(7))
    at = NOW
    for wait_s in (AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S):
        ((xid, _),) = side.pump(at)
        side.bindings.acknowledged(at, xid, Acknowledgement((Answer(7, 15),)))
        assert side.pump(at + wait_s - 1) == []
        at += wait_s
    assert side.leases[7].flags == UNTOLD
    assert [each.by_us for each in side.bindings.refused] == [False] * 3


def test_what_changed_under_way_is_said_again() -> None:
    side = Side(lease(7))
    ((xid, _),) = side.pump()
    side.leases[7] = lease(7, expires_at=1_700_000_900)
    side.bindings.changed(NOW, [side.leases[7]])
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7),)))
    assert side.leases[7].flags == UNTOLD
    assert len(side.pump()) == 1


def test_what_the_partner_extended_meanwhile_is_not_told_to_and_fro() -> None:
    """Both had extended it, each told the other, and each time it ended a little later: for ever."""
    side = Side(lease(7, potential_sent=5000))
    ((xid, _),) = side.pump()
    side.leases[7] = lease(7, potential_sent=5000, potential_received=6000, expires_at=1_700_000_602)
    side.bindings.changed(NOW, [side.leases[7]])
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7),)))
    assert (side.leases[7].flags, side.leases[7].potential_acked) == (0, 5000)
    assert side.pump() == []


def test_a_lost_connection_loses_no_update() -> None:
    side = Side(lease(7))
    side.pump()
    side.bindings.disconnected(NOW)
    assert side.bindings.untold_count == 1
    assert len(side.pump()) == 1


def test_a_request_is_done_when_everything_was_answered() -> None:
    side = Side(lease(7), lease(8, flags=0))
    side.bindings.requested(NOW, 99, everything=True)
    ((xid, update),) = side.pump()
    assert isinstance(update, Update)
    assert len(update.bindings) == 2
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7), Answer(8, 15))))
    assert (99, UpdateDone()) in side.said()


def test_a_client_that_renews_all_the_time_does_not_hold_up_a_request() -> None:
    """ISC dhcpd answered after two seconds, and clients of a test renew after two: it took a minute."""
    side = Side(lease(7))
    side.bindings.requested(NOW, 99, everything=True)
    ((xid, _),) = side.pump()
    side.leases[7] = lease(7, expires_at=1_700_000_900)
    side.bindings.changed(NOW, [side.leases[7]])
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7),)))
    assert (99, UpdateDone()) in side.said()
    assert side.bindings.untold_count == 1


def test_a_request_waits_for_an_address_that_went_to_another_client() -> None:
    side = Side(lease(7, BACKUP))
    side.bindings.requested(NOW, 99, everything=True)
    ((xid, _),) = side.pump()
    side.leases[7] = lease(7)
    side.bindings.changed(NOW, [side.leases[7]])
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7),)))
    assert (99, UpdateDone()) not in side.said()
    ((xid, _),) = side.pump()
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7),)))
    assert (99, UpdateDone()) in side.said()


def test_a_request_of_somebody_who_knows_everything_is_done_at_once() -> None:
    side = Side(lease(8, flags=0))
    side.bindings.requested(NOW, 99, everything=False)
    assert side.pump() == [(99, UpdateDone())]


def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    side, other = Side(), Side(lease(7))
    ((xid, update),) = other.pump()
    assert isinstance(update, Update)
    side.bindings.told(NOW, xid, update)
    assert side.said() == []
    assert side.leases[7].status == ACTIVE
    assert (side.leases[7].host_name, side.leases[7].relay) == (b"host", b"relay")
    assert side.leases[7].flags == 0
    side.bindings.committed(NOW)
    assert side.said() == [(xid, Acknowledgement((Answer(7),)))]


def test_a_lease_without_end_is_told_and_read_as_one() -> None:
    side, other = Side(), Side(lease(7, expires_at=NEVER, potential_sent=NEVER))
    ((xid, update),) = other.pump()
    assert isinstance(update, Update)
    side.bindings.told(NOW, xid, update)
    assert (side.leases[7].expires_at, side.leases[7].potential_received) == (NEVER, NEVER)


def test_who_is_refused_hears_what_we_have() -> None:
    side = Side(lease(7, flags=0, seen_at=2000))
    side.link._last_apart_s = 0.0
    other = Side(lease(7, BACKUP))
    ((xid, update),) = other.pump()
    assert isinstance(update, Update)
    side.bindings.told(NOW, xid, update)
    side.bindings.committed(NOW)
    assert side.said()[0][1] == Acknowledgement((Answer(7, 15),))
    ((_, ours),) = side.pump()
    assert isinstance(ours, Update)
    assert ours.bindings[0].status == ACTIVE


def test_an_address_of_nobody_is_refused_and_nothing_is_kept_of_it() -> None:
    side, other = Side(), Side(lease(7)._replace(address=7))
    ((xid, update),) = other.pump()
    assert isinstance(update, Update)
    strange = Update((update.bindings[0]._replace(address=5000),))
    side.bindings.told(NOW, xid, strange)
    side.bindings.committed(NOW)
    assert side.said() == [(xid, Acknowledgement((Answer(5000, 1),)))]
    assert not side.leases


def test_a_partner_that_never_answers_is_noticed() -> None:
    side = Side(lease(7))
    side.pump()
    assert not side.bindings.is_stuck(NOW + UNANSWERED_S - 1)
    assert side.bindings.is_stuck(NOW + UNANSWERED_S + 1)


def heard(side: Side, status: int, *, seen_at: int = 1_699_999_990, expires_at: int = 1_700_000_600) -> int:
    """The partner says something of address 7, in the same second; how it is answered."""
    side.link._arrived_at = NOW
    side.link._note_time(int(NOW))  # the clocks are together
    binding = Binding(7, status, b"id", b"\x01mac123", expires_at, expires_at, seen_at, seen_at, 0, None)
    side.bindings.told(NOW, 50, Update((binding,)))
    side.bindings.committed(NOW)
    answers = [each for _, each in side.said() if isinstance(each, Acknowledgement)]
    return answers[-1].answers[0].reason


def test_an_end_that_crossed_our_lease_frees_nothing_before_ours_is_answered() -> None:
    """Both had ended the lease, and one had leased it to the same client in between: that was on its way."""
    side = Side(lease(7, seen_at=1_699_999_900))
    ((xid, _),) = side.pump()
    ended = lease(7, RELEASED, seen_at=1_699_999_995)
    side.leases[7] = ended
    side.bindings.changed(NOW, [ended])
    assert heard(side, RELEASED) == 0
    assert side.leases[7] == ended
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7),)))
    ((xid, _),) = side.pump()
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7),)))
    assert side.leases[7].status == FREE


def test_a_lease_under_way_is_ended_by_the_partner_and_said_to_be_so() -> None:
    side = Side(lease(7, seen_at=1_699_999_900))
    side.pump()
    assert heard(side, RELEASED) == 0
    assert (side.leases[7].status, side.leases[7].flags) == (RELEASED, UNTOLD)


def test_of_two_words_on_who_owns_a_free_address_the_primarys_holds() -> None:
    """They crossed, each took the other's and said that next: thousands of times in a second."""
    side = Side(lease(7, FREE))
    assert heard(side, BACKUP) == OUTDATED
    assert side.leases[7].status == FREE
    side.leases[7] = lease(7, FREE, flags=0)
    assert heard(side, BACKUP) == 0
    assert side.leases[7].status == BACKUP


def test_what_changes_after_the_partner_was_contradicted_is_told() -> None:
    """Found by the simulator: the scope was closed, so nobody heard that the mark was durable."""
    side = Side(lease(7, FREE, flags=0))
    side.is_closed = True
    side.leases[7] = lease(7, flags=0, seen_at=1_699_999_995)
    assert heard(side, FREE) == OUTDATED
    side.is_closed = False
    ((xid, _),) = side.pump()
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7),)))
    assert side.pump() == []
    side._put(lease(7, EXPIRED))
    assert len(side.pump()) == 1


def test_what_a_partner_that_lost_its_disk_may_have_promised_is_kept() -> None:
    """It had extended leases as far as we had let it, and did not know of that any more."""
    known = 1_700_000_300
    side = Side(
        lease(7, EXPIRED, expires_at=1_699_999_000, potential_acked=known),
        lease(8, expires_at=1_700_000_100, potential_received=known),
        lease(9, EXPIRED, expires_at=1_699_999_000),
        lease(10, EXPIRED, expires_at=1_699_999_000, potential_sent=known)._replace(hardware=b""),
    )
    side.bindings.keep_promises(NOW, 60)
    assert [(each.status, each.expires_at) for each in side.leases.values()] == [
        (ABANDONED, known + 60), (ACTIVE, known + 60), (ABANDONED, NOW + 61), (ABANDONED, known + 60),
    ]  # fmt: skip


def test_a_lease_that_lasts_longer_here_is_said_to_once() -> None:
    side = Side(lease(7, flags=0, expires_at=1_700_000_900))
    assert heard(side, ACTIVE) == 0
    assert (side.leases[7].expires_at, side.leases[7].flags) == (1_700_000_900, UNTOLD)
    side.leases[7] = lease(7, flags=0, expires_at=1_700_000_605)
    assert heard(side, ACTIVE) == 0
    assert side.leases[7].flags == 0


def test_a_free_address_that_is_being_handed_over_stays_so_whatever_ended() -> None:
    """The end crossed BACKUP: the primary took the address back, and the secondary had it as well."""
    side = Side(lease(7, BACKUP))
    side.pump()
    assert heard(side, EXPIRED) == 0
    assert (side.leases[7].status, side.leases[7].flags) == (BACKUP, UNTOLD)


def test_who_owns_a_free_address_is_said_once_more_when_that_crossed_the_end_of_a_lease() -> None:
    """It was refused, and since nothing was marked nobody said it again: the two differed (dhcp-pair 919)."""
    side = Side(lease(7, BACKUP, flags=0))
    side.bindings.requested(NOW, 99, everything=True)
    ((xid, _),) = side.pump()
    assert heard(side, EXPIRED) == 0
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7, OUTDATED),)))
    assert any(isinstance(content, Update) for _, content in side.pump(NOW + AGAIN_S + 1))


WITH_NAMES = b"\x01"


def named(dns: bytes, **more: int) -> Lease:
    return lease(7, **more)._replace(dns=dns)


def tell(side: Side, status: int, names: bytes | None, seen_at: int = 1_700_000_500) -> Lease:
    """The partner tells of the client's lease, and what it registered for it; the lease then."""
    binding = Binding(
        7, status, b"id", b"\x01mac123", 1_700_000_700, 1_700_000_900, seen_at, seen_at, vendor_options=names
    )
    side.link._apart_s = 0.0
    side.bindings.told(NOW, 1, Update((binding,)))
    return side.leases[7]


WEB = Registration("a.example", b"id", FORWARD | FORWARD_DONE)
OTHER_WEB = Registration("b.example", b"id", FORWARD)


def test_what_was_registered_is_told_to_a_partner_of_ours_alone() -> None:
    dns = write_state(DnsState(WEB))
    for vendor, registers, wanted in (
        (b"holdfast-1", True, WITH_NAMES + dns),
        (b"holdfast-1", False, None),
        (b"isc-4.4.3-P1", True, None),
    ):
        side = Side(named(dns), vendor=vendor)
        side.registers = registers
        ((_, update),) = side.pump()
        assert isinstance(update, Update)
        assert update.bindings[0].vendor_options == wanted


def test_what_the_partner_registered_is_known_and_not_done_again() -> None:
    side = Side(lease(7, flags=0))
    taken = tell(side, ACTIVE, WITH_NAMES + write_state(DnsState(OTHER_WEB)))
    assert read_state(taken.dns).wanted == OTHER_WEB
    assert not is_pending(taken.dns)
    assert is_pending(to_go_on_with(taken.dns))
    # Nothing, or another version, says nothing.
    for names in (None, WITH_NAMES, b"\x02whatever"):
        assert tell(side, ACTIVE, names).dns == taken.dns


def test_who_tells_of_an_end_removes_the_names() -> None:
    dns = write_state(DnsState(WEB))
    for names, left in ((WITH_NAMES + dns, b""), (None, b"gone")):
        side = Side(named(dns, flags=0))
        freed = tell(side, RELEASED, names, seen_at=int(NOW) - 1)
        assert (freed.status, freed.dns) == (FREE, left)


def test_names_go_when_the_partner_has_confirmed_the_end() -> None:
    side = Side(named(write_state(DnsState(WEB)), status=EXPIRED))
    ((xid, _),) = side.pump()
    side.bindings.acknowledged(NOW, xid, Acknowledgement((Answer(7),)))
    assert (side.leases[7].status, side.leases[7].dns) == (FREE, b"gone")


def test_the_partner_hears_our_answer_before_what_we_say_of_the_same_address() -> None:
    """ISC dhcpd gives up its own update for ours, and then complains of the answer: xid mismatch."""
    side = Side(lease(7), lease(8), vendor=b"isc-4.4.3-P1")
    tell(side, ACTIVE, None)
    ((_, first),) = side.pump()
    assert isinstance(first, Update)
    assert first.bindings[0].address == 8
    side.bindings.committed(NOW)
    assert [type(each) for _, each in side.pump()] == [Acknowledgement, Update]
