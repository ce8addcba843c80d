"""Certificates of servers of ours are read as PEM, and belong to one server each."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from certificates.made import make_authority
from holdfast.directory.model import Organisation, Server
from holdfast.directory.server_certificates import (
    CERTIFICATE_COUNT_MAX,
    check_server_certificates,
    known_certificates,
    read_certificates,
    servers_by_certificate,
    sha256_of,
    write_certificates,
)
from holdfast.kernel.errors import Refusal

ONE = b"\x30\x82\x01\x00" + bytes(256)
OTHER = b"\x30\x03abc"
PEM = write_certificates((ONE,))

GOOD: dict[str, tuple[str, tuple[bytes, ...]]] = {
    "nothing": ("", ()),
    "one": (PEM, (ONE,)),
    "two, with words and other line ends": (
        f"server mail1\r\n{PEM}\nthe next one:\n   {write_certificates((OTHER,))}".replace("\n", "\r\n"),
        (ONE, OTHER),
    ),
    "pasted with spaces in front": ("\n".join(f"   {line}" for line in PEM.splitlines()), (ONE,)),
}
BAD: dict[str, tuple[str, str]] = {
    "no certificate": ("mail1.pem", "has no"),
    "a key": ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "stays on its server"),
    "a request": ("-----BEGIN CERTIFICATE REQUEST-----", "where a certificate should begin"),
    "cut off": (PEM.rpartition("-----END")[0], "it ends before"),
    "two beginnings": ("-----BEGIN CERTIFICATE-----\n" + PEM, "where a certificate should begin or end"),
    "not base64": (PEM.replace("AAAA", "ÄÄÄÄ"), "not base64"),
    "base64 cut off": ("-----BEGIN CERTIFICATE-----\nMAA\n-----END CERTIFICATE-----", "is cut off"),
    "not DER": (write_certificates((b"hello",)), "is not a certificate"),
    "more behind it": (write_certificates((ONE + b"x",)), "is not a certificate"),
    "too large": (write_certificates((b"\x30\x82\xff\xff" + bytes(65_535),)), "more than 16384 bytes"),
    "too many": (
        write_certificates(tuple(b"\x30\x01" + bytes([each]) for each in range(CERTIFICATE_COUNT_MAX + 1))),
        "it has 9 certificates",
    ),
}


@pytest.mark.parametrize(("text", "expected"), GOOD.values(), ids=GOOD)
def test_certificates_are_read(text: str, expected: tuple[bytes, ...]) -> None:
    assert read_certificates(text) == expected


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_what_is_no_certificate_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        read_certificates(text)


@given(st.text(max_size=200), st.binary(max_size=80))
def test_any_text_is_read_or_refused(words: str, body: bytes) -> None:
    framed = (
        f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(body).decode()}{words}\n-----END CERTIFICATE-----"
    )
    for text in (words, framed):
        try:
            found = read_certificates(text)
        except Refusal:
            continue
        assert read_certificates(write_certificates(found)) == tuple(dict.fromkeys(found))


def _organisation(**certificates: str) -> Organisation:
    return Organisation(
        servers=tuple(
            Server(name, f"{name}.example.test", "here", certificate=text)
            for name, text in certificates.items()
        )
    )


CHECKS: dict[str, tuple[dict[str, str], list[str]]] = {
    "each its own": ({"a": PEM, "b": write_certificates((OTHER,)), "c": "", "d": ""}, []),
    "one twice at one server": ({"a": PEM + PEM}, []),
    "one at two servers": ({"a": PEM, "b": PEM}, ['known by the same certificate as server "a"']),
    "not readable": ({"a": "hello"}, ['server "a": its certificate cannot be read: it has no']),
}


@pytest.mark.parametrize(("servers", "expected"), CHECKS.values(), ids=CHECKS)
def test_certificates_of_servers_are_checked(servers: dict[str, str], expected: list[str]) -> None:
    found = [str(each) for each in check_server_certificates(_organisation(**servers))]
    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert part in text


def test_who_is_known_by_which() -> None:
    organisation = _organisation(a=write_certificates((ONE, OTHER)), b="", c="hello")
    assert servers_by_certificate(organisation) == {ONE: "a", OTHER: "a"}
    assert [known_certificates(each) for each in organisation.servers] == [(ONE, OTHER), (), ()]


def test_a_certificate_is_written_and_named_as_other_programs_do() -> None:
    made = make_authority()
    assert write_certificates((made.der,)) == made.pem.decode()
    assert sha256_of(made.der) == made.certificate.fingerprint(SHA256()).hex()
