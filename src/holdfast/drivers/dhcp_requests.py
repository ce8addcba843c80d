"""The requests that management makes of the dhcp role, typed on both sides.

What is asked and answered about leases; the role does them in its own process,
a verb of the catalogue asks with ``RequestKind.ask``. Addresses travel as text, instants as seconds
since the epoch, so that an answer can be shown as it is.
"""

from __future__ import annotations

import msgspec

from holdfast.dhcp.moving import MovedLease
from holdfast.drivers.role_requests import Nothing, RequestKind

DHCP = "dhcp"
# An answer fits into a frame of the management socket with room to spare.
LEASE_COUNT_MAX = 5000


class LeaseQuestion(msgspec.Struct, frozen=True):
    """Which leases; everything that is given must hold, and an empty text or list asks for nothing.

    Attributes:
        scopes: names of scopes.
        addresses: these addresses alone.
        mac: hexadecimal digits, lower case, without separators: the hardware address or its beginning.
        client_id: hexadecimal digits likewise, of option 61.
        host_name: the name or its beginning, in lower case; compared without regard to case.
        states: ``active``, ``offered``, ``declined``, ``expired``, ``released`` …; none asks for all
            but ``free``.
        after: only addresses above this one, to go on where an answer ended.
        count_max: how many at most, up to ``LEASE_COUNT_MAX``.
    """

    scopes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    mac: str = ""
    client_id: str = ""
    host_name: str = ""
    states: tuple[str, ...] = ()
    after: str = ""
    count_max: int = LEASE_COUNT_MAX


class LeaseState(msgspec.Struct, frozen=True):
    """One lease, by address.

    Attributes:
        address: ``192.0.2.7``.
        scope: the scope that it lies in.
        state: as in ``LeaseQuestion.states``.
        mac: ``00:1a:2b:3c:4d:5e``; empty when there is none.
        client_id: option 61 in hexadecimal with colons; empty when the client sent none.
        host_name: what the client calls itself.
        started_at: since when the client has it.
        ends_at: when it ends, or a declined one may be used again; None for never.
        seen_at: when the client last spoke about it.
        relay: option 82 in hexadecimal with colons; empty when no relay agent added it.
        reserved: whether it is reserved for this client.
        hardware_type: 1 is Ethernet.
    """

    address: str
    scope: str
    state: str
    mac: str
    client_id: str
    host_name: str
    started_at: float
    ends_at: float | None
    seen_at: float
    relay: str = ""
    reserved: bool = False
    hardware_type: int = 1


class Leases(msgspec.Struct, frozen=True):
    """Leases in the order of their addresses; ``more`` when ``count_max`` cut the answer."""

    leases: tuple[LeaseState, ...]
    more: bool


class PoolQuestion(msgspec.Struct, frozen=True):
    """The state of one scope's addresses."""

    scope: str


class PoolRun(msgspec.Struct, frozen=True):
    """Addresses next to each other, as numbers, that are in one state: active, offered, declined …"""

    first: int
    last: int
    state: str


class PoolState(msgspec.Struct, frozen=True):
    """What of the scope is not free, inside and outside its pool, in the order of addresses.

    Exclusions, and reservations that nobody leases, are not in it: the organisation says them.
    """

    runs: tuple[PoolRun, ...]


class ScopeCounts(msgspec.Struct, frozen=True):
    """How many addresses of a scope are not free; free ones are what remains of its pool.

    Attributes:
        scope: its name.
        active_count: of them leased, reserved ones as well.
        offered_count: of them offered and not yet taken.
        declined_count: of them kept back because somebody else was found using them.
        free_count: what a client without a reservation could still get.
    """

    scope: str
    active_count: int
    offered_count: int
    declined_count: int
    free_count: int


class AllScopeCounts(msgspec.Struct, frozen=True):
    """One row per scope that this server leases."""

    scopes: tuple[ScopeCounts, ...]


class RemoveLeases(msgspec.Struct, frozen=True):
    """Forget leases: the addresses are free at once, whatever their clients believe."""

    addresses: tuple[str, ...]


class LeasesRemoved(msgspec.Struct, frozen=True):
    """What was forgotten, durably; ``unknown`` had no lease."""

    removed: tuple[str, ...]
    unknown: tuple[str, ...]


class ImportLeases(msgspec.Struct, frozen=True):
    """Leases that arrive from another server, in parts; with the last part all are taken over, or none.

    Attributes:
        batch: names the import, so that parts of two are not mixed up.
        part: counted from 0; part 0 forgets what an import that broke off had sent.
        last: whether this is the last part.
        leases: instants are those of the wall clock.
    """

    batch: str
    part: int
    last: bool
    leases: tuple[MovedLease, ...]


class LeasesImported(msgspec.Struct, frozen=True):
    """What was made durable; nothing before the last part.

    Attributes:
        imported_count: leases that are here now.
        kept: addresses that another client has from us already: those leases stay as they are.
    """

    imported_count: int
    kept: tuple[str, ...]


class DnsQuestion(msgspec.Struct, frozen=True):
    """How names in DNS stand; at most ``count_max`` of those that are not as they should be."""

    count_max: int = 100


class DnsZoneState(msgspec.Struct, frozen=True):
    """One zone that updates were sent to.

    Attributes:
        zone: its name.
        reason: why it takes none now; empty when it does.
        failing_since: since when; None when it does.
        retry_at: when it is asked again; likewise.
        waiting_count: addresses that wait for it.
    """

    zone: str
    reason: str
    failing_since: float | None
    retry_at: float | None
    waiting_count: int


class DnsNameState(msgspec.Struct, frozen=True):
    """One name that is not as it should be: ``waits``, ``refused`` (it is taken), ``to be removed``."""

    address: str
    name: str
    state: str
    client: str


class DnsState(msgspec.Struct, frozen=True):
    """How names in DNS stand, for all leases of this server."""

    is_on: bool
    zones: tuple[DnsZoneState, ...]
    registered_count: int
    waiting_count: int
    refused_count: int
    removal_count: int
    in_flight_count: int
    names: tuple[DnsNameState, ...]


class DnsRetried(msgspec.Struct, frozen=True):
    """How many zones are asked at once that would have been asked later."""

    zone_count: int


SHOW_DNS = RequestKind("dns.show", DnsQuestion, DnsState, DHCP)
RETRY_DNS = RequestKind("dns.retry", Nothing, DnsRetried, DHCP)
IMPORT_LEASES = RequestKind("lease.import", ImportLeases, LeasesImported, DHCP)
LIST_LEASES = RequestKind("lease.list", LeaseQuestion, Leases, DHCP)
SHOW_POOL = RequestKind("pool.show", PoolQuestion, PoolState, DHCP)
COUNT_SCOPES = RequestKind("scope.counts", Nothing, AllScopeCounts, DHCP)
REMOVE_LEASES = RequestKind("lease.remove", RemoveLeases, LeasesRemoved, DHCP)
