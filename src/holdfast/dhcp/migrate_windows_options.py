"""Classes, option definitions and option values of a Windows export.

Windows lists every standard option's definition; those that we have built in say the same on the wire and are
passed over. A value is turned into the bytes that Windows would send, and these into our form.

Source: spec/dhcp.md section 4.4; RFC 2132.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.dhcp.moving import Arrival, number_bytes
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType, OptionValue
from holdfast.directory.option_table import BUILT_IN, PROTOCOL_OPTIONS
from holdfast.kernel.errors import Refusal
from holdfast.wire.windows_dhcp_export import Element

LEASE_OPTION, DNS_OPTION = 51, 81
TYPES = {
    "Byte": OptionType.UINT8,
    "Word": OptionType.UINT16,
    "DWord": OptionType.UINT32,
    "DWordDWord": OptionType.UINT64,
    "IPv4Address": OptionType.ADDRESS,
    "String": OptionType.TEXT,
    "BinaryData": OptionType.HEX,
    "EncapsulatedData": OptionType.HEX,
}
_NUMBERS = (OptionType.UINT8, OptionType.UINT16, OptionType.UINT32, OptionType.UINT64)


@dataclass(frozen=True, slots=True)
class WindowsOptions:
    """Options of one place.

    Attributes:
        values: in our form.
        lease_s: what option 51 says; None without.
        dns_flags: what option 81 says of registration in DNS; None without.
    """

    values: tuple[OptionValue, ...]
    lease_s: float | None
    dns_flags: int | None


def read_classes(element: Element, name: str, arrival: Arrival) -> None:
    """Take vendor and user classes over."""
    for each in element.children:
        place = f"{name} line {each.line}"
        kind = each.value("Type").lower()
        data = each.value("Data")
        if kind not in ("vendor", "user") or not _hex(data):
            arrival.left(place, f"class {each.value('Name')}", "its type or its data is not known")
            continue
        text = "0x" + _hex(data).hex()
        arrival.new_class(DhcpClass(each.value("Name"), ClassKind(kind), text, each.value("Description")))


def _hex(text: str) -> bytes:
    digits = text[2:] if text[:2].lower() == "0x" else text
    try:
        return bytes.fromhex(digits.replace("-", ""))
    except ValueError:
        return b""


def read_definitions(element: Element, name: str, arrival: Arrival) -> None:
    """Take over the definitions of options that are not built in."""
    for each in element.children:
        place = f"{name} line {each.line}"
        code, vendor_class = _code(each, place), each.value("VendorClass")
        if not vendor_class and (code in BUILT_IN or code in PROTOCOL_OPTIONS):
            continue
        kind = TYPES.get(each.value("Type"))
        if kind is None or not 1 <= code <= 254:
            arrival.left(
                place,
                f"definition of option {code}",
                f'type "{each.value("Type")[:40]}" or code is not known',
            )
            continue
        array = each.value("MultiValued").lower() == "true" and kind not in (OptionType.TEXT, OptionType.HEX)
        arrival.define(
            OptionDefinition(
                code, each.value("Name"), (kind,), array, vendor_class, description=each.value("Description")
            ),
            place,
        )


def read_options(element: Element, name: str, arrival: Arrival) -> WindowsOptions:
    """Take the option values of one place over; lease and DNS flags, which are options in Windows, apart."""
    values: list[OptionValue] = []
    lease_s: float | None = None
    dns_flags: int | None = None
    for each in element.children:
        place = f"{name} line {each.line}"
        code, vendor_class, user_class = (
            _code(each, place),
            each.value("VendorClass"),
            each.value("UserClass"),
        )
        texts = [one.text for one in each.all("Value")]
        if code in (LEASE_OPTION, DNS_OPTION) and not vendor_class:
            number = _number(texts[0] if texts else "")
            if number is None or user_class:
                arrival.left(
                    place, f"option {code}", "the lease and registration in DNS have no values for a class"
                )
            elif code == LEASE_OPTION:
                lease_s = float(number)
            else:
                dns_flags = number
            continue
        try:
            data = _data(arrival.definition(code, vendor_class), texts)
        except Refusal as refusal:
            arrival.left(place, f"option {code}", refusal.text)
            continue
        known = {one.name for one in arrival.classes}
        if missing := next((one for one in (vendor_class, user_class) if one and one not in known), None):
            arrival.left(place, f"option {code}", f'class "{missing}" is not in the file')
            continue
        found = arrival.option(code, data, place, vendor_class=vendor_class, user_class=user_class)
        if found is not None:
            values.append(found)
    return WindowsOptions(tuple(values), lease_s, dns_flags)


def _code(element: Element, place: str) -> int:
    number = _number(element.value("OptionId"))
    if number is None:
        raise Refusal(f'{place}: option "{element.value("OptionId")[:40]}" is not a number')
    return number


def _number(text: str) -> int | None:
    base = 16 if text[:2].lower() == "0x" else 10
    try:
        return int(text, base) if len(text) <= 20 else None
    except ValueError:
        return None


def _data(definition: OptionDefinition | None, texts: list[str]) -> bytes:
    """The bytes that Windows would send.

    Raises:
        Refusal: a value does not have the form of its definition.
    """
    kind = definition.types[0] if definition is not None and len(definition.types) == 1 else OptionType.HEX
    if kind in (OptionType.ADDRESS, OptionType.ADDRESSES) or (
        definition is not None and set(definition.types) == {OptionType.ADDRESS}
    ):
        try:
            return b"".join(IPv4Address(text.strip()).packed for text in texts)
        except ValueError as error:
            raise Refusal(str(error)) from None
    if kind in _NUMBERS or kind in (OptionType.INT32, OptionType.BOOL):
        form = {OptionType.INT32: OptionType.UINT32, OptionType.BOOL: OptionType.UINT8}.get(kind, kind)
        return b"".join(number_bytes(form, _required(text)) for text in texts)
    if kind is OptionType.TEXT:
        return "".join(texts).encode()
    # Bytes come as one value each (0x0a) or as a run of them.
    data = b"".join(_hex(text) for text in texts)
    if not data:
        raise Refusal(f'"{" ".join(texts)[:60]}" is not in hexadecimal')
    return data


def _required(text: str) -> int:
    number = _number(text)
    if number is None:
        raise Refusal(f'"{text[:40]}" is not a number')
    return number & 0xFFFF_FFFF if number < 0 else number
