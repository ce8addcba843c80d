"""The digest: HMAC as RFC 2104 has it, and keys that no other connection has."""

from __future__ import annotations

import hashlib
import hmac

from holdfast.wire.failover import write_message
from holdfast.wire.failover_digest import HMAC_MD5, HMAC_SHA256, Seal, check, digest_of, for_connection, sign
from holdfast.wire.failover_messages import Connect, Message

CONNECT = Connect(b"office", 10, 8, b"holdfast", 1, None, 60, bytes(32))


def test_it_is_the_hmac_of_the_message_with_its_own_bytes_zero() -> None:
    blank = b"head" + b"\x00\x11\x00\x11\x01" + bytes(16) + b"rest"
    signed = sign(blank, 9, Seal(HMAC_MD5, b"secret"))
    assert digest_of(signed, 9) == hmac.new(b"secret", blank, hashlib.md5).digest()
    assert check(signed, 9, Seal(HMAC_MD5, b"secret"))
    assert signed[:9] + bytes(16) + signed[25:] == blank


def test_a_digest_of_another_size_is_wrong() -> None:
    assert not check(b"\x00\x11\x00\x05\x01" + bytes(4), 5, Seal(HMAC_MD5, b"secret"))


def test_each_connection_and_each_side_has_a_key_of_its_own() -> None:
    seal = Seal(HMAC_SHA256, b"secret")
    connects = [write_message(Message(time, 1, CONNECT), seal) for time in (1000, 1001)]
    keys = {
        for_connection(seal, connect, from_primary=from_primary).key
        for connect in connects
        for from_primary in (True, False)
    }
    assert len(keys | {seal.key}) == 5
    again = for_connection(seal, connects[0], from_primary=True)
    assert again == for_connection(seal, connects[0], from_primary=True)


def test_the_drafts_digest_has_one_key() -> None:
    seal = Seal(HMAC_MD5, b"secret")
    assert for_connection(seal, write_message(Message(1, 1, CONNECT), seal), from_primary=True) == seal
