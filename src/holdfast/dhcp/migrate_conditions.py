"""Turn the tests of ISC dhcpd's and Kea's classes into conditions of a policy, where they say the same.

Understood is what an administrator writes again and again: an option, a hardware address or what a relay
adds, whole or its beginning, compared with something fixed; several of these with ``and`` or with ``or``.
Whatever else a class tests cannot be said in our model, and is refused with its text.

Source: dhcp-eval(5) of ISC dhcpd 4.4; Kea Administrator Reference Manual, "Using Expressions in
Classification".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from holdfast.dhcp.moving import Arrival
from holdfast.directory.dhcp import Comparison, Condition, ConditionField, Match
from holdfast.directory.dhcp_options import ClassKind, DhcpClass
from holdfast.kernel.errors import Refusal
from holdfast.wire.isc_conf import unquote


class Term(NamedTuple):
    """One comparison.

    Attributes:
        looks_at: what is looked at.
        data: what it is compared with.
        whole: whether all of it, or its beginning.
        equal: whether it must be so, or must not.
    """

    looks_at: ConditionField
    data: bytes
    whole: bool
    equal: bool


_ISC_SOURCES = {
    "option vendor-class-identifier": ConditionField.VENDOR_CLASS,
    "option user-class": ConditionField.USER_CLASS,
    "option dhcp-client-identifier": ConditionField.CLIENT_ID,
    "option agent.circuit-id": ConditionField.CIRCUIT_ID,
    "option agent.remote-id": ConditionField.REMOTE_ID,
    "option agent.subscriber-id": ConditionField.SUBSCRIBER_ID,
    "option pxe-system-type": ConditionField.ARCHITECTURE,
    "option arch": ConditionField.ARCHITECTURE,
    "option client-arch": ConditionField.ARCHITECTURE,
    "option architecture-type": ConditionField.ARCHITECTURE,
    "hardware": ConditionField.MAC,
}
_KEA_SOURCES = {
    "option[60]": ConditionField.VENDOR_CLASS,
    "option[vendor-class-identifier]": ConditionField.VENDOR_CLASS,
    "option[77]": ConditionField.USER_CLASS,
    "option[user-class]": ConditionField.USER_CLASS,
    "option[61]": ConditionField.CLIENT_ID,
    "option[dhcp-client-identifier]": ConditionField.CLIENT_ID,
    "option[93]": ConditionField.ARCHITECTURE,
    "option[client-system]": ConditionField.ARCHITECTURE,
    "relay4[1]": ConditionField.CIRCUIT_ID,
    "relay4[2]": ConditionField.REMOTE_ID,
    "relay4[6]": ConditionField.SUBSCRIBER_ID,
    "pkt4.mac": ConditionField.MAC,
}
_ISC_TERM = re.compile(
    r"(?P<not>not )?(?:substring \( (?P<part>[a-z0-9. -]+?) , (?P<at>\d+) , (?P<size>\d+) \)"
    r"|(?P<all>[a-z0-9. -]+?))"
    r" (?P<differs>! ?)?= (?P<value>\"(?:[^\"\\]|\\.)*\"|[0-9a-fA-F:]+)"
)
_KEA_TERM = re.compile(
    r"(?P<not>not )?(?:substring\( ?(?P<part>[\w.\[\]-]+?) ?, ?(?P<at>\d+) ?, ?(?P<size>\d+|all) ?\)"
    r"|(?P<all>[\w.\[\]-]+))"
    r" ?(?P<sign>==|!=) ?(?P<value>'[^']*'|0x[0-9a-fA-F]+)"
)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'")


def isc_terms(text: str) -> tuple[list[Term], Match]:
    """Read the expression behind ``match if``, its words with single spaces between them.

    Raises:
        Refusal: it says something that a policy cannot.
    """
    parts, match = _parts(text)
    return [_isc_term(each) for each in parts], match


def kea_terms(text: str) -> tuple[list[Term], Match]:
    """Read the ``test`` of a client class.

    Raises:
        Refusal: it says something that a policy cannot.
    """
    parts, match = _parts(" ".join(text.split()))
    return [_kea_term(each) for each in parts], match


def _parts(text: str) -> tuple[list[str], Match]:
    """An expression cut at its ``and`` or ``or``, which may not be mixed; strings are left alone."""
    text = _without_brackets(text.strip())
    hidden = _QUOTED.sub(lambda match: "\0" * len(match[0]), text)
    cuts = [(each.start(), each.end(), each[1]) for each in re.finditer(r" (and|or) ", hidden)]
    words = {word for _, _, word in cuts}
    if len(words) > 1:
        raise Refusal('it mixes "and" and "or"')
    parts, at = [], 0
    for start, end, _ in cuts:
        parts.append(text[at:start])
        at = end
    parts.append(text[at:])
    return [_without_brackets(each.strip()) for each in parts], Match.ANY if words == {"or"} else Match.ALL


def _without_brackets(text: str) -> str:
    """Brackets around the whole of an expression say nothing."""
    while text.startswith("(") and text.endswith(")"):
        depth = 0
        for index, char in enumerate(text):
            depth += (char == "(") - (char == ")")
            if depth == 0 and index < len(text) - 1:
                return text
        text = text[1:-1].strip()
    return text


def _isc_term(text: str) -> Term:
    match = _ISC_TERM.fullmatch(text)
    looks_at = _ISC_SOURCES.get((match["part"] or match["all"]).strip()) if match else None
    if match is None or looks_at is None:
        raise Refusal(f'"{text}" cannot be said in a policy')
    value = match["value"]
    if value.startswith('"'):
        data = unquote(value[1:-1])
    else:
        data = bytes(int(part, 16) & 0xFF for part in value.split(":") if part)
    at, size = int(match["at"] or 0), match["size"] or "all"
    if looks_at is ConditionField.MAC:
        # In dhcpd "hardware" begins with the type, which a MAC address here does not have.
        if at == 0:
            data, at, size = data[1:], 1, size if size == "all" else str(int(size) - 1)
        at -= 1
    equal = (match["not"] is None) == (match["differs"] is None)
    return _term(looks_at, data, at, size, equal=equal)


def _kea_term(text: str) -> Term:
    match = _KEA_TERM.fullmatch(text)
    source = (match["part"] or match["all"]) if match else ""
    looks_at = _KEA_SOURCES.get(source.removesuffix(".hex").removesuffix(".text"))
    if match is None or looks_at is None:
        raise Refusal(f'"{text}" cannot be said in a policy')
    value = match["value"]
    if value.startswith("'"):
        data = value[1:-1].encode()
    else:
        digits = value[2:]
        data = bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
    equal = (match["not"] is None) == (match["sign"] == "==")
    return _term(looks_at, data, int(match["at"] or 0), match["size"] or "all", equal=equal)


def _term(looks_at: ConditionField, data: bytes, at: int, size: str, *, equal: bool) -> Term:
    if at != 0:
        raise Refusal("it looks at the middle of something")
    if size != "all" and len(data) > int(size):
        raise Refusal(f"it compares {size} bytes with {len(data)}, which never holds")
    # Where fewer bytes are compared than are taken, nothing may follow them.
    return Term(looks_at, data, size == "all" or len(data) < int(size), equal)


def conditions_of(terms: list[Term], match: Match, arrival: Arrival) -> tuple[Condition, ...]:
    """Conditions that say what the terms say; classes of clients that they need are made.

    Raises:
        Refusal: there is no policy that says it.
    """
    found: list[Condition] = []
    for term in terms:
        value = _value(term, arrival)
        comparison = Comparison.EQUALS if term.equal else Comparison.NOT_EQUALS
        # One of several values is what "equals" means, none of them what "not equals" does.
        joins = match is (Match.ANY if term.equal else Match.ALL)
        same = next(
            (
                each
                for each in found
                if joins and (each.looks_at, each.comparison) == (term.looks_at, comparison)
            ),
            None,
        )
        if same is None:
            found.append(Condition(term.looks_at, (value,), comparison))
        elif value not in same.values:
            found[found.index(same)] = Condition(term.looks_at, (*same.values, value), comparison)
    return tuple(found)


def _value(term: Term, arrival: Arrival) -> str:
    star = "" if term.whole else "*"
    match term.looks_at:
        case ConditionField.VENDOR_CLASS | ConditionField.USER_CLASS:
            kind = ClassKind.VENDOR if term.looks_at is ConditionField.VENDOR_CLASS else ClassKind.USER
            if not term.data:
                raise Refusal("it compares with nothing")
            text = class_text(term.data)
            return arrival.new_class(DhcpClass(text, kind, text)) + star
        case ConditionField.ARCHITECTURE:
            if len(term.data) > 2 or not term.data:
                raise Refusal(f"{term.data.hex()} is not the number of an architecture")
            return str(int.from_bytes(term.data))
        case ConditionField.MAC | ConditionField.CLIENT_ID:
            if not term.data:
                raise Refusal("it compares with nothing")
            return term.data.hex(":") + star
        case _:
            return f"0x{term.data.hex()}{star}"


def class_text(data: bytes) -> str:
    """The data of a class as a text, or as 0x and hexadecimal digits."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and text and text == text.strip() and text[:2].lower() != "0x":
        return text
    return "0x" + data.hex()
