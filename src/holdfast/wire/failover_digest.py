"""The message digest of the failover protocol: who does not know the shared secret can say nothing.

Type 1 is the draft's HMAC-MD5 over the message, its own bytes zero. It keeps out
who does not know the secret, but a message of one connection passes in the next.
Type 2 is ours, for two servers of ours: HMAC-SHA-256, and every message after the
CONNECT is keyed with the digest of that CONNECT and with who speaks. A CONNECT is
taken once only, for its time must be later than that of the last; so nothing of
another connection, and nothing that we said ourselves, passes.

Source: draft-ietf-dhc-failover-12 sections 11.1 and 12.17; RFC 2104; spec/dhcp.md section 2.12.
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

HMAC_MD5: Final = 1
HMAC_SHA256: Final = 2
DIGEST_BYTES: Final = {HMAC_MD5: 16, HMAC_SHA256: 32}
_HASHES: Final = {HMAC_MD5: "md5", HMAC_SHA256: "sha256"}


class Seal(NamedTuple):
    """What a digest is made with.

    Attributes:
        kind: HMAC_MD5 or HMAC_SHA256.
        key: the shared secret, or what was derived of it.
    """

    kind: int
    key: bytes


def digest_of(message: bytes, at: int) -> bytes:
    """The digest that stands in a message at a place."""
    return message[at : at + DIGEST_BYTES[message[at - 1]]]


def sign(message: bytes, at: int, seal: Seal) -> bytes:
    """A message with its digest, which stands at a place where zeros are now."""
    digest = hmac.digest(seal.key, message, _HASHES[seal.kind])
    return message[:at] + digest + message[at + len(digest) :]


def check(message: bytes, at: int, seal: Seal) -> bool:
    """Whether the digest at a place is right; in constant time."""
    size = DIGEST_BYTES[seal.kind]
    found = message[at : at + size]
    if len(found) != size or message[at - 3 : at - 1] != (size + 1).to_bytes(2, "big"):
        return False
    blank = message[:at] + bytes(size) + message[at + size :]
    return hmac.compare_digest(found, hmac.digest(seal.key, blank, _HASHES[seal.kind]))


def for_connection(seal: Seal, connect: bytes, *, from_primary: bool) -> Seal:
    """The seal of one side's messages after a CONNECT.

    Args:
        seal: with the shared secret.
        connect: the CONNECT as it was sent, its digest first among the options.
        from_primary: whose messages.
    """
    if seal.kind == HMAC_MD5:
        return seal
    who = b"primary" if from_primary else b"secondary"
    return Seal(seal.kind, hmac.digest(seal.key, digest_of(connect, connect[3] + 5) + who, "sha256"))
