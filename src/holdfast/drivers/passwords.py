"""Passwords are kept as argon2id hashes and never as text.

Cost, by RFC 9106 section 4 (second recommended option): 64 MiB of memory, three
passes, four lanes; 0.17 to 0.25 s of processor time per check on two busy
shared cores. Callers bound how many run at once, and keep them off the event loop.

Source: RFC 9106; RFC 8265 section 4.2 for comparing what different keyboards send.
"""

from __future__ import annotations

import base64
import secrets
import unicodedata

import argon2

from holdfast.kernel.errors import Refusal

PASSWORD_BYTES_MAX = 1024  # bounds what a stranger can make us hash
NEW_PASSWORD_LENGTH = 20
# Without the signs that are mistaken for one another when a password is typed from a screen.
_ALPHABET = "abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXYZ234679"

_parameters = argon2.profiles.RFC_9106_LOW_MEMORY
_hasher = argon2.PasswordHasher.from_parameters(_parameters)


def _dummy_hash() -> str:
    salt = base64.b64encode(bytes(_parameters.salt_len)).decode().rstrip("=")
    digest = base64.b64encode(bytes(_parameters.hash_len)).decode().rstrip("=")
    cost = f"m={_parameters.memory_cost},t={_parameters.time_cost},p={_parameters.parallelism}"
    return f"$argon2id$v={_parameters.version}${cost}${salt}${digest}"


# No password has it, and verifying against it takes as long as against a real one.
_DUMMY_HASH = _dummy_hash()


def hash_password(password: str) -> str:
    """Hash a password for ``DirectoryStore.set_secret``; takes about 0.2 s and 64 MiB.

    Raises:
        Refusal: the password is empty, too long, or not text that can be sent.
    """
    prepared = _prepare(password)
    if prepared is None:
        raise Refusal(
            f"a password has from 1 to {PASSWORD_BYTES_MAX} bytes of text without NUL; choose another one"
        )
    return _hasher.hash(prepared)


def verify_password(hash: str | None, password: str) -> bool:
    """Say whether a password has this hash; it takes as long without one, so time does not tell names."""
    prepared = _prepare(password)
    try:
        matches = _hasher.verify(hash or _DUMMY_HASH, prepared or b"")
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
    return matches and hash is not None and prepared is not None


def new_password(length: int = NEW_PASSWORD_LENGTH) -> str:
    """Draw a password; the default length holds 113 bits."""
    assert length >= 1
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _prepare(password: str) -> bytes | None:
    try:
        # Normalising is linear in the text, but a stranger sends it: cut off before.
        if len(password) > PASSWORD_BYTES_MAX:
            return None
        prepared = unicodedata.normalize("NFC", password).encode("utf-8")
    except UnicodeEncodeError:
        return None
    return prepared if 1 <= len(prepared) <= PASSWORD_BYTES_MAX and b"\0" not in prepared else None
