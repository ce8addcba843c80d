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


class PermissionGroup(enum.Enum):
    """A kind of client of a receive connector, with a fixed set of rights (exchange-behaviour RC-4)."""

    ANONYMOUS = "anonymous"  # who did not say who it is
    USERS = "users"  # a user of ours who signed in
    SERVERS = "servers"  # a server of this organisation
    PARTNERS = "partners"  # an organisation that we have an agreement with


class SizeMode(enum.Enum):
    """What EHLO says of the largest message (exchange-behaviour RC-9; RFC 1870)."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    WITHOUT_VALUE = "enabled-without-value"


class DomainKind(enum.Enum):
    """Who has the mailboxes of an accepted domain."""

    AUTHORITATIVE = "authoritative"  # we: an address that we do not know does not exist
    INTERNAL_RELAY = "internal-relay"  # we have some; the others are reached by a send connector
    EXTERNAL_RELAY = "external-relay"  # somebody else: everything is handed on by a send connector


class SendTls(enum.Enum):
    """How much TLS a message needs on its way out (exchange-behaviour SC-7, SC-10)."""

    OPPORTUNISTIC = "opportunistic"  # where it is offered, and DANE and MTA-STS where they are published
    ENCRYPTED = "encrypted"  # always; any certificate will do
    CERTIFICATE = "certificate"  # always; the certificate is valid and of the host that we connect to
    DOMAIN = "domain"  # always; the certificate is valid and of ``tls_domain``


class SmartHostAuth(enum.Enum):
    """How we sign in to a smart host (exchange-behaviour SC-6)."""

    NONE = "none"
    BASIC = "basic"
    BASIC_REQUIRE_TLS = "basic-require-tls"


class ErrorPolicy(enum.Enum):
    """Errors of a next hop that are judged otherwise than by their code (exchange-behaviour SC-8)."""

    DOWNGRADE_DNS_FAILURES = "downgrade-dns-failures"  # a domain that does not exist may exist later


class Resource(enum.Enum):
    """What back pressure looks at (exchange-behaviour BP)."""

    QUEUE_DISK = "queue-disk"  # use of the queue database's file system, percent
    LOG_DISK = "log-disk"  # use of the tracking log's file system, percent
    PROCESS_MEMORY = "process-memory"  # of the transport role, percent of the machine's memory
    SYSTEM_MEMORY = "system-memory"  # of everything on the machine, percent
    SUBMISSION_QUEUE = "submission-queue"  # messages that were taken and have no next hop yet
    UNCOMMITTED = "uncommitted"  # messages that wait for the disk


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
    message_bytes_max: int = field(
        default=0,
        metadata=about(
            "a larger message whose path has this link is returned to its sender; 0 means no limit",
            unit="bytes",
            source="exchange-behaviour RT-8",
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
    kind: DomainKind = field(
        default=DomainKind.AUTHORITATIVE,
        metadata=about("who has its mailboxes; mail for the others leaves by a send connector"),
    )


@dataclass(frozen=True, slots=True)
class RequiredTls:
    """A domain that mail is sent to with at least so much TLS, whatever it publishes."""

    domain: str = field(
        metadata=about("the recipients' domain; *.example.com means it and all below", unit="domain name")
    )
    level: SendTls = field(
        default=SendTls.CERTIFICATE,
        metadata=about("what is needed; mail waits and is returned rather than sent with less"),
    )
    tls_domain: str = field(
        default="",
        metadata=about(
            "for level domain: the name that the certificate must have; empty takes the domain",
            unit="domain name",
            source="exchange-behaviour SC-7",
        ),
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
        default=5.0,
        metadata=about(
            "wait before a 5xx answer to who did not sign in; slows guessing, 0 switches it off",
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
    local_hop_count_max: int = field(
        default=8,
        metadata=about(
            "Received lines of servers of ours after which a message counts as looping",
            unit="count",
            source="exchange-behaviour RC-7",
        ),
    )
    enabled: bool = field(default=True, metadata=about("a disabled connector takes no connection"))
    permission_groups: tuple[PermissionGroup, ...] = field(
        default=(),
        metadata=about(
            "which clients may send at all, each with fixed rights; none takes those of the usage",
            source="exchange-behaviour RC-4",
        ),
    )
    anonymous_relay: bool = field(
        default=False,
        metadata=about(
            "whether a client that did not sign in may send anywhere; `holdfast connector allow-relay`",
            source="exchange-behaviour RC-5",
        ),
    )
    externally_secured: bool = field(
        default=False,
        metadata=about(
            "whether every client counts as a server of ours, because the network sees to it",
            source="exchange-behaviour RC-5",
        ),
    )
    require_tls: bool = field(
        default=False, metadata=about("whether mail is taken under TLS only", source="RFC 3207 section 4")
    )
    client_certificate_domains: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "the client must show a valid certificate of one of these (mutual TLS); for partners",
            unit="domain names",
            source="exchange-behaviour RC-3",
        ),
    )
    certificate: str = field(
        default="",
        metadata=about(
            "pins a certificate: its SHA-256 in hexadecimal, or <I>issuer<S>subject; empty chooses by name",
            source="exchange-behaviour TL-6",
        ),
    )
    proxy_from: tuple[IPRange, ...] = field(
        default=(),
        metadata=about(
            "balancers that say with the PROXY protocol who the client is; from anybody else it is refused",
            unit="IP ranges",
            source="PROXY protocol versions 1 and 2",
        ),
    )
    size_mode: SizeMode = field(
        default=SizeMode.ENABLED,
        metadata=about("what EHLO says of the largest message", source="exchange-behaviour RC-9"),
    )
    connection_percent_per_source: int = field(
        default=2,
        metadata=about(
            "the share of the connections still free that one source may hold; 100 switches it off",
            unit="percent",
            source="exchange-behaviour RC-7",
        ),
    )
    message_rate_max: int = field(
        default=0,
        metadata=about(
            "messages a minute of one user, or of one source without sign-in; 0 means no limit",
            unit="count",
            source="exchange-behaviour RC-7",
        ),
    )
    reject_reserved_domains: bool = field(
        default=False,
        metadata=about(
            "whether recipients in example.com, .test and the like are refused",
            source="exchange-behaviour RC-8; RFC 2606",
        ),
    )
    reject_single_label_domains: bool = field(
        default=False,
        metadata=about(
            "whether recipients in domains without a dot are refused", source="exchange-behaviour RC-8"
        ),
    )


@dataclass(frozen=True, slots=True)
class SendConnector:
    """The door a message leaves by (exchange-behaviour SC-1..10)."""

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
    scoped: bool = field(
        default=False,
        metadata=about(
            "whether only servers in the sites of its source servers see it", source="exchange-behaviour SC-9"
        ),
    )
    fqdn: str = field(
        default="",
        metadata=about(
            "the name in EHLO; empty takes the server's", unit="domain name", source="exchange-behaviour TL-5"
        ),
    )
    port: int = field(default=25, metadata=about("the port of the next hops", unit="port"))
    source_address: str = field(
        default="",
        metadata=about(
            "the address of ours that connections come from; empty lets the system choose", unit="IP address"
        ),
    )
    tls: SendTls = field(
        default=SendTls.OPPORTUNISTIC,
        metadata=about("how much TLS is needed", source="exchange-behaviour SC-7, SC-10"),
    )
    implicit_tls: bool = field(
        default=False,
        metadata=about("whether TLS is on from the first byte, as on port 465", source="RFC 8314 section 3"),
    )
    tls_domain: str = field(
        default="",
        metadata=about(
            "for tls domain: the name that the certificate of the next hop must have",
            unit="domain name",
            source="exchange-behaviour SC-7",
        ),
    )
    auth: SmartHostAuth = field(
        default=SmartHostAuth.NONE,
        metadata=about(
            "how we sign in to the smart hosts; `holdfast connector set-password` takes the password",
            source="exchange-behaviour SC-6",
        ),
    )
    user: str = field(default="", metadata=about("the name that we sign in with"))
    message_count_per_connection_max: int = field(
        default=20,
        metadata=about(
            "messages after which a connection is closed", unit="count", source="exchange-behaviour SC-7"
        ),
    )
    connection_count_per_domain_max: int = field(
        default=20,
        metadata=about("open connections to one next hop", unit="count", source="exchange-behaviour QU-7"),
    )
    inactivity_s: float = field(
        default=600.0,
        metadata=about(
            "silence of the next hop after which the connection is given up",
            unit="seconds",
            source="exchange-behaviour SC-7; RFC 5321 section 4.5.3.2",
        ),
    )
    private_ranges: tuple[IPRange, ...] = field(
        default=(),
        metadata=about(
            "private networks that DNS may lead us to; an MX there is refused otherwise. A smart host that "
            "is named may be anywhere",
            unit="IP ranges",
        ),
    )
    error_policies: tuple[ErrorPolicy, ...] = field(
        default=(),
        metadata=about(
            "errors that are judged otherwise than by their code", source="exchange-behaviour SC-8"
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


@dataclass(frozen=True, slots=True)
class DsnText:
    """Words of ours in delivery reports, in place of the built-in ones (exchange-behaviour QU-9)."""

    name: str = field(
        metadata=about(
            "language and what it is for: a status code, a class of them, or delayed, delivered, relayed or "
            'expanded; for example "de 5.1.1", "de 5" or "en delayed"'
        )
    )
    text: str = field(metadata=about("what the sender reads", source="exchange-behaviour QU-9"))


@dataclass(frozen=True, slots=True)
class ResourceThreshold:
    """Where back pressure begins and ends for one resource, in place of the built-in marks.

    Source: exchange-behaviour BP. Up and down differ, so that it does not flap.
    """

    resource: Resource = field(metadata=about("what is measured", source="exchange-behaviour BP"))
    medium: float = field(metadata=about("at or above it: mail from outside is put off", unit="mark"))
    high: float = field(metadata=about("at or above it: all mail is put off", unit="mark"))
    high_to_medium: float = field(metadata=about("below it: no longer high", unit="mark"))
    medium_to_low: float = field(metadata=about("below it: no longer medium", unit="mark"))
    history_count: int = field(
        default=1,
        metadata=about("looks in a row before anything is put off; one every two seconds", unit="count"),
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
    required_tls: tuple[RequiredTls, ...] = ()
    dsn_texts: tuple[DsnText, ...] = ()
    resource_thresholds: tuple[ResourceThreshold, ...] = ()
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

    message_bytes_max: int = field(
        default=36 << 20,
        metadata=about(
            "the largest message sent or received at all; Exchange's 10 MB refuse what people send today",
            unit="bytes",
            source="exchange-behaviour RC-11",
        ),
    )
    recipient_count_max: int = field(
        default=500,
        metadata=about(
            "recipients of one message of a user", unit="count", source="exchange-behaviour RC-11"
        ),
    )
    glitch_retry_count: int = field(
        default=4,
        metadata=about("quick tries after a next hop failed", unit="count", source="exchange-behaviour QU-1"),
    )
    glitch_retry_s: float = field(
        default=60.0,
        metadata=about("between quick tries", unit="seconds", source="exchange-behaviour QU-1"),
    )
    transient_retry_count: int = field(
        default=6,
        metadata=about("slower tries after those", unit="count", source="exchange-behaviour QU-1"),
    )
    transient_retry_s: float = field(
        default=300.0,
        metadata=about("between slower tries", unit="seconds", source="exchange-behaviour QU-1"),
    )
    retry_s: float = field(
        default=600.0,
        metadata=about("between all later tries", unit="seconds", source="exchange-behaviour QU-1"),
    )
    message_retry_s: float = field(
        default=900.0,
        metadata=about(
            "before a message that a next hop put off (4xx) is tried again; the others go on",
            unit="seconds",
            source="exchange-behaviour QU-1",
        ),
    )
    idle_resubmit_s: float = field(
        default=43200.0,
        metadata=about(
            "after so long without any delivery a queue is routed anew",
            unit="seconds",
            source="exchange-behaviour QU-2",
        ),
    )
    delay_notice_s: float = field(
        default=14400.0,
        metadata=about(
            "after so long a sender is told that a message waits",
            unit="seconds",
            source="exchange-behaviour QU-3",
        ),
    )
    delay_notice_internal: bool = field(
        default=True,
        metadata=about("whether our own senders are told", source="exchange-behaviour QU-3"),
    )
    delay_notice_external: bool = field(
        default=True,
        metadata=about("whether other senders are told", source="exchange-behaviour QU-3"),
    )
    expiry_s: float = field(
        default=2 * 86400.0,
        metadata=about(
            "after so long a message is returned to its sender",
            unit="seconds",
            source="exchange-behaviour QU-3",
        ),
    )
    poison_count: int = field(
        default=2,
        metadata=about(
            "crashes of the transport role over one message after which it is set aside; 1 to 10",
            unit="count",
            source="exchange-behaviour QU-5",
        ),
    )
    outbound_connection_count_max: int = field(
        default=1000,
        metadata=about("connections out, of one server", unit="count", source="exchange-behaviour QU-7"),
    )
    outbound_connection_rate_max: int = field(
        default=1200,
        metadata=about(
            "new connections out a minute, of one server", unit="count", source="exchange-behaviour QU-7"
        ),
    )
    dsn_language: str = field(
        default="en",
        metadata=about(
            "of delivery reports when neither recipient nor message say one", source="exchange-behaviour QU-9"
        ),
    )
    resolver_addresses: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "DNS servers that are asked, address or address:port; none asks those of the machine",
            unit="IP addresses",
        ),
    )
    resolver_validates: bool = field(
        default=False,
        metadata=about(
            "whether the DNS servers validate DNSSEC and the way to them is safe; needed for DANE. One on "
            "this machine's loopback is trusted anyway",
            source="RFC 7672 section 2.1",
        ),
    )
    dane: bool = field(
        default=True,
        metadata=about("whether DANE is honoured where it is published", source="RFC 7672"),
    )
    mta_sts: bool = field(
        default=True,
        metadata=about("whether MTA-STS is honoured where it is published", source="RFC 8461"),
    )
    tls_reports: bool = field(
        default=False,
        metadata=about("whether daily TLS reports are sent to domains that ask for them", source="RFC 8460"),
    )
    tls_report_contact: str = field(
        default="",
        metadata=about(
            "who is named in TLS reports; empty takes postmaster of the first domain", unit="mail address"
        ),
    )
    sign_in_failure_count_max: int = field(
        default=10,
        metadata=about(
            "failed sign-ins of one account, or of one source, before further ones are refused for a while",
            unit="count",
        ),
    )
    sign_in_lock_s: float = field(
        default=300.0,
        metadata=about("for how long they are refused, counted from the last failure", unit="seconds"),
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
