"""Hardware addresses, client identifiers and patterns are read in every usual form, and compared as bytes."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from holdfast.directory.dhcp import Reservation
from holdfast.directory.dhcp_keys import (
    client_keys,
    parse_bytes_pattern,
    parse_client_id,
    parse_hex_pattern,
    parse_mac,
    write_mac,
)
from holdfast.kernel.errors import Refusal

MAC = bytes.fromhex("001a2b3c4d5e")


@pytest.mark.parametrize(
    "text",
    [
        "00:1a:2b:3c:4d:5e",
        "00-1A-2B-3C-4D-5E",
        "001a.2b3c.4d5e",
        "001A2B3C4D5E",
        "0x001a2b3c4d5e",
        " 00:1a:2b:3c:4d:5e ",
    ],
)
def test_hardware_address_in_its_usual_forms(text: str) -> None:
    assert parse_mac(text) == MAC
    assert write_mac(parse_mac(text)) == "00:1a:2b:3c:4d:5e"


@pytest.mark.parametrize("text", ["", "0", "001", "00:1a:2b:3c:4d:5g", "00" * 17, "printer", "00:1a*"])
def test_what_is_no_hardware_address_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="is not a hardware address") as caught:
        parse_mac(text)
    assert f'"{text}"' in caught.value.text


def test_client_identifier_has_a_type_and_something() -> None:
    assert parse_client_id("ff:00:01") == b"\xff\0\1"
    with pytest.raises(Refusal, match="is not a client identifier"):
        parse_client_id("01")


@pytest.mark.parametrize(
    ("pattern", "data", "matches"),
    [
        ("00:1a:2b:3c:4d:5e", "001a2b3c4d5e", True),
        ("00:1a:2b:3c:4d:5e", "001a2b3c4d5e00", False),
        ("00-1A-2B*", "001a2b3c4d5e", True),
        ("001a2*", "001a2f3c4d5e", True),
        ("001a2*", "001a3f3c4d5e", False),
        ("*", "00", True),
    ],
)
def test_hexadecimal_pattern(pattern: str, data: str, *, matches: bool) -> None:
    found = parse_hex_pattern(pattern)
    assert found.matches(bytes.fromhex(data)) is matches
    assert parse_hex_pattern(str(found)) == found


@pytest.mark.parametrize("text", ["", "001", "00*1a", "xyz*", "00" * 256])
def test_wrong_hexadecimal_pattern_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="hexadecimal digits"):
        parse_hex_pattern(text)


@pytest.mark.parametrize(
    ("pattern", "data", "matches"),
    [
        ("port 7", b"port 7", True),
        ("port 7", b"port 71", False),
        ("port*", b"port 71", True),
        ("0x0102", b"\1\2", True),
        ("0x01*", b"\1\2", True),
        ("*", b"", True),
    ],
)
def test_bytes_pattern(pattern: str, data: bytes, *, matches: bool) -> None:
    assert parse_bytes_pattern(pattern).matches(data) is matches


@pytest.mark.parametrize("text", ["", "0x0g", "a" * 256])
def test_wrong_bytes_pattern_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        parse_bytes_pattern(text)


@pytest.mark.parametrize(
    ("reservation", "keys"),
    [
        ({"mac": "00:1a:2b:3c:4d:5e"}, (("mac", b"\1" + MAC),)),
        ({"mac": "00:1a:2b:3c:4d:5e", "hardware_type": 6}, (("mac", b"\6" + MAC),)),
        ({"client_id": "01:00:1a:2b:3c:4d:5e"}, (("mac", b"\1" + MAC),)),
        ({"client_id": "ff:00:01"}, (("id", b"\xff\0\1"),)),
        ({"client_id": "01:00:1a:2b:3c:4d:5e", "mac": "001a2b3c4d5e"}, (("mac", b"\1" + MAC),)),
        ({"client_id": "ff:00:01", "mac": "001a2b3c4d5e"}, (("id", b"\xff\0\1"), ("mac", b"\1" + MAC))),
        ({}, ()),
    ],
)
def test_client_of_a_reservation(reservation: dict[str, str], keys: tuple[tuple[str, bytes], ...]) -> None:
    address = IPv4Address("192.0.2.7")
    assert client_keys(Reservation("office", address, **reservation)) == keys  # type: ignore[arg-type] # drawn from a table
