"""Trust among servers of ours: a certificate counts because the directory has it, and for no other reason.

Who signed it, its names, dates and purposes say nothing here: a server that is known
must not stop being known overnight because a date has passed. OpenSSL judges the
certificate of a client in the handshake and cannot be asked to leave that to us, so
it gets the known ones as trusted for clients, and no others.

Source: exchange-behaviour TL-3, TL-4; RFC 8446 section 4.3.2; openssl-verification-options(1), "Trusted
Certificate Auxiliary Settings" for the format.
"""

from __future__ import annotations

import base64
import contextlib
import os
import ssl
from collections.abc import Iterable

_PARTIAL_CHAIN = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN: the certificate itself is enough
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME
# "Trusted for clients" behind a certificate, in DER: SEQUENCE { SEQUENCE { id-kp-clientAuth } }. It stands
# above the purposes that the certificate itself names; those of public authorities name servers alone.
_FOR_CLIENTS = bytes.fromhex("300c300a06082b06010505070302")


def ask_for_known(context: ssl.SSLContext, certificates: Iterable[bytes]) -> None:
    """Have a server's context ask clients for a certificate; one that is not known ends the handshake.

    Args:
        context: of a door.
        certificates: the known ones, as DER.
    """
    texts = [_trusted(each) for each in _without_issuers(certificates)]
    if not texts:
        return
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | _PARTIAL_CHAIN | _NO_CHECK_TIME)
    # OpenSSL reads these settings from files only.
    descriptor = os.memfd_create("known-servers")
    try:
        os.write(descriptor, "".join(texts).encode("ascii"))
        context.load_verify_locations(cafile=f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def client_certificate(tls: ssl.SSLObject) -> bytes:
    """The certificate that a client has shown, as DER; empty when it has shown none."""
    return tls.getpeercert(binary_form=True) or b""


def _without_issuers(certificates: Iterable[bytes]) -> list[bytes]:
    """Those that issued no other of them, as when a whole chain was given for a server.

    OpenSSL would judge what they issued by them, and so by its purposes.
    """
    # Imported here: it takes longer than the rest of a role's start together.
    from cryptography import x509

    from holdfast.drivers.peer_certificate import tolerant

    read: list[tuple[bytes, x509.Certificate]] = []
    with tolerant():
        for each in certificates:
            with contextlib.suppress(ValueError):  # a certificate by its frame alone is nobody's
                read.append((each, x509.load_der_x509_certificate(each)))
    issuers = {found.issuer for _, found in read if found.issuer != found.subject}
    return [der for der, found in read if found.subject not in issuers]


def _trusted(certificate: bytes) -> str:
    text = base64.encodebytes(certificate + _FOR_CLIENTS).decode("ascii")
    return f"-----BEGIN TRUSTED CERTIFICATE-----\n{text}-----END TRUSTED CERTIFICATE-----\n"
