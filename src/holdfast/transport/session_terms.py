"""What an SMTP session goes by, whom it asks, and what it tells.

The terms are made once per connector and shared by its sessions: greeting and
EHLO answers are ready-made, since of clients that send one message each every
one asks for them (40 µs saved per session).

Source: exchange-behaviour RC-7, RC-9, RC-11; RFC 5321 section 4.1.1.1.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from holdfast.directory.model import (
    Organisation,
    PermissionGroup,
    ReceiveConnector,
    SizeMode,
    TlsMode,
)
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions
from holdfast.transport.rights import Client, certified_addresses_of, groups_of, server_addresses_of
from holdfast.transport.shadow_link import Hello
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire import smtp
from holdfast.wire.headers import HeaderBlock
from holdfast.wire.shadow import VERSION
from holdfast.wire.transfer import Transfer


class Judge(Protocol):
    """Who decides whether a client may send what it names; each raises ``Refusal`` if not."""

    def judge_sender(self, address: Address | None, client: Client) -> None:
        """May the client's mail come from this address (None: the null sender)?"""

    def judge_recipient(self, address: Address, client: Client) -> None:
        """May the client's mail go to this address?"""


# Not frozen: that makes one per message cost 2 µs more. Nobody changes it.
@dataclass(slots=True)
class MessageReceived:
    """A whole message came; the session waits for ``accepted`` or ``refused``.

    Attributes:
        reverse_path: as given, or empty.
        recipients: forward paths as given, in order, without repetitions.
        data: the message as sent, dots unstuffed, CRLF line ends throughout, without fields that
            the client may not hand on; one that has no header gets an empty line on top, so that
            fields put above it do not make its first lines part of the header.
        helo: the name the client gave.
        protocol: the ``with`` keyword: SMTP, ESMTPSA … (RFC 3848), UTF8SMTP … (RFC 6531 section 4.3).
        signed_in: the mailbox that signed in, or None.
        header: the header fields of ``data``, checked.
        options: what the envelope said beyond that.
        client: who the sender is, and its rights.
        tls: version and cipher suite in words; empty without TLS or when they are not known.
        transfer: what another server of ours knows of the message already; None for everybody else's.
    """

    reverse_path: str
    recipients: tuple[str, ...]
    data: bytes
    helo: str
    protocol: str
    signed_in: MailboxId | None
    header: HeaderBlock
    options: EnvelopeOptions = PLAIN_ENVELOPE
    client: Client | None = None
    tls: str = ""
    transfer: Transfer | None = None


@dataclass(frozen=True, slots=True)
class TlsWanted:
    """STARTTLS was answered with 220: begin TLS after the reply, then call ``tls_started``."""


@dataclass(frozen=True, slots=True)
class PasswordGiven:
    """The client signs in; the session waits for ``password_checked`` or ``sign_in_refused``."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Close the connection after the reply."""


@dataclass(frozen=True, slots=True)
class ShadowLinkWanted:
    """A server of ours wants this connection for shadow copies; ``take_rest`` or ``link_refused`` follows.

    Attributes:
        hello: who it says it is.
        certified: the server of ours that its certificate is of.
    """

    hello: Hello
    certified: str


SessionEvent = MessageReceived | TlsWanted | PasswordGiven | SessionEnded | ShadowLinkWanted


class Terms:
    """What holds for every session of one connector.

    Attributes:
        fqdn: our name in greeting, EHLO and trace header.
        users_known: whether signing in gives rights here.
        server_addresses: of the servers of ours that are known by their address alone.
        certified_addresses: whose clients are asked for the certificate of a server of ours; empty where the
            connector is not for servers.
        host_names: by which our servers call themselves in Received fields, in lower case.
    """

    def __init__(self, connector: ReceiveConnector, fqdn: str, organisation: Organisation) -> None:
        self.connector = connector
        self.fqdn = fqdn
        self.users_known = PermissionGroup.USERS in groups_of(connector)
        self.server_addresses = server_addresses_of(organisation)
        for_servers = PermissionGroup.SERVERS in groups_of(connector)
        self.certified_addresses = certified_addresses_of(organisation) if for_servers else frozenset()
        names = [server.fqdn for server in organisation.servers]
        names += [each.fqdn for each in organisation.receive_connectors]
        self.host_names = frozenset(name.lower() for name in (*names, fqdn) if name)
        self.greeting = smtp.format_reply(220, "", f"{fqdn} ESMTP")
        self.helo_reply = smtp.format_reply(250, "", fqdn)
        self._own_domains = organisation.domain_names
        self._organisation_bytes_max = organisation.message_bytes_max
        self._organisation_recipient_count_max = organisation.recipient_count_max
        self._ehlo: dict[tuple[bool, bool, bool, int], bytes] = {}

    def recipient_key(self, address: Address) -> str:
        """Equal for two recipients that are one: only in our own domains the case does not matter."""
        return address.key if address.domain in self._own_domains else address.exact_key

    def message_bytes_max(self, client: Client) -> int:
        """The largest message of a client: the connector's limit, and the organisation's too (RC-11)."""
        if client.rights.bypass_limits:
            return self.connector.message_bytes_max
        return min(self.connector.message_bytes_max, self._organisation_bytes_max)

    def recipient_count_max(self, client: Client) -> int:
        """How many recipients a message of a client may have; the organisation's limit is for users."""
        if client.signed_in is None or client.rights.bypass_limits:
            return self.connector.recipient_count_max
        return min(self.connector.recipient_count_max, self._organisation_recipient_count_max)

    def check_recipient_count(self, client: Client, taken: Collection[str], key: str) -> None:
        """Let a client name one more recipient.

        Args:
            client: who it is, and its rights.
            taken: the keys of the addresses that it has named.
            key: of this one.

        Raises:
            Refusal: it has as many as it may.
        """
        if len(taken) >= self.recipient_count_max(client) and key not in taken:
            raise Refusal("too many recipients; send to the others again", code=452, status="4.5.3")

    def tls_offered(self, *, tls_active: bool) -> bool:
        """Whether STARTTLS is offered now."""
        return self.connector.tls is TlsMode.STARTTLS and not tls_active

    def ehlo_reply(
        self, client: Client, *, tls_active: bool, sign_in_offered: bool, to_server: bool = False
    ) -> bytes:
        """The answer to EHLO; ``to_server``: a server of ours has proved to be one."""
        key = (tls_active, sign_in_offered, to_server, self.message_bytes_max(client))
        reply = self._ehlo.get(key)
        if reply is None:
            reply = self._ehlo[key] = smtp.format_reply(250, "", "\n".join(self._keywords(*key)))
        return reply

    def _keywords(
        self, tls_active: bool, sign_in_offered: bool, to_server: bool, bytes_max: int
    ) -> list[str]:
        keywords = [self.fqdn, "PIPELINING"]
        if self.connector.size_mode is SizeMode.ENABLED:
            keywords.append(f"SIZE {bytes_max}")
        elif self.connector.size_mode is SizeMode.WITHOUT_VALUE:
            keywords.append("SIZE")
        keywords += ["8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN"]
        if self.tls_offered(tls_active=tls_active):
            keywords.append("STARTTLS")
        if sign_in_offered:
            keywords.append("AUTH PLAIN LOGIN")
        if to_server:
            keywords.append(f"XHOLDFAST {VERSION}")
        keywords.append("HELP")
        return keywords


def check_client(terms: Terms, client: Client, *, tls_active: bool, certified: bool) -> None:
    """Let a client begin a message.

    Args:
        terms: of the connector.
        client: who it is, and its rights.
        tls_active: whether it speaks under TLS.
        certified: whether it showed what ``certificate_fits`` wants.

    Raises:
        Refusal: it may not send at all, or not yet.
    """
    connector = terms.connector
    if not tls_active and (connector.require_tls or connector.client_certificate_domains):
        raise Refusal("begin TLS first: say STARTTLS", code=530, status="5.7.0")  # RFC 3207 section 4
    if not certified:
        # Not for ever: a certificate that ran out is renewed.
        raise Refusal("show the certificate that was agreed on", code=454, status="4.7.5")
    if not client.rights.submit:
        if terms.users_known:
            # AUTH is offered under TLS only (RFC 4954 section 4): name both steps to who has done neither.
            needed = "begin TLS and sign in" if terms.tls_offered(tls_active=tls_active) else "sign in"
            raise Refusal(f"{needed} first", code=530, status="5.7.0")
        raise Refusal("this service is not for you", code=550, status="5.7.1")


def certificate_fits(connector: ReceiveConnector, facts: TlsFacts | None) -> bool:
    """Whether a client's certificate is valid and of a domain that the connector asks for.

    True when it asks for none. A host below such a domain fits too; ``*.`` in front of a
    certificate's name stands for one label.
    """
    if not connector.client_certificate_domains:
        return True
    if facts is None or not facts.verified:
        return False
    names = [name.lower().removeprefix("*.") for name in facts.peer_names]
    return any(
        name == domain or name.endswith("." + domain)
        for domain in (each.lower().removeprefix("*.") for each in connector.client_certificate_domains)
        for name in names
    )
