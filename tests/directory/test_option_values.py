"""Option values go from text to bytes and back; what does not fit is refused with the value."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.dhcp_options import OptionDefinition, OptionType
from holdfast.directory.option_table import BUILT_IN
from holdfast.directory.option_values import (
    OPTION_BYTES_MAX,
    TO_THE_END,
    VALUE_COUNT_MAX,
    decode_option,
    encode_option,
    form_of,
)
from holdfast.kernel.errors import Refusal

T = OptionType


def _definition(*types: OptionType, array: bool = False) -> OptionDefinition:
    return OptionDefinition(224, "test", types, array)


@pytest.mark.parametrize(
    ("code", "values", "data", "read"),
    [
        (1, ("255.255.255.0",), "ff ff ff 00", None),
        (2, ("-3600",), "ff ff f1 f0", None),  # an hour west of Greenwich
        (6, ("192.0.2.1", "192.0.2.2"), "c0 00 02 01 c0 00 02 02", None),
        (13, ("0x1F",), "00 1f", ("31",)),
        (15, ("example.com",), "65 78 61 6d 70 6c 65 2e 63 6f 6d", None),
        (19, ("Yes",), "01", ("true",)),
        (33, ("10.1.2.3 192.0.2.1",), "0a 01 02 03 c0 00 02 01", None),
        (43, ("0x0104-AB:cd 00 01",), "01 04 ab cd 00 01", ("01:04:ab:cd:00:01",)),
        (58, ("14400",), "00 00 38 40", None),
        (78, ("true 192.0.2.1 192.0.2.2",), "01 c0 00 02 01 c0 00 02 02", None),
        (79, ("false  one,two",), "00 6f 6e 65 2c 74 77 6f", ("false one,two",)),
        # RFC 3397 section 3, without the compression of its example
        (119, ("a.b.", "c.b"), "01 61 01 62 00 01 63 01 62 00", ("a.b c.b",)),
        # RFC 3442: widths 0, 8, 24, 25 and 32 with 0, 1, 3, 4 and 4 octets
        (
            121,
            ("default 192.0.2.1", "10.0.0.0/8 192.0.2.2", "10.27.129.0/24 192.0.2.3"),
            "00 c0 00 02 01 08 0a c0 00 02 02 18 0a 1b 81 c0 00 02 03",
            ("0.0.0.0/0 192.0.2.1 10.0.0.0/8 192.0.2.2 10.27.129.0/24 192.0.2.3",),
        ),
        (
            249,
            ("10.198.122.128/25 192.0.2.1, 10.198.122.47 192.0.2.1",),
            "19 0a c6 7a 80 c0 00 02 01 20 0a c6 7a 2f c0 00 02 01",
            ("10.198.122.128/25 192.0.2.1 10.198.122.47/32 192.0.2.1",),
        ),
        (137, ("lost.example",), "04 6c 6f 73 74 07 65 78 61 6d 70 6c 65 00", None),
    ],
)
def test_values_and_bytes(
    code: int, values: tuple[str, ...], data: str, read: tuple[str, ...] | None
) -> None:
    definition = BUILT_IN[code]
    assert encode_option(definition, values) == bytes.fromhex(data)
    assert decode_option(definition, bytes.fromhex(data)) == (read or values)


def test_compressed_search_list_of_the_rfc_is_read() -> None:
    # RFC 3397 section 3: eng.apple.com and marketing.apple.com, the second with a pointer to 4.
    data = bytes.fromhex("03 65 6e 67 05 61 70 70 6c 65 03 63 6f 6d 00 09 6d 61 72 6b 65 74 69 6e 67 c0 04")
    assert decode_option(BUILT_IN[119], data) == ("eng.apple.com marketing.apple.com",)


@pytest.mark.parametrize(
    ("definition", "values", "text"),
    [
        (_definition(T.UINT8), ("256",), '"256" is not a number from 0 to 255'),
        (_definition(T.UINT8), ("1_0",), '"1_0" is not a number'),
        (_definition(T.UINT8), ("",), '"" is not a number'),
        (_definition(T.INT32), ("-2147483649",), '"-2147483649" is not a number'),
        (_definition(T.UINT16), ("9" * 5000,), "is not a number from 0 to 65535"),
        (_definition(T.BOOL), ("maybe",), '"maybe" is not true or false'),
        (_definition(T.TEXT), ("",), "an empty value is not a text"),
        (_definition(T.TEXT), ("a\nb",), "has characters that cannot be shown"),
        (_definition(T.ADDRESS), ("192.0.2.300",), '"192.0.2.300" is not an IPv4 address'),
        (_definition(T.ADDRESS), ("192.0.2.1", "192.0.2.2"), "2 values are given, but it holds one"),
        (_definition(T.ADDRESS), (), "it needs a value: an IPv4 address"),
        (_definition(T.ADDRESS, T.ADDRESS), ("192.0.2.1",), '"" is not an IPv4 address'),
        (_definition(T.DOMAIN), ("a..b",), '"a..b" is not a domain name'),
        (_definition(T.DOMAIN), ("a" * 64,), "is not a domain name"),
        (_definition(T.DOMAIN), (".".join(["a" * 60] * 5),), "a name has at most 255"),
        (_definition(T.ROUTES), ("10.0.0.1/8 192.0.2.1",), '"10.0.0.1/8" is not a network'),
        (_definition(T.ROUTES), ("10.0.0.0/8",), '"10.0.0.0/8" is not routes'),
        (_definition(T.HEX), ("0xzz",), '"0xzz" is not bytes in hexadecimal'),
        (_definition(T.HEX), ("00" * (OPTION_BYTES_MAX + 1),), f"more than {OPTION_BYTES_MAX}"),
        (_definition(T.EMPTY), ("", "1"), '"1" is too much'),
        (_definition(T.UINT8, array=True), ("1",) * (VALUE_COUNT_MAX + 1), f"more than {VALUE_COUNT_MAX}"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_value(
    definition: OptionDefinition, values: tuple[str, ...], text: str
) -> None:
    with pytest.raises(Refusal) as caught:
        encode_option(definition, values)
    assert text in caught.value.text
    assert caught.value.text.isprintable()


def test_option_without_data_has_none() -> None:
    assert encode_option(_definition(T.EMPTY), ()) == b""
    assert decode_option(_definition(T.EMPTY), b"") == ()
    with pytest.raises(Refusal, match="no data"):
        decode_option(_definition(T.EMPTY), b"1")


# One value of each type, in its usual form.
LABELS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
DOMAIN = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
ADDRESS = st.ip_addresses(v=4).map(str)
PREFIXES = st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, 32))


def _network(pair: tuple[int, int]) -> str:
    number, width = pair
    bits = number >> (32 - width) << (32 - width)
    return f"{bits >> 24}.{bits >> 16 & 255}.{bits >> 8 & 255}.{bits & 255}/{width}"


ROUTE = st.tuples(PREFIXES.map(_network), ADDRESS).map(" ".join)
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: text.isprintable() and text == text.strip()
)
VALUES: dict[OptionType, st.SearchStrategy[str]] = {
    T.UINT8: st.integers(0, 255).map(str),
    T.UINT16: st.integers(0, 65535).map(str),
    T.UINT32: st.integers(0, (1 << 32) - 1).map(str),
    T.UINT64: st.integers(0, (1 << 64) - 1).map(str),
    T.INT32: st.integers(-(1 << 31), (1 << 31) - 1).map(str),
    T.BOOL: st.sampled_from(["true", "false"]),
    T.TEXT: TEXT,
    T.ADDRESS: ADDRESS,
    T.ADDRESSES: st.lists(ADDRESS, min_size=1, max_size=4).map(" ".join),
    T.DOMAIN: DOMAIN,
    T.DOMAINS: st.lists(DOMAIN, min_size=1, max_size=3).map(" ".join),
    T.ROUTES: st.lists(ROUTE, min_size=1, max_size=3).map(" ".join),
    T.HEX: st.binary(min_size=1, max_size=20).map(lambda data: data.hex(":")),
}


@st.composite
def definitions_with_values(draw: st.DrawFn) -> tuple[OptionDefinition, tuple[str, ...]]:
    fixed = st.sampled_from(sorted(set(VALUES) - TO_THE_END, key=lambda each: each.value))
    types = draw(st.lists(fixed, max_size=2))
    last = draw(st.sampled_from(sorted(VALUES, key=lambda each: each.value)))
    array = last not in TO_THE_END and draw(st.booleans())
    value = st.tuples(*(VALUES[each] for each in (*types, last))).map(" ".join)
    values = draw(st.lists(value, min_size=1, max_size=3 if array else 1))
    return OptionDefinition(224, "drawn", (*types, last), array), tuple(values)


@settings(deadline=None)
@given(definitions_with_values())
def test_values_are_read_back_as_they_were_written(
    pair: tuple[OptionDefinition, tuple[str, ...]],
) -> None:
    definition, values = pair
    assert decode_option(definition, encode_option(definition, values)) == values


@settings(deadline=None)
@given(st.sampled_from(sorted(BUILT_IN)), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(code: int, data: bytes) -> None:
    definition = BUILT_IN[code]
    try:
        values = decode_option(definition, data)
    except Refusal:
        return
    # What was read can be written, and is read as the same again.
    assert decode_option(definition, encode_option(definition, values)) == values


def test_pointers_after_pointers_take_no_time() -> None:
    # Each of 2,000 pointers leads to the one before it.
    chain = b"".join((0xC000 | at).to_bytes(2, "big") for at in (0, *range(3, 4000, 2)))
    begun = time.perf_counter()
    with pytest.raises(Refusal, match="too often"):
        decode_option(BUILT_IN[119], b"\x01a\x00" + chain)
    assert time.perf_counter() - begun < 1.0


def test_form_is_told_in_words() -> None:
    assert form_of(BUILT_IN[3]) == "one or more of: an IPv4 address such as 192.0.2.1"
    assert form_of(BUILT_IN[26]) == "a number from 0 to 65535"
