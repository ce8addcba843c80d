"""Names, definitions and values of options as ISC dhcpd and Kea write them."""

from __future__ import annotations

import pytest

from holdfast.dhcp.foreign_options import (
    CODES,
    ISC_NAMES,
    encapsulated,
    isc_data,
    isc_definition,
    kea_data,
    kea_definition,
)
from holdfast.directory.dhcp_options import OptionDefinition, OptionType
from holdfast.directory.option_table import BUILT_IN, PROTOCOL_OPTIONS
from holdfast.kernel.errors import Refusal
from holdfast.wire.isc_conf import Word, read_configuration


def words(text: str) -> tuple[Word, ...]:
    return read_configuration(f"x {text};".encode())[0].words[1:]


def isc(definition: OptionDefinition, text: str) -> bytes:
    return isc_data(definition, words(text))


def test_every_name_is_of_an_option_that_is_known() -> None:
    assert CODES["domain-name-servers"] == 6
    assert CODES["boot-file-name"] == CODES["bootfile-name"] == 67
    assert ISC_NAMES[42] == "ntp-servers"
    unknown = {code for code in CODES.values() if code not in BUILT_IN and code not in PROTOCOL_OPTIONS}
    assert unknown == {143}


@pytest.mark.parametrize(
    ("text", "types", "array"),
    [
        ("text", (OptionType.TEXT,), False),
        ("string", (OptionType.HEX,), False),
        ("boolean", (OptionType.BOOL,), False),
        ("array of unsigned integer 8", (OptionType.UINT8,), True),
        ("integer 16", (OptionType.UINT16,), False),
        ("signed integer 32", (OptionType.INT32,), False),
        ("domain-list compressed", (OptionType.DOMAINS,), False),
        ("array of ip-address", (OptionType.ADDRESS,), True),
        ("array of { ip-address , integer 8 }", (OptionType.ADDRESS, OptionType.UINT8), True),
        ("{ boolean , text }", (OptionType.BOOL, OptionType.TEXT), False),
    ],
)
def test_definitions_of_isc(text: str, types: tuple[OptionType, ...], array: bool) -> None:
    found = isc_definition(224, "x", text.split())
    assert (found.types, found.array) == (types, array)


@pytest.mark.parametrize(
    "text", ["ip6-address", "encapsulate PXE", "array of text", "{ text , boolean }", "signed integer 8", ""]
)
def test_definitions_that_have_no_form_here_are_refused(text: str) -> None:
    with pytest.raises(Refusal):
        isc_definition(224, "x", text.split())


def test_definitions_of_kea() -> None:
    assert kea_definition(224, "x", "ipv4-address, uint16", array=True).types == (
        OptionType.ADDRESS,
        OptionType.UINT16,
    )
    assert kea_definition(224, "x", "fqdn", array=True) == OptionDefinition(224, "x", (OptionType.DOMAINS,))
    assert kea_definition(224, "x", "empty", array=False).types == (OptionType.EMPTY,)
    with pytest.raises(Refusal, match='there is no type like "psid"'):
        kea_definition(224, "x", "psid", array=False)


@pytest.mark.parametrize(
    ("code", "text", "data"),
    [
        (3, "10.0.0.1, 10.0.0.2", b"\x0a\0\0\1\x0a\0\0\2"),
        (15, '"office.example"', b"office.example"),
        (19, "on", b"\1"),
        (2, "-3600", (-3600).to_bytes(4, "big", signed=True)),
        (
            33,
            "10.1.0.0 10.0.0.1, 10.2.0.0 10.0.0.2",
            bytes([10, 1, 0, 0, 10, 0, 0, 1, 10, 2, 0, 0, 10, 0, 0, 2]),
        ),
        (43, "1:4:c0:0:2:9", bytes([1, 4, 0xC0, 0, 2, 9])),
        (43, '"\\001x"', b"\1x"),
        (119, '"a.b", "c"', b"\1a\1b\0\1c\0"),
        (78, "true 10.0.0.1", b"\1\x0a\0\0\1"),
    ],
)
def test_values_of_isc(code: int, text: str, data: bytes) -> None:
    assert isc(BUILT_IN[code], text) == data


def test_fields_of_one_record_may_have_commas_between_them() -> None:
    record = isc_definition(224, "x", ["{", "ip-address", ",", "integer", "16", "}"])
    assert isc(record, "10.0.0.1, 5060") == isc(record, "10.0.0.1 5060") == b"\x0a\0\0\1\x13\xc4"


@pytest.mark.parametrize("text", ["printers.example", 'concat ( "a" )', "= x", "10.0.0.1 10.0.0.2", ""])
def test_values_that_are_expressions_or_names_are_refused(text: str) -> None:
    with pytest.raises(Refusal):
        isc(BUILT_IN[3], text)


@pytest.mark.parametrize(
    ("definition", "text", "data"),
    [
        (BUILT_IN[6], "10.0.0.1,10.0.0.2", b"\x0a\0\0\1\x0a\0\0\2"),
        (BUILT_IN[15], "a\\,b", b"a,b"),
        (BUILT_IN[119], "a.b, c", b"\1a\1b\0\1c\0"),
        (BUILT_IN[121], "192.168.1.0/24 - 192.0.2.254", bytes([24, 192, 168, 1, 192, 0, 2, 254])),
        (BUILT_IN[43], "0102", b"\1\2"),
        (BUILT_IN[78], "true, 10.0.0.1", b"\1\x0a\0\0\1"),
        (OptionDefinition(224, "x", (OptionType.EMPTY,)), "", b""),
        (OptionDefinition(224, "x", (OptionType.ADDRESS, OptionType.UINT8), True), "10.0.0.1, 1, 10.0.0.2, 2",
         b"\x0a\0\0\1\1\x0a\0\0\2\2"),
    ],
)  # fmt: skip
def test_values_of_kea(definition: OptionDefinition, text: str, data: bytes) -> None:
    assert kea_data(definition, text) == data


def test_records_that_are_not_whole_are_refused() -> None:
    with pytest.raises(Refusal, match="3 fields do not make whole values of 2"):
        kea_data(BUILT_IN[33], "10.0.0.1, 10.0.0.2, 10.0.0.3")


def test_options_inside_an_option() -> None:
    assert encapsulated([(1, b"a"), (2, b"")]) == b"\1\1a\2\0"
    with pytest.raises(Refusal, match="sub-option 1 has 256 bytes"):
        encapsulated([(1, b"x" * 256)])
