"""Read the header by which a balancer says who its client is: the PROXY protocol, versions 1 and 2.

The header is all that is read: what follows it belongs to the client. Nothing
is taken for a header that is longer than one may be.

Source: "The PROXY protocol" by Willy Tarreau, versions 1 and 2, sections 2.1 and 2.2.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from holdfast.kernel.errors import Refusal

SIGNATURE_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
LINE_BYTES_MAX = 107  # version 1, with its CRLF
# Version 2 may add fields (TLVs) up to 65,535 bytes; no balancer sends more than some hundred.
ADDED_BYTES_MAX = 4096

_PREFIX_V1 = b"PROXY "
_HEADER_V2_BYTES = 16
_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]{1,5}) ([0-9]{1,5})\r\n")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN[^\r\n]*\r\n")
_LOCAL, _PROXIED = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21


class Proxied(NamedTuple):
    """A whole header.

    Attributes:
        header_bytes: how many bytes of the input it takes.
        client: the client's IP address and port; None for the balancer itself (a health check).
        local: the address and port that the client came to; None together with ``client``.
    """

    header_bytes: int
    client: tuple[str, int] | None = None
    local: tuple[str, int] | None = None


def begins_like_header(data: bytes) -> bool:
    """Whether bytes may be the beginning of a header, of either version."""
    return any(data[: len(prefix)] == prefix[: len(data)] for prefix in (_PREFIX_V1, SIGNATURE_V2) if data)


def read_proxy_header(data: bytes) -> Proxied | None:
    """Read a header at the beginning of a connection.

    Args:
        data: everything that came so far.

    Returns:
        The header; None when more bytes are needed.

    Raises:
        Refusal: 421 4.3.2, this is no header; the connection should be closed.
    """
    if not data:
        return None
    if not begins_like_header(data):
        raise _malformed()
    if data[:1] == b"P":
        return _read_line(data)
    return _read_binary(data)


def _malformed() -> Refusal:
    return Refusal("balancer and server do not agree", code=421, status="4.3.2")


def _read_line(data: bytes) -> Proxied | None:
    end = data.find(b"\n", 0, LINE_BYTES_MAX)
    if end < 0:
        if len(data) >= LINE_BYTES_MAX:
            raise _malformed()
        return None
    line = data[: end + 1]
    if _UNKNOWN.fullmatch(line):
        return Proxied(len(line))
    match = _LINE.fullmatch(line)
    if match is None:
        raise _malformed()
    version = 4 if match[1] == b"TCP4" else 6
    client = _end_point(match[2], match[4], version)
    return Proxied(len(line), client, _end_point(match[3], match[5], version))


def _end_point(address: bytes, port: bytes, version: int) -> tuple[str, int]:
    try:
        parsed = ipaddress.ip_address(address.decode("ascii"))
    except ValueError:
        raise _malformed() from None
    if parsed.version != version or int(port) > 65535:
        raise _malformed()
    return str(parsed), int(port)


def _read_binary(data: bytes) -> Proxied | None:
    if len(data) < _HEADER_V2_BYTES:
        return None
    command, family = data[12], data[13]
    rest_bytes = int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXIED) or rest_bytes > ADDED_BYTES_MAX:
        raise _malformed()
    header_bytes = _HEADER_V2_BYTES + rest_bytes
    if len(data) < header_bytes:
        return None
    # A family that we do not serve is to be read like UNKNOWN.
    if command == _LOCAL or family not in (_TCP4, _TCP6):
        return Proxied(header_bytes)
    address_bytes = 4 if family == _TCP4 else 16
    if rest_bytes < 2 * address_bytes + 4:
        raise _malformed()
    at = _HEADER_V2_BYTES
    source, target = data[at : at + address_bytes], data[at + address_bytes : at + 2 * address_bytes]
    ports = data[at + 2 * address_bytes : at + 2 * address_bytes + 4]
    return Proxied(
        header_bytes,
        (str(ipaddress.ip_address(source)), int.from_bytes(ports[:2], "big")),
        (str(ipaddress.ip_address(target)), int.from_bytes(ports[2:], "big")),
    )
