"""A lease as its client reads it from an ACK, and as it is kept in a file."""

from __future__ import annotations

import math
from ipaddress import IPv4Address, IPv4Network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhcp.client_world import LEASE_S, MAC, START, answer_to, remembered
from holdfast.dhcp.client_lease import FILE_BYTES_MAX, ClientLease, decode_lease, encode_lease, read_grant
from holdfast.dhcp.client_messages import Attempt, Identity, discover
from holdfast.kernel.errors import Refusal
from holdfast.wire import dhcp4
from holdfast.wire import dhcp4_values as values
from holdfast.wire.dhcp4_values import Route, encode_routes

QUESTION = discover(Identity(MAC), Attempt(bytes(4), 0), None)
ROUTES = (
    Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.0.253")),
    Route(IPv4Network("10.7.0.0/16"), IPv4Address("10.0.0.252")),
)
CLIENT_ID = b"\x01" + MAC


def granted(**more: object) -> ClientLease:
    return read_grant(answer_to(QUESTION, dhcp4.ACK, **more), START)


def times(lease: ClientLease) -> list[float]:
    return [each - START for each in (lease.renew_at, lease.rebind_at, lease.ends_at)]


def test_the_times_of_the_specification() -> None:
    assert times(granted()) == [14_400, 25_200, 28_800]
    assert times(granted(lease_s=0xFFFFFFFF)) == [math.inf] * 3


@pytest.mark.parametrize(
    ("renew_s", "rebind_s", "expected"),
    [
        (100, 200, [100, 200, LEASE_S]),
        (200, 100, [14_400, 25_200, LEASE_S]),
        (0, 200, [14_400, 25_200, LEASE_S]),
        (100, LEASE_S, [14_400, 25_200, LEASE_S]),
    ],
)
def test_times_of_the_server_count_where_they_lie_in_order(
    renew_s: int, rebind_s: int, expected: list[float]
) -> None:
    told = {
        values.RENEWAL_TIME: renew_s.to_bytes(4, "big"),
        values.REBINDING_TIME: rebind_s.to_bytes(4, "big"),
    }
    assert times(granted(options=told)) == expected


def test_one_time_told_alone() -> None:
    assert times(granted(options={values.RENEWAL_TIME: b"\0\0\0\x64"})) == [100, 25_200, LEASE_S]
    assert times(granted(options={values.RENEWAL_TIME: b"\x64"})) == [14_400, 25_200, LEASE_S]


def test_routes_take_the_place_of_routers() -> None:
    lease = granted(options={values.CLASSLESS_ROUTES: encode_routes(ROUTES)})
    assert (lease.routers, lease.routes, lease.gateway) == ((), ROUTES, ROUTES[0].router)
    assert granted().gateway == IPv4Address("10.0.0.254")
    assert granted(without=[values.ROUTERS]).gateway is None
    assert granted(options={values.CLASSLESS_ROUTES: encode_routes(ROUTES[1:])}).gateway is None


@pytest.mark.parametrize(
    ("address", "prefix_bits"), [("10.0.0.9", 8), ("172.16.0.9", 16), ("192.168.0.9", 24)]
)
def test_without_a_mask_the_classes_of_old(address: str, prefix_bits: int) -> None:
    assert granted(address=address, without=[values.SUBNET_MASK]).prefix_bits == prefix_bits


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"])
def test_an_address_that_no_host_has(address: str) -> None:
    with pytest.raises(Refusal, match=f"the address {address} is none of a host"):
        granted(address=address)


def test_a_name_cannot_command_the_terminal() -> None:
    assert granted(options={values.DOMAIN_NAME: b"a\x1b[2Jb\0"}).domain == "a\N{REPLACEMENT CHARACTER}[2Jb"


# --- the file ------------------------------------------------------------------------------------


FULL = granted(
    options={
        values.CLASSLESS_ROUTES: encode_routes(ROUTES),
        values.DNS_SERVERS: bytes(range(1, 9)),
        values.DOMAIN_NAME: b"example.test",
    }
)


@pytest.mark.parametrize("lease", [FULL, granted(), granted(lease_s=0xFFFFFFFF), remembered()])
def test_what_is_written_down_is_read_again(lease: ClientLease) -> None:
    data = encode_lease(lease, MAC, CLIENT_ID)
    assert decode_lease(data, MAC, CLIENT_ID) == lease
    assert len(data) < FILE_BYTES_MAX


# As version 1 writes it: files of today must be readable for ever.
VERSION_1 = """{
  "format": "holdfast dhcp client lease",
  "version": 1,
  "mac": "02:00:00:00:00:07",
  "client_id": "01:02:00:00:00:00:07",
  "address": "10.0.0.9",
  "prefix_bits": 24,
  "server": "10.0.0.1",
  "routers": [],
  "routes": [["0.0.0.0/0", "10.0.0.253"], ["10.7.0.0/16", "10.0.0.252"]],
  "dns_servers": ["1.2.3.4", "5.6.7.8"],
  "domain": "example.test",
  "asked_at": 1700000000.0,
  "renew_at": 1700014400.0,
  "rebind_at": 1700025200.0,
  "ends_at": 1700028800.0
}
"""


def test_a_file_of_version_1() -> None:
    assert decode_lease(VERSION_1.encode(), MAC, CLIENT_ID) == FULL
    assert msgspec.json.decode(encode_lease(FULL, MAC, CLIENT_ID)) == msgspec.json.decode(VERSION_1)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"version": 1', '"version": 2', "its version is 2, this program knows 1; remove the file"),
        ("holdfast dhcp client lease", "other", 'its format is "other"'),
        ("02:00:00:00:00:07", "02:00:00:00:00:08", "it is the lease of 02:00:00:00:00:08, another client"),
        ('"10.0.0.9"', '"10.0.0.900"', "it is no lease"),
        ('"10.0.0.9"', '"255.255.255.255"', "is none of a host"),
        ('"prefix_bits": 24', '"prefix_bits": 33', "make no sense"),
        ("1700014400.0", "1700026400.0", "make no sense"),
        ("1700000000.0", "-1.0", "make no sense"),
        ("10.7.0.0/16", "10.7.0.1/16", "has host bits set"),
        ("}", "", "it is no lease"),
    ],
)
def test_a_file_that_is_not_read_says_why(old: str, new: str, why: str) -> None:
    assert old in VERSION_1
    with pytest.raises(Refusal, match=why):
        decode_lease(VERSION_1.replace(old, new).encode(), MAC, CLIENT_ID)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(Refusal):
        decode_lease(data, MAC, CLIENT_ID)


@given(st.integers(0, len(VERSION_1) - 1), st.binary(max_size=4))
def test_any_damage_is_read_or_refused(at: int, piece: bytes) -> None:
    whole = VERSION_1.encode()
    try:
        decode_lease(whole[:at] + piece + whole[at + 1 :], MAC, CLIENT_ID)
    except Refusal as refusal:
        assert refusal.text  # noqa: PT017  # most damage is refused, a changed digit is not
