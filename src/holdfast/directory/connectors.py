"""The doors that mail comes in and leaves by, and what TLS each asks for.

Source: exchange-behaviour RC-1..11, SC-1..11, TL-5..6.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from holdfast.directory.about import NAME, about
from holdfast.kernel.iprange import IPRange


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


class Protect(enum.Enum):
    """Whether mail is taken when no second copy of it can be made (exchange-behaviour SR13-3)."""

    PREFERRED = "preferred"  # it is, marked as unprotected until it has its copy
    REQUIRED = "required"  # it is put off: 451 4.4.0


class TlsMode(enum.Enum):
    """How a listener offers TLS."""

    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


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


@dataclass(frozen=True, slots=True)
class ReceiveConnector:
    """The door a message comes in by (exchange-behaviour RC-1..7)."""

    name: str = field(metadata=NAME)
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
            most=100,
        ),
    )
    message_rate_max: int = field(
        default=0,
        metadata=about(
            "messages a minute of one user, or of one source without sign-in; 0 means no limit",
            unit="count",
            source="exchange-behaviour RC-7",
            least=0,
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
    protect: Protect = field(
        default=Protect.PREFERRED,
        metadata=about(
            "whether a message that gets no second copy is taken all the same (preferred) or put off with "
            "451 (required); a recipient's domain may require it too",
            source="exchange-behaviour SR13-3",
        ),
    )


@dataclass(frozen=True, slots=True)
class SendConnector:
    """The door a message leaves by (exchange-behaviour SC-1..10)."""

    name: str = field(metadata=NAME)
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
    port: int = field(default=25, metadata=about("the port of the next hops", unit="port", most=65_535))
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
