"""The sign-in dialogue inside an SMTP session: SASL PLAIN and LOGIN.

Whether a password is right is not decided here.

Source: RFC 4954; RFC 4616 (PLAIN); draft-murchison-sasl-login (LOGIN).
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from holdfast.kernel.errors import Refusal

MECHANISMS = (b"PLAIN", b"LOGIN")
FAILURE_COUNT_MAX = 3  # in one session; then 421

_USERNAME_CHALLENGE = base64.b64encode(b"Username:")
_PASSWORD_CHALLENGE = base64.b64encode(b"Password:")


class Credentials(NamedTuple):
    """What the client gave; to be verified."""

    user: str
    password: str


class SignIn:
    """One AUTH exchange."""

    __slots__ = ("_mechanism", "_user")

    def __init__(self, mechanism: bytes) -> None:
        assert mechanism in MECHANISMS
        self._mechanism = mechanism
        self._user: str | None = None

    def step(self, response: bytes | None) -> bytes | Credentials:
        """Take the client's response and return the next challenge, or the credentials.

        Args:
            response: a base64 line; None when AUTH came without an initial
                response; ``=`` is an initial response of no bytes.

        Raises:
            Refusal: 501 when cancelled or not base64, 535 when it cannot be a sign-in.
        """
        if response is None:
            return b"" if self._mechanism == b"PLAIN" else _USERNAME_CHALLENGE
        if response == b"*":
            raise Refusal("sign-in cancelled", code=501, status="5.7.0")
        decoded = _decode(response)
        if self._mechanism == b"PLAIN":
            return _plain(decoded)
        if self._user is None:
            self._user = decoded
            return _PASSWORD_CHALLENGE
        return Credentials(self._user, decoded)


def _decode(response: bytes) -> str:
    try:
        return base64.b64decode(b"" if response == b"=" else response, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise Refusal("response is not base64 of UTF-8", code=501, status="5.5.2") from None


def _plain(decoded: str) -> Credentials:
    parts = decoded.split("\0")
    if len(parts) != 3:
        raise Refusal("response is not authorization, user and password", code=501, status="5.5.2")
    authorization, user, password = parts
    # RFC 4616 section 2: acting for somebody else is not offered.
    if authorization and authorization.casefold() != user.casefold():
        raise Refusal("user or password is wrong", code=535, status="5.7.8")
    return Credentials(user, password)
