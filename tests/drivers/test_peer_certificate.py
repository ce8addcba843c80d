"""Certificates of next hops: paths, names, TLSA records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from certificates.made import DAY, NOW, Issued, make_authority, make_self_signed
from holdfast.drivers.peer_certificate import (
    CHAIN_LENGTH_MAX,
    certificate_names,
    dane_problem,
    name_problem,
    path_problem,
    read_chain,
    tlsa_matches,
)
from holdfast.wire.dns_answers import TlsaRecord

ROOT = make_authority()
NAMES = ("mx.example.org",)

Make = Callable[[], list[Issued]]


def chain(own: Issued) -> list[Issued]:
    return [own, *own.above]


def middle(**more: object) -> Issued:
    return ROOT.issue(authority=True, common_name="Middle", **more)  # type: ignore[arg-type]  # as the test says


def entangled() -> list[Issued]:
    """One authority again and again, which signs for itself, and leads nowhere."""
    own = make_authority("Somebody").issue("mx.example.org")
    root = own.above[0]
    return [own, *(Issued(x509.load_der_x509_certificate(root.der), root.key) for _ in range(9))]


PATHS: dict[str, tuple[Make, str]] = {
    "issued by the root": (lambda: chain(ROOT.issue(*NAMES)), ""),
    "by one below it": (lambda: chain(middle().issue(*NAMES)), ""),
    "in any order": (lambda: [(own := middle().issue(*NAMES)), *own.above[::-1]], ""),
    "two of one name": (lambda: [(own := middle().issue(*NAMES)), middle(), *own.above], ""),
    "self-signed": (lambda: [make_self_signed(*NAMES)], "not issued by an authority that is trusted"),
    "somebody's": (lambda: chain(make_authority("Somebody").issue(*NAMES)), "not issued by"),
    "somebody of the same name": (lambda: chain(make_authority().issue(*NAMES)), "not issued by"),
    "expired": (
        lambda: chain(ROOT.issue(*NAMES, not_before=NOW - 3 * DAY, not_after=NOW - DAY)),
        "the certificate expired on",
    ),
    "early": (lambda: chain(ROOT.issue(*NAMES, not_before=NOW + DAY)), "valid only from"),
    "by an expired one": (
        lambda: chain(middle(not_before=NOW - 3 * DAY, not_after=NOW - DAY).issue(*NAMES)),
        "(of an issuer)",
    ),
    "by one that is no authority": (lambda: chain(ROOT.issue("x.example").issue(*NAMES)), "not issued by"),
    "deeper than allowed": (
        lambda: chain(middle(path_length=0).issue(authority=True, common_name="Low").issue(*NAMES)),
        "not issued by",
    ),
    "for clients only": (
        lambda: chain(ROOT.issue(*NAMES, purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,))),
        "not made for servers",
    ),
    "for anything": (
        lambda: chain(ROOT.issue(*NAMES, purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,))),
        "",
    ),
    "for nothing named": (lambda: chain(ROOT.issue(*NAMES, purposes=())), ""),
    "with a demand that we do not know": (
        lambda: chain(ROOT.issue(*NAMES, critical_unknown=True)),
        "a critical extension that is not known",
    ),
    "below an authority with one": (
        lambda: chain(middle(critical_unknown=True).issue(*NAMES)),
        "not issued by",
    ),
    "entangled": (entangled, "entangled"),
}


@pytest.mark.parametrize("case", PATHS)
def test_paths(case: str) -> None:
    make, problem = PATHS[case]
    certificates = [each.certificate for each in make()]
    found = path_problem(certificates, lambda each: each == ROOT.certificate, NOW)
    assert problem in found
    assert bool(problem) is bool(found)


def tlsa(usage: int, issued: Issued) -> TlsaRecord:
    return TlsaRecord(usage, 1, 1, hashlib.sha256(issued.spki).digest())


def dane(own: Issued, *records: TlsaRecord, sent: list[Issued] | None = None) -> str:
    certificates = [each.der for each in (sent or [own, *own.above])]
    return dane_problem(certificates, records, NAMES, NOW)


def test_a_record_of_the_server_itself_asks_for_neither_name_nor_dates_nor_authority() -> None:
    own = make_self_signed("other.example", not_after=NOW - DAY)
    assert dane(own, tlsa(3, own)) == ""
    assert dane(own, tlsa(3, ROOT), tlsa(3, own)) == ""
    assert dane(own, tlsa(3, ROOT)) == "the certificate matches none of the TLSA records"


def test_a_record_of_an_authority_asks_for_path_name_and_dates() -> None:
    own = middle().issue(*NAMES)
    assert dane(own, tlsa(2, own.above[0])) == ""
    assert dane(own, tlsa(2, ROOT)) == ""
    assert "no certificate that the server sent" in dane(own, tlsa(2, ROOT), sent=[own])
    assert "no certificate that the server sent" in dane(own, tlsa(2, own))
    wrong = middle().issue("other.example")
    assert "is for other.example, not for mx.example.org" in dane(wrong, tlsa(2, ROOT))
    old = ROOT.issue(*NAMES, not_before=NOW - 3 * DAY, not_after=NOW - DAY)
    assert "expired" in dane(old, tlsa(2, ROOT))
    # An authority that is sent, but did not issue anything here.
    assert "not issued by" in dane(
        make_self_signed(*NAMES), tlsa(2, ROOT), sent=[make_self_signed(*NAMES), ROOT]
    )


def test_an_authority_that_stands_whole_in_a_record_need_not_be_sent() -> None:
    own = ROOT.issue(*NAMES)
    whole = TlsaRecord(2, 0, 0, ROOT.der)
    assert dane(own, whole, whole, sent=[own]) == ""
    assert dane(own, whole) == ""
    other, stranger = ROOT.issue("other.example"), make_self_signed(*NAMES)
    assert "not for mx.example.org" in dane(other, whole, sent=[other])
    assert "not issued by" in dane(stranger, whole, sent=[stranger])
    damaged = TlsaRecord(2, 0, 0, ROOT.der[:-9])
    assert "no certificate that the server sent" in dane(own, damaged, sent=[own])


def test_without_any_certificate() -> None:
    assert "0 certificates" in dane_problem([], [tlsa(3, ROOT)], NAMES, NOW)
    with pytest.raises(ValueError, match="certificates; 1 to"):
        read_chain([ROOT.der] * (CHAIN_LENGTH_MAX + 1))


@pytest.mark.parametrize(
    "record", [TlsaRecord(3, 1, 9, b"x"), TlsaRecord(3, 5, 1, b"x"), TlsaRecord(3, 1, 1, b"")]
)
def test_records_that_mean_nothing_match_nothing(record: TlsaRecord) -> None:
    assert not tlsa_matches(record, ROOT.certificate)


def test_names() -> None:
    assert certificate_names(ROOT.issue("A.example.org", "*.b.example").certificate) == (
        "a.example.org",
        "*.b.example",
    )
    without = make_authority("mx.example.org").certificate
    assert certificate_names(without) == ()
    assert certificate_names(without, common_name=True) == ("mx.example.org",)
    assert name_problem(without, NAMES) == "the certificate is for no name, not for mx.example.org"
    assert name_problem(without, NAMES, common_name=True) == ""


def test_a_certificate_with_a_broken_list_of_names_has_none() -> None:
    builder = x509.CertificateBuilder(
        ROOT.certificate.issuer,
        ROOT.certificate.subject,
        ROOT.key.public_key(),
        7,
        NOW - DAY,
        NOW + DAY,
        [
            x509.Extension(
                x509.SubjectAlternativeName.oid,
                False,
                x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"nonsense"),
            )
        ],
    )
    from cryptography.hazmat.primitives import hashes

    certificate = builder.sign(ROOT.key, hashes.SHA256())
    assert certificate_names(certificate) == ()
    assert "cannot be read" in path_problem([certificate], lambda each: False, NOW)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_chain_or_refused(data: bytes) -> None:
    assert dane_problem([data], [tlsa(3, ROOT)], NAMES, NOW)
