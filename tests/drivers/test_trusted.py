"""Whom we trust; handshakes that rely on it are in test_outbound.py."""

from __future__ import annotations

import ssl
from pathlib import Path

from certificates.made import NOW, make_authority, make_self_signed
from holdfast.drivers.trusted import Trusted, system_bundles
from holdfast.transport.tls_policy import TlsDemand, TlsLevel

REPORTED = TlsDemand(TlsLevel.VERIFIED, "mx.example.org", ("mx.example.org",), only_report=True)


def test_only_what_must_hold_is_verified_by_openssl(tmp_path: Path) -> None:
    trusted = Trusted(tmp_path / "trusted")
    assert trusted.context(REPORTED).verify_mode is ssl.CERT_NONE
    for level in (TlsLevel.OPPORTUNISTIC, TlsLevel.ENCRYPTED, TlsLevel.DANE):
        assert trusted.context(TlsDemand(level, "mx")).verify_mode is ssl.CERT_NONE
    must = trusted.context(TlsDemand(TlsLevel.VERIFIED, "mx", ("mx",)))
    assert must.verify_mode is ssl.CERT_REQUIRED
    assert must.minimum_version is ssl.TLSVersion.TLSv1_2
    assert trusted.context(TlsDemand(TlsLevel.VERIFIED, "mx", ("mx",))) is must


def test_a_certificate_that_is_trusted_itself(tmp_path: Path) -> None:
    own = make_self_signed("mx.example.org")
    assert "not issued by" in Trusted(tmp_path).problem([own.der], REPORTED, NOW)
    (tmp_path / "own.pem").write_bytes(own.pem)
    trusted = Trusted(tmp_path)
    assert trusted.problem([own.der], REPORTED, NOW) == ""
    assert trusted.vouches([own.certificate], NOW)
    other = make_self_signed("other.example")
    (tmp_path / "other.pem").write_bytes(other.pem)
    assert "is for other.example" in trusted.problem([other.der], REPORTED, NOW)


def test_an_authority_that_the_server_leaves_out_is_found(tmp_path: Path) -> None:
    root = make_authority()
    (tmp_path / "root.pem").write_bytes(root.pem)
    own = root.issue(authority=True, common_name="Middle").issue("mx.example.org")
    sent = [own.der, own.above[0].der]
    assert Trusted(tmp_path).problem(sent, REPORTED, NOW) == ""
    assert Trusted(tmp_path).problem([], REPORTED, NOW).startswith("the server sent 0 certificates")


def test_the_authorities_of_the_system_are_files() -> None:
    assert all(each.is_file() for each in system_bundles())
