"""The search for servers: what is asked and when, whom it finds, and who does not belong there."""

from __future__ import annotations

import math
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhcp.client_world import MAC, RIVAL, Level, answer_to
from holdfast.dhcp.client_messages import Identity
from holdfast.dhcp.server_search import (
    ASKED_AT_S,
    FINDINGS_MAX,
    Known,
    ServerSearch,
    Standing,
    standing_of,
)
from holdfast.wire import dhcp4
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4 import Message, encode_message, read_message
from holdfast.wire.frames import Datagram

NOW = 1000.0
OWN = IPv4Address("10.0.0.9")


def search(own: IPv4Address | None = None) -> ServerSearch:
    return ServerSearch(Identity(MAC, broadcast=True), own, NOW, Level())


def datagram(message: Message, source: str = "10.0.0.1", mac: bytes = RIVAL) -> Datagram:
    return Datagram(mac, MAC, IPv4Address(source).packed, b"\xff" * 4, 67, 68, encode_message(message))


def ask(searching: ServerSearch) -> bytes:
    return searching.due(searching.wake_at)[0].data


def test_everybody_is_asked_four_times_and_later_as_one_who_has_waited_for_long() -> None:
    searching = search()
    moments, seconds, kinds = [], [], set()
    while searching.wake_at < math.inf:
        now = searching.wake_at
        (output,) = searching.due(now)
        message = read_message(output.data)
        moments.append(now - NOW)
        seconds.append(message.secs)
        kinds.add((message.options[53][0], message.flags, output.target))
    assert tuple(moments) == ASKED_AT_S
    # The same in either order of its bytes, and more than ISC's 3 s and Kea's 10 s.
    assert seconds == [0, 0x1010, 0x1010, 0x1010]
    assert kinds == {(dhcp4.DISCOVER, dhcp4.BROADCAST_FLAG, None)}
    assert searching.due(NOW + 99) == []


def test_with_an_address_servers_are_also_asked_for_options_alone() -> None:
    discover, inform = search(OWN).due(NOW)
    assert read_message(discover.data).options[53][0] == dhcp4.DISCOVER
    message = read_message(inform.data)
    assert (message.options[53][0], message.ciaddr, inform.source) == (dhcp4.INFORM, OWN.packed, OWN)


def test_each_server_is_found_once_with_its_offer() -> None:
    searching = search(OWN)
    question = ask(searching)
    full = answer_to(question, dhcp4.ACK, server="10.0.0.1", address="0.0.0.0", without=[values.LEASE_TIME])
    first = answer_to(question, dhcp4.OFFER, server="10.0.0.1", options={values.DNS_SERVERS: b"\x0a\0\0\x35"})
    other = answer_to(question, dhcp4.OFFER, server="10.0.0.2", lease_s=0xFFFFFFFF)
    relayed = first._replace(giaddr=b"\x0a\0\0\xfe")
    for after_s, answer, source, mac in (
        (0.1, full, "10.0.0.1", RIVAL),
        (0.2, first, "10.0.0.1", RIVAL),
        (0.3, other, "10.0.0.2", MAC),
        (0.4, first, "10.0.0.1", RIVAL),
        (0.5, relayed, "10.0.0.254", b"\x02" * 6),
    ):
        searching.heard(NOW + after_s, datagram(answer, source, mac))
    found = searching.merged()
    assert [(str(each.server), round(each.after_s, 1), each.kind) for each in found] == [
        ("10.0.0.1", 0.2, "OFFER"),
        ("10.0.0.2", 0.3, "OFFER"),
        ("10.0.0.1", 0.5, "OFFER"),
    ]
    assert (found[0].dns_servers, found[0].lease_s) == ((IPv4Address("10.0.0.53"),), 28_800)
    assert found[1].lease_s == math.inf
    assert (found[2].relay, found[2].source) == (IPv4Address("10.0.0.254"), IPv4Address("10.0.0.254"))


def test_a_server_whose_pool_is_exhausted_is_found_by_its_options() -> None:
    searching = search(OWN)
    answer = answer_to(ask(searching), dhcp4.ACK, address="0.0.0.0", without=[values.LEASE_TIME])
    finding = searching.heard(NOW, datagram(answer))
    assert finding is not None
    assert (finding.kind, finding.address, finding.lease_s) == ("ACK", None, None)
    assert searching.merged() == [finding]


def test_a_bootp_server_and_one_that_talks_nonsense_are_shown_all_the_same() -> None:
    searching = search()
    question = ask(searching)
    bootp = answer_to(question, dhcp4.OFFER)._replace(options={}, is_dhcp=False)
    nonsense = answer_to(question, dhcp4.OFFER, options={values.ROUTERS: b"\x01", 53: b"\x63"})
    first = searching.heard(NOW, datagram(bootp))
    second = searching.heard(NOW, datagram(nonsense, mac=MAC))
    assert first is not None
    assert second is not None
    assert (first.kind, first.server, first.source) == ("BOOTREPLY", None, IPv4Address("10.0.0.1"))
    assert (second.kind, second.routers) == ("type 99", ())


def test_answers_to_somebody_else_are_not_found() -> None:
    searching = search()
    answer = answer_to(ask(searching), dhcp4.OFFER)
    for stranger in (answer._replace(xid=b"\xff" * 4), answer._replace(op=dhcp4.REQUEST)):
        assert searching.heard(NOW, datagram(stranger)) is None
    assert searching.heard(NOW, datagram(answer)._replace(payload=b"x")) is None
    assert searching.merged() == []


def test_a_flood_of_made_up_servers_is_bounded() -> None:
    searching = search()
    question = ask(searching)
    for number in range(FINDINGS_MAX + 10):
        answer = answer_to(question, dhcp4.OFFER, server=str(IPv4Address(0x0A010000 + number)))
        searching.heard(NOW, datagram(answer))
    assert len(searching.findings) == FINDINGS_MAX


@given(st.binary(max_size=400))
def test_any_bytes_are_borne(payload: bytes) -> None:
    searching = search()
    head = answer_to(ask(searching), dhcp4.OFFER)._replace(options={})
    whole = encode_message(head)[:240] + payload
    searching.heard(NOW, datagram(head)._replace(payload=whole))
    searching.merged()


# --- who belongs there ---------------------------------------------------------------------------

OURS = {IPv4Address("10.0.0.1"): "ns1", IPv4Address("10.0.0.2"): "ns2"}
NAMED = frozenset({IPv4Address("10.0.0.7")})


@pytest.mark.parametrize(
    ("server", "source", "relay", "complete", "expected"),
    [
        ("10.0.0.1", "10.0.0.1", "", True, (Standing.OURS, "ns1")),
        ("10.0.0.2", "10.0.0.254", "10.0.0.254", True, (Standing.OURS, "ns2")),
        ("10.0.0.7", "10.0.0.7", "", True, (Standing.KNOWN, "")),
        ("10.0.0.7", "10.0.0.7", "", False, (Standing.KNOWN, "")),
        ("10.0.0.66", "10.0.0.66", "", False, (Standing.UNKNOWN, "")),
        ("10.0.0.1", "10.0.0.66", "", True, (Standing.ROGUE, "answers as 10.0.0.1 from 10.0.0.66")),
        ("10.0.0.1", "10.0.0.66", "", False, (Standing.UNKNOWN, "")),
        (
            "10.0.0.66", "10.0.0.66", "", True,
            (Standing.ROGUE, "no server of the organisation, and not named with --known"),
        ),
        (
            "10.0.0.66", "10.0.0.254", "10.0.0.254", True,
            (Standing.ROGUE, "no server of the organisation, and not named with --known"),
        ),
    ],
)  # fmt: skip
def test_who_belongs_there(
    server: str, source: str, relay: str, *, complete: bool, expected: tuple[Standing, str]
) -> None:
    searching = search()
    answer = answer_to(ask(searching), dhcp4.OFFER, server=server)
    if relay:
        answer = answer._replace(giaddr=IPv4Address(relay).packed)
    finding = searching.heard(NOW, datagram(answer, source))
    assert finding is not None
    assert standing_of(finding, Known(OURS, NAMED, is_complete=complete)) == expected
