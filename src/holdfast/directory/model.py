"""The organisation as typed, immutable objects: everything an administrator declares.

An organisation is one value. Rooms get the whole of it as an input and never
change it; a change makes a new organisation with a higher revision. Names are
the identity of an object inside its kind; a mailbox also has an id that
survives a change of its address.

Source: docs/decisions/ for the shape; exchange-behaviour RT-1, RC-1..7, SC-2..5, QT-1.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import cached_property

from holdfast.kernel.ids import MailboxId, Revision
from holdfast.kernel.iprange import IPRange


class Role(enum.Enum):
    """What may run on a server."""

    TRANSPORT = "transport"
    MAILBOX = "mailbox"
    ACCESS = "access"
    DHCP = "dhcp"
    CLUSTER = "cluster"
    CONSOLE = "console"


class Usage(enum.Enum):
    """Whom a receive connector is for (exchange-behaviour RC-3)."""

    INTERNET = "internet"  # anyone may hand in mail for our own domains
    CLIENT = "client"  # our own users, who must sign in, may send anywhere
    INTERNAL = "internal"
    PARTNER = "partner"
    RELAY = "relay"


class TlsMode(enum.Enum):
    """How a listener offers TLS."""

    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True)
class Site:
    """A place with IP subnets (exchange-behaviour RT-1)."""

    name: str
    subnets: tuple[IPRange, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteLink:
    """A link between two sites; ``cost`` is 1 to 99,999 (exchange-behaviour RT-1)."""

    name: str
    sites: tuple[str, ...]
    cost: int = 100


@dataclass(frozen=True, slots=True)
class Server:
    """A machine of ours.

    Attributes:
        name: short name, unique in the organisation.
        fqdn: the name it calls itself in banners and trace headers.
        site: name of its site.
        roles: what runs on it.
        addresses: its own IP addresses, as text.
        imap: where the access role listens.
        metrics: where Prometheus may read, ``address:port``; empty switches it off.
    """

    name: str
    fqdn: str
    site: str
    roles: tuple[Role, ...] = (Role.TRANSPORT, Role.MAILBOX, Role.ACCESS)
    addresses: tuple[str, ...] = ()
    imap: tuple[ImapListener, ...] = ()
    metrics: str = "127.0.0.1:2090"


@dataclass(frozen=True, slots=True)
class ImapListener:
    """One address and port where IMAP is served."""

    bind: str
    tls: TlsMode = TlsMode.STARTTLS


@dataclass(frozen=True, slots=True)
class AcceptedDomain:
    """A domain whose mail is ours."""

    name: str


@dataclass(frozen=True, slots=True)
class ReceiveConnector:
    """The door a message comes in by (exchange-behaviour RC-1..7).

    Attributes:
        name: unique in the organisation.
        server: the server that opens it.
        bindings: ``address:port`` each; IPv6 in brackets.
        remote_ranges: who may use it.
        usage: whom it is for; ``client`` asks for sign-in.
        tls: whether and how TLS is offered.
        fqdn: the name in banner, EHLO and trace header; empty: the server's.
        message_bytes_max: the largest message taken.
        recipient_count_max: recipients of one message.
        header_bytes_max: size of all headers of one message.
        connection_count_max: connections in all.
        connection_count_per_source_max: connections from one address.
        protocol_error_count_max: errors after which the session ends.
        tarpit_s: wait before an answer to an error.
        inactivity_s: silence after which the session ends.
        session_s: length after which the session ends.
        hop_count_max: Received lines after which a message loops.
    """

    name: str
    server: str
    bindings: tuple[str, ...]
    remote_ranges: tuple[IPRange, ...]
    usage: Usage = Usage.INTERNET
    tls: TlsMode = TlsMode.STARTTLS
    fqdn: str = ""
    message_bytes_max: int = 36 << 20
    recipient_count_max: int = 200
    header_bytes_max: int = 256 << 10
    connection_count_max: int = 5000
    connection_count_per_source_max: int = 1000
    protocol_error_count_max: int = 5
    tarpit_s: float = 0.0
    inactivity_s: float = 300.0
    session_s: float = 600.0
    hop_count_max: int = 30


@dataclass(frozen=True, slots=True)
class SendConnector:
    """The door a message leaves by; carried in the model, used from the transport issue on."""

    name: str
    address_spaces: tuple[str, ...]
    smart_hosts: tuple[str, ...] = ()
    source_servers: tuple[str, ...] = ()
    enabled: bool = True
    message_bytes_max: int = 35 << 20


@dataclass(frozen=True, slots=True)
class MailboxDatabase:
    """A store of mailboxes and its default quotas in bytes (exchange-behaviour QT-1)."""

    name: str
    server: str
    warn_bytes: int = 2_039_480_320
    prohibit_send_bytes: int = 2 << 30
    prohibit_send_receive_bytes: int = 2_469_396_480


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A person's mail.

    Attributes:
        address: primary address; also the sign-in name.
        mailbox_id: the identity that survives a change of the address.
        database: name of its mailbox database.
        aliases: further addresses that are delivered here and may be sent from.
        display_name: for people.
        quota_bytes: mail is refused above it; None takes the database's.
        enabled: a disabled mailbox neither takes mail nor lets anybody in.
    """

    address: str
    mailbox_id: MailboxId
    database: str
    aliases: tuple[str, ...] = ()
    display_name: str = ""
    quota_bytes: int | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class DistributionGroup:
    """An address that stands for many; members are addresses of ours, also of groups."""

    address: str
    members: tuple[str, ...]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """A range of leases; room for the DHCP issue."""

    name: str
    subnet: IPRange


@dataclass(frozen=True, slots=True)
class FailoverRelationship:
    """Two DHCP servers that share scopes; room for the failover issue."""

    name: str
    servers: tuple[str, ...]
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Organisation:
    """Everything declared, at one revision."""

    name: str = ""
    revision: Revision = Revision(0)
    sites: tuple[Site, ...] = ()
    site_links: tuple[SiteLink, ...] = ()
    servers: tuple[Server, ...] = ()
    accepted_domains: tuple[AcceptedDomain, ...] = ()
    receive_connectors: tuple[ReceiveConnector, ...] = ()
    send_connectors: tuple[SendConnector, ...] = ()
    mailbox_databases: tuple[MailboxDatabase, ...] = ()
    mailboxes: tuple[Mailbox, ...] = ()
    distribution_groups: tuple[DistributionGroup, ...] = ()
    scopes: tuple[Scope, ...] = ()
    failover_relationships: tuple[FailoverRelationship, ...] = ()
    # Settings that hold for the whole organisation.
    tracking_subject: bool = field(default=True)
    duplicate_memory_s: float = field(default=2 * 86400.0)

    @cached_property
    def domain_names(self) -> frozenset[str]:
        """The accepted domains, in lower case."""
        return frozenset(domain.name for domain in self.accepted_domains)

    @cached_property
    def recipients(self) -> dict[str, Mailbox | DistributionGroup]:
        """Every address of ours, by its key (see ``kernel.address.Address.key``)."""
        found: dict[str, Mailbox | DistributionGroup] = {}
        for holder in (*self.distribution_groups, *self.mailboxes):
            for address in (holder.address, *holder.aliases):
                found[address.casefold()] = holder
        return found

    @cached_property
    def databases_by_name(self) -> dict[str, MailboxDatabase]:
        """The mailbox databases by name."""
        return {database.name: database for database in self.mailbox_databases}

    def server(self, name: str) -> Server | None:
        """Find a server by its name."""
        return next((server for server in self.servers if server.name == name), None)

    def quota_bytes(self, mailbox: Mailbox) -> int:
        """The size above which mail for a mailbox is refused (exchange-behaviour QT-1..2)."""
        if mailbox.quota_bytes is not None:
            return mailbox.quota_bytes
        return self.databases_by_name[mailbox.database].prohibit_send_receive_bytes
