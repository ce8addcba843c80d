"""Which recipients of a message go to the host that an administrator named, and which their own way."""

from __future__ import annotations

import pytest

from holdfast.transport.redirects import host_for, in_words, redirected

A, B, C = "a@one.test", "b@Two.test", '"c@x"@three.test'


@pytest.mark.parametrize(
    ("before", "recipients", "host", "after"),
    [
        ("", (A,), "mx.test", "mx.test one.test"),
        ("", (B, A), "mx.test", "mx.test one.test two.test"),
        ("mx.test one.test", (B,), "mx.test", "mx.test one.test two.test"),
        ("mx.test one.test two.test", (B,), "[::1]:26", "mx.test one.test;[::1]:26 two.test"),
        ("mx.test one.test", (A,), "[::1]:26", "[::1]:26 one.test"),
        ("mx.test one.test two.test", (A,), "", "mx.test two.test"),
        ("mx.test one.test", (A,), "", ""),
        ("mx.test", (A,), "mx.test", "mx.test"),
        ("mx.test", (A,), "other.test", "mx.test;other.test one.test"),
        ("mx.test;other.test one.test", (A,), "mx.test", "mx.test"),
        ("mx.test", (A,), "", ""),
    ],
)
def test_what_is_kept_with_a_message(before: str, recipients: tuple[str, ...], host: str, after: str) -> None:
    assert redirected(before, recipients, host) == after
    for each in recipients:
        assert host_for(after, each) == host


def test_whom_it_is_for() -> None:
    for redirect, hosts in {
        "": ("", "", ""),
        "mx.test": ("mx.test", "mx.test", "mx.test"),
        "mx.test three.test": ("", "", "mx.test"),
        "mx.test;[::1]:26 two.test": ("mx.test", "[::1]:26", "mx.test"),
    }.items():
        assert tuple(host_for(redirect, each) for each in (A, B, C)) == hosts


def test_in_words() -> None:
    assert in_words("") == ""
    assert in_words("mx.test;[::1]:26 one.test two.test") == "mx.test, [::1]:26 (one.test, two.test)"
