"""What domains publish for MTA-STS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.mta_sts import (
    MAX_AGE_S_MAX,
    MX_COUNT_MAX,
    POLICY_BYTES_MAX,
    StsMode,
    StsPolicy,
    parse_policy,
    parse_record,
)

# RFC 8461 section 3.2, the example
EXAMPLE = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
    b"mx: backupmx.example.com\r\nmax_age: 604800\r\n"
)


@pytest.mark.parametrize(
    ("records", "record_id"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),  # RFC 8461 section 3.1, the example
        (["v=STSv1;id=a"], "a"),
        (["v=STSv1 ; id=a ; more=b"], "a"),
        (["v=STSv1; id=a; id=b"], "a"),
        (["something else", "v=STSv1; id=a"], "a"),
        (["v=STSv1; id=a", "v=STSv1; id=b"], None),
        (["v=STSv1; id=a-b"], None),
        (["v=STSv1; id=" + "a" * 33], None),
        (["v=STSv1; id="], None),
        (["v=STSv1"], None),
        (["v=STSv1; id=a; b"], None),
        (["v=STSv10; id=a"], None),
        (["id=a; v=STSv1"], None),
        ([], None),
    ],
)
def test_records(records: list[str], record_id: str | None) -> None:
    assert parse_record(records) == record_id


def test_the_example_of_the_standard() -> None:
    policy = parse_policy(EXAMPLE)
    assert policy.mode is StsMode.ENFORCE
    assert policy.mx == ("mail.example.com", "*.example.net", "backupmx.example.com")
    assert policy.max_age_s == 604_800
    assert policy.text[0] == "version: STSv1"
    assert len(policy.text) == 6


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (
            "version:STSv1\nmode:testing\nmx:MX.Example.org.\nmax_age:1\n",
            StsPolicy(StsMode.TESTING, ("mx.example.org",), 1),
        ),
        ("version: STSv1\nmode: none\nmax_age: 0", StsPolicy(StsMode.NONE, (), 0)),
        (
            "version: STSv1\nmode: none\nmode: enforce\nmax_age: 99999999\nunknown: x\n\n",
            StsPolicy(StsMode.NONE, (), MAX_AGE_S_MAX),
        ),
    ],
)
def test_policies(text: str, policy: StsPolicy) -> None:
    found = parse_policy(text.encode())
    assert (found.mode, found.mx, found.max_age_s) == (policy.mode, policy.mx, policy.max_age_s)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", 'has version "", not STSv1'),
        (b"version: STSv2\nmode: none\nmax_age: 1", 'has version "STSv2"'),
        (b"version: STSv1\nmax_age: 1", 'has mode ""'),
        (b"version: STSv1\nmode: none", 'has max_age ""'),
        (b"version: STSv1\nmode: none\nmax_age: -1", 'has max_age "-1"'),
        (b"version: STSv1\nmode: none\nmax_age: 12345678901", "not a number of seconds"),
        (b"version: STSv1\nmode: enforce\nmax_age: 1", "names no mx"),
        (b"version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1", 'names mx "a b"'),
        (b"version: STSv1\nmode: enforce\nmx: a.*.org\nmax_age: 1", "which is no host"),
        (b"<html>", 'a line without a field: "<html>"'),
        (b": x", "a line without a field"),
        (b"\xff", "not UTF-8"),
        (b"x" * (POLICY_BYTES_MAX + 1), "longer than 65536 bytes"),
        (b"".join(b"mx: a%d.example\n" % n for n in range(MX_COUNT_MAX + 1)), "names 201 hosts"),
    ],
)
def test_what_is_no_policy_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_policy(text)
    assert words in refused.value.text


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("mail.example.com", True),
        ("MAIL.example.com.", True),
        ("a.example.net", True),
        ("example.net", False),
        ("a.b.example.net", False),
        ("other.example.com", False),
        ("", False),
    ],
)
def test_hosts_of_a_policy(host: str, named: bool) -> None:
    assert parse_policy(EXAMPLE).names(host) is named


@given(st.binary(max_size=300))
def test_any_bytes_are_a_policy_or_refused(data: bytes) -> None:
    for text in (data, b"version: STSv1\nmode: enforce\nmax_age: 1\nmx: " + data):
        said = ""
        try:
            assert parse_policy(text).max_age_s >= 0
        except Refusal as refusal:
            said = refusal.text
        assert said.isprintable()


@given(st.lists(st.text(max_size=60), max_size=3))
def test_any_texts_are_records_or_not(records: list[str]) -> None:
    found = parse_record([*records, "v=STSv1;id=" + "".join(records)[:40]])
    assert found is None or found.isalnum()


def test_a_name_with_an_underscore_does_not_make_a_policy_none() -> None:
    policy = parse_policy(b"version: STSv1\nmode: enforce\nmx: mx_1.example.org\nmx: *.b_c.org\nmax_age: 1")
    assert policy.names("mx_1.example.org")
    assert policy.names("x.b_c.org")
