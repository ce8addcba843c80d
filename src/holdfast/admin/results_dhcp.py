"""What the verbs about DHCP give back; see ``admin.results``."""

from __future__ import annotations

from holdfast.admin.results import Result, SettingRow


class DhcpServerRow(Result, frozen=True):
    """One server with the role dhcp."""

    server: str
    scope_count: int
    reservation_count: int
    interfaces: list[str]
    allow_filter: bool
    deny_filter: bool


class DhcpServerList(Result, frozen=True):
    """The servers that lease."""

    servers: list[DhcpServerRow]


class OptionRow(Result, frozen=True):
    """One option value and the level where it stands.

    ``text`` are the values with commas between them; ``classes`` the vendor and user class it is for.
    """

    level: str
    code: int
    name: str
    text: str
    classes: str
    always: bool


class OptionList(Result, frozen=True):
    """Option values, level by level."""

    options: list[OptionRow]


class DhcpServerShown(Result, frozen=True):
    """All settings of one DHCP server."""

    server: str
    scopes: list[str]
    policies: list[str]
    settings: list[SettingRow]
    options: list[OptionRow]


class ScopeRow(Result, frozen=True):
    """One scope in a list; ``leased`` and ``free`` are empty while the dhcp role does not answer."""

    name: str
    subnet: str
    pool: str
    server: str
    enabled: bool
    superscope: str
    lease_s: float | None
    reservation_count: int
    address_count: int
    leased: int | None
    free: int | None


class ScopeList(Result, frozen=True):
    """Scopes by subnet."""

    scopes: list[ScopeRow]


class PoolRangeRow(Result, frozen=True):
    """Addresses of a pool next to each other that are in one state."""

    first: str
    last: str
    state: str
    address_count: int


class ScopeShown(Result, frozen=True):
    """All of one scope, and the state of its pool.

    ``live`` is false when the dhcp role was not asked: then leased, offered and
    declined are not known, and free is what the organisation leaves. Each address of
    the pool is counted once: excluded before leased, offered and declined, these
    before reserved, that before free.
    """

    name: str
    subnet: str
    pool: str
    server: str
    enabled: bool
    live: bool
    address_count: int
    free: int
    leased: int
    offered: int
    declined: int
    reserved: int
    excluded: int
    reservation_count: int
    reserved_outside: int
    policies: list[str]
    settings: list[SettingRow]
    options: list[OptionRow]
    ranges: list[PoolRangeRow]


class ReservationRow(Result, frozen=True):
    """One reservation in a list."""

    address: str
    scope: str
    mac: str
    client_id: str
    name: str
    serves: str
    description: str


class ReservationList(Result, frozen=True):
    """Reservations by address; not complete when the limit cut them."""

    reservations: list[ReservationRow]


class ReservationShown(Result, frozen=True):
    """All of one reservation, what its client is told, and the lease of the address."""

    address: str
    scope: str
    inside_pool: bool
    lease: str
    settings: list[SettingRow]
    options: list[OptionRow]


class ExclusionRow(Result, frozen=True):
    """One part of a pool that is not leased."""

    scope: str
    first: str
    last: str
    address_count: int


class ExclusionList(Result, frozen=True):
    """Exclusions by scope."""

    exclusions: list[ExclusionRow]


class OptionDefinitionRow(Result, frozen=True):
    """The form of one option."""

    code: int
    name: str
    types: list[str]
    array: bool
    vendor_class: str
    built_in: bool
    default: str
    description: str


class OptionDefinitionList(Result, frozen=True):
    """Definitions by vendor class and code."""

    definitions: list[OptionDefinitionRow]


class DhcpClassRow(Result, frozen=True):
    """One vendor or user class."""

    name: str
    kind: str
    data: str
    description: str


class DhcpClassList(Result, frozen=True):
    """Classes by name."""

    classes: list[DhcpClassRow]


class PolicyRow(Result, frozen=True):
    """One policy in the order in which they are looked at."""

    place: str
    position: int
    name: str
    enabled: bool
    conditions: str
    ranges: list[str]
    lease_s: float | None
    option_count: int


class PolicyList(Result, frozen=True):
    """Policies, servers' first."""

    policies: list[PolicyRow]


class PolicyShown(Result, frozen=True):
    """All of one policy."""

    name: str
    place: str
    position: int
    conditions: list[str]
    settings: list[SettingRow]
    options: list[OptionRow]


class FilterRow(Result, frozen=True):
    """One MAC filter, and on which servers its list is on."""

    pattern: str
    action: str
    servers: list[str]
    on: list[str]
    description: str


class FilterList(Result, frozen=True):
    """MAC filters by pattern."""

    filters: list[FilterRow]


class LeaseRow(Result, frozen=True):
    """One lease; ``ends_at`` is empty for a lease without an end."""

    address: str
    scope: str
    state: str
    mac: str
    client_id: str
    host_name: str
    ends_at: float | None
    reserved: bool


class LeaseList(Result, frozen=True):
    """Leases by address; not complete when the limit cut them."""

    complete: bool
    leases: list[LeaseRow]


class LeaseShown(Result, frozen=True):
    """All of one lease."""

    address: str
    scope: str
    state: str
    mac: str
    client_id: str
    host_name: str
    started_at: float
    ends_at: float | None
    seen_at: float
    relay: str
    reserved: bool


class LeasesRemoved(Result, frozen=True):
    """Addresses whose leases were forgotten, and those that had none."""

    removed: list[str]
    unknown: list[str]
