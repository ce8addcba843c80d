"""The header of a balancer, both versions, in pieces and broken."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.proxy_protocol import SIGNATURE_V2, Proxied, begins_like_header, read_proxy_header


def binary(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE_V2 + bytes((command, family)) + len(rest).to_bytes(2, "big") + rest


def addresses(source: str, target: str) -> bytes:
    packed = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    return packed + (4000).to_bytes(2, "big") + (25).to_bytes(2, "big")


V4, V6 = addresses("192.0.2.7", "192.0.2.1"), addresses("2001:db8::7", "2001:db8::1")
HEADERS = {
    b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n": (("192.0.2.7", 4000), ("192.0.2.1", 25)),
    b"PROXY TCP6 2001:db8::7 2001:DB8::1 4000 25\r\n": (("2001:db8::7", 4000), ("2001:db8::1", 25)),
    b"PROXY UNKNOWN\r\n": (None, None),
    b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n": (None, None),
    binary(0x21, 0x11, V4): (("192.0.2.7", 4000), ("192.0.2.1", 25)),
    binary(0x21, 0x21, V6): (("2001:db8::7", 4000), ("2001:db8::1", 25)),
    binary(0x21, 0x11, V4 + b"\x04\x00\x01x"): (("192.0.2.7", 4000), ("192.0.2.1", 25)),
    binary(0x20, 0x00, b""): (None, None),
    binary(0x20, 0x11, V4): (None, None),
    binary(0x21, 0x31, b"x" * 216): (None, None),
    binary(0x21, 0x00, b""): (None, None),
}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_in_one_piece_and_byte_by_byte(header: bytes) -> None:
    expected = Proxied(len(header), *HEADERS[header])
    assert read_proxy_header(header) == expected
    assert read_proxy_header(header + b"EHLO x\r\n") == expected
    for end in range(len(header)):
        assert read_proxy_header(header[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO x\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4000\r\n",
        b"PROXY TCP4 2001:db8::7 192.0.2.1 4000 25\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 65536\r\n",
        b"PROXY TCP4 1.2.3 192.0.2.1 4000 25\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\n",
        b"PROXY UNIX\r\n",
        b"PROXY " + b"x" * 101,
        binary(0x11, 0x11, V4),
        binary(0x22, 0x11, V4),
        binary(0x21, 0x11, V4[:-1]),
        SIGNATURE_V2 + b"\x21\x11\xff\xff",
        SIGNATURE_V2[:-1] + b"x",
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_proxy_header(data)
    assert caught.value.code == 421


def test_beginnings() -> None:
    assert begins_like_header(b"P")
    assert begins_like_header(b"\r\n")
    assert not begins_like_header(b"")
    assert not begins_like_header(b"E")


@given(
    st.binary(max_size=40)
    | st.binary(max_size=60).map(lambda rest: SIGNATURE_V2 + rest)
    | st.text().map(lambda text: b"PROXY TCP4 " + text.encode("utf-8", "replace") + b"\r\n")
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read_proxy_header(data)
    except Refusal:
        return
    assert found is None or found.header_bytes <= len(data)
