"""What DHCP leases, to whom, and what it tells: scopes, reservations, policies, filters, server settings.

IPv4 alone. An address is leased by the scope whose subnet it lies in; a
reservation belongs to its scope and may lie outside the scope's pool. Options
stand at four levels and the nearest to the client wins: reservation, policies
of the scope, scope, policies of the server, server.

Source: spec/dhcp.md section 1; RFC 2131; what Windows exports, Kea and ISC dhcpd
configurations have in common.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from holdfast.directory.about import NAME, about
from holdfast.directory.dhcp_options import OptionValue
from holdfast.kernel.iprange import IPRange

UNLIMITED_LEASE_S = 0xFFFF_FFFF  # RFC 2131 section 3.3: infinity
_OPTIONS = about("what clients are told here", unit="option values", source="RFC 2132")
_NEXT_SERVER = about(
    "the server that a client boots from (siaddr); empty takes ours",
    unit="IP address",
    source="RFC 2131 section 2",
)
_SERVER_NAME = about("the boot server's name (sname)", source="RFC 2131 section 2", most=63)
_BOOT_FILE = about("the file that a client boots from (file)", source="RFC 2131 section 2", most=127)


class ClientKind(enum.Enum):
    """Which clients are served."""

    DHCP = "dhcp"
    BOOTP = "bootp"
    BOTH = "both"


class DnsUpdates(enum.Enum):
    """For whom names are registered in DNS."""

    NEVER = "never"
    ON_REQUEST = "on-request"  # the client says in option 81 who registers what
    ALWAYS = "always"  # we register both names whatever the client says


class KeyAlgorithm(enum.Enum):
    """How updates are signed (RFC 8945 section 6)."""

    HMAC_SHA1 = "hmac-sha1"
    HMAC_SHA224 = "hmac-sha224"
    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA384 = "hmac-sha384"
    HMAC_SHA512 = "hmac-sha512"


class Match(enum.Enum):
    """How many conditions of a policy must hold."""

    ALL = "all"
    ANY = "any"


class ConditionField(enum.Enum):
    """What a condition looks at."""

    VENDOR_CLASS = "vendor-class"  # option 60; values are names of vendor classes
    USER_CLASS = "user-class"  # option 77; values are names of user classes
    MAC = "mac"  # chaddr, in hexadecimal
    CLIENT_ID = "client-id"  # option 61, in hexadecimal
    CIRCUIT_ID = "circuit-id"  # option 82, sub-option 1
    REMOTE_ID = "remote-id"  # option 82, sub-option 2
    SUBSCRIBER_ID = "subscriber-id"  # option 82, sub-option 6 (RFC 3993)
    RELAY_AGENT = "relay-agent"  # all of option 82, in hexadecimal
    FQDN = "fqdn"  # the name of option 81, else of option 12
    ARCHITECTURE = "architecture"  # option 93: the kind of machine that boots (RFC 4578), a number


class Comparison(enum.Enum):
    """How a condition compares."""

    EQUALS = "equals"  # one of the values is met
    NOT_EQUALS = "not-equals"  # none of the values is met; also true when the client does not send it


class FilterAction(enum.Enum):
    """Which list a MAC filter is on."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a policy. A value that ends in ``*`` is met by everything that begins like it."""

    looks_at: ConditionField = field(metadata=about("what is looked at", source="RFC 2132; RFC 3046"))
    values: tuple[str, ...] = field(
        metadata=about(
            "what it is compared with: names of classes, hexadecimal digits, or a text; * at the end means "
            "whatever begins so. Relay agent fields in hexadecimal begin with 0x",
            most=1024,
        )
    )
    comparison: Comparison = field(
        default=Comparison.EQUALS, metadata=about("whether one or none of the values must be met")
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """Clients that are treated in another way than the rest: other addresses, lease or options.

    Policies are looked at in the order in which they are listed. For each
    option the first that matches and has it wins; addresses come from the first
    that matches and has ranges, the lease from the first that matches and has one.
    """

    name: str = field(metadata=about("identity; unique in its scope, or among the server's"))
    conditions: tuple[Condition, ...] = field(metadata=about("which clients it is for", unit="conditions"))
    match: Match = field(default=Match.ALL, metadata=about("how many conditions must hold"))
    enabled: bool = field(default=True, metadata=about("a disabled policy is for nobody"))
    description: str = field(default="", metadata=about("for people"))
    ranges: tuple[IPRange, ...] = field(
        default=(),
        metadata=about(
            "parts of the pool for these clients alone; none takes what no policy claims. Policies of a "
            "server have none",
            unit="IP ranges",
        ),
    )
    lease_s: float | None = field(
        default=None,
        metadata=about("for these clients; left out, the scope's holds", unit="seconds", source="RFC 2131"),
    )
    lease_unlimited: bool = field(
        default=False,
        metadata=about("whether their leases never end", source="RFC 2131 section 3.3"),
    )
    options: tuple[OptionValue, ...] = field(default=(), metadata=_OPTIONS)
    dns_suffix: str = field(
        default="",
        metadata=about("the domain of these clients' names; empty takes the scope's", unit="domain name"),
    )
    next_server: str = field(default="", metadata=_NEXT_SERVER)
    server_name: str = field(default="", metadata=_SERVER_NAME)
    boot_file: str = field(default="", metadata=_BOOT_FILE)


@dataclass(frozen=True, slots=True)
class Scope:
    """A subnet whose addresses are leased (spec/dhcp.md section 1)."""

    name: str = field(metadata=NAME)
    subnet: IPRange = field(
        metadata=about("the network that clients are in", unit="network", source="RFC 2131 section 4.3.1")
    )
    server: str = field(
        metadata=about(
            "the server that leases it; its partner does as well when a failover relationship has the scope",
            unit="name of a server",
        )
    )
    pool: IPRange | None = field(
        default=None,
        metadata=about(
            "first and last address that is leased; left out, only reservations are served", unit="IP range"
        ),
    )
    description: str = field(default="", metadata=about("for people"))
    enabled: bool = field(default=True, metadata=about("a disabled scope answers nobody"))
    exclusions: tuple[IPRange, ...] = field(
        default=(), metadata=about("parts of the pool that are never leased", unit="IP ranges")
    )
    superscope: str = field(
        default="",
        metadata=about("scopes of one superscope share one wire: a client may get an address of any of them"),
    )
    relays: tuple[IPv4Address, ...] = field(
        default=(),
        metadata=about(
            "relay agents of this subnet whose own address lies outside of it",
            unit="IP addresses",
            source="RFC 2131 section 4.3.1",
        ),
    )
    lease_s: float = field(
        default=8 * 86400.0,
        metadata=about("how long an address is leased", unit="seconds", source="spec/dhcp.md section 1"),
    )
    lease_unlimited: bool = field(
        default=False, metadata=about("whether leases never end", source="RFC 2131 section 3.3")
    )
    shortest_lease_s: float | None = field(
        default=None,
        metadata=about(
            "a client that asks for less gets this; left out, it gets what it asks for",
            unit="seconds",
            source="RFC 2131 section 4.3.1",
        ),
    )
    longest_lease_s: float | None = field(
        default=None,
        metadata=about(
            "a client may ask for as much; left out, it gets at most the scope's lease",
            unit="seconds",
            source="RFC 2131 section 4.3.1",
        ),
    )
    serves: ClientKind = field(
        default=ClientKind.DHCP,
        metadata=about("whether BOOTP clients get addresses of the pool as well", source="RFC 1534"),
    )
    bootp_lease_s: float = field(
        default=30 * 86400.0,
        metadata=about(
            "how long a BOOTP client keeps an address of the pool after it was last heard of",
            unit="seconds",
            source="RFC 1534",
        ),
    )
    bootp_client_count_max: int = field(
        default=0,
        metadata=about("BOOTP clients with an address of the pool; 0 means no limit", unit="count", least=0),
    )
    rapid_commit: bool = field(
        default=False,
        metadata=about(
            "whether a client that asks for it gets its lease in two messages instead of four; off where a "
            "second server answers as well",
            source="RFC 4039",
        ),
    )
    delay_ms: int = field(
        default=0,
        metadata=about(
            "wait before an offer, so that another server is preferred",
            unit="milliseconds",
            least=0,
            most=1000,
        ),
    )
    policies_enabled: bool = field(default=True, metadata=about("whether its policies are looked at"))
    policies: tuple[Policy, ...] = field(
        default=(), metadata=about("in the order in which they are looked at", unit="policies")
    )
    options: tuple[OptionValue, ...] = field(default=(), metadata=_OPTIONS)
    next_server: str = field(default="", metadata=_NEXT_SERVER)
    server_name: str = field(default="", metadata=_SERVER_NAME)
    boot_file: str = field(default="", metadata=_BOOT_FILE)
    dns_updates: DnsUpdates = field(
        default=DnsUpdates.ON_REQUEST,
        metadata=about(
            "for whom names are registered; nothing is, until the server has dns_servers",
            source="RFC 4702 section 4",
        ),
    )
    dns_suffix: str = field(
        default="",
        metadata=about(
            "the domain of names without one; empty takes option 15", unit="domain name", source="RFC 4702"
        ),
    )
    dns_reverse: bool = field(
        default=True, metadata=about("whether names of addresses (PTR) are registered too", source="RFC 4702")
    )
    dns_without_request: bool = field(
        default=False,
        metadata=about("whether clients that send no option 81 are registered by their host name"),
    )
    dns_remove: bool = field(
        default=True, metadata=about("whether names go when their lease ends", source="RFC 4703")
    )
    dns_protect: bool = field(
        default=True,
        metadata=about(
            "whether a name stays with the client that had it first (DHCID record)",
            source="RFC 4701; RFC 4703 section 5",
        ),
    )


@dataclass(frozen=True, slots=True)
class Reservation:
    """An address that one client always gets and nobody else.

    The client is known by its hardware address, its client identifier, or
    either; where both are given, each of them is enough.
    """

    scope: str = field(metadata=about("the scope whose subnet it lies in", unit="name of a scope"))
    address: IPv4Address = field(
        metadata=about("what the client gets; inside the subnet, also outside the pool", unit="IP address")
    )
    mac: str = field(
        default="",
        metadata=about(
            "the client's hardware address: 00:1a:2b:3c:4d:5e",
            source="RFC 2131 section 2",
        ),
    )
    hardware_type: int = field(
        default=1,
        metadata=about("of the hardware address; 1 is Ethernet", source="RFC 2131 section 2", most=255),
    )
    client_id: str = field(
        default="",
        metadata=about(
            "option 61 with its type in front, in hexadecimal: 01:00:1a:2b:3c:4d:5e",
            source="RFC 2132 section 9.14",
            most=1024,
        ),
    )
    name: str = field(default="", metadata=about("the client's name, for people and for DNS"))
    description: str = field(default="", metadata=about("for people"))
    serves: ClientKind = field(
        default=ClientKind.BOTH, metadata=about("by which protocol the client gets it", source="RFC 1534")
    )
    options: tuple[OptionValue, ...] = field(default=(), metadata=_OPTIONS)
    next_server: str = field(default="", metadata=_NEXT_SERVER)
    server_name: str = field(default="", metadata=_SERVER_NAME)
    boot_file: str = field(default="", metadata=_BOOT_FILE)

    @property
    def key(self) -> str:
        """Its identity: ``scope/address``."""
        # Asked for at each change, of each of many: the text of an address takes three times as long.
        number = int(self.address)
        return f"{self.scope}/{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass(frozen=True, slots=True)
class MacFilter:
    """Hardware addresses that are served, or not; what matters is switched on at a server."""

    pattern: str = field(
        metadata=about("identity; a hardware address such as 00:1a:2b:3c:4d:5e, or its beginning and *")
    )
    action: FilterAction = field(
        metadata=about("allow: with the allow list on, nobody else is served; deny: never served")
    )
    servers: tuple[str, ...] = field(
        default=(), metadata=about("the servers that it is for; none means all", unit="names of servers")
    )
    description: str = field(default="", metadata=about("for people"))


@dataclass(frozen=True, slots=True)
class DhcpServer:
    """How one server leases; a server with the role dhcp that has no entry goes by the defaults."""

    server: str = field(metadata=about("identity; a server with the role dhcp", unit="name of a server"))
    interfaces: tuple[str, ...] = field(
        default=(),
        metadata=about("where it listens; none means every interface with an IPv4 address", unit="names"),
    )
    port: int = field(
        default=67,
        metadata=about(
            "where it listens, and where relays are answered; clients are answered at the next. Another one "
            "than 67 is for tests",
            unit="UDP port",
            source="RFC 2131 section 4.1",
            most=65534,
        ),
    )
    authoritative: bool = field(
        default=True,
        metadata=about(
            "whether a client that asks for an address it cannot have here is told so (DHCPNAK); off while "
            "another server leases on the same wire",
            source="RFC 2131 section 4.3.2",
        ),
    )
    probe_count: int = field(
        default=0,
        metadata=about(
            "how often an address is probed before it is offered, 0 to 5; each probe makes a new client wait",
            unit="count",
            source="RFC 2131 section 2.2",
            least=0,
            most=5,
        ),
    )
    offer_s: float = field(
        default=60.0,
        metadata=about(
            "how long an offer is kept for its client",
            unit="seconds",
            source="RFC 2131 section 3.1",
        ),
    )
    decline_s: float = field(
        default=86400.0,
        metadata=about(
            "how long an address that a client found in use is kept back",
            unit="seconds",
            source="RFC 2131 section 4.3.3",
        ),
    )
    allow_filter: bool = field(
        default=False, metadata=about("whether only clients on the allow list are served")
    )
    deny_filter: bool = field(
        default=False, metadata=about("whether clients on the deny list are not served")
    )
    lease_query: bool = field(
        default=False,
        metadata=about(
            "whether relays of its scopes are told who has an address; off, for it tells about clients",
            source="RFC 4388 section 6.4",
        ),
    )
    bulk_lease_query_from: tuple[IPRange, ...] = field(
        default=(),
        metadata=about(
            "who may read all leases by TCP, at the port where it listens; none listens for nobody",
            unit="IP ranges",
            source="RFC 6926 section 10",
        ),
    )
    subnet_selection: bool = field(
        default=False,
        metadata=about(
            "whether a client may name the subnet that it wants an address of; off, for anybody could then "
            "use up any scope. What a relay says in its option 82 goes before it",
            source="RFC 3011 section 2",
        ),
    )
    audit_log: bool = field(
        default=True, metadata=about("whether every lease is written to the audit log of the day")
    )
    policies_enabled: bool = field(default=True, metadata=about("whether its policies are looked at"))
    policies: tuple[Policy, ...] = field(
        default=(), metadata=about("in the order in which they are looked at", unit="policies")
    )
    options: tuple[OptionValue, ...] = field(default=(), metadata=_OPTIONS)
    next_server: str = field(default="", metadata=_NEXT_SERVER)
    server_name: str = field(default="", metadata=_SERVER_NAME)
    boot_file: str = field(default="", metadata=_BOOT_FILE)
    dns_servers: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "where names are registered, with a port where it is not 53; the next is asked when one does not "
            "do it; none registers nothing",
            unit="IP addresses",
            source="RFC 2136 section 4",
        ),
    )
    dns_zones: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "the zones that these servers take updates of, forward and reverse; a name or address in none of "
            "them is taken to be in the zone of its domain, or of its network of 1, 2 or 3 octets",
            unit="domain names",
            source="RFC 2136 section 3.1",
        ),
    )
    dns_key: str = field(
        default="",
        metadata=about(
            "the name of the TSIG key that updates are signed with; its secret is set with "
            "`holdfast dhcp dns set-secret`",
            source="RFC 8945 section 4",
        ),
    )
    dns_key_algorithm: KeyAlgorithm = field(
        default=KeyAlgorithm.HMAC_SHA256,
        metadata=about("how the key signs; as the DNS server has it", source="RFC 8945 section 6"),
    )
