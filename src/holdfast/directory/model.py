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


def about(reason: str, *, unit: str = "", source: str = "ours") -> dict[str, str]:
    """Describe a setting for its reference page (docs/reference/settings.md).

    Args:
        reason: what it is for and why the default is what it is.
        unit: ``bytes`` and ``seconds`` are also written with a unit in files (``2GB``, ``5m``).
        source: where the rule or the default comes from.
    """
    return {"reason": reason, "unit": unit, "source": source}


_NAME = about("identity; unique among its kind, upper and lower case count as the same")


@dataclass(frozen=True, slots=True)
class Site:
    """A place with IP subnets (exchange-behaviour RT-1)."""

    name: str = field(metadata=_NAME)
    subnets: tuple[IPRange, ...] = field(
        default=(),
        metadata=about(
            "the networks of the place; two sites never share one",
            unit="IP ranges",
            source="exchange-behaviour RT-1",
        ),
    )


@dataclass(frozen=True, slots=True)
class SiteLink:
    """A link between two or more sites (exchange-behaviour RT-1)."""

    name: str = field(metadata=_NAME)
    sites: tuple[str, ...] = field(
        metadata=about("the places it links", unit="names of sites", source="exchange-behaviour RT-1")
    )
    cost: int = field(
        default=100,
        metadata=about(
            "mail takes the path of the lowest sum; 1 to 99,999",
            unit="cost",
            source="exchange-behaviour RT-1",
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

    name: str = field(metadata=_NAME)
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


@dataclass(frozen=True, slots=True)
class ReceiveConnector:
    """The door a message comes in by (exchange-behaviour RC-1..7)."""

    name: str = field(metadata=_NAME)
    server: str = field(metadata=about("the server that opens it", unit="name of a server"))
    bindings: tuple[str, ...] = field(
        metadata=about(
            "where it listens; IPv6 in brackets", unit="address:port", source="exchange-behaviour RC-1"
        )
    )
    remote_ranges: tuple[IPRange, ...] = field(
        metadata=about(
            "who may use it; where several connectors share a binding the most specific range wins",
            unit="IP ranges",
            source="exchange-behaviour RC-1",
        )
    )
    usage: Usage = field(
        default=Usage.INTERNET,
        metadata=about("whom it is for; client asks for sign-in", source="exchange-behaviour RC-3"),
    )
    tls: TlsMode = field(
        default=TlsMode.STARTTLS,
        metadata=about("whether and how TLS is offered", source="RFC 3207; RFC 8314 section 3"),
    )
    fqdn: str = field(
        default="",
        metadata=about(
            "the name in banner, EHLO and trace header; empty takes the server's",
            unit="domain name",
            source="exchange-behaviour TL-5",
        ),
    )
    message_bytes_max: int = field(
        default=36 << 20,
        metadata=about("the largest message taken", unit="bytes", source="exchange-behaviour RC-7"),
    )
    recipient_count_max: int = field(
        default=200,
        metadata=about("recipients of one message", unit="count", source="exchange-behaviour RC-7"),
    )
    header_bytes_max: int = field(
        default=256 << 10,
        metadata=about("size of all headers of one message", unit="bytes", source="exchange-behaviour RC-7"),
    )
    connection_count_max: int = field(
        default=5000,
        metadata=about("open connections in all", unit="count", source="exchange-behaviour RC-7"),
    )
    connection_count_per_source_max: int = field(
        default=1000,
        metadata=about(
            "open connections from one address; far above Exchange's 20, which starves relays and proxies",
            unit="count",
            source="exchange-behaviour RC-7",
        ),
    )
    protocol_error_count_max: int = field(
        default=5,
        metadata=about("errors after which the session ends", unit="count", source="exchange-behaviour RC-7"),
    )
    tarpit_s: float = field(
        default=0.0,
        metadata=about(
            "wait before an answer to an error; slows guessing, 0 switches it off",
            unit="seconds",
            source="exchange-behaviour RC-7",
        ),
    )
    inactivity_s: float = field(
        default=300.0,
        metadata=about(
            "silence after which the session ends", unit="seconds", source="RFC 5321 section 4.5.3.2.7"
        ),
    )
    session_s: float = field(
        default=600.0,
        metadata=about(
            "length after which the session ends; at least the inactivity",
            unit="seconds",
            source="exchange-behaviour RC-10",
        ),
    )
    hop_count_max: int = field(
        default=30,
        metadata=about(
            "Received lines after which a message counts as looping",
            unit="count",
            source="exchange-behaviour RC-7; RFC 5321 section 6.3",
        ),
    )


@dataclass(frozen=True, slots=True)
class SendConnector:
    """The door a message leaves by; carried in the model, used from the transport issue on."""

    name: str = field(metadata=_NAME)
    address_spaces: tuple[str, ...] = field(
        metadata=about(
            "the domains it serves: example.com, *.example.com or *, with ;cost from 1 to 100",
            unit="address spaces",
            source="exchange-behaviour SC-3",
        )
    )
    smart_hosts: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "hosts that take all its mail; none asks DNS", unit="host names", source="exchange-behaviour SC-4"
        ),
    )
    source_servers: tuple[str, ...] = field(
        default=(), metadata=about("the servers that may use it; none means all", unit="names of servers")
    )
    enabled: bool = field(default=True, metadata=about("a disabled connector is not chosen"))
    message_bytes_max: int = field(
        default=35 << 20,
        metadata=about(
            "larger messages take another connector", unit="bytes", source="exchange-behaviour SC-11"
        ),
    )


@dataclass(frozen=True, slots=True)
class MailboxDatabase:
    """A store of mailboxes and its default quotas (exchange-behaviour QT-1)."""

    name: str = field(metadata=_NAME)
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


@dataclass(frozen=True, slots=True)
class Scope:
    """A range of leases; room for the DHCP issue."""

    name: str = field(metadata=_NAME)
    subnet: IPRange = field(metadata=about("the network whose addresses are leased", unit="IP range"))


@dataclass(frozen=True, slots=True)
class FailoverRelationship:
    """Two DHCP servers that share scopes; room for the failover issue."""

    name: str = field(metadata=_NAME)
    servers: tuple[str, ...] = field(metadata=about("the two partners", unit="names of servers"))
    scopes: tuple[str, ...] = field(default=(), metadata=about("what they share", unit="names of scopes"))


_NOTHING_YET = Revision(0)


@dataclass(frozen=True)
class Organisation:
    """Everything declared, at one revision."""

    name: str = field(default="", metadata=about("how the organisation is called, for people"))
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
    scopes: tuple[Scope, ...] = ()
    failover_relationships: tuple[FailoverRelationship, ...] = ()
    # Settings that hold for the whole organisation.
    tracking_subject: bool = field(
        default=True,
        metadata=about("whether subjects are written to the tracking log", source="exchange-behaviour MT"),
    )
    receive_memory_bytes: int = field(
        default=256 << 20,
        metadata=about(
            "how much memory messages may take on one server while they are received; above it senders "
            "are asked to come back later (452 4.3.1)",
            unit="bytes",
        ),
    )
    duplicate_memory_s: float = field(
        default=2 * 86400.0,
        metadata=about(
            "how long a mailbox database knows a delivered message again when it comes a second time",
            unit="seconds",
            source="exchange-behaviour SN-1",
        ),
    )

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
