"""Whom we trust as authorities: the system's, and those that the administrator put beside them.

``HOME/tls/trusted/*.pem`` is read again when it has changed, and no restart is
needed. Its authorities are trusted besides the system's, for next hops as for
partners that show a certificate to us.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.transport.tls_policy import TlsDemand, TlsLevel

if TYPE_CHECKING:
    from cryptography import x509

# An opportunistic handshake takes what it can get: weak keys are better than none (RFC 7435 section 3).
OPPORTUNISTIC_CIPHERS = "DEFAULT@SECLEVEL=1"


class Trusted:
    """The authorities of this machine, with the contexts made of them.

    Public attribute: ``directory``, of the administrator's own.
    """

    def __init__(self, directory: Path) -> None:
        """Read nothing yet.

        Args:
            directory: of the administrator's own authorities; need not be there.
        """
        self.directory = directory
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._verifying: ssl.SSLContext | None = None
        self._anchor_certificates: tuple[x509.Certificate, ...] = ()
        self._opportunistic = unverifying_context()
        self._opportunistic.set_ciphers(OPPORTUNISTIC_CIPHERS)

    def context(self, demand: TlsDemand) -> ssl.SSLContext:
        """The context for a connection of ours.

        Only where verification must hold does OpenSSL verify the chain; names are ours to compare.
        """
        if demand.level is not TlsLevel.VERIFIED or demand.only_report:
            return self._opportunistic
        self._look()
        if self._verifying is None:
            self._verifying = unverifying_context()
            self._verifying.verify_mode = ssl.CERT_REQUIRED
            load_authorities(self._verifying, self.directory)
        return self._verifying

    def problem(self, chain: Sequence[bytes], demand: TlsDemand, now: datetime.datetime) -> str:
        """Why a chain does not do for VERIFIED; empty when it does.

        Without ``only_report`` OpenSSL has verified the chain in the handshake, and names are left.
        """
        from holdfast.drivers import peer_certificate

        try:
            certificates = peer_certificate.read_chain(chain)
        except ValueError as error:
            return str(error)
        problem = self._path_problem(certificates, now) if demand.only_report else ""
        return problem or peer_certificate.name_problem(certificates[0], demand.names)

    def vouches(self, chain: Sequence[x509.Certificate], now: datetime.datetime) -> bool:
        """Whether an authority that we trust vouches for a chain, its own certificate first."""
        return not self._path_problem(chain, now)

    def _path_problem(self, chain: Sequence[x509.Certificate], now: datetime.datetime) -> str:
        from holdfast.drivers import peer_certificate

        self._look()
        anchors = self._authorities()
        known = frozenset(anchors)
        if chain[0] in known:
            return ""
        # A server leaves out the root: those that issued something of its chain are put behind it.
        issuers = {each.issuer for each in chain}
        roots = [each for each in anchors if each.subject in issuers and each not in chain]
        return peer_certificate.path_problem([*chain, *roots], known.__contains__, now)

    def _authorities(self) -> tuple[x509.Certificate, ...]:
        if not self._anchor_certificates:
            from cryptography import x509

            from holdfast.drivers.peer_certificate import tolerant

            found: list[x509.Certificate] = []
            for path in (*system_bundles(), *sorted(self.directory.glob("*.pem"))):
                with contextlib.suppress(OSError, ValueError), tolerant():
                    found += x509.load_pem_x509_certificates(path.read_bytes())
            self._anchor_certificates = tuple(found)
        return self._anchor_certificates

    def _look(self) -> None:
        """Forget what was made of the administrator's authorities when they have changed."""
        seen = tuple(_state(path) for path in sorted(self.directory.glob("*.pem")))
        if seen != self._seen:
            self._seen = seen
            self._verifying = None
            self._anchor_certificates = ()


def _state(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return path.name, 0, 0
    return path.name, found.st_mtime_ns, found.st_size


def unverifying_context() -> ssl.SSLContext:
    """A context for connections of ours that believes nothing and refuses nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 section 3.1.1
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load_authorities(context: ssl.SSLContext, directory: Path) -> None:
    """Have a context trust the authorities of the system and of a directory; what is unreadable is passed."""
    context.load_default_certs()
    for path in sorted(directory.glob("*.pem")):
        with contextlib.suppress(OSError, ssl.SSLError):
            context.load_verify_locations(cafile=str(path))


def system_bundles() -> list[Path]:
    """The system's file of authorities, the first there is."""
    paths = ssl.get_default_verify_paths()
    candidates = [paths.cafile, paths.openssl_cafile]
    if paths.capath:
        candidates.append(os.path.join(paths.capath, "ca-certificates.crt"))
    return [Path(each) for each in candidates if each and Path(each).is_file()][:1]
