"""The DHCP client as a table per path: what happens at which second, and what the client does.

Times are seconds since the start; luck is level (each wait has its middle value).
"""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhcp.client_world import (
    ADDRESS,
    GATEWAY,
    LEASE_S,
    MAC,
    OTHER_SERVER,
    START,
    Happening,
    World,
    ack,
    arp,
    arp_probe,
    end,
    gateway,
    nak,
    offer,
    remembered,
    renew,
    start,
    start_with,
)
from holdfast.dhcp.client import Client, ClientSettings, State
from holdfast.dhcp.client_messages import Identity
from holdfast.dhcp.fallback import Alternate, link_local_address
from holdfast.wire import dhcp4
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4 import read_message
from holdfast.wire.frames import Arp

Steps = list[tuple[float, Happening | None]]
Lines = list[tuple[float, str]]

LINK_LOCAL = str(link_local_address(MAC, 0))
NEXT_LINK_LOCAL = str(link_local_address(MAC, 1))
USE = f"use {ADDRESS}/24 via {GATEWAY}"
GET: Steps = [(0, start), (0, offer()), (0, ack())]
GOT: Lines = [
    (0, "DISCOVER"),
    (0, "REQUEST 10.0.0.9 of 10.0.0.1"),
    (0, "who has 10.0.0.9"),
    (0.5, "who has 10.0.0.9"),
    (1, f"{USE} for 28799.0"),
    (1, "keep 10.0.0.9"),
    (1, "announce 10.0.0.9"),
    (3, "announce 10.0.0.9"),
]
RENEW, REBIND = "REQUEST having 10.0.0.9 to 10.0.0.1", "REQUEST having 10.0.0.9"
REBOOT = "REQUEST 10.0.0.9"
REBOOT_AND_ASK: Lines = [(0, REBOOT), (4, REBOOT), (12, "who has 10.0.0.9"), (12.5, "who has 10.0.0.9")]
ASK_LINK_LOCAL: Lines = [
    (0.5, f"who has {LINK_LOCAL}"),
    (2, f"who has {LINK_LOCAL}"),
    (3.5, f"who has {LINK_LOCAL}"),
]
USE_LINK_LOCAL: Lines = [
    (5.5, f"use {LINK_LOCAL}/16 via - for None"),
    (5.5, f"announce {LINK_LOCAL}"),
    (7.5, f"announce {LINK_LOCAL}"),
]
ROUND: Lines = [(0, "DISCOVER"), (4, "DISCOVER"), (12, "DISCOVER"), (28, "DISCOVER")]


def later(lines: Lines, by_s: float) -> Lines:
    return [(round(at + by_s, 3), text) for at, text in lines]


def pings(*moments: float) -> Lines:
    return [(each, f"ping {GATEWAY} from {ADDRESS}") for each in moments]


# name: (settings, steps, what it does, state at the end)
PATHS: dict[str, tuple[dict[str, object], Steps, Lines, State]] = {
    "four messages, and the address is asked for before it is used": (
        {}, [*GET, (100, None)], GOT, State.BOUND,
    ),
    "T1 is at a half, by the server alone": (
        {},
        [*GET, (14_400, ack()), (14_500, None)],
        [*GOT, (14_400, RENEW), (14_400, f"{USE} for 28800.0"), (14_400, "keep 10.0.0.9")],
        State.BOUND,
    ),
    "its server is dead: half of what is left each time, T2 at seven eighths to everybody": (
        {},
        [*GET, (25_199, None), (25_200, ack(server=OTHER_SERVER)), (25_201, None)],
        [
            *GOT, (14_400, RENEW), (19_800, RENEW), (22_500, RENEW), (23_850, RENEW), (24_525, RENEW),
            (24_862.5, RENEW), (25_031.25, RENEW), (25_115.625, RENEW), (25_175.625, RENEW), (25_200, REBIND),
            (25_200, f"{USE} for 28800.0"), (25_200, "keep 10.0.0.9"),
        ],
        State.BOUND,
    ),
    "the lease ends: the address is dropped at that moment, and anybody is asked": (
        {},
        [*GET, (25_200, None), (28_800, None)],
        [
            *GOT, (14_400, RENEW), (19_800, RENEW), (22_500, RENEW), (23_850, RENEW), (24_525, RENEW),
            (24_862.5, RENEW), (25_031.25, RENEW), (25_115.625, RENEW), (25_175.625, RENEW), (25_200, REBIND),
            (27_000, REBIND), (27_900, REBIND), (28_350, REBIND), (28_575, REBIND), (28_687.5, REBIND),
            (28_747.5, REBIND), (28_800, "drop 10.0.0.9"), (28_800, "forget"), (28_800, "DISCOVER 10.0.0.9"),
        ],
        State.SELECTING,
    ),
    "refused at its renewal: the address is dropped at once": (
        {},
        [*GET, (14_400, nak())],
        [*GOT, (14_400, RENEW), (14_400, "drop 10.0.0.9"), (14_400, "forget"), (14_400, "DISCOVER")],
        State.SELECTING,
    ),
    "a lease of two minutes has more than one try": (
        {},
        [(0, start), (0, offer()), (0, ack(lease_s=120)), (104, None)],
        [
            *GOT[:4], (1, f"{USE} for 119.0"), *GOT[5:], (60, RENEW), (82.5, RENEW), (93.75, RENEW),
            (99.375, RENEW), (103.125, RENEW),
        ],
        State.RENEWING,
    ),
    "a renewal that brings another address": (
        {},
        [*GET, (14_400, ack(address="10.0.0.33")), (14_402, None)],
        [
            *GOT, (14_400, RENEW), (14_400, "drop 10.0.0.9"), (14_400, "who has 10.0.0.33"),
            (14_400.5, "who has 10.0.0.33"), (14_401, f"use 10.0.0.33/24 via {GATEWAY} for 28799.0"),
            (14_401, "keep 10.0.0.33"), (14_401, "announce 10.0.0.33"),
        ],
        State.BOUND,
    ),
    "times of the server's own": (
        {},
        [
            (0, start), (0, offer()), (0, ack(options={58: b"\0\0\0\x64", 59: b"\0\0\0\xc8"})), (100, None),
        ],
        [*GOT, (100, RENEW)],
        State.RENEWING,
    ),
    "a lease without end is never renewed": (
        {},
        [(0, start), (0, offer()), (0, ack(lease_s=0xFFFFFFFF)), (1e9, None)],
        [*GOT[:4], (1, f"{USE} for None"), *GOT[5:]],
        State.BOUND,
    ),
    "the offer's server does not answer: begins anew, and does not wait for it without an address": (
        {},
        [(0, start), (0, offer()), (61, None)],
        [
            (0, "DISCOVER"), *((each, "REQUEST 10.0.0.9 of 10.0.0.1") for each in (0, 4, 12, 28)),
            (60, "DISCOVER"), (60.5, f"who has {LINK_LOCAL}"),
        ],
        State.SELECTING,
    ),
    "an answer to its REQUEST from a server that was not chosen": (
        {},
        [(0, start), (0, offer()), (0, ack(server=OTHER_SERVER)), (0, nak(server=OTHER_SERVER)), (1, None)],
        GOT[:2],
        State.REQUESTING,
    ),
    "refused twice: waits ten seconds before it asks again": (
        {},
        [(0, start), (0, offer()), (0, nak()), (0, offer()), (0, nak()), (9, None), (10, None)],
        [*GOT[:2], (0, "forget"), *GOT[:2], (0, "forget"), (10, "DISCOVER")],
        State.SELECTING,
    ),
    "the second offer is not taken": (
        {}, [(0, start), (0, offer()), (0, offer(server=OTHER_SERVER))], GOT[:2], State.REQUESTING,
    ),
    "the address is in use: DECLINE, ten seconds, and anew": (
        {},
        [*GET, (0.2, arp(ADDRESS)), (10.2, None)],
        [*GOT[:3], (0.2, "DECLINE 10.0.0.9 of 10.0.0.1"), (0.2, "forget"), (10.2, "DISCOVER")],
        State.SELECTING,
    ),
    "somebody else asks for the same address at the same time": (
        {},
        [*GET, (0.2, arp_probe(ADDRESS)), (10.2, None)],
        [*GOT[:3], (0.2, "DECLINE 10.0.0.9 of 10.0.0.1"), (0.2, "forget"), (10.2, "DISCOVER")],
        State.SELECTING,
    ),
    "told to renew now: half of what is left each time, as at T1": (
        {},
        [*GET, (1000, renew), (1000, renew), (13_101, ack()), (13_102, None)],
        [*GOT, (1000, RENEW), (13_100, RENEW), (13_101, f"{USE} for 28799.0"), (13_101, "keep 10.0.0.9")],
        State.BOUND,
    ),
    "told to renew with a lease without end, or without one": (
        {},
        [
            (0, renew), (0, start), (0, renew), (0, offer()), (0, ack(lease_s=0xFFFFFFFF)), (9, renew),
            (1e6, None),
        ],
        [*GOT[:4], (1, f"{USE} for None"), *GOT[5:], (9, RENEW)],
        State.RENEWING,
    ),
    "its own packets and other addresses are no conflict": (
        {},
        [*GET, (0.2, arp(ADDRESS, mac=MAC)), (0.2, arp("10.0.0.8")), (0.3, arp_probe("10.0.0.8")), (5, None)],
        GOT,
        State.BOUND,
    ),
    "a rival is told once, and then the address is given up": (
        {},
        [*GET, (50, arp(ADDRESS)), (61, arp(ADDRESS)), (65, arp(ADDRESS)), (75, None)],
        [
            *GOT, (50, "announce 10.0.0.9"), (61, "announce 10.0.0.9"), (65, "DECLINE 10.0.0.9 of 10.0.0.1"),
            (65, "drop 10.0.0.9"), (65, "forget"), (75, "DISCOVER"),
        ],
        State.SELECTING,
    ),
    "somebody asks for the address that is held": (
        {}, [*GET, (50, arp_probe(ADDRESS)), (51, arp_probe(ADDRESS)), (60, None)], GOT, State.BOUND,
    ),
    "no server: four tries, a link-local address after an ARP check, again every five minutes": (
        {},
        [(0, start), (299, None), (600, None)],
        [*ROUND, *later(ASK_LINK_LOCAL + USE_LINK_LOCAL, 60), *later(ROUND, 300), (600, "DISCOVER")],
        State.SELECTING,
    ),
    "no server: the alternate address": (
        {"alternate": Alternate(IPv4Address("192.0.2.7"), 25, IPv4Address("192.0.2.1"))},
        [(0, start), (90, None)],
        [
            *ROUND, *((each, "who has 192.0.2.7") for each in (60.5, 62, 63.5)),
            (65.5, "use 192.0.2.7/25 via 192.0.2.1 for None"), (65.5, "announce 192.0.2.7"),
            (67.5, "announce 192.0.2.7"),
        ],
        State.INIT,
    ),
    "no server, and the alternate address is in use": (
        {"alternate": Alternate(IPv4Address("192.0.2.7"), 25)},
        [(0, start), (61, arp("192.0.2.7")), (90, None)],
        [*ROUND, (60.5, "who has 192.0.2.7"), *later(ASK_LINK_LOCAL + USE_LINK_LOCAL, 61)],
        State.INIT,
    ),
    "no server, and no address but a leased one is wanted": (
        {"link_local": False}, [(0, start), (299, None)], ROUND, State.INIT,
    ),
    "the link-local address is in use: the next one": (
        {},
        [(0, start), (61, arp_probe(LINK_LOCAL)), (64, None)],
        [
            *ROUND, (60.5, f"who has {LINK_LOCAL}"), (61.5, f"who has {NEXT_LINK_LOCAL}"),
            (63, f"who has {NEXT_LINK_LOCAL}"),
        ],
        State.INIT,
    ),
    "a link-local address is defended once and then dropped for the next": (
        {},
        [(0, start), (70, arp(LINK_LOCAL)), (71, arp(LINK_LOCAL)), (72, None)],
        [
            *ROUND, *later(ASK_LINK_LOCAL + USE_LINK_LOCAL, 60), (70, f"announce {LINK_LOCAL}"),
            (71, f"drop {LINK_LOCAL}"), (71.5, f"who has {NEXT_LINK_LOCAL}"),
        ],
        State.INIT,
    ),
    "a server comes back: the link-local address is dropped before the leased one is used": (
        {},
        [(0, start), (300, offer()), (300, ack()), (305, None)],
        [
            *ROUND, *later(ASK_LINK_LOCAL + USE_LINK_LOCAL, 60), *later(GOT[:4], 300),
            (301, f"drop {LINK_LOCAL}"),
            *later(GOT[4:], 300),
        ],
        State.BOUND,
    ),
    "restarted: asks for the address that it had": (
        {},
        [(0, start_with()), (0, ack()), (100, None)],
        [(0, REBOOT), *GOT[2:]],
        State.BOUND,
    ),
    "restarted in another network: refused": (
        {},
        [(0, start_with()), (0, nak()), (0, offer(address="10.9.0.5")), (0, ack(address="10.9.0.5"))],
        [
            (0, REBOOT), (0, "forget"), (0, "DISCOVER"), (0, "REQUEST 10.9.0.5 of 10.0.0.1"),
            (0, "who has 10.9.0.5"),
        ],
        State.CHECKING,
    ),
    "restarted after the lease had ended": (
        {}, [(0, start_with(asked_ago_s=LEASE_S))], [(0, "forget"), (0, "DISCOVER")], State.SELECTING,
    ),
    "restarted without a server: keeps the lease while the gateway answers, looks again every five minutes": (
        {},
        [(0, start_with()), (13.5, gateway), (313, None), (326.0, gateway), (400, None)],
        [
            *REBOOT_AND_ASK, *pings(13),
            (13.5, f"{USE} for 21586.5"), (13.5, "announce 10.0.0.9"), (15.5, "announce 10.0.0.9"),
            (313.5, REBOOT), (317.5, REBOOT), *pings(325.5), (326, f"{USE} for 21274.0"),
        ],
        State.BOUND,
    ),
    "kept, and the server is back after five minutes: the address is never dropped": (
        {},
        [(0, start_with()), (13.5, gateway), (313.5, ack()), (400, None)],
        [
            *REBOOT_AND_ASK, *pings(13),
            (13.5, f"{USE} for 21586.5"), (13.5, "announce 10.0.0.9"), (15.5, "announce 10.0.0.9"),
            (313.5, REBOOT), (313.5, f"{USE} for 28800.0"), (313.5, "keep 10.0.0.9"),
        ],
        State.BOUND,
    ),
    "kept, and then the gateway is silent: dropped, and a link-local address at once": (
        {},
        [(0, start_with()), (13.5, gateway), (330, None)],
        [
            *REBOOT_AND_ASK, *pings(13),
            (13.5, f"{USE} for 21586.5"), (13.5, "announce 10.0.0.9"), (15.5, "announce 10.0.0.9"),
            (313.5, REBOOT), (317.5, REBOOT), *pings(325.5, 326.5, 327.5), (328.5, "drop 10.0.0.9"),
            (328.5, "DISCOVER 10.0.0.9"), (329, f"who has {LINK_LOCAL}"),
        ],
        State.SELECTING,
    ),
    "kept past T1: renews by the server alone": (
        {},
        [(0, start_with(asked_ago_s=LEASE_S / 2 - 20)), (13.5, gateway), (20, None)],
        [
            *REBOOT_AND_ASK, *pings(13),
            (13.5, f"{USE} for 14406.5"), (13.5, "announce 10.0.0.9"), (15.5, "announce 10.0.0.9"),
            (20, RENEW),
        ],
        State.RENEWING,
    ),
    "restarted without a server and without its gateway": (
        {},
        [(0, start_with()), (18, None)],
        [
            *REBOOT_AND_ASK, *pings(13),
             *pings(14),  *pings(15), (16, "DISCOVER"),
            (16.5, f"who has {LINK_LOCAL}"), (18, f"who has {LINK_LOCAL}"),
        ],
        State.SELECTING,
    ),
    "restarted without a server, and the lease names no gateway": (
        {},
        [(0, start_with(router="")), (12, None)],
        [(0, REBOOT), (4, REBOOT), (12, "DISCOVER")],
        State.SELECTING,
    ),
    "restarted without a server, and somebody else has the address": (
        {},
        [(0, start_with()), (12.1, arp(ADDRESS)), (22.1, None)],
        [
            (0, REBOOT), (4, REBOOT), (12, "who has 10.0.0.9"), (12.1, "DECLINE 10.0.0.9 of 10.0.0.1"),
            (12.1, "forget"), (22.1, "DISCOVER"),
        ],
        State.SELECTING,
    ),
    "the lease from before ends while its gateway is looked for": (
        {},
        [(0, start_with(asked_ago_s=LEASE_S - 13.2)), (13.5, gateway), (14, None)],
        [
            *REBOOT_AND_ASK, *pings(13),
            (13.5, "forget"), (13.5, "DISCOVER"),
        ],
        State.SELECTING,
    ),
    "given back": (
        {},
        [*GET, (50, end(release=True)), (51, end(release=True)), (1e6, None)],
        [
            *GOT, (50, "RELEASE of 10.0.0.1 having 10.0.0.9 to 10.0.0.1"), (50, "drop 10.0.0.9"),
            (50, "forget"),
        ],
        State.ENDED,
    ),
    "ended without giving back: the address is good until the lease ends": (
        {}, [*GET, (50, end(release=False)), (60, None)], GOT, State.ENDED,
    ),
    "ended with a link-local address": (
        {},
        [(0, start), (80, end(release=True)), (1e6, None)],
        [*ROUND, *later(ASK_LINK_LOCAL + USE_LINK_LOCAL, 60), (80, f"drop {LINK_LOCAL}")],
        State.ENDED,
    ),
    "an address that it would like": (
        {"wanted": IPv4Address("10.0.0.77")}, [(0, start)], [(0, "DISCOVER 10.0.0.77")], State.SELECTING,
    ),
    "a server that grants seconds is not asked every second": (
        {},
        [(0, start), (0, offer(lease_s=1)), (0, ack(lease_s=1)), (11, None)],
        [*GOT[:4], (1, "forget"), (11, "DISCOVER")],
        State.SELECTING,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHS)
def test_a_path(name: str) -> None:
    options, steps, expected, state = PATHS[name]
    world = World(**options)
    for at, happening in steps:
        world.happen(at, happening)
    assert world.did == expected
    assert world.client.state is state


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"without": [values.SERVER_ID]}, "OFFER: no server identifier (option 54)"),
        ({"without": [values.LEASE_TIME]}, "OFFER: no lease time (option 51)"),
        ({"address": "0.0.0.0"}, "OFFER: the address 0.0.0.0 is none of a host"),
        ({"server": "255.255.255.255"}, "OFFER: the server identifier 255.255.255.255 is none of a host"),
        ({"lease_s": 0}, "OFFER: a lease of 0 s"),
        ({"options": {values.SUBNET_MASK: b"\xff\x00\xff\x00"}}, "OFFER: 255.0.255.0 is no subnet mask"),
        ({"options": {values.ROUTERS: b"\x0a"}}, "OFFER: 1 bytes are no list of IPv4 addresses"),
    ],
)
def test_an_offer_without_sense_is_told_and_the_next_one_taken(more: dict[str, object], why: str) -> None:
    world = World()
    world.happen(0, start)
    world.happen(1, offer(**more))
    assert [(each.what, each.text) for each in world.told][-1] == ("ignored", why)
    assert world.client.state is State.SELECTING
    world.happen(2, offer())
    assert world.client.state is State.REQUESTING


def test_answers_to_somebody_else_are_not_heard() -> None:
    world = World()
    world.happen(0, start)
    message = world.answer(dhcp4.OFFER)
    for stranger in (
        message._replace(xid=b"\xff" * 4),
        message._replace(hardware=b"\x02" * 6),
        message._replace(op=dhcp4.REQUEST),
        message._replace(options={}),
    ):
        assert world.client.heard(world.now, stranger) == []
    assert world.client.state is State.SELECTING


def test_seconds_are_counted_over_all_rounds_and_told_again_with_the_request() -> None:
    world = World()
    world.happen(0, start)
    world.run_until(312)
    assert read_message(world.last).secs == 312
    world.happen(315, offer())
    # Table 5 of RFC 2131 asks for the DISCOVER's own; servers may go by it.
    assert read_message(world.last).secs == 312
    world.run_until(70_000)
    assert read_message(world.last).secs == 0xFFFF


def test_each_try_of_a_renewal_is_a_question_of_its_own() -> None:
    world = World()
    for at, happening in GET:
        world.happen(at, happening)
    world.run_until(14_400)
    first = world.answer(dhcp4.ACK)
    world.run_until(19_800)
    assert world.client.heard(world.now, first) == [], "the answer to the first try is too late"
    world.happen(19_800, ack())
    assert world.client.lease is not None
    assert world.client.lease.asked_at == START + 19_800


def test_the_address_in_use_is_told() -> None:
    world = World()
    assert world.client.address is None
    world.happen(0, start)
    world.run_until(70)
    assert str(world.client.address) == LINK_LOCAL
    world.happen(300, offer())
    world.happen(300, ack())
    world.run_until(302)
    assert str(world.client.address) == ADDRESS


def test_the_timeline_says_what_a_person_wants_to_know() -> None:
    world = World()
    for at, happening in GET:
        world.happen(at, happening)
    world.run_until(2)
    assert [f"{each.state} {each.what}: {each.text}" for each in world.told] == [
        "selecting sent: DISCOVER, try 1 (xid 00000001, secs 0)",
        "selecting heard: OFFER of 10.0.0.9 from 10.0.0.1",
        "requesting sent: REQUEST of 10.0.0.9 from 10.0.0.1, try 1 (xid 00000001, secs 0)",
        "requesting heard: ACK of 10.0.0.9 for 28800 s from 10.0.0.1",
        "bound lease: has 10.0.0.9/24: renews in 14399 s, rebinds in 25199 s, ends in 28799 s",
    ]
    world.happen(14_400, nak(options={values.ERROR_TEXT: b"moved\x1b[2J"}))
    assert world.told[-2].text == "NAK of 10.0.0.9 from 10.0.0.1: moved\N{REPLACEMENT CHARACTER}[2J"


EVENTS = st.sampled_from(
    ["offer", "ack", "nak", "arp", "arp of another", "probe", "gateway", "wait", "long", "end"]
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(EVENTS, st.integers(0, 3), st.integers(0, 9000)), max_size=40),
    st.booleans(),
    st.integers(0, 1 << 30),
)
def test_whatever_happens_one_address_at_a_time_is_used_and_none_after_its_end(
    events: list[tuple[str, int, int]], reboots: bool, seed: int
) -> None:
    world = World()
    world.client = Client(ClientSettings(Identity(MAC)), random.Random(seed))
    world.take(world.client.start(world.now, remembered() if reboots else None))
    elapsed = 0.0
    for name, number, more in events:
        server, address = f"10.0.0.{number + 1}", f"10.0.0.{number + 7}"
        lease_s = (1, 30, 3600, 0xFFFFFFFF)[number]
        happening: Happening | None = {
            "offer": offer(server=server, address=address, lease_s=lease_s),
            "ack": ack(server=server, address=address, lease_s=lease_s),
            "nak": nak(server=server),
            "arp": arp(str(world.client.address or address)),
            "arp of another": arp(address),
            "probe": arp_probe(address),
            "gateway": gateway,
            "end": end(release=bool(more % 2)),
        }.get(name)
        elapsed += {"wait": more / 1000, "long": float(more)}.get(name, 0.0)
        world.happen(elapsed, happening)
        assert world.client.lease is None or world.now < world.client.lease.ends_at
        in_use: set[str] = set()
        for _, line in world.did:
            word, _, rest = line.partition(" ")
            if word == "use":
                in_use.add(rest.partition("/")[0])
                assert len(in_use) == 1, world.did
            elif word == "drop":
                in_use.remove(rest)
        current = world.client.address
        assert in_use == (set() if current is None else {str(current)})


@given(st.binary(max_size=6), st.integers(0, 2), st.binary(min_size=4, max_size=4))
def test_any_arp_packet_is_borne(mac: bytes, operation: int, address: bytes) -> None:
    world = World()
    world.happen(0, start)
    world.happen(70, None)
    world.take(world.client.heard_arp(world.now, Arp(operation, mac, address, mac, address)))
    world.run_until(1000)


@settings(max_examples=200)
@given(
    st.dictionaries(st.integers(1, 254), st.binary(max_size=12), max_size=12),
    st.binary(min_size=4, max_size=4),
)
def test_any_offer_is_taken_or_told(options: dict[int, bytes], yiaddr: bytes) -> None:
    world = World()
    world.happen(0, start)
    message = world.answer(dhcp4.OFFER)
    world.take(
        world.client.heard(world.now, message._replace(options={**message.options, **options}, yiaddr=yiaddr))
    )
    world.run_until(1)
    assert world.client.state in (State.SELECTING, State.REQUESTING)


def test_a_client_is_started_once() -> None:
    world = World()
    world.happen(0, start)
    with pytest.raises(AssertionError):
        world.client.start(world.now, None)
