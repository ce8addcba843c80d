"""Mail addresses are read or refused, and looked up by one key."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.address import Address, parse_address, parse_domain
from holdfast.kernel.errors import Refusal


@pytest.mark.parametrize(
    ("text", "local_part", "domain", "key"),
    [
        ("alice@example.test", "alice", "example.test", "alice@example.test"),
        ("Alice.B@EXAMPLE.Test", "Alice.B", "example.test", "alice.b@example.test"),
        ('"alice"@example.test', '"alice"', "example.test", "alice@example.test"),
        (r'"a\"b c"@example.test', r'"a\"b c"', "example.test", 'a"b c@example.test'),
        ('"a@b"@example.test', '"a@b"', "example.test", "a@b@example.test"),
        ("jürgen@bücher.example", "jürgen", "xn--bcher-kva.example", "jürgen@xn--bcher-kva.example"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]", "a@[192.0.2.1]"),
        ("a@[ipv6:2001:DB8:0::1]", "a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"),
        ("a@localhost", "a", "localhost", "a@localhost"),
        ("a" * 64 + "@example.test", "a" * 64, "example.test", "a" * 64 + "@example.test"),
    ],
)
def test_reads_address(text: str, local_part: str, domain: str, key: str) -> None:
    address = parse_address(text)
    assert address == Address(local_part, domain)
    assert address.key == key
    assert str(address) == f"{local_part}@{domain}"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", "5.1.3"),
        ("alice", "5.1.3"),
        ("@example.test", "5.1.3"),
        ("alice@", "5.1.3"),
        ("a..b@example.test", "5.1.3"),
        (".a@example.test", "5.1.3"),
        ("a b@example.test", "5.1.3"),
        ("a\r\n@example.test", "5.1.3"),
        ('"unclosed@example.test', "5.1.3"),
        ("a" * 65 + "@example.test", "5.1.3"),
        ("ü" * 33 + "@example.test", "5.1.3"),
        ("a@example..test", "5.1.2"),
        ("a@-example.test", "5.1.2"),
        ("a@example.test.", "5.1.2"),
        ("a@" + "b" * 64 + ".test", "5.1.2"),
        ("a@" + ".".join(["b" * 60] * 5), "5.1.2"),
        ("a@xn--0.test", "5.1.2"),
        ("a@[192.0.2.1", "5.1.2"),
        ("a@[192.0.2.256]", "5.1.2"),
        ("a@[IPv6:192.0.2.1]", "5.1.2"),
        ("a@[2001:db8::1]", "5.1.2"),
    ],
)
def test_refuses_address(text: str, status: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_address(text)
    assert (caught.value.code, caught.value.status) == (501, status)


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=80), st.text(alphabet='ab"\\@.[]:\ud800ü%-', max_size=40)))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except Refusal:
        return
    assert parse_address(str(address)) == address


@settings(max_examples=200)
@given(st.text(max_size=80))
def test_reading_a_domain_twice_changes_nothing(text: str) -> None:
    try:
        domain = parse_domain(text)
    except Refusal:
        return
    assert parse_domain(domain) == domain
