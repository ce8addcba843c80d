"""The SASL exchanges, apart from a session."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.transport.session_auth import MECHANISMS, Credentials, SignIn


def test_plain_asks_with_nothing_and_takes_user_and_password() -> None:
    sign_in = SignIn(b"PLAIN")
    assert sign_in.step(None) == b""
    response = base64.b64encode(b"\0alice@example.test\0p\xc3\xa4ss")
    assert sign_in.step(response) == Credentials("alice@example.test", "päss")


def test_login_asks_twice() -> None:
    sign_in = SignIn(b"LOGIN")
    assert sign_in.step(None) == base64.b64encode(b"Username:")
    assert sign_in.step(base64.b64encode(b"alice")) == base64.b64encode(b"Password:")
    assert sign_in.step(b"=") == Credentials("alice", "")


@pytest.mark.parametrize(
    ("response", "code"),
    [(b"*", 501), (b"?", 501), (b"YQ", 501), (b"YQ==", 501), (b"/w==", 501), (b"YQBiAGM=", 535)],
)
def test_plain_refuses(response: bytes, code: int) -> None:
    with pytest.raises(Refusal) as caught:
        SignIn(b"PLAIN").step(response)
    assert caught.value.code == code


def test_plain_takes_the_user_as_authorization_in_any_case() -> None:
    response = base64.b64encode(b"ALICE\0alice\0secret")
    assert SignIn(b"PLAIN").step(response) == Credentials("alice", "secret")


@given(st.sampled_from(MECHANISMS), st.lists(st.binary(max_size=40), max_size=3))
def test_any_bytes_are_credentials_a_challenge_or_refused(mechanism: bytes, lines: list[bytes]) -> None:
    sign_in = SignIn(mechanism)
    codes = []
    for line in lines:
        try:
            if isinstance(sign_in.step(line), Credentials):
                break
        except Refusal as refusal:
            codes.append(refusal.code)
            break
    assert codes in ([], [501], [535])
