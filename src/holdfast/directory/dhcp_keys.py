"""By what clients are known: hardware addresses, client identifiers, and patterns of them.

The checks of the directory, the verbs and the dhcp room read these texts here,
so that what was declared is what is compared.

Source: RFC 2131 section 2 for chaddr; RFC 2132 section 9.14; RFC 3046 for what a relay agent adds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.directory.dhcp import Reservation
from holdfast.kernel.errors import Refusal

CHADDR_BYTES_MAX = 16  # RFC 2131 section 2
CLIENT_ID_BYTES_MIN = 2  # RFC 2132 section 9.14: a type and something
OPTION_BYTES_MAX = 255
ETHERNET = 1
_SEPARATORS = re.compile(r"[:.\- ]")
_DIGITS = re.compile(r"[0-9A-Fa-f]*")
# As we write it ourselves: a large organisation has a hundred thousand of them.
_USUAL = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class HexPattern:
    """Bytes in hexadecimal, or their beginning.

    Attributes:
        digits: lower case, without separators; an odd number is allowed before a ``*``.
        whole: whether nothing may follow.
    """

    digits: str
    whole: bool

    def matches(self, data: bytes) -> bool:
        """Whether the bytes are these, or begin so."""
        return data.hex() == self.digits if self.whole else data.hex().startswith(self.digits)

    def __str__(self) -> str:
        pairs = ":".join(self.digits[at : at + 2] for at in range(0, len(self.digits), 2))
        return pairs if self.whole else f"{pairs}*"


@dataclass(frozen=True, slots=True)
class BytesPattern:
    """Bytes, or their beginning."""

    data: bytes
    whole: bool

    def matches(self, data: bytes) -> bool:
        """Whether the bytes are these, or begin so."""
        return data == self.data if self.whole else data.startswith(self.data)


def parse_bytes(text: str, *, least: int, most: int, what: str) -> bytes:
    """Read bytes in hexadecimal, with ``:``, ``-``, ``.`` or nothing between them.

    Raises:
        Refusal: they are not hexadecimal, or too few or too many; ``what`` says of what.
    """
    if _USUAL.fullmatch(text) and least <= 6 <= most:
        return bytes.fromhex(text.replace(":", ""))
    digits = _digits(text, what)
    if len(digits) % 2 or not least <= len(digits) // 2 <= most:
        raise Refusal(f'"{text[:60]}" is not {what}: it has {len(digits)} hexadecimal digits')
    return bytes.fromhex(digits)


def parse_mac(text: str) -> bytes:
    """Read a hardware address such as ``00:1a:2b:3c:4d:5e``, ``00-1A-2B-3C-4D-5E`` or ``001a.2b3c.4d5e``.

    Raises:
        Refusal: it is none.
    """
    return parse_bytes(text, least=1, most=CHADDR_BYTES_MAX, what="a hardware address")


def parse_client_id(text: str) -> bytes:
    """Read a client identifier with its type in front.

    Raises:
        Refusal: it is none.
    """
    return parse_bytes(text, least=CLIENT_ID_BYTES_MIN, most=OPTION_BYTES_MAX, what="a client identifier")


def parse_hex_pattern(text: str, *, most: int = OPTION_BYTES_MAX) -> HexPattern:
    """Read ``00:1a:2b:3c:4d:5e`` or ``00:1a:2b*``; the beginning may be half a byte, ``001a2*``.

    Raises:
        Refusal: it is neither.
    """
    what = "hexadecimal digits, with * at the end for a beginning"
    whole = not text.endswith("*")
    digits = _digits(text.removesuffix("*"), what)
    if (whole and (not digits or len(digits) % 2)) or len(digits) > 2 * most:
        raise Refusal(f'"{text[:60]}" is not {what}: it has {len(digits)} digits')
    return HexPattern(digits, whole)


def parse_bytes_pattern(text: str) -> BytesPattern:
    """Read ``port 7``, ``port*``, ``0x0102`` or ``0x01*``.

    Raises:
        Refusal: it begins with 0x and is not in hexadecimal, or is empty or too long.
    """
    whole = not text.endswith("*")
    body = text.removesuffix("*")
    if body[:2].lower() == "0x":
        data = parse_bytes(body[2:], least=0, most=OPTION_BYTES_MAX, what="bytes in hexadecimal")
    else:
        data = body.encode(errors="replace")
    if len(data) > OPTION_BYTES_MAX or (whole and not data):
        raise Refusal(f'"{text[:60]}" has {len(data)} bytes; it has 1 to {OPTION_BYTES_MAX}')
    return BytesPattern(data, whole)


def client_keys(reservation: Reservation) -> tuple[tuple[str, bytes], ...]:
    """By what the client of a reservation is known: ``("mac", htype and chaddr)``, ``("id", option 61)``.

    An Ethernet client identifier made of type 1 and the hardware address is the
    hardware address: a client that has both is one client.

    Raises:
        Refusal: one of them is malformed.
    """
    keys: list[tuple[str, bytes]] = []
    if reservation.client_id:
        client_id = parse_client_id(reservation.client_id)
        is_mac = client_id[0] == ETHERNET and len(client_id) == 7
        keys.append(("mac" if is_mac else "id", client_id))
    if reservation.mac:
        key = ("mac", bytes((reservation.hardware_type & 0xFF,)) + parse_mac(reservation.mac))
        if key not in keys:
            keys.append(key)
    return tuple(keys)


def write_mac(data: bytes) -> str:
    """Write bytes as ``00:1a:2b:3c:4d:5e``."""
    return data.hex(":")


def _digits(text: str, what: str) -> str:
    digits = _SEPARATORS.sub("", text.strip())
    if digits[:2].lower() == "0x":
        digits = digits[2:]
    if not _DIGITS.fullmatch(digits):
        raise Refusal(f'"{text[:60]}" is not {what}; write hexadecimal digits, for example 00:1a:2b:3c:4d:5e')
    return digits.lower()
