"""Passwords are hashed with argon2id and verified, whatever is typed."""

from __future__ import annotations

import re

import argon2
import pytest

from holdfast.drivers.passwords import (
    _DUMMY_HASH,
    PASSWORD_BYTES_MAX,
    hash_password,
    new_password,
    verify_password,
)
from holdfast.kernel.errors import Refusal


def test_right_password_matches_and_others_do_not() -> None:
    hashed = hash_password("pässword")
    assert verify_password(hashed, "pässword")
    assert verify_password(hashed, "pa\u0308ssword")  # the same letters as another keyboard sends them
    assert not verify_password(hashed, "Pässword")
    assert not verify_password(hashed, "")


def test_hash_is_argon2id_with_the_cost_of_rfc_9106_and_a_salt_of_its_own() -> None:
    one, other = hash_password("x"), hash_password("x")
    assert one.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert one != other


def test_nobody_signs_in_without_a_hash() -> None:
    assert not verify_password(None, "x")
    assert not verify_password("", "x")
    assert not verify_password(None, "")


def test_missing_hash_costs_as_much_as_a_real_one() -> None:
    dummy = argon2.extract_parameters(_DUMMY_HASH)
    assert dummy == argon2.extract_parameters(hash_password("x"))


@pytest.mark.parametrize("hashed", ["nonsense", "$argon2id$v=19$m=65536,t=3,p=4$AA", "$2b$12$abc"])
def test_damaged_hash_lets_nobody_in(hashed: str) -> None:
    assert not verify_password(hashed, "x")


@pytest.mark.parametrize(
    "password", ["", "x" * (PASSWORD_BYTES_MAX + 1), "ü" * PASSWORD_BYTES_MAX, "a\0b", "\ud800"]
)
def test_what_is_no_password_is_refused_and_never_matches(password: str) -> None:
    with pytest.raises(Refusal, match="choose another one"):
        hash_password(password)
    assert not verify_password(None, password)


def test_new_passwords_differ_and_are_easy_to_type() -> None:
    drawn = {new_password() for _ in range(50)}
    assert len(drawn) == 50
    assert all(re.fullmatch("[a-zA-Z2-9]{20}", each) for each in drawn)
    assert len(new_password(8)) == 8
