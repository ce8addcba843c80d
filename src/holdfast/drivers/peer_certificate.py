"""Judge the certificates that a next hop has sent: by names and trusted authorities, or by DANE.

OpenSSL has verified nothing of what is judged here, or the chain only; see
``drivers.outbound``. A path that needs an extension we do not know is refused.

Source: RFC 5280 section 6.1; RFC 6698 sections 2.1 and 4.1; RFC 7671 section 5; RFC 7672 section 3; RFC 9525.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from holdfast.certificates.names import names_match
from holdfast.wire.dns_answers import TlsaRecord

# RFC 6698 section 7.2 and 7.4
USAGE_TRUST_ANCHOR, USAGE_END_ENTITY = 2, 3
_DIGESTS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: lambda data: hashlib.sha256(data).digest(),
    2: lambda data: hashlib.sha512(data).digest(),
}
# A chain longer than this is looked at no further; real ones have two to four.
CHAIN_LENGTH_MAX = 10
SIGNATURE_CHECK_COUNT_MAX = 50
_KNOWN_CRITICAL = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)

Anchor = Callable[[x509.Certificate], bool]


def certificate_names(certificate: x509.Certificate, *, common_name: bool = False) -> tuple[str, ...]:
    """The DNS names of a certificate, in lower case.

    Args:
        certificate: the certificate.
        common_name: whether the common name counts where there is no DNS name (RFC 7672 section 3.2.3).
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
    except (x509.ExtensionNotFound, ValueError):
        found = ()
    if found or not common_name:
        return found
    return tuple(
        str(each.value).lower() for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    )


def read_chain(chain: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    """Read DER certificates.

    Raises:
        ValueError: one of them is none, or the chain is too long or empty.
    """
    if not 0 < len(chain) <= CHAIN_LENGTH_MAX:
        raise ValueError(f"the server sent {len(chain)} certificates; 1 to {CHAIN_LENGTH_MAX} are looked at")
    with tolerant():
        return tuple(x509.load_der_x509_certificate(each) for each in chain)


@contextlib.contextmanager
def tolerant() -> Iterator[None]:
    """Read certificates of others without warnings: some old authorities have a serial number of 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def dane_problem(
    chain: Sequence[bytes], records: Iterable[TlsaRecord], names: Sequence[str], now: datetime.datetime
) -> str:
    """Compare a chain with TLSA records.

    Args:
        chain: DER, the server's own first, as it was sent.
        records: the usable ones, of usage 2 and 3.
        names: for usage 2: the certificate must have one. Usage 3 asks for neither names nor
            dates (RFC 7671 section 5.1).
        now: aware; for the dates of a chain of usage 2.

    Returns:
        Why none matches; empty when one does.
    """
    try:
        certificates = read_chain(chain)
    except ValueError as error:
        return str(error)
    records = tuple(records)
    if any(each.usage == USAGE_END_ENTITY and tlsa_matches(each, certificates[0]) for each in records):
        return ""
    anchors = [each for each in records if each.usage == USAGE_TRUST_ANCHOR]
    if not anchors:
        return "the certificate matches none of the TLSA records"
    certificates += _published(anchors, certificates)
    if not any(tlsa_matches(record, each) for record in anchors for each in certificates[1:]):
        return "no certificate that the server sent matches the TLSA records"

    def anchor(certificate: x509.Certificate) -> bool:
        return any(tlsa_matches(each, certificate) for each in anchors)

    return path_problem(certificates, anchor, now) or name_problem(certificates[0], names, common_name=True)


def _published(
    anchors: Iterable[TlsaRecord], sent: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """The authorities that stand whole in records, which a server need not send (RFC 7671 section 5.2.2)."""
    found: list[x509.Certificate] = []
    for record in anchors:
        if record.selector == 0 and record.matching_type == 0:
            with contextlib.suppress(ValueError), tolerant():
                certificate = x509.load_der_x509_certificate(record.data)
                if certificate not in sent and certificate not in found:
                    found.append(certificate)
    return tuple(found)


def tlsa_matches(record: TlsaRecord, certificate: x509.Certificate) -> bool:
    """Whether a record means this certificate (RFC 6698 section 2.1)."""
    digest = _DIGESTS.get(record.matching_type)
    if digest is None or record.selector not in (0, 1):
        return False
    try:
        if record.selector == 0:
            data = certificate.public_bytes(serialization.Encoding.DER)
        else:
            data = certificate.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
    except ValueError:  # a key of a kind that the library does not know
        return False
    return hmac.compare_digest(digest(data), record.data)


def name_problem(certificate: x509.Certificate, names: Sequence[str], *, common_name: bool = False) -> str:
    """Why a certificate is not of one of these names; empty when it is."""
    presented = certificate_names(certificate, common_name=common_name)
    if names_match(presented, names):
        return ""
    shown = ", ".join(presented[:5]) or "no name"
    return f"the certificate is for {shown}, not for {' or '.join(names)}"


def path_problem(certificates: Sequence[x509.Certificate], anchor: Anchor, now: datetime.datetime) -> str:
    """Look for a valid path from the first certificate to an anchor.

    Args:
        certificates: the server's own first, the others in any order.
        anchor: whether a certificate is one that is trusted as it is.
        now: aware.

    Returns:
        Why there is none; empty when there is one.
    """
    own = certificates[0]
    problem = _dates_problem(own, now) or _purpose_problem(own)
    if problem:
        return problem
    problems: list[str] = []
    # Each is a certificate to go on from, how many authorities are below its issuer, and what is left.
    ways: list[tuple[x509.Certificate, int, list[x509.Certificate]]] = [(own, 0, list(certificates[1:]))]
    check_count = 0
    while ways:
        current, depth, others = ways.pop()
        for issuer in others:
            if issuer.subject != current.issuer:
                continue
            check_count += 1
            if check_count > SIGNATURE_CHECK_COUNT_MAX:
                return "the certificates that the server sent are too entangled to be verified"
            if not _issued(current, issuer, depth):
                continue
            problem = _dates_problem(issuer, now)
            if problem:
                problems.append(f"{problem} (of an issuer)")
            elif anchor(issuer):
                return ""
            else:
                ways.append((issuer, depth + 1, [each for each in others if each is not issuer]))
    return problems[0] if problems else "the certificate is not issued by an authority that is trusted"


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, depth: int) -> bool:
    """Whether an issuer signed a certificate and may, with so many authorities below it."""
    if not _may_issue(issuer, depth):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _may_issue(certificate: x509.Certificate, depth: int) -> bool:
    """RFC 5280 section 6.1.4 (k) to (n)."""
    try:
        extensions = certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        if any(each.critical and each.oid not in _KNOWN_CRITICAL for each in extensions):
            return False
        try:
            if not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign:
                return False
        except x509.ExtensionNotFound:
            pass  # then every use is meant
    except (x509.ExtensionNotFound, ValueError):
        return False
    return basic.ca and (basic.path_length is None or depth <= basic.path_length)


def _dates_problem(certificate: x509.Certificate, now: datetime.datetime) -> str:
    if now > certificate.not_valid_after_utc:
        return f"the certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if now < certificate.not_valid_before_utc:
        return f"the certificate is valid only from {certificate.not_valid_before_utc:%Y-%m-%d}"
    return ""


def _purpose_problem(certificate: x509.Certificate) -> str:
    """What the server's own certificate may be used for (RFC 5280 section 4.2.1.12)."""
    try:
        extensions = certificate.extensions
    except ValueError as error:
        return f"the certificate cannot be read: {error}"
    if any(each.critical and each.oid not in _KNOWN_CRITICAL for each in extensions):
        return "the certificate has a critical extension that is not known"
    try:
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    wanted = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return "" if wanted & set(purposes) else "the certificate is not made for servers"
