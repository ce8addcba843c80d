"""Plain values become objects or findings, and objects plain values."""

from __future__ import annotations

import math

import pytest

from holdfast.directory.model import (
    ImapListener,
    Mailbox,
    OptionValue,
    Organisation,
    ReceiveConnector,
    ResourceThreshold,
    Role,
    Server,
    TlsMode,
)
from holdfast.directory.values import Plain, nearest_advice, read_record, shorten, write_record, write_text
from holdfast.kernel.ids import MailboxId

CONNECTOR: dict[str, Plain] = {
    "name": "scanner",
    "server": "mail1",
    "bindings": ["192.0.2.10:25"],
    "remote_ranges": ["192.0.2.0/28"],
}


def _found(record_type: type, table: dict[str, Plain]) -> list[tuple[tuple[str | int, ...], str, str]]:
    _, findings = read_record(record_type, table, "the subject", ("t", 0))
    return [(each.path, each.text, each.advice) for each in findings]


@pytest.mark.parametrize(
    ("key", "value", "attribute", "read"),
    [
        ("message_size_max", "2GB", "message_bytes_max", 2 << 30),
        ("message_size_max", 2000, "message_bytes_max", 2000),
        ("tarpit", "5m", "tarpit_s", 300.0),
        ("tarpit", 2, "tarpit_s", 2.0),
        ("tarpit", 0.25, "tarpit_s", 0.25),
        ("recipient_count_max", 7, "recipient_count_max", 7),
        ("tls", "implicit", "tls", TlsMode.IMPLICIT),
        ("fqdn", "a.example", "fqdn", "a.example"),
    ],
)
def test_reads_values(key: str, value: Plain, attribute: str, read: object) -> None:
    arguments, findings = read_record(ReceiveConnector, {**CONNECTOR, key: value}, "x", ())
    assert not findings
    assert arguments[attribute] == read
    assert type(arguments[attribute]) is type(read)


@pytest.mark.parametrize(
    ("key", "value", "text", "advice"),
    [
        ("message_size_max", "2XB", 'is "2XB"', "correct it"),
        ("message_size_max", 1.5, "is 1.5: not a size", '"2GB"'),
        ("message_size_max", True, "is true: not a size", '"2GB"'),
        ("message_size_max", "999999999999999TB", "a very large number", '"2GB"'),
        ("tarpit", "5 KB", 'is "5 KB"', "correct it"),
        ("tarpit", [], "is a list: not a span", '"5m"'),
        ("tarpit", math.nan, "is nan: not a span", '"5m"'),
        ("tarpit", math.inf, "is inf: not a span", '"5m"'),
        ("tarpit", 10**400, "a very large number: not a span", '"5m"'),
        ("tarpit", False, "is false: not a span", '"5m"'),
        ("recipient_count_max", "7", 'is "7": not a whole number', "without quotes"),
        ("recipient_count_max", 1 << 63, "a very large number: not a whole number", "digits"),
        ("tls", "startls", 'is "startls": not a value', 'the nearest valid value is "starttls"'),
        ("tls", {}, "is a table: not a value", "valid values are none, starttls, implicit"),
        ("fqdn", 5, "is 5: not a text", "in quotes"),
        ("bindings", "192.0.2.10:25", "not a list", 'bindings = ["…"]'),
        ("bindings", [5], "is 5: not a text", "in quotes"),
        ("remote_ranges", ["192.0.2.0/33"], "is not an IP range", "correct it"),
    ],
)
def test_says_what_is_wrong_with_a_value(key: str, value: Plain, text: str, advice: str) -> None:
    ((path, found_text, found_advice),) = _found(ReceiveConnector, {**CONNECTOR, key: value})
    assert path[:3] == ("t", 0, key)
    assert f'key "{key}" in the subject' in found_text
    assert text in found_text
    assert advice in found_advice


def test_says_all_at_once() -> None:
    table: dict[str, Plain] = {"adress": "x", "quota": True, "enabled": 1}
    assert [path for path, _, _ in _found(Mailbox, table)] == [
        ("t", 0, "adress"),
        ("t", 0),
        ("t", 0),
        ("t", 0),
        ("t", 0, "quota"),
        ("t", 0, "enabled"),
    ]


def test_nested_tables_are_read_and_findings_say_where() -> None:
    server: dict[str, Plain] = {"name": "a", "fqdn": "b", "site": "c"}
    arguments, findings = read_record(
        Server, {**server, "imap": [{"bind": "1"}], "roles": ["access"]}, "x", ()
    )
    assert not findings
    assert arguments["imap"] == (ImapListener("1"),)
    assert arguments["roles"] == (Role.ACCESS,)
    assert _found(Server, {**server, "imap": [{"bind": "1"}, {"binds": "1"}]}) == [
        (
            ("t", 0, "imap", 1, "binds"),
            'unknown key "binds" in an entry of "imap"',
            'the nearest valid key is "bind"',
        ),
        (
            ("t", 0, "imap", 1),
            'key "bind" is missing in an entry of "imap"',
            "add it: where it listens; IPv6 in brackets",
        ),
    ]
    ((_, text, advice),) = _found(Server, {**server, "imap": ["127.0.0.1:143"]})
    assert "not a table" in text
    assert advice == "write a table with bind, tls"


def test_defaults_are_left_out_unless_wanted() -> None:
    mailbox = Mailbox("a@example.test", MailboxId("a1"), "DB01", quota_bytes=3 << 30)
    required: dict[str, Plain] = {"address": "a@example.test", "mailbox_id": "a1", "database": "DB01"}
    assert write_record(mailbox, defaults=False) == {**required, "quota": "3GB"}
    assert write_record(mailbox, defaults=True) == {
        **required,
        "quota": "3GB",
        "aliases": [],
        "display_name": "",
        "enabled": True,
        "language": "",
    }
    assert write_record(Organisation(duplicate_memory_s=90.0), defaults=False) == {"duplicate_memory": "90s"}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "bytes", "not set"),
        (True, "", "yes"),
        (False, "", "no"),
        (2 << 30, "bytes", "2GB"),
        (1025, "bytes", "1025"),
        (0, "bytes", "0"),
        (300.0, "seconds", "5m"),
        (0.5, "seconds", "0.5"),
        (("a", "b"), "", "a, b"),
        ("a\nb", "lines", "a / b"),
        ((), "", ""),
        ((ImapListener("1:1", TlsMode.IMPLICIT),), "", "1:1 implicit"),
        ((OptionValue(6, ("192.0.2.1", "192.0.2.2")),), "", "6 192.0.2.1,192.0.2.2"),
        ((OptionValue(80, always=True),), "", "80 always"),
    ],
)
def test_writes_texts_for_people(value: object, unit: str, text: str) -> None:
    assert write_text(value, unit) == text


def test_advice_names_the_nearest_or_all() -> None:
    assert nearest_advice("key", "quta", ["quota", "address"]) == 'the nearest valid key is "quota"'
    assert nearest_advice("key", "zzz", ["quota", "address"]) == "valid keys are quota, address"


def test_what_is_repeated_is_short_and_on_one_line() -> None:
    assert shorten("a\nb\x00") == "a�b�"
    assert len(shorten("x" * 1000)) == 60


@pytest.mark.parametrize(
    ("mark", "wrong"),
    [(90, ""), (99.5, ""), ("5m", "not a number"), (True, "not a number"), (1e300, "not a")],
)
def test_a_mark_of_back_pressure_is_a_number_not_a_span(mark: Plain, wrong: str) -> None:
    table: dict[str, Plain] = {
        "resource": "queue-disk",
        "medium": mark,
        "high": 1,
        "high_to_medium": 1,
        "medium_to_low": 1,
    }
    arguments, findings = read_record(ResourceThreshold, table, "a threshold", ())
    assert [wrong in each.text for each in findings] == [True] * bool(wrong)
    if not wrong:
        assert arguments["medium"] == mark
