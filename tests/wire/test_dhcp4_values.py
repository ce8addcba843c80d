"""The values of options: examples of the standards, and any bytes."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.dhcp4_values import (
    FQDN_ENCODED,
    FQDN_SERVER_UPDATES,
    ClientName,
    Route,
    duid_of,
    encode_client_name,
    encode_routes,
    read_addresses,
    read_client_name,
    read_number,
    read_routes,
    read_user_classes,
    read_vendor_identifying,
)


def route(destination: str, router: str) -> Route:
    return Route(ipaddress.IPv4Network(destination), ipaddress.IPv4Address(router))


@pytest.mark.parametrize(
    ("value", "routes"),
    [
        # RFC 3442, the table of encodings
        ("00 0a000001", [route("0.0.0.0/0", "10.0.0.1")]),
        ("08 0a 0a000001", [route("10.0.0.0/8", "10.0.0.1")]),
        ("18 0a0000 0a000001", [route("10.0.0.0/24", "10.0.0.1")]),
        ("10 0a11 0a000001", [route("10.17.0.0/16", "10.0.0.1")]),
        ("18 0a1b81 0a000001", [route("10.27.129.0/24", "10.0.0.1")]),
        ("19 0a e5 00 80 0a000001", [route("10.229.0.128/25", "10.0.0.1")]),
        (
            "20 0ac62a2f 0a000001 00 0a000002",
            [route("10.198.42.47/32", "10.0.0.1"), route("0.0.0.0/0", "10.0.0.2")],
        ),
    ],
)
def test_routes(value: str, routes: list[Route]) -> None:
    assert list(read_routes(bytes.fromhex(value))) == routes
    assert encode_routes(tuple(routes)) == bytes.fromhex(value)


def test_bits_beyond_the_prefix_of_a_route_do_not_matter() -> None:
    assert read_routes(bytes.fromhex("19 0ae500ff 0a000001")) == (route("10.229.0.128/25", "10.0.0.1"),)


@pytest.mark.parametrize("value", ["21 0a0a0a0a0a 0a000001", "18 0a0000 0a0000", "08"])
def test_a_route_that_is_cut_off(value: str) -> None:
    with pytest.raises(Refusal, match="does not fit"):
        read_routes(bytes.fromhex(value))


def test_addresses_and_numbers() -> None:
    assert list(map(str, read_addresses(b"\x0a\0\0\x01\xc0\0\x02\x05"))) == ["10.0.0.1", "192.0.2.5"]
    assert read_number(b"\x00\x01\x51\x80", 4) == 86400
    for read in (read_addresses, lambda value: read_number(value, 4)):
        with pytest.raises(Refusal):
            read(b"abc")  # type: ignore[operator]  # either of two readers
    with pytest.raises(Refusal):
        read_addresses(b"")


@pytest.mark.parametrize(
    ("value", "classes"),
    [
        (b"\x03abc\x02de", (b"abc", b"de")),
        (b"RRAS.Microsoft", (b"RRAS.Microsoft",)),  # without a length, as Microsoft's clients send it
        (b"\x00abc", (b"\x00abc",)),
        (b"", ()),
    ],
)
def test_user_classes(value: bytes, classes: tuple[bytes, ...]) -> None:
    assert read_user_classes(value) == classes


def test_vendor_identifying_data() -> None:
    value = b"\x00\x00\x01\x37\x03abc\x00\x00\x0d\xe9\x00\x00\x00\x01\x37\x01d"
    assert read_vendor_identifying(value) == {311: b"abcd", 3561: b""}
    for cut in (value[:-1], value[:10]):
        with pytest.raises(Refusal, match="cut off"):
            read_vendor_identifying(cut)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"\x04\0\0\x06client\x07example\x03com\x00", ClientName(4, b"client.example.com", True)),
        (b"\x05\0\0\x06client", ClientName(5, b"client", False)),
        (b"\x01\0\0client.example.com.", ClientName(1, b"client.example.com", True)),
        (b"\x00\0\0client", ClientName(0, b"client", False)),
        (b"\x04\0\0\x00", ClientName(4, b"", True)),
    ],
)
def test_names_of_clients(value: bytes, name: ClientName) -> None:
    assert read_client_name(value) == name
    assert encode_client_name(name) == value[:1] + b"\xff\xff" + value[3:]


@pytest.mark.parametrize("value", [b"\x04\0", b"\x04\0\0\x40" + b"a" * 64, b"\x04\0\0\x05abc"])
def test_a_malformed_name_is_refused(value: bytes) -> None:
    with pytest.raises(Refusal):
        read_client_name(value)


def test_a_name_that_is_no_name_is_not_written() -> None:
    for name in (b"a" * 64, b"a..b", b".".join([b"a" * 60] * 5)):
        with pytest.raises(Refusal):
            encode_client_name(ClientName(FQDN_ENCODED | FQDN_SERVER_UPDATES, name, True))


def test_duids() -> None:
    duid = b"\x00\x01\x00\x01\x2a\xbc\xde\xf0\x02\x00\x00\x00\x00\x01"
    assert duid_of(b"\xff\x00\x00\x00\x07" + duid) == duid
    assert duid_of(b"\x01\x02\x00\x00\x00\x00\x01") is None
    assert duid_of(b"\xff\x00\x00\x00\x07\x00\x01") is None


@pytest.mark.parametrize(
    "read",
    [read_addresses, read_routes, read_user_classes, read_vendor_identifying, read_client_name, duid_of],
)
@given(value=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(read: Callable[[bytes], object], value: bytes) -> None:
    try:
        read(value)
    except Refusal:
        return
