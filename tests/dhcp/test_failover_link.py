"""The connection with a partner: clocks that are apart, connections that cross, silence."""

from __future__ import annotations

from dataclasses import replace

from holdfast.dhcp.failover_link import CONNECT_S, DIAL_AGAIN_S, WINDOW_S, Link, Phase
from holdfast.dhcp.failover_settings import Settings
from holdfast.wire.failover import read_message, write_message
from holdfast.wire.failover_messages import Connect, ConnectAnswer, Contact, Disconnect, Message

NOW = 1_700_000_000.0
PRIMARY = Settings("office", primary=True, partner="10.0.0.2", mclt_s=60)
SECONDARY = replace(PRIMARY, primary=False, partner="10.0.0.1")


def up(now: float = NOW) -> tuple[Link, Link]:
    """A primary and a secondary that have shaken hands."""
    primary, secondary = Link(PRIMARY, lambda: False), Link(SECONDARY, lambda: True)
    primary.connected(now, 1)
    secondary.connected(now, 1)
    secondary.received(now, primary.sent.pop()[1])
    primary.received(now, secondary.sent.pop()[1])
    assert primary.is_up
    assert secondary.is_up
    return primary, secondary


def contact(time: float, xid: int = 5) -> bytes:
    return write_message(Message(int(time), xid, Contact()))


def test_each_says_whether_it_knows_the_other() -> None:
    primary, secondary = up()
    assert primary.peer is not None
    assert secondary.peer is not None
    assert (primary.peer.knows_us, secondary.peer.knows_us) == (True, False)
    assert primary.peer.is_ours


def test_each_says_which_scopes_it_shares() -> None:
    primary, secondary = up()
    assert primary.shares_the_same
    assert secondary.shares_the_same
    primary, more = Link(PRIMARY, lambda: False), Link(replace(SECONDARY, spans=((1, 9),)), lambda: True)
    primary.connected(NOW, 1)
    more.connected(NOW, 1)
    more.received(NOW, primary.sent.pop()[1])
    assert more.is_up
    assert not more.shares_the_same


def test_what_isc_says_is_understood() -> None:
    """ISC's own CONNECT, as it was recorded; it says nothing of whether it knows us."""
    secondary = Link(SECONDARY, lambda: False)
    secondary.connected(NOW, 1)
    isc = Connect(b"office", 10, 8, b"isc-4.4.3-P1", 1, 0, 60, b"\xff" * 16 + bytes(16))
    secondary.received(NOW, write_message(Message(int(NOW), 0, isc)))
    assert secondary.peer is not None
    assert (secondary.peer.is_ours, secondary.peer.knows_us, secondary.peer.unacked_max) == (False, True, 10)
    assert secondary.shares_the_same  # it says nothing of that either
    answer = read_message(secondary.sent[0][1])
    assert answer.xid == 0
    assert isinstance(answer.content, ConnectAnswer)
    assert answer.content.tls == 0
    # It acknowledges when half of that is under way, which must be able to happen.
    assert answer.content.unacked_max == 10


def test_an_instant_counts_from_the_time_of_its_message() -> None:
    _, secondary = up()
    secondary.received(NOW + 1, contact(NOW + 1 + 30))  # its clock is half a minute ahead
    assert abs(secondary.from_wire(int(NOW + 130)) - (NOW + 100)) <= 1
    assert NOW + 100 <= int(NOW + 130) + secondary.end_shift_s <= NOW + 102


def test_a_slow_message_makes_nothing_younger_and_no_lease_shorter() -> None:
    _, secondary = up()
    secondary.received(NOW + 1, contact(NOW + 1))
    secondary.received(NOW + 9, contact(NOW + 2, 6))
    assert abs(secondary.from_wire(int(NOW)) - NOW) <= 1
    assert int(NOW + 100) + secondary.end_shift_s >= NOW + 107


def test_a_clock_that_is_set_back_a_little_ends_no_lease_early() -> None:
    """The shortest way was believed for ever, and so a clock that was set back cut leases short."""
    _, secondary = up()
    secondary.received(NOW + 1, contact(NOW + 1))
    secondary.received(NOW + 2, contact(NOW + 2 - 30, 6))
    assert int(NOW + 100 - 30) + secondary.end_shift_s >= NOW + 100
    for at in range(3, 3 + 2 * int(WINDOW_S) + 2):
        secondary.received(NOW + at, contact(NOW + at - 30, at + 10))
    assert abs(secondary.from_wire(int(NOW - 30)) - NOW) <= 1


def test_a_clock_that_is_set_by_an_hour_ends_the_connection() -> None:
    _, secondary = up()
    secondary.received(NOW + 1, contact(NOW + 3600))
    assert not secondary.is_up
    content = read_message(secondary.sent[-1][1]).content
    assert isinstance(content, Disconnect)
    assert content.reason == 4


def test_silence_ends_the_connection_and_speaking_is_shown() -> None:
    primary, _ = up()
    primary.sent.clear()
    deadline = primary.deadline()
    assert deadline is not None
    assert deadline - NOW <= 1.0
    primary.timer(NOW + 1, lambda: 9)
    assert isinstance(read_message(primary.sent[-1][1]).content, Contact)
    primary.timer(NOW + 3, lambda: 9)
    assert primary.phase is Phase.IDLE
    assert "nothing was heard for 3 s" in primary.went_down
    primary.timer(NOW + 3 + DIAL_AGAIN_S, lambda: 9)
    assert primary.dialled == [9]


def test_of_two_connections_that_cross_one_is_used() -> None:
    primary = Link(PRIMARY, lambda: False)
    primary.timer(NOW, lambda: 7)
    primary.connected(NOW, 8)  # the partner's came first
    primary.connected(NOW + 1, 7)
    assert primary.connection == 8
    assert primary.hung_up == [7, 7]


def test_a_secondary_follows_its_primary_to_a_new_connection() -> None:
    _, secondary = up()
    secondary.takes_over(NOW + 1, 2)
    assert secondary.hung_up == [1]
    assert secondary.went_down
    assert secondary.phase is Phase.WAITING


def test_nobody_waits_for_a_connect_for_ever() -> None:
    secondary = Link(SECONDARY, lambda: False)
    secondary.connected(NOW, 1)
    secondary.timer(NOW + CONNECT_S, lambda: 9)
    assert secondary.phase is Phase.IDLE
    assert "no CONNECT of the primary" in secondary.trouble


def test_two_connects_never_have_one_time() -> None:
    primary = Link(PRIMARY, lambda: False)
    primary.connected(NOW, 1)
    primary.disconnected(NOW, 1, "gone")
    primary.connected(NOW, 2)
    times = [read_message(data).time for _, data in primary.sent]
    assert times[0] < times[1]


def test_a_primary_whose_clock_was_an_hour_ahead_connects_again_once_it_is_right() -> None:
    """It never said a time twice, and so went on with those of the next hour, which its partner refused."""
    primary, _ = up()
    primary.disconnected(NOW + 1, 1, "cut")
    primary.clock_offset_s = 3600.0
    primary.connected(NOW + 2, 2)
    primary.disconnected(NOW + 3, 2, "cut")
    primary.clock_offset_s = 0.0
    primary.sent.clear()
    primary.connected(NOW + 4, 3)
    assert read_message(primary.sent[-1][1]).time == NOW + 4


def test_what_waited_for_a_disk_here_made_no_clock_slow() -> None:
    """Messages that waited for a slow commit made what the partner said seem younger by as much."""
    _, secondary = up()
    for xid in (5, 6):
        secondary.received(NOW + 20, contact(NOW + 1, xid), arrived_at=NOW + 1)
    assert abs(secondary.from_wire(int(NOW)) - NOW) <= 1
    assert int(NOW + 100) + secondary.end_shift_s <= NOW + 102
