"""Which connector, how many connections, and how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import ReceiveConnector
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import ConnectionId
from holdfast.kernel.iprange import parse_ip_range
from holdfast.transport.admission import (
    REMEMBERED_COUNT_MAX,
    Admission,
    Doors,
    Expiry,
    MessageRate,
    SignInThrottle,
    source_of,
)


def connector(name: str, ranges: str = "0.0.0.0/0 ::/0", bindings: str = "0.0.0.0:25") -> ReceiveConnector:
    return ReceiveConnector(
        name, "mx", tuple(bindings.split()), tuple(parse_ip_range(text) for text in ranges.split())
    )


DOORS = Doors(
    [
        connector("all", bindings="0.0.0.0:25 [::]:25"),
        connector("office", "192.0.2.0/24"),
        connector("scanner", "192.0.2.7 198.51.100.0/24"),
        connector("office on its own address", "192.0.2.0/24", "203.0.113.1:25"),
        connector("internal", "10.0.0.0/8", "0.0.0.0:2525"),
    ]
)


@pytest.mark.parametrize(
    ("client", "local", "port", "name"),
    [
        ("8.8.8.8", "203.0.113.9", 25, "all"),
        ("2001:db8::1", "2001:db8::2", 25, "all"),
        ("fe80::1%eth0", "fe80::2%eth0", 25, "all"),
        ("192.0.2.8", "203.0.113.9", 25, "office"),
        ("::ffff:192.0.2.8", "::ffff:203.0.113.9", 25, "office"),
        ("192.0.2.7", "203.0.113.9", 25, "scanner"),
        ("192.0.2.7", "203.0.113.1", 25, "scanner"),
        ("192.0.2.8", "203.0.113.1", 25, "office on its own address"),
        ("10.1.2.3", "203.0.113.1", 2525, "internal"),
    ],
)
def test_the_most_specific_range_wins(client: str, local: str, port: int, name: str) -> None:
    assert DOORS.choose(client, local, port).name == name


@pytest.mark.parametrize(("client", "port"), [("192.0.2.7", 2525), ("192.0.2.7", 465), ("2001:db8::1", 2525)])
def test_nobody_is_let_in_where_no_connector_is_meant_for_them(client: str, port: int) -> None:
    with pytest.raises(Refusal) as caught:
        DOORS.choose(client, "203.0.113.1", port)
    assert (caught.value.code, caught.value.status) == (554, "5.7.1")


def test_a_whole_ipv6_network_is_one_source() -> None:
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert source_of("2001:db8:0:1::1") != source_of("2001:db8::1")
    assert source_of("::ffff:192.0.2.7") == "192.0.2.7"


def refusal_of(admission: Admission, number: int, door: ReceiveConnector, client: str) -> str:
    try:
        admission.opened(0.0, ConnectionId(number), door, client)
    except Refusal as refusal:
        return f"{refusal.code} {refusal.status}"
    return ""


def test_connections_are_counted_in_all_and_per_source() -> None:
    door = replace(
        connector("door"),
        connection_count_max=3,
        connection_count_per_source_max=2,
        connection_percent_per_source=100,
    )
    admission = Admission()
    assert refusal_of(admission, 1, door, "192.0.2.1") == ""
    assert refusal_of(admission, 2, door, "192.0.2.1") == ""
    assert refusal_of(admission, 3, door, "192.0.2.1") == "421 4.7.0"
    assert refusal_of(admission, 4, door, "192.0.2.2") == ""
    assert refusal_of(admission, 5, door, "192.0.2.3") == "421 4.3.2"
    assert refusal_of(admission, 6, replace(door, name="other"), "192.0.2.1") == ""
    admission.closed(ConnectionId(3))  # was never let in
    assert (admission.count("door"), admission.open_count) == (3, 4)
    admission.closed(ConnectionId(1))
    assert refusal_of(admission, 7, door, "192.0.2.1") == ""
    for number in (2, 4, 6, 7):
        admission.closed(ConnectionId(number))
    assert (admission.count("door"), admission.open_count) == (0, 0)


def test_one_source_may_hold_a_share_of_what_is_free() -> None:
    door = replace(connector("door"), connection_count_max=200, connection_count_per_source_max=1000)
    admission = Admission()
    taken = [number for number in range(100) if refusal_of(admission, number, door, "192.0.2.1") == ""]
    assert taken == [0, 1, 2]
    # The last that are free: one for each source.
    for number in range(100, 297):
        assert refusal_of(admission, number, door, f"198.51.{number // 256}.{number % 256}") == ""
    assert refusal_of(admission, 300, door, "203.0.113.1") == "421 4.3.2"


def expired(admission: Admission, now: float) -> list[tuple[int, Expiry]]:
    return [(int(connection_id), expiry) for connection_id, expiry in admission.expired(now)]


def test_silence_and_length_end_sessions() -> None:
    door = replace(connector("door"), inactivity_s=10.0, session_s=25.0)
    admission = Admission()
    assert admission.next_deadline() is None
    admission.opened(0.0, ConnectionId(1), door, "192.0.2.1")
    admission.opened(1.0, ConnectionId(2), door, "192.0.2.1")
    assert admission.next_deadline() == 10.0
    admission.activity(9.0, ConnectionId(1))
    admission.activity(9.0, ConnectionId(99))
    assert admission.next_deadline() == 11.0
    assert expired(admission, 10.9) == []
    assert expired(admission, 11.0) == [(2, Expiry.SILENCE)]
    assert expired(admission, 11.0) == []
    assert admission.count("door") == 2  # it counts until it is closed
    admission.closed(ConnectionId(2))
    for now in (18.0, 20.0, 24.0):
        admission.activity(now, ConnectionId(1))
    assert admission.next_deadline() == 25.0
    assert expired(admission, 30.0) == [(1, Expiry.LENGTH)]
    assert admission.next_deadline() is None


def test_closed_connections_leave_nothing_behind() -> None:
    door = connector("door")
    admission = Admission()
    admission.opened(0.0, ConnectionId(0), door, "192.0.2.1")
    for number in range(1, 1000):
        admission.opened(0.0, ConnectionId(number), door, "192.0.2.2")
        admission.closed(ConnectionId(number))
    assert len(admission._heap) < 100
    admission.closed(ConnectionId(0))
    assert admission.next_deadline() is None


def test_a_share_is_not_asked_of_this_machine() -> None:
    door = replace(connector("door"), connection_count_max=10)
    admission = Admission()
    assert [refusal_of(admission, number, door, "127.0.0.1") for number in range(10)] == [""] * 10


def test_a_disabled_connector_is_not_there() -> None:
    doors = Doors([connector("all"), replace(connector("office", "192.0.2.0/24"), enabled=False)])
    assert doors.choose("192.0.2.8", "203.0.113.9", 25).name == "all"


def test_balancers_are_known_by_the_connectors_of_the_binding() -> None:
    behind = replace(connector("all"), proxy_from=(parse_ip_range("10.0.0.1"),))
    doors = Doors([behind, connector("other", bindings="0.0.0.0:2525")])
    assert doors.balancer_expected("10.0.0.1", "203.0.113.9", 25)
    assert doors.balancer_expected("::ffff:10.0.0.1", "::ffff:203.0.113.9", 25)
    assert not doors.balancer_expected("10.0.0.2", "203.0.113.9", 25)
    assert not doors.balancer_expected("10.0.0.1", "203.0.113.9", 2525)


def sign_in_refusal(throttle: SignInThrottle, now: float, user: str, source: str) -> str:
    try:
        throttle.check(now, user, source)
    except Refusal as refusal:
        return f"{refusal.code} {refusal.status}"
    return ""


def test_guessing_locks_account_and_source_for_a_while() -> None:
    throttle = SignInThrottle()
    throttle.failure_count_max, throttle.lock_s = 3, 60.0
    assert [throttle.failed(float(at), "Alice", "192.0.2.1") for at in range(3)] == [False, False, True]
    assert sign_in_refusal(throttle, 3.0, "alice", "192.0.2.9") == "454 4.7.0"
    assert sign_in_refusal(throttle, 3.0, "bob", "192.0.2.1") == "421 4.7.0"
    assert sign_in_refusal(throttle, 3.0, "bob", "192.0.2.9") == ""
    assert sign_in_refusal(throttle, 61.9, "alice", "192.0.2.9") == "454 4.7.0"
    assert sign_in_refusal(throttle, 62.0, "alice", "192.0.2.1") == ""
    assert throttle.failed(62.0, "alice", "192.0.2.1") is False  # it counts from the beginning


def test_the_right_password_clears_the_account_and_not_the_source() -> None:
    throttle = SignInThrottle()
    throttle.failure_count_max = 2
    throttle.failed(0.0, "alice", "192.0.2.1")
    throttle.succeeded("ALICE")
    throttle.failed(0.0, "alice", "192.0.2.1")
    assert sign_in_refusal(throttle, 0.0, "alice", "192.0.2.9") == ""
    assert sign_in_refusal(throttle, 0.0, "bob", "192.0.2.1") == "421 4.7.0"
    for _ in range(5):
        throttle.failed(0.0, "root", "127.0.0.1")
    assert sign_in_refusal(throttle, 0.0, "bob", "127.0.0.1") == ""


def test_what_is_remembered_of_guesses_and_rates_is_bounded() -> None:
    throttle, rate = SignInThrottle(), MessageRate()
    door = replace(connector("door"), message_rate_max=5)
    for number in range(REMEMBERED_COUNT_MAX // 2 + 500):
        throttle.failed(float(number), f"user{number}", f"source{number}")
    for number in range(REMEMBERED_COUNT_MAX + 500):
        rate.count(float(number), door, f"source{number}")
    assert len(throttle._failures) == len(rate._buckets) == REMEMBERED_COUNT_MAX


def test_messages_a_minute() -> None:
    rate = MessageRate()
    door = replace(connector("door"), message_rate_max=2)
    for _ in range(2):
        rate.check(0.0, door, "alice")
        rate.count(0.0, door, "alice")
    for now in (0.0, 29.9):
        with pytest.raises(Refusal) as caught:
            rate.check(now, door, "alice")
        assert (caught.value.code, caught.value.status) == (450, "4.7.0")
    rate.check(0.0, door, "bob")
    rate.check(30.0, door, "alice")
    free = replace(door, message_rate_max=0)
    for _ in range(100):
        rate.count(0.0, free, "alice")
    rate.check(0.0, free, "alice")
