"""The built-in options agree with each other and with the standard."""

from __future__ import annotations

from holdfast.directory.dhcp_options import OptionType
from holdfast.directory.option_table import BUILT_IN, BUILT_IN_BY_NAME, PROTOCOL_OPTIONS
from holdfast.directory.option_values import TO_THE_END


def test_every_option_has_its_own_number_and_name() -> None:
    assert len(BUILT_IN_BY_NAME) == len(BUILT_IN)
    assert all(code == each.code and 0 < code < 255 for code, each in BUILT_IN.items())


def test_no_option_of_the_protocol_can_be_given_a_value() -> None:
    assert not set(BUILT_IN) & set(PROTOCOL_OPTIONS)


def test_what_goes_to_the_end_stands_there_once() -> None:
    for each in BUILT_IN.values():
        assert not set(each.types[:-1]) & TO_THE_END, each.name
        assert not (each.array and each.types[-1] in TO_THE_END), each.name


def test_forms_of_rfc_2132() -> None:
    lists = {code for code, each in BUILT_IN.items() if each.types == (OptionType.ADDRESS,) and each.array}
    assert {
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        41,
        42,
        44,
        45,
        48,
        49,
        65,
        68,
        69,
        70,
        71,
        72,
        73,
        74,
        75,
        76,
    } <= lists
    assert {code for code, each in BUILT_IN.items() if each.types == (OptionType.ROUTES,)} == {121, 249}
    assert set(range(1, 50)) <= set(BUILT_IN)
