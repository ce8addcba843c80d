"""TLS handshakes: why one failed, in words, and what one gave.

Source: RFC 8446; RFC 5246.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from holdfast.drivers.server_trust import client_certificate
from holdfast.transport.tls_policy import TlsFacts

HANDSHAKE_TIMEOUT_S = 30.0
_PROBLEM_CHARS_MAX = 200
# The server of ours that a certificate (DER) belongs to; empty when it is nobody's.
ServerOf = Callable[[bytes], str]


def handshake_problem(error: Exception) -> str:
    """Say why a handshake failed, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"[:_PROBLEM_CHARS_MAX]
    if isinstance(error, ssl.SSLError) and getattr(error, "reason", None):
        return f"TLS failed: {error.reason.replace('_', ' ').lower()}"[:_PROBLEM_CHARS_MAX]
    if isinstance(error, TimeoutError) or "taking longer" in str(error):
        return f"the TLS handshake took longer than {HANDSHAKE_TIMEOUT_S:.0f} s"
    if isinstance(error, ValueError):
        return f"TLS cannot carry the server's name: {error}"[:_PROBLEM_CHARS_MAX]
    return "the other side closed the connection during the TLS handshake"


def facts_of_client(transport: asyncio.Transport) -> TlsFacts:
    """What a handshake with a client gave; names only of a certificate that was verified."""
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    version, cipher = version_and_cipher(tls)
    certificate = tls.getpeercert()
    names = _names(certificate) if certificate else ()
    return TlsFacts(version, cipher, verified=bool(names), peer_names=names)


def facts_of_server(transport: asyncio.Transport, server_of: ServerOf) -> TlsFacts:
    """What a handshake gave with a client that was asked for the certificate of a server of ours.

    One that shows none, or one that a known certificate has issued, is nobody that we know.
    """
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    version, cipher = version_and_cipher(tls)
    shown = client_certificate(tls)
    server = server_of(shown) if shown else ""
    problem = "" if server or not shown else "the certificate is not one by which a server of ours is known"
    return TlsFacts(version, cipher, verified=server != "", problem=problem, server=server)


def version_and_cipher(tls: ssl.SSLObject) -> tuple[str, str]:
    """The protocol's version and the suite's name, empty when there is none."""
    cipher = tls.cipher()
    return tls.version() or "", cipher[0] if cipher else ""


def _names(certificate: Any) -> tuple[str, ...]:
    # A dictionary of tuples, see ssl.SSLSocket.getpeercert; it names what it holds, typed it is nowhere.
    return tuple(str(value).lower() for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")


def peer_chain(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates that a server has sent, its own first, as DER; verified or not."""
    # Python 3.13 has it in public; before, the object behind has it.
    chain = getattr(tls, "get_unverified_chain", None) or tls._sslobj.get_unverified_chain  # type: ignore[attr-defined]  # see above
    return tuple(
        each if isinstance(each, bytes) else ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain()
    )
