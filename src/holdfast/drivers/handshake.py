"""TLS handshakes: why one failed, in words, what one gave, and how many strangers may be at one.

Source: RFC 8446; RFC 5246.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from holdfast.drivers.server_trust import client_certificate
from holdfast.transport.tls_policy import TlsFacts

HANDSHAKE_TIMEOUT_S = 30.0
_PROBLEM_CHARS_MAX = 200
# Where TLS is on from the first byte a client is nobody before its handshake, and no connector counts it. An
# office behind one address whose mail programs all come back at once stays below both.
HANDSHAKES_PER_SOURCE_MAX = 500
HANDSHAKES_MAX = 2000
# The server of ours that a certificate (DER) belongs to; empty when it is nobody's.
ServerOf = Callable[[bytes], str]


class Droppable(Protocol):
    """A connection."""

    def abort(self) -> None: ...


class HandshakesUnderWay:
    """The handshakes of clients that no connector counts yet.

    Invariant: at most so many of one source, and so many in all. The oldest make room: whoever means it is
    done in a moment, and whoever only opens connections is quick to take every place that is free.
    """

    def __init__(
        self, count_max: int = HANDSHAKES_MAX, per_source_max: int = HANDSHAKES_PER_SOURCE_MAX
    ) -> None:
        self._count_max = count_max
        self._per_source_max = per_source_max
        # The oldest first: a dict keeps the order in which it was filled.
        self._source_of: dict[Droppable, str] = {}
        self._of_source: dict[str, dict[Droppable, None]] = {}

    def begins(self, connection: Droppable, source: str) -> None:
        """Count one more, and drop the oldest where that is one too many."""
        own = self._of_source.get(source, {})
        oldest = None
        if len(own) >= self._per_source_max:
            oldest = next(iter(own))
        elif len(self._source_of) >= self._count_max:
            oldest = next(iter(self._source_of))
        if oldest is not None:
            self.ended(oldest)
            oldest.abort()
        self._source_of[connection] = source
        self._of_source.setdefault(source, {})[connection] = None

    def ended(self, connection: Droppable) -> None:
        """It is done, one way or the other; one that is not counted needs nothing."""
        source = self._source_of.pop(connection, None)
        if source is not None:
            own = self._of_source[source]
            del own[connection]
            if not own:
                del self._of_source[source]


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
