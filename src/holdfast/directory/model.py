"""The organisation as typed, immutable objects: everything an administrator declares.

An organisation is one value. Rooms get the whole of it as an input and never
change it; a change makes a new organisation with a higher revision. Names are
the identity of an object inside its kind; a mailbox also has an id that
survives a change of its address. What each field is for stands in its metadata,
from which docs/reference/settings.md is generated.

Source: docs/decisions/ for the shape; exchange-behaviour RT-1, RC-1..7, SC-2..5, QT-1.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import cached_property

from holdfast.directory.about import NAME, about
from holdfast.directory.connectors import (
    ErrorPolicy,
    PermissionGroup,
    Protect,
    ReceiveConnector,
    RequiredTls,
    SendConnector,
    SendTls,
    SizeMode,
    SmartHostAuth,
    TlsMode,
    Usage,
)
from holdfast.directory.dhcp import (
    DhcpServer,
    MacFilter,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_options import DhcpClass, OptionDefinition, OptionValue
from holdfast.directory.failover import FailoverMode, FailoverRelationship
from holdfast.directory.option_table import BUILT_IN
from holdfast.directory.settings import (
    DsnText,
    OrganisationSettings,
    Resource,
    ResourceThreshold,
    ShadowPreference,
)
from holdfast.kernel.ids import MailboxId, Revision
from holdfast.kernel.iprange import IPRange

# One import for who needs the organisation: the parts that have files of their own are here too.
__all__ = [
    "AcceptedDomain",
    "DhcpClass",
    "DhcpServer",
    "DistributionGroup",
    "DomainKind",
    "DsnText",
    "ErrorPolicy",
    "FailoverMode",
    "FailoverRelationship",
    "ImapListener",
    "MacFilter",
    "Mailbox",
    "MailboxDatabase",
    "OptionDefinition",
    "OptionValue",
    "Organisation",
    "OrganisationSettings",
    "PermissionGroup",
    "Policy",
    "Protect",
    "ReceiveConnector",
    "RequiredTls",
    "Reservation",
    "Resource",
    "ResourceThreshold",
    "Role",
    "Scope",
    "SendConnector",
    "SendTls",
    "Server",
    "ShadowPreference",
    "Site",
    "SiteLink",
    "SizeMode",
    "SmartHostAuth",
    "TlsMode",
    "Usage",
]


class Role(enum.Enum):
    """What may run on a server."""

    TRANSPORT = "transport"
    MAILBOX = "mailbox"
    ACCESS = "access"
    DHCP = "dhcp"
    CLUSTER = "cluster"
    CONSOLE = "console"


class DomainKind(enum.Enum):
    """Who has the mailboxes of an accepted domain."""

    AUTHORITATIVE = "authoritative"  # we: an address that we do not know does not exist
    INTERNAL_RELAY = "internal-relay"  # we have some; the others are reached by a send connector
    EXTERNAL_RELAY = "external-relay"  # somebody else: everything is handed on by a send connector


@dataclass(frozen=True, slots=True)
class Site:
    """A place with IP subnets (exchange-behaviour RT-1)."""

    name: str = field(metadata=NAME)
    subnets: tuple[IPRange, ...] = field(
        default=(),
        metadata=about(
            "the networks of the place; two sites never share one",
            unit="IP ranges",
            source="exchange-behaviour RT-1",
        ),
    )
    hub: bool = field(
        default=False,
        metadata=about(
            "whether mail whose least-cost path leads through this site stops here",
            source="exchange-behaviour RT-4",
        ),
    )


@dataclass(frozen=True, slots=True)
class SiteLink:
    """A link between two or more sites (exchange-behaviour RT-1)."""

    name: str = field(metadata=NAME)
    sites: tuple[str, ...] = field(
        metadata=about("the places it links", unit="names of sites", source="exchange-behaviour RT-1")
    )
    cost: int = field(
        default=100,
        metadata=about(
            "mail takes the path of the lowest sum; 1 to 99,999",
            unit="cost",
            source="exchange-behaviour RT-1",
            most=99_999,
        ),
    )
    message_bytes_max: int = field(
        default=0,
        metadata=about(
            "a larger message whose path has this link is returned to its sender; 0 means no limit",
            unit="bytes",
            source="exchange-behaviour RT-8",
            least=0,
        ),
    )


@dataclass(frozen=True, slots=True)
class ImapListener:
    """One address and port where IMAP is served."""

    bind: str = field(
        metadata=about("where it listens; IPv6 in brackets", unit="address:port", source="RFC 9051")
    )
    tls: TlsMode = field(
        default=TlsMode.STARTTLS,
        metadata=about(
            "how TLS begins; without TLS passwords are taken from this machine alone",
            source="RFC 8314 section 3",
        ),
    )


@dataclass(frozen=True, slots=True)
class Server:
    """A machine of ours."""

    name: str = field(metadata=NAME)
    fqdn: str = field(
        metadata=about(
            "the name it calls itself in banners and trace headers",
            unit="domain name",
            source="RFC 5321 section 4.1.1.1",
        )
    )
    site: str = field(
        metadata=about(
            "a server is in exactly one site", unit="name of a site", source="exchange-behaviour RT-1"
        )
    )
    roles: tuple[Role, ...] = field(
        default=(Role.TRANSPORT, Role.MAILBOX, Role.ACCESS),
        metadata=about("what runs on it; the default is a complete mail server"),
    )
    addresses: tuple[str, ...] = field(
        default=(), metadata=about("its own IP addresses; they lie in its site", unit="IP addresses")
    )
    imap: tuple[ImapListener, ...] = field(
        default=(), metadata=about("where the access role serves IMAP; none switches IMAP off")
    )
    metrics: str = field(
        default="127.0.0.1:2090",
        metadata=about(
            "where Prometheus may read; local because it asks for no password; empty switches it off",
            unit="address:port",
        ),
    )
    certificate: str = field(
        default="",
        metadata=about(
            "the certificates by which the other servers of ours know it, as `holdfast server certificate` "
            "prints them; mail between servers that know each other goes under TLS with both certificates, "
            "or not at all",
            unit="PEM",
            source="exchange-behaviour TL-3, TL-4",
            most=200_000,
        ),
    )


@dataclass(frozen=True, slots=True)
class AcceptedDomain:
    """A domain whose mail is ours."""

    name: str = field(
        metadata=about(
            "mail for it is ours to deliver; lower case, xn-- form outside ASCII",
            unit="domain name",
            source="RFC 5321 section 2.3.12",
        )
    )
    kind: DomainKind = field(
        default=DomainKind.AUTHORITATIVE,
        metadata=about("who has its mailboxes; mail for the others leaves by a send connector"),
    )
    protect: Protect = field(
        default=Protect.PREFERRED,
        metadata=about(
            "whether mail for it that gets no second copy is taken all the same (preferred) or put off with "
            "451 (required), whatever the receive connector says",
            source="exchange-behaviour SR13-3",
        ),
    )


@dataclass(frozen=True, slots=True)
class MailboxDatabase:
    """A store of mailboxes and its default quotas (exchange-behaviour QT-1)."""

    name: str = field(metadata=NAME)
    server: str = field(metadata=about("the server that holds it", unit="name of a server"))
    warn_bytes: int = field(
        default=2_039_480_320,
        metadata=about("size at which a user is warned", unit="bytes", source="exchange-behaviour QT-1"),
    )
    prohibit_send_bytes: int = field(
        default=2 << 30,
        metadata=about(
            "size at which a user may send no more", unit="bytes", source="exchange-behaviour QT-1"
        ),
    )
    prohibit_send_receive_bytes: int = field(
        default=2_469_396_480,
        metadata=about(
            "size at which mail is refused as well", unit="bytes", source="exchange-behaviour QT-1"
        ),
    )


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A person's mail."""

    address: str = field(metadata=about("primary address; also the sign-in name", unit="mail address"))
    mailbox_id: MailboxId = field(metadata=about("the identity that survives a change of the address"))
    database: str = field(metadata=about("where its mail lies", unit="name of a mailbox database"))
    aliases: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "further addresses that are delivered here and may be sent from", unit="mail addresses"
        ),
    )
    display_name: str = field(default="", metadata=about("for people"))
    quota_bytes: int | None = field(
        default=None,
        metadata=about(
            "mail is refused above it; left out, the database's holds",
            unit="bytes",
            source="exchange-behaviour QT-2",
        ),
    )
    enabled: bool = field(
        default=True, metadata=about("a disabled mailbox neither takes mail nor lets anybody in")
    )
    language: str = field(
        default="",
        metadata=about(
            "of delivery reports to this user, for example de; empty takes the message's, else the "
            "organisation's",
            source="exchange-behaviour QU-9",
        ),
    )


@dataclass(frozen=True, slots=True)
class DistributionGroup:
    """An address that stands for many; members are addresses of ours, also of groups."""

    address: str = field(metadata=about("where mail for all members goes", unit="mail address"))
    members: tuple[str, ...] = field(
        metadata=about(
            "addresses of ours, also of groups", unit="mail addresses", source="RFC 5321 section 3.9"
        )
    )
    aliases: tuple[str, ...] = field(
        default=(), metadata=about("further addresses of the group", unit="mail addresses")
    )


_NOTHING_YET = Revision(0)


@dataclass(frozen=True)
class Organisation(OrganisationSettings):
    """Everything declared, at one revision."""

    revision: Revision = _NOTHING_YET
    sites: tuple[Site, ...] = ()
    site_links: tuple[SiteLink, ...] = ()
    servers: tuple[Server, ...] = ()
    accepted_domains: tuple[AcceptedDomain, ...] = ()
    receive_connectors: tuple[ReceiveConnector, ...] = ()
    send_connectors: tuple[SendConnector, ...] = ()
    mailbox_databases: tuple[MailboxDatabase, ...] = ()
    mailboxes: tuple[Mailbox, ...] = ()
    distribution_groups: tuple[DistributionGroup, ...] = ()
    dhcp_servers: tuple[DhcpServer, ...] = ()
    scopes: tuple[Scope, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    dhcp_classes: tuple[DhcpClass, ...] = ()
    option_definitions: tuple[OptionDefinition, ...] = ()
    mac_filters: tuple[MacFilter, ...] = ()
    failover_relationships: tuple[FailoverRelationship, ...] = ()
    required_tls: tuple[RequiredTls, ...] = ()
    dsn_texts: tuple[DsnText, ...] = ()
    resource_thresholds: tuple[ResourceThreshold, ...] = ()

    @cached_property
    def domain_names(self) -> frozenset[str]:
        """The accepted domains, in lower case."""
        return frozenset(domain.name for domain in self.accepted_domains)

    @cached_property
    def recipients(self) -> dict[str, Mailbox | DistributionGroup]:
        """Every address of ours, by its key (see ``kernel.address.Address.key``)."""
        found: dict[str, Mailbox | DistributionGroup] = {}
        holders: tuple[Mailbox | DistributionGroup, ...] = (*self.distribution_groups, *self.mailboxes)
        for holder in holders:
            for address in (holder.address, *holder.aliases):
                found[address.casefold()] = holder
        return found

    @cached_property
    def databases_by_name(self) -> dict[str, MailboxDatabase]:
        """The mailbox databases by name."""
        return {database.name: database for database in self.mailbox_databases}

    @cached_property
    def scopes_by_name(self) -> dict[str, Scope]:
        """The scopes by name."""
        return {scope.name: scope for scope in self.scopes}

    @cached_property
    def reservations_by_scope(self) -> dict[str, tuple[Reservation, ...]]:
        """The reservations of each scope that has some, by address."""
        found: dict[str, list[Reservation]] = {}
        for reservation in sorted(self.reservations, key=lambda each: int(each.address)):
            found.setdefault(reservation.scope, []).append(reservation)
        return {scope: tuple(each) for scope, each in found.items()}

    @cached_property
    def dhcp_classes_by_name(self) -> dict[str, DhcpClass]:
        """The vendor and user classes by name."""
        return {each.name: each for each in self.dhcp_classes}

    @cached_property
    def own_definitions(self) -> dict[tuple[str, int], OptionDefinition]:
        """The declared definitions by vendor class (empty for none) and code."""
        return {(each.vendor_class, each.code): each for each in self.option_definitions}

    def option_definition(self, code: int, vendor_class: str = "") -> OptionDefinition | None:
        """The form of an option: as it was declared, else the built-in one; None when it has neither."""
        own = self.own_definitions.get((vendor_class, code))
        if own is not None or vendor_class:
            return own
        return BUILT_IN.get(code)

    def dhcp_server(self, name: str) -> DhcpServer:
        """How a server leases: its entry, else the defaults."""
        return next((each for each in self.dhcp_servers if each.server == name), DhcpServer(name))

    def scopes_of(self, server: str) -> tuple[Scope, ...]:
        """The scopes that a server leases, by subnet: its own, and those that it shares with a partner."""
        shared = {
            scope
            for relationship in self.failover_relationships
            if server in relationship.servers
            for scope in relationship.scopes
        }
        found = [each for each in self.scopes if each.server == server or each.name in shared]
        return tuple(sorted(found, key=lambda each: (int(each.subnet.first), each.name)))

    def server(self, name: str) -> Server | None:
        """Find a server by its name."""
        return next((server for server in self.servers if server.name == name), None)

    def own_server(self, name: str) -> Server | None:
        """Find the server that a process is: the one it was told, else the only one there is."""
        if not name and len(self.servers) == 1:
            return self.servers[0]
        return self.server(name)

    def quota_bytes(self, mailbox: Mailbox) -> int:
        """The size above which mail for a mailbox is refused (exchange-behaviour QT-1..2)."""
        if mailbox.quota_bytes is not None:
            return mailbox.quota_bytes
        return self.databases_by_name[mailbox.database].prohibit_send_receive_bytes
