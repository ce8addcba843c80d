"""Definitions and classes know their identity and their bytes."""

from __future__ import annotations

import pytest

from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, class_data


def test_definition_is_known_by_its_code_below_its_vendor_class() -> None:
    assert OptionDefinition(150, "tftp", (OptionType.ADDRESS,)).key == "150"
    assert OptionDefinition(1, "mode", (OptionType.UINT8,), vendor_class="Phones").key == "Phones/1"


@pytest.mark.parametrize(
    ("text", "data"),
    [("MSFT 5.0", b"MSFT 5.0"), ("0x4d534654", b"MSFT"), ("0X4D:53", b"MS"), ("é", "é".encode())],
)
def test_class_data(text: str, data: bytes) -> None:
    assert class_data(text) == data
    assert DhcpClass("c", ClassKind.VENDOR, text).data_bytes == data


def test_class_data_in_wrong_digits_is_no_data() -> None:
    with pytest.raises(ValueError, match="hex"):
        class_data("0xno")
