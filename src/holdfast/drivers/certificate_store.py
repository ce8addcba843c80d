"""The certificates that our doors show: read from the state directory, chosen per connector and by SNI.

``tls/certificate.pem`` with ``key.pem`` is the default pair; any ``NAME.pem``
beside it, with its key in the same file or in ``NAME.key.pem``, is one more. A
file that cannot be used is logged and passed over; when nothing is left, a
self-signed pair is made, so that TLS is always offered (exchange-behaviour TL-2).

Source: exchange-behaviour TL-1..7; RFC 6066 section 3 (SNI); RFC 9325 section 3.1.1.
"""

from __future__ import annotations

import contextlib
import datetime
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.certificates.choose import DEFAULT_FILE, CertificateFacts, Choice, choose, covers
from holdfast.directory.model import Organisation, Server, TlsMode
from holdfast.directory.server_certificates import known_certificates, servers_by_certificate, sha256_of
from holdfast.drivers import clock
from holdfast.drivers.events import CERTIFICATE_EXPIRES, CERTIFICATE_UNUSABLE, SERVER_CERTIFICATE_UNKNOWN
from holdfast.drivers.server_trust import ask_for_known
from holdfast.drivers.tls import FALLBACK_FILE, KEY_FILE, ensure_certificate, ensure_fallback
from holdfast.drivers.trusted import Trusted, load_authorities, unverifying_context
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.events import LogEvent, happened

CERTIFICATE_COUNT_MAX = 200
FILE_BYTES_MAX = 1 << 20
LOOK_S = 10.0  # how often the directory is looked at, when somebody comes
REBUILD_S = 3600.0  # a certificate that expires, or begins to be valid, is seen within that
EXPIRY_WARNING_S = 14 * 86_400.0

Log = Callable[[LogEvent], None]


def _silent(event: LogEvent) -> None:
    """For those who only look."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and where its key is."""

    facts: CertificateFacts
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class DoorCertificate:
    """Which certificate one door shows.

    Attributes:
        connector: the receive connector; empty for the server itself, as IMAP shows it.
        name: the FQDN that it goes by.
        choice: the certificate, and why.
    """

    connector: str
    name: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """The certificate that this server shows to other servers of ours.

    Attributes:
        pair: where it and its key are.
        der: the certificate itself.
        known: whether the directory has it at this server's entry.
    """

    pair: Pair
    der: bytes
    known: bool


@dataclass(frozen=True, slots=True)
class _Door:
    """What decides about the certificate of one door."""

    name: str
    pinned: str = ""
    client_certificates: bool = False


class CertificateStore:
    """The certificates of one role, and the contexts that serve with them."""

    def __init__(self, home: Path, log: Log = _silent, wall: Callable[[], float] | None = None) -> None:
        """Read nothing yet.

        Args:
            home: the state directory.
            log: takes events.
            wall: the wall clock.
        """
        self._directory = home / "tls"
        self._trusted = Trusted(self._directory / "trusted")
        self._log = log
        self._wall = wall or (lambda: clock.steady() + clock.wall_offset_s())
        self._doors: dict[str, _Door] = {"": _Door("localhost")}
        # Whether this role is the one that tells when our certificate is none that the others know.
        self.tells_of_own = False
        self._known_as: frozenset[str] = frozenset()
        self._others: dict[bytes, str] = {}
        self._pairs: tuple[Pair, ...] = ()
        self._by_certificate: dict[str, ssl.SSLContext] = {}
        self._by_connector: dict[tuple[str, bool], ssl.SSLContext] = {}
        self._as_client: ssl.SSLContext | None = None
        self._state: tuple[tuple[str, int, int], ...] | None = None
        self._looked_at = float("-inf")
        self._built_at = float("-inf")
        self._said: set[tuple[str, str]] = set()

    def follow(self, organisation: Organisation, server: Server | None) -> None:
        """Go by another organisation from now on; connections that are open keep what they have."""
        self._doors = _doors(organisation, server)
        known = known_certificates(server) if server is not None else ()
        self._known_as = frozenset(sha256_of(each) for each in known)
        known_by = servers_by_certificate(organisation)
        self._others = {each: name for each, name in known_by.items() if each not in known}
        self.forget()

    def forget(self) -> None:
        """Read everything again for connections to come."""
        self._state = None
        self._looked_at = float("-inf")

    def context(self, connector: str, of_servers: bool = False) -> ssl.SSLContext:
        """The context for a client that came to a connector.

        Args:
            connector: where it came to.
            of_servers: it comes from where a server of ours is, and is asked for that server's certificate.

        Raises:
            Unavailable: there is no certificate that can be used, and none can be made.
        """
        self._look()
        name = connector if connector in self._doors else ""
        context = self._by_connector.get((name, of_servers))
        if context is None:
            door = self._doors[name]
            context = self._make_for_servers(name, door) if of_servers else self._make(name, door)
            self._by_connector[name, of_servers] = context
        return context

    def server_of(self, certificate: bytes) -> str:
        """The other server of ours that a certificate belongs to; empty when it is nobody's."""
        return self._others.get(certificate, "")

    def client_context(self) -> ssl.SSLContext:
        """The context of our connections to other servers of ours: shows our certificate, believes nothing.

        What the other side shows is for the caller to compare with what the directory knows.

        Raises:
            Unavailable: as ``context``.
        """
        self._look()
        if self._as_client is None:
            context = unverifying_context()
            pair = self.own().pair
            context.load_cert_chain(pair.certificate, pair.key, password=_no_password)
            self._as_client = context
        return self._as_client

    def choices(self) -> tuple[DoorCertificate, ...]:
        """Which certificate each door shows, and why.

        Raises:
            Unavailable: as ``context``.
        """
        self._look()
        now = self._wall()
        facts = [each.facts for each in self._pairs]
        return tuple(
            DoorCertificate(connector, door.name, choose(now, facts, door.name, door.pinned))
            for connector, door in self._doors.items()
        )

    def certificates(self) -> tuple[CertificateFacts, ...]:
        """All certificates that can be used.

        Raises:
            Unavailable: as ``context``.
        """
        self._look()
        return tuple(each.facts for each in self._pairs)

    def own(self) -> OwnCertificate:
        """The certificate for other servers of ours: one by which the directory knows us, where there is one.

        So the pair that strangers are shown may be renewed at any time, and servers go on knowing each other.

        Raises:
            Unavailable: as ``context``.
        """
        self._look()
        pair, known = self._find_own()
        try:
            text = pair.certificate.read_text(encoding="ascii", errors="replace")
            return OwnCertificate(pair, ssl.PEM_cert_to_DER_cert(_first_certificate(text)), known)
        except (OSError, ValueError) as error:
            raise Unavailable(f"{pair.certificate} cannot be read any more: {_words(error)}") from None

    def _find_own(self) -> tuple[Pair, bool]:
        pair = next((each for each in self._pairs if each.facts.sha256 in self._known_as), None)
        if pair is not None:
            return pair, True
        choice = choose(self._wall(), [each.facts for each in self._pairs], self._doors[""].name, "")
        assert choice.certificate is not None  # _look has seen to it
        self._say_unknown(choice.certificate)
        return self._pair(choice.certificate), False

    def _say_unknown(self, facts: CertificateFacts) -> None:
        if self._known_as and (facts.sha256, "unknown") not in self._said:
            self._said.add((facts.sha256, "unknown"))
            self._log(happened(SERVER_CERTIFICATE_UNKNOWN, path=facts.path, sha256=facts.sha256))

    # --- reading -----------------------------------------------------------------------------

    def _look(self) -> None:
        """Read the directory when it has changed, or when it was read long ago."""
        now = self._wall()
        if abs(now - self._looked_at) < LOOK_S:
            return
        self._looked_at = now
        state = _state_of(self._directory)
        if state == self._state and abs(now - self._built_at) < REBUILD_S:
            return
        self._built_at = now
        self._by_certificate.clear()
        self._by_connector.clear()
        self._as_client = None
        self._pairs = self._read()
        if not self._pairs:
            server = self._doors[""].name
            ensure_fallback(self._directory, (server,))
            self._pairs = self._read()
        if not self._pairs:
            raise Unavailable(
                f"no certificate in {self._directory} can be used; remove {DEFAULT_FILE} and {KEY_FILE} "
                "to have a pair made"
            )
        self._state = _state_of(self._directory)
        if self.tells_of_own:
            self._find_own()

    def _read(self) -> tuple[Pair, ...]:
        found: list[Pair] = []
        for path in certificate_files(self._directory):
            try:
                found.append(self._read_pair(path))
            except (OSError, ValueError) as error:
                self._say_once(path.name, _words(error))
        usable = [each for each in found if each.certificate.name != FALLBACK_FILE]
        # The one of last resort only when nothing else is there.
        return tuple(usable or found)

    def _say_once(self, path: str, reason: str) -> None:
        if (path, reason) not in self._said:
            self._said.add((path, reason))
            self._log(happened(CERTIFICATE_UNUSABLE, path=path, reason=reason))

    def _read_pair(self, path: Path) -> Pair:
        """Read a certificate and see that its key is ours.

        Raises:
            OSError, ValueError: it cannot be used.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        from holdfast.drivers import peer_certificate

        if path.stat().st_size > FILE_BYTES_MAX:
            raise ValueError(f"it is longer than {FILE_BYTES_MAX} bytes")
        key = key_file(path)
        _server_context().load_cert_chain(path, key, password=_no_password)
        with peer_certificate.tolerant():
            chain = x509.load_pem_x509_certificates(path.read_bytes())
        own = chain[0]
        facts = CertificateFacts(
            path.name,
            peer_certificate.certificate_names(own, common_name=True),
            own.subject.rfc4514_string(),
            own.issuer.rfc4514_string(),
            own.not_valid_before_utc.timestamp(),
            own.not_valid_after_utc.timestamp(),
            trusted=self._trusted.vouches(chain, datetime.datetime.fromtimestamp(self._wall(), datetime.UTC)),
            self_signed=own.issuer == own.subject,
            sha256=own.fingerprint(hashes.SHA256()).hex(),
        )
        return Pair(facts, path, key)

    # --- contexts ----------------------------------------------------------------------------

    def _make(self, connector: str, door: _Door) -> ssl.SSLContext:
        """Make the context of one door: its own certificate, another one where a client asks by SNI."""
        now = self._wall()
        choice = choose(now, [each.facts for each in self._pairs], door.name, door.pinned)
        assert choice.certificate is not None  # _look has seen to it
        pair = self._pair(choice.certificate)
        self._warn_of_expiry(now, pair, connector or "the server")
        context = _server_context(pair)
        if door.client_certificates:
            # Asked for, not demanded: one that is not valid ends the handshake, none at all does not.
            context.verify_mode = ssl.CERT_OPTIONAL
            load_authorities(context, self._trusted.directory)
        if not (door.pinned and choice.why == "the connector names it"):
            context.sni_callback = self._by_name
        return context

    def _make_for_servers(self, connector: str, door: _Door) -> ssl.SSLContext:
        """Make the context of one door for servers of ours: it shows one certificate, whatever they ask."""
        own = self.own()
        context = (
            _server_context(own.pair)
            if own.known
            else self._make(connector, replace(door, client_certificates=False))
        )
        if not own.known:
            context.sni_callback = None  # it would lead to a context that asks for nothing
        ask_for_known(context, self._others)
        return context

    def _by_name(self, tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Show the certificate for the name that a client asks for, where we have one made for it."""
        if not name:
            return
        found = covers(self._wall(), [each.facts for each in self._pairs], name)
        if found is None:
            return
        other = self._by_certificate.get(found.sha256)
        if other is None:
            # Its file may be gone by now: then the door's own is shown.
            with contextlib.suppress(OSError):
                other = self._by_certificate[found.sha256] = _server_context(self._pair(found))
        if other is not None:
            tls.context = other

    def _pair(self, facts: CertificateFacts) -> Pair:
        return next(each for each in self._pairs if each.facts is facts)

    def _warn_of_expiry(self, now: float, pair: Pair, connector: str) -> None:
        left_s = pair.facts.not_after - now
        if left_s > EXPIRY_WARNING_S:
            return
        until = datetime.datetime.fromtimestamp(pair.facts.not_after, datetime.UTC)
        if (pair.facts.sha256, connector) not in self._said:
            self._said.add((pair.facts.sha256, connector))
            self._log(
                happened(
                    CERTIFICATE_EXPIRES,
                    path=pair.facts.path,
                    connector=connector,
                    not_after=f"{until:%Y-%m-%d %H:%M} UTC",
                    days=int(left_s // 86_400),
                )
            )


def describe(home: Path, organisation: Organisation, server_name: str = "") -> tuple[DoorCertificate, ...]:
    """Say which certificate each receive connector of a server shows, and why.

    The one with an empty connector is the server's own, which IMAP shows.

    Raises:
        Unavailable: no certificate can be used.
    """
    store = CertificateStore(home)
    store.follow(organisation, organisation.own_server(server_name))
    return store.choices()


def describe_own(
    home: Path, organisation: Organisation, server_name: str, log: Log = _silent
) -> OwnCertificate:
    """Find the certificate by which other servers of ours know, or should know, this one.

    Raises:
        Unavailable: no certificate can be used or made.
    """
    server = organisation.own_server(server_name)
    ensure_own(home, organisation, server)
    store = CertificateStore(home, log)
    store.follow(organisation, server)
    return store.own()


def own_names(organisation: Organisation, server: Server | None) -> tuple[str, ...]:
    """The names of a self-signed certificate: the server's, its short name, its connectors'.

    Source: exchange-behaviour TL-7.
    """
    if server is None:
        return ("localhost",)
    short = server.fqdn.partition(".")[0]
    connectors = sorted(
        each.fqdn.lower()
        for each in organisation.receive_connectors
        if each.server == server.name and each.fqdn
    )
    return tuple(dict.fromkeys((server.fqdn.lower(), short.lower(), *connectors)))


def ensure_own(home: Path, organisation: Organisation, server: Server | None) -> bool:
    """Make the self-signed default pair, unless there is a pair; see ``tls.ensure_certificate``.

    Raises:
        Unavailable: it cannot be made.
    """
    known = known_certificates(server) if server is not None else ()
    return ensure_certificate(home / "tls", own_names(organisation, server), known)


def certificate_files(directory: Path) -> list[Path]:
    """The files that may hold certificates, the default first."""
    found = [
        path
        for path in sorted(directory.glob("*.pem"))
        if path.name != KEY_FILE and not path.name.endswith(".key.pem")
    ]
    found.sort(key=lambda path: path.name != DEFAULT_FILE)
    return found[:CERTIFICATE_COUNT_MAX]


def key_file(certificate: Path) -> Path:
    """Where the key of a certificate is: beside it, or in the same file."""
    beside = certificate.with_name(
        KEY_FILE if certificate.name == DEFAULT_FILE else f"{certificate.stem}.key.pem"
    )
    return beside if beside.exists() else certificate


def _doors(organisation: Organisation, server: Server | None) -> dict[str, _Door]:
    fqdn = server.fqdn if server is not None else "localhost"
    doors = {"": _Door(fqdn)}
    for each in organisation.receive_connectors:
        if server is not None and each.server == server.name and each.tls is not TlsMode.NONE:
            doors[each.name] = _Door(
                each.fqdn or fqdn, each.certificate, bool(each.client_certificate_domains)
            )
    return doors


def _server_context(pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 section 3.1.1
    context.options |= ssl.OP_NO_RENEGOTIATION
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key, password=_no_password)
    return context


def _no_password() -> str:
    """OpenSSL would ask for it on the terminal."""
    raise ValueError("its key is locked with a password; write it without one")


def _first_certificate(text: str) -> str:
    """The first certificate of a PEM file; what stands before it may be a key."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    found = text[text.find(begin) : text.find(end) + len(end)]
    if not found.startswith(begin):
        raise ValueError("it holds no certificate any more")
    return found


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (getattr(error, "reason", None) or "it holds no certificate and key").replace("_", " ")
        return f"{reason.lower()} (certificate and key must be PEM and belong together)"
    return (getattr(error, "strerror", None) or str(error))[:200]


def _state_of(directory: Path) -> tuple[tuple[str, int, int], ...]:
    state: list[tuple[str, int, int]] = []
    for path in sorted([*directory.glob("*.pem"), *directory.glob("trusted/*.pem")]):
        with contextlib.suppress(OSError):
            found = path.stat()
            state.append((str(path), found.st_mtime_ns, found.st_size))
    return tuple(state)
