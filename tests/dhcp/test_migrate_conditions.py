"""Tests of classes that are conditions of a policy."""

from __future__ import annotations

import pytest

from holdfast.dhcp.migrate_conditions import Term, class_text, conditions_of, isc_terms, kea_terms
from holdfast.dhcp.moving import Arrival
from holdfast.directory.dhcp import Comparison, Condition, ConditionField, DhcpServer, Match
from holdfast.kernel.errors import Refusal
from holdfast.wire.isc_conf import read_configuration

F = ConditionField


def isc(text: str) -> tuple[list[Term], Match]:
    statement = read_configuration(f"match if {text};".encode())[0]
    return isc_terms(statement.text.removeprefix("match if "))


@pytest.mark.parametrize(
    ("text", "terms", "match"),
    [
        (
            'option vendor-class-identifier = "MSFT 5.0"',
            [Term(F.VENDOR_CLASS, b"MSFT 5.0", True, True)],
            Match.ALL,
        ),
        (
            'substring(option vendor-class-identifier, 0, 3) = "PXE"',
            [Term(F.VENDOR_CLASS, b"PXE", False, True)],
            Match.ALL,
        ),
        # Nine bytes are taken and three compared: nothing may follow them.
        (
            'substring(option vendor-class-identifier, 0, 9) = "PXE"',
            [Term(F.VENDOR_CLASS, b"PXE", True, True)],
            Match.ALL,
        ),
        ('not option user-class = "and or"', [Term(F.USER_CLASS, b"and or", True, False)], Match.ALL),
        ("hardware = 1:2:0:0:0:0:aa", [Term(F.MAC, b"\2\0\0\0\0\xaa", True, True)], Match.ALL),
        ("substring(hardware, 1, 3) = 00:1a:2b", [Term(F.MAC, b"\0\x1a\x2b", False, True)], Match.ALL),
        ("substring(hardware, 0, 4) = 1:0:1a:2b", [Term(F.MAC, b"\0\x1a\x2b", False, True)], Match.ALL),
        (
            "(option arch = 00:07) or (option arch = 00:09)",
            [Term(F.ARCHITECTURE, b"\0\7", True, True), Term(F.ARCHITECTURE, b"\0\x09", True, True)],
            Match.ANY,
        ),
        (
            'option agent.circuit-id = "a" and option agent.remote-id = 1:2',
            [Term(F.CIRCUIT_ID, b"a", True, True), Term(F.REMOTE_ID, b"\1\2", True, True)],
            Match.ALL,
        ),
    ],
)
def test_isc(text: str, terms: list[Term], match: Match) -> None:
    assert isc(text) == (terms, match)


@pytest.mark.parametrize(
    "text",
    [
        "exists agent.circuit-id",
        'option host-name = "a"',
        'option user-class = "a" or option user-class = "b" and option arch = 00:07',
        'substring(option vendor-class-identifier, 3, 3) = "PXE"',
        'substring(option vendor-class-identifier, 0, 2) = "PXE"',
        'lcase(option vendor-class-identifier) = "pxe"',
    ],
)
def test_what_isc_can_say_and_a_policy_cannot(text: str) -> None:
    with pytest.raises(Refusal):
        isc(text)


@pytest.mark.parametrize(
    ("text", "terms", "match"),
    [
        ("option[60].hex == 'MSFT 5.0'", [Term(F.VENDOR_CLASS, b"MSFT 5.0", True, True)], Match.ALL),
        ("substring(option[60].hex,0,3)=='PXE'", [Term(F.VENDOR_CLASS, b"PXE", False, True)], Match.ALL),
        ("substring(option[60].hex, 0, all) == 'PXE'", [Term(F.VENDOR_CLASS, b"PXE", True, True)], Match.ALL),
        ("not (option[77].hex == 'iPXE')", None, Match.ALL),
        ("option[77].text != 'iPXE'", [Term(F.USER_CLASS, b"iPXE", True, False)], Match.ALL),
        ("(pkt4.mac == 0x0200000000AA)", [Term(F.MAC, b"\2\0\0\0\0\xaa", True, True)], Match.ALL),
        ("option[93].hex == 0x7", [Term(F.ARCHITECTURE, b"\7", True, True)], Match.ALL),
        (
            "relay4[1].hex == 'a' or relay4[2].hex == 'b'",
            [Term(F.CIRCUIT_ID, b"a", True, True), Term(F.REMOTE_ID, b"b", True, True)],
            Match.ANY,
        ),
        ("member('ALL')", None, Match.ALL),
        ("option[82].exists", None, Match.ALL),
    ],
)
def test_kea(text: str, terms: list[Term] | None, match: Match) -> None:
    if terms is None:
        with pytest.raises(Refusal, match="cannot be said in a policy"):
            kea_terms(text)
        return
    assert kea_terms(text) == (terms, match)


def test_terms_become_conditions_and_classes() -> None:
    arrival = Arrival(DhcpServer("a"))
    terms = [
        Term(F.VENDOR_CLASS, b"PXE", False, True),
        Term(F.VENDOR_CLASS, b"\1\2", True, True),
        Term(F.ARCHITECTURE, b"\0\7", True, True),
        Term(F.CIRCUIT_ID, b"a", True, True),
        Term(F.MAC, b"\2\xaa", False, False),
        Term(F.MAC, b"\2\xab", False, False),
        Term(F.VENDOR_CLASS, b"PXE", False, True),
    ]
    assert conditions_of(terms, Match.ANY, arrival) == (
        Condition(F.VENDOR_CLASS, ("PXE*", "0x0102")),
        Condition(F.ARCHITECTURE, ("7",)),
        Condition(F.CIRCUIT_ID, ("0x61",)),
        # One of two that differ is no condition on both: these stay apart.
        Condition(F.MAC, ("02:aa*",), Comparison.NOT_EQUALS),
        Condition(F.MAC, ("02:ab*",), Comparison.NOT_EQUALS),
    )
    assert [each.data for each in arrival.classes] == ["PXE", "0x0102"]
    both = conditions_of(terms[4:6], Match.ALL, arrival)
    assert both == (Condition(F.MAC, ("02:aa*", "02:ab*"), Comparison.NOT_EQUALS),)


@pytest.mark.parametrize(
    "term",
    [
        Term(F.VENDOR_CLASS, b"", True, True),
        Term(F.MAC, b"", True, True),
        Term(F.ARCHITECTURE, b"\1\2\3", True, True),
    ],
)
def test_terms_that_compare_with_nothing_are_refused(term: Term) -> None:
    with pytest.raises(Refusal):
        conditions_of([term], Match.ALL, Arrival(DhcpServer("a")))


def test_data_of_a_class_is_a_text_where_it_is_one() -> None:
    assert class_text(b"MSFT 5.0") == "MSFT 5.0"
    assert class_text(b"0x1") == "0x307831"
    assert class_text(b"\xff") == "0xff"
