"""Values of options: texts as an administrator writes them, bytes as a client gets them.

Invariants: what is written as bytes is read back as the same values, in their
usual form; any bytes are read or refused, in time that their length bounds. A
value of several fields is one text with a space between them.

Source: RFC 2132; RFC 1035 section 3.1 for names; RFC 3397 section 2; RFC 3442.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from holdfast.directory.dhcp_options import OptionDefinition, OptionType
from holdfast.kernel.errors import Refusal

# A long option is sent in pieces (RFC 3396), but a whole message has this much room at most.
OPTION_BYTES_MAX = 4096
VALUE_COUNT_MAX = 1024
LABEL_BYTES_MAX = 63  # RFC 1035 section 2.3.4
NAME_BYTES_MAX = 255  # RFC 1035 section 2.3.4
POINTER_COUNT_MAX = 127  # a name has no more labels, so an honest writer needs no more
_NUMBER = re.compile(r"-?[0-9]{1,20}|0[xX][0-9A-Fa-f]{1,16}")
_WORDS_TRUE = ("true", "yes", "on", "1")
_WORDS_FALSE = ("false", "no", "off", "0")
_NUMBERS: dict[OptionType, tuple[str, int, int]] = {
    OptionType.UINT8: (">B", 0, 0xFF),
    OptionType.UINT16: (">H", 0, 0xFFFF),
    OptionType.UINT32: (">I", 0, 0xFFFF_FFFF),
    OptionType.UINT64: (">Q", 0, (1 << 64) - 1),
    OptionType.INT32: (">i", -(1 << 31), (1 << 31) - 1),
}
# These take everything up to the end, so that they can stand only there and only once.
TO_THE_END = frozenset(
    {OptionType.TEXT, OptionType.ADDRESSES, OptionType.DOMAINS, OptionType.ROUTES, OptionType.HEX}
)


def encode_option(definition: OptionDefinition, values: Sequence[str]) -> bytes:
    """Turn the values of an option into its data.

    Raises:
        Refusal: a value does not have the form that the definition gives; it says which and why.
    """
    if len(values) > VALUE_COUNT_MAX:
        raise Refusal(f"{len(values)} values are more than {VALUE_COUNT_MAX}")
    if definition.types == (OptionType.EMPTY,):
        for value in values:
            if value:
                raise Refusal(f'"{_shown(value)}" is too much: {_WORDS[OptionType.EMPTY]}')
        return b""
    if not values:
        raise Refusal(f"it needs a value: {form_of(definition)}")
    if len(values) > 1 and not definition.array and not _is_list(definition):
        raise Refusal(f"{len(values)} values are given, but it holds one: {form_of(definition)}")
    if _is_list(definition) and not definition.array:
        values = [" ".join(values)]
    data = b"".join(_encode_value(definition, value) for value in values)
    if len(data) > OPTION_BYTES_MAX:
        raise Refusal(f"its data has {len(data)} bytes, more than {OPTION_BYTES_MAX}")
    return data


def decode_option(definition: OptionDefinition, data: bytes) -> tuple[str, ...]:
    """Turn an option's data into values, each in the form of the definition.

    Raises:
        Refusal: the data does not have that form.
    """
    if len(data) > OPTION_BYTES_MAX:
        raise Refusal(f"its data has {len(data)} bytes, more than {OPTION_BYTES_MAX}")
    if definition.types == (OptionType.EMPTY,):
        if data:
            raise Refusal(f"it has {len(data)} bytes, but such an option has no data")
        return ()
    values: list[str] = []
    rest = data
    while True:
        fields: list[str] = []
        for each in definition.types:
            text, rest = _DECODERS[each](each, rest)
            fields.append(text)
        values.append(" ".join(fields))
        if not rest:
            return tuple(values)
        if not definition.array:
            raise Refusal(f"{len(rest)} bytes are left over after {form_of(definition)}")
        if len(values) == OPTION_BYTES_MAX:  # every value takes a byte
            raise Refusal(f"it holds more than {OPTION_BYTES_MAX} values")


def form_of(definition: OptionDefinition) -> str:
    """How a value is written, in words, for example ``one or more of: an IPv4 address``."""
    words = ", then ".join(_WORDS[each] for each in definition.types)
    return f"one or more of: {words}" if definition.array else words


def _is_list(definition: OptionDefinition) -> bool:
    """Whether its values are one list by their type, so that they may also be given one by one."""
    return definition.types in ((OptionType.ADDRESSES,), (OptionType.DOMAINS,), (OptionType.ROUTES,))


def _encode_value(definition: OptionDefinition, value: str) -> bytes:
    parts: list[str] = []
    rest = value.strip() if definition.types != (OptionType.TEXT,) else value
    for each in definition.types[:-1]:
        assert each not in TO_THE_END, definition
        part, _, rest = rest.partition(" ")
        parts.append(part)
        rest = rest.lstrip()
    parts.append(rest)
    return b"".join(_ENCODERS[each](each, part) for each, part in zip(definition.types, parts, strict=True))


def _encode_number(kind: OptionType, text: str) -> bytes:
    form, least, most = _NUMBERS[kind]
    if not _NUMBER.fullmatch(text):
        raise Refusal(f'"{_shown(text)}" is not {_WORDS[kind]}')
    number = int(text, 16 if text[:2].lower() == "0x" else 10)
    if not least <= number <= most:
        raise Refusal(f'"{_shown(text)}" is not {_WORDS[kind]}')
    return struct.pack(form, number)


def _decode_number(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    form, _, _ = _NUMBERS[kind]
    taken, rest = _take(kind, data, struct.calcsize(form))
    return str(struct.unpack(form, taken)[0]), rest


def _encode_bool(kind: OptionType, text: str) -> bytes:
    word = text.lower()
    if word not in _WORDS_TRUE + _WORDS_FALSE:
        raise Refusal(f'"{_shown(text)}" is not {_WORDS[kind]}')
    return b"\1" if word in _WORDS_TRUE else b"\0"


def _decode_bool(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    taken, rest = _take(kind, data, 1)
    if taken[0] > 1:
        raise Refusal(f"{taken[0]} is not {_WORDS[kind]}")
    return ("true" if taken[0] else "false"), rest


def _encode_text(kind: OptionType, text: str) -> bytes:
    if not text:
        raise Refusal(f"an empty value is not {_WORDS[kind]}")
    if not text.isprintable():
        raise Refusal(f'"{_shown(text)}" has characters that cannot be shown')
    return text.encode()


def _decode_text(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Refusal(f"{data[:20].hex()} is not {_WORDS[kind]}") from None
    if not text or not text.isprintable():
        raise Refusal(f"{data[:20].hex()} is not {_WORDS[kind]}")
    return text, b""


def _address(kind: OptionType, text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise Refusal(f'"{_shown(text)}" is not {_WORDS[kind]}') from None


def _encode_address(kind: OptionType, text: str) -> bytes:
    return _address(kind, text).packed


def _decode_address(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    taken, rest = _take(kind, data, 4)
    return str(IPv4Address(taken)), rest


def _encode_addresses(kind: OptionType, text: str) -> bytes:
    parts = text.replace(",", " ").split()
    if not parts:
        raise Refusal(f"an empty value is not {_WORDS[kind]}")
    return b"".join(_address(kind, part).packed for part in parts)


def _decode_addresses(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    if not data or len(data) % 4:
        raise Refusal(f"{len(data)} bytes are not {_WORDS[kind]}")
    return " ".join(str(IPv4Address(data[at : at + 4])) for at in range(0, len(data), 4)), b""


def _encode_domain(kind: OptionType, text: str) -> bytes:
    # A lone surrogate is not printable, and would not become bytes.
    shown = text.removesuffix(".") if text.isprintable() and " " not in text else ""
    labels = [label.encode() for label in shown.split(".")]
    if not all(0 < len(each) <= LABEL_BYTES_MAX for each in labels):
        raise Refusal(f'"{_shown(text)}" is not {_WORDS[kind]}')
    name = b"".join(bytes((len(each),)) + each for each in labels) + b"\0"
    if len(name) > NAME_BYTES_MAX:
        raise Refusal(f'"{_shown(text)}" has {len(name)} bytes, a name has at most {NAME_BYTES_MAX}')
    return name


def _decode_domain(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    name, end = _read_name(kind, data, 0, follow=False)
    return name, data[end:]


def _encode_domains(kind: OptionType, text: str) -> bytes:
    names = text.replace(",", " ").split()
    if not names:
        raise Refusal(f"an empty value is not {_WORDS[kind]}")
    # Not compressed: every reader knows the plain form, and a list of names fits.
    return b"".join(_encode_domain(kind, name) for name in names)


def _decode_domains(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    names: list[str] = []
    at = 0
    while at < len(data):
        name, at = _read_name(kind, data, at, follow=True)
        names.append(name)
    if not names:
        raise Refusal(f"an empty option is not {_WORDS[kind]}")
    return " ".join(names), b""


def _read_name(kind: OptionType, data: bytes, at: int, *, follow: bool) -> tuple[str, int]:
    """One name and where it ends; a pointer leads to an earlier place only, so that it ends."""
    labels: list[str] = []
    end = 0
    size = 1
    pointer_count = 0
    while True:
        if at >= len(data):
            raise Refusal(f"a name goes beyond the end; this is not {_WORDS[kind]}")
        length = data[at]
        if follow and length & 0xC0 == 0xC0 and at + 1 < len(data):
            target = (length & 0x3F) << 8 | data[at + 1]
            pointer_count += 1
            if target >= at or pointer_count > POINTER_COUNT_MAX:
                raise Refusal(f"a name refers to itself, or too often; this is not {_WORDS[kind]}")
            end = end or at + 2
            at = target
            continue
        if length > LABEL_BYTES_MAX:
            raise Refusal(f"a label has {length} bytes; this is not {_WORDS[kind]}")
        at += 1
        if length == 0:
            break
        size += length + 1
        labels.append(_label(kind, data[at : at + length], length))
        at += length
        if size > NAME_BYTES_MAX:
            raise Refusal(f"a name is longer than {NAME_BYTES_MAX} bytes")
    if not labels:
        raise Refusal(f"an empty name is not {_WORDS[kind]}")
    return ".".join(labels), end or at


def _label(kind: OptionType, data: bytes, length: int) -> str:
    try:
        label = data.decode()
    except UnicodeDecodeError:
        label = ""
    if len(data) < length or not label.isprintable() or not label or set(label) & set(" .,"):
        raise Refusal(f"{data.hex()} is not a label; this is not {_WORDS[kind]}")
    return label


def _encode_routes(kind: OptionType, text: str) -> bytes:
    """RFC 3442: width of the mask, the octets of the network that matter, the router."""
    parts = text.replace(",", " ").split()
    if not parts or len(parts) % 2:
        raise Refusal(f'"{_shown(text)}" is not {_WORDS[kind]}')
    data = b""
    for destination, router in zip(parts[::2], parts[1::2], strict=True):
        try:
            network = ipaddress.IPv4Network("0.0.0.0/0" if destination == "default" else destination)
        except ValueError as error:
            raise Refusal(f'"{_shown(destination)}" is not a network: {error}') from None
        octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
        data += bytes((network.prefixlen,)) + octets + _address(kind, router).packed
    return data


def _decode_routes(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    routes: list[str] = []
    while data:
        width = data[0]
        octet_count = (width + 7) // 8
        if width > 32 or len(data) < 1 + octet_count + 4:
            raise Refusal(f"{data[:20].hex()} is not {_WORDS[kind]}")
        octets = data[1 : 1 + octet_count].ljust(4, b"\0")
        try:
            network = ipaddress.IPv4Network((octets, width))
        except ValueError:
            raise Refusal(f"{data[:20].hex()} is a network with bits of a host") from None
        router = IPv4Address(data[1 + octet_count : 5 + octet_count])
        routes.append(f"{network} {router}")
        data = data[5 + octet_count :]
    if not routes:
        raise Refusal(f"an empty option is not {_WORDS[kind]}")
    return " ".join(routes), b""


def _encode_hex(kind: OptionType, text: str) -> bytes:
    digits = text[2:] if text[:2].lower() == "0x" else text
    try:
        data = bytes.fromhex(digits.replace(":", "").replace("-", ""))
    except ValueError:
        raise Refusal(f'"{_shown(text)}" is not {_WORDS[kind]}') from None
    if not data:
        raise Refusal(f"an empty value is not {_WORDS[kind]}")
    return data


def _decode_hex(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    if not data:
        raise Refusal(f"an empty option is not {_WORDS[kind]}")
    return data.hex(":"), b""


def _encode_empty(kind: OptionType, text: str) -> bytes:
    raise Refusal(f'"{_shown(text)}" is too much: {_WORDS[kind]}')


def _decode_empty(kind: OptionType, data: bytes) -> tuple[str, bytes]:
    raise Refusal(f"{len(data)} bytes are too much: {_WORDS[kind]}")


def _take(kind: OptionType, data: bytes, size: int) -> tuple[bytes, bytes]:
    if len(data) < size:
        raise Refusal(f"{len(data)} bytes are not {_WORDS[kind]}")
    return data[:size], data[size:]


def _shown(text: str) -> str:
    cut = text if len(text) <= 60 else text[:59] + "…"
    return "".join(each if each.isprintable() else "�" for each in cut)


_WORDS: dict[OptionType, str] = {
    OptionType.UINT8: "a number from 0 to 255",
    OptionType.UINT16: "a number from 0 to 65535",
    OptionType.UINT32: "a number from 0 to 4294967295",
    OptionType.UINT64: "a number from 0 to 18446744073709551615",
    OptionType.INT32: "a number from -2147483648 to 2147483647",
    OptionType.BOOL: "true or false",
    OptionType.TEXT: "a text",
    OptionType.ADDRESS: "an IPv4 address such as 192.0.2.1",
    OptionType.ADDRESSES: "IPv4 addresses with spaces between them",
    OptionType.DOMAIN: "a domain name such as example.com",
    OptionType.DOMAINS: "domain names such as example.com lab.example.com",
    OptionType.ROUTES: "routes as network and router, such as 10.0.0.0/8 192.0.2.1",
    OptionType.HEX: "bytes in hexadecimal such as 00:1a:2b",
    OptionType.EMPTY: "the option has no data",
}

_ENCODERS: dict[OptionType, Callable[[OptionType, str], bytes]] = {
    **dict.fromkeys(_NUMBERS, _encode_number),
    OptionType.BOOL: _encode_bool,
    OptionType.TEXT: _encode_text,
    OptionType.ADDRESS: _encode_address,
    OptionType.ADDRESSES: _encode_addresses,
    OptionType.DOMAIN: _encode_domain,
    OptionType.DOMAINS: _encode_domains,
    OptionType.ROUTES: _encode_routes,
    OptionType.HEX: _encode_hex,
    OptionType.EMPTY: _encode_empty,
}
_DECODERS: dict[OptionType, Callable[[OptionType, bytes], tuple[str, bytes]]] = {
    **dict.fromkeys(_NUMBERS, _decode_number),
    OptionType.BOOL: _decode_bool,
    OptionType.TEXT: _decode_text,
    OptionType.ADDRESS: _decode_address,
    OptionType.ADDRESSES: _decode_addresses,
    OptionType.DOMAIN: _decode_domain,
    OptionType.DOMAINS: _decode_domains,
    OptionType.ROUTES: _decode_routes,
    OptionType.HEX: _decode_hex,
    OptionType.EMPTY: _decode_empty,
}
