"""What one server leases, made ready: the organisation's scopes, policies and options as numbers and bytes.

Made anew whenever the organisation changes. Nothing here changes afterwards;
what goes on in a scope is in ``lease_table``. What cannot be used is left out
and listed: the directory's checks do not let it through, so it is a surprise,
but no reason to serve nobody.

Source: RFC 2131 section 4.3.1; spec/dhcp.md sections 1 and 4.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdfast.dhcp.client_match import ClassTest, Filters, PolicyTest
from holdfast.dhcp.failover_declared import shared_scopes
from holdfast.dhcp.pool import Ranges
from holdfast.directory.dhcp import UNLIMITED_LEASE_S, ClientKind, DhcpServer, Policy, Reservation, Scope
from holdfast.directory.dhcp_keys import client_keys
from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.model import Organisation
from holdfast.directory.option_values import encode_option
from holdfast.directory.partners import relationships_of
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange
from holdfast.wire.dhcp4_values import IPV6_ONLY

SERVED_KINDS = {
    ClientKind.DHCP: (True, False),
    ClientKind.BOOTP: (False, True),
    ClientKind.BOTH: (True, True),
}


@dataclass(frozen=True, slots=True)
class ServedValue:
    """One option value as bytes; the classes are names, empty for everybody."""

    code: int
    data: bytes
    vendor_class: str
    user_class: str
    always: bool


@dataclass(frozen=True, slots=True)
class OptionLevel:
    """What one level of the organisation tells its clients.

    Attributes:
        values: the options.
        next_server: four bytes; empty when the level says nothing of it.
        server_name: the field sname; likewise.
        boot_file: the field file; likewise.
    """

    values: tuple[ServedValue, ...] = ()
    next_server: bytes = b""
    server_name: bytes = b""
    boot_file: bytes = b""


@dataclass(frozen=True, slots=True)
class ServedPolicy:
    """A policy that is switched on.

    Attributes:
        name: for people.
        test: who meets it.
        pool: the number of its pool in the scope; None when it has no ranges.
        lease_s: for its clients; None when it says nothing of it.
        options: what its clients are told.
        dns_suffix: the domain of its clients' names; empty when it says nothing of it.
    """

    name: str
    test: PolicyTest
    pool: int | None
    lease_s: int | None
    options: OptionLevel
    dns_suffix: str = ""


@dataclass(frozen=True, slots=True)
class ServedReservation:
    """An address that is one client's.

    Attributes:
        address: as a number.
        keys: by what the client is known, see ``Lease.key``.
        name: what the client is called; empty for nothing.
        dhcp: whether it is given by DHCP.
        bootp: whether it is given by BOOTP.
        options: what the client is told.
    """

    address: int
    keys: tuple[bytes, ...]
    name: str
    dhcp: bool
    bootp: bool
    options: OptionLevel


@dataclass(slots=True)
class ServedScope:
    """A scope that is switched on; addresses are numbers.

    Attributes:
        scope: as it was declared.
        first: the network's own address.
        last: its broadcast address.
        pool_ranges: what is leased: at 0 to everybody, then by policies with ranges.
        reserved: reservations by address.
        by_key: reservations by what their client is known by.
        unreserved_count: how many addresses of all pools are not reserved.
        lease_s: how long a lease is.
        policies: those of the scope, then those of the server.
        policy_from_server: from which on they are the server's.
        options: what the scope tells.
        kept: reserved addresses that are so only because of our partner, see ``keep``.
    """

    scope: Scope
    first: int
    last: int
    pool_ranges: tuple[Ranges, ...]
    reserved: dict[int, ServedReservation]
    by_key: dict[bytes, ServedReservation]
    unreserved_count: int
    lease_s: int
    policies: tuple[ServedPolicy, ...]
    policy_from_server: int
    options: OptionLevel
    dhcp: bool
    bootp: bool
    kept: frozenset[int] = frozenset()
    mask: bytes = field(init=False)
    broadcast: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.mask = (0xFFFF_FFFF ^ (self.last - self.first)).to_bytes(4, "big")
        self.broadcast = self.last.to_bytes(4, "big")

    @property
    def name(self) -> str:
        """The scope's name."""
        return self.scope.name

    def same_addresses(self, other: ServedScope) -> bool:
        """Whether the same addresses are leased to the same clients, so that pools can stay as they are."""
        return (self.first, self.last, self.pool_ranges) == (
            other.first,
            other.last,
            other.pool_ranges,
        ) and self.reserved.keys() == other.reserved.keys()

    def keep(self, owners: Mapping[int, tuple[bytes, ...]]) -> None:
        """Reserve addresses for others than is declared; without keys for nobody at all."""
        for address, keys in owners.items():
            declared = self.reserved.get(address)
            for key in () if declared is None else declared.keys:
                if self.by_key.get(key) is declared:
                    del self.by_key[key]
            kept = ServedReservation(address, keys, "", dhcp=True, bootp=False, options=_NOTHING_TOLD)
            self.reserved[address] = kept
            for key in keys:
                self.by_key.setdefault(key, kept)
        self.kept = frozenset(owners)
        self.count_unreserved()

    def count_unreserved(self) -> None:
        """Count the addresses of the pools that are not reserved."""
        size = sum(last - first + 1 for ranges in self.pool_ranges for first, last in ranges)
        self.unreserved_count = size - sum(map(self.in_pool, self.reserved))

    def in_pool(self, address: int) -> bool:
        """Whether an address is in any pool."""
        return any(first <= address <= last for ranges in self.pool_ranges for first, last in ranges)


@dataclass(slots=True)
class Served:
    """Everything that one server leases.

    Attributes:
        server: how it does it.
        scopes: those that are switched on, by address.
        options: what the server tells everybody.
        filters: whom it lets in.
        classes: the declared classes.
        has_class_values: whether any option value is for a class alone.
        has_ipv6_only: whether any client is told to do without IPv4.
        problems: what could not be used, in words.
    """

    server: DhcpServer
    scopes: tuple[ServedScope, ...]
    options: OptionLevel
    filters: Filters
    classes: ClassTest
    has_class_values: bool
    has_ipv6_only: bool
    problems: tuple[str, ...]


def lease_seconds(lease_s: float, *, unlimited: bool) -> int:
    """A lease in whole seconds; the unlimited one is RFC 2131's infinity (section 3.3)."""
    return UNLIMITED_LEASE_S if unlimited else max(1, min(int(lease_s), UNLIMITED_LEASE_S - 1))


def make_served(organisation: Organisation, server_name: str) -> Served:
    """Make ready what a server leases."""
    return _Maker(organisation, organisation.dhcp_server(server_name)).make()


# Nearly every reservation says nothing of its own, and there may be a hundred thousand.
_NOTHING_TOLD = OptionLevel((), b"", b"", b"")


def _says_nothing(reservation: Reservation) -> bool:
    return not (
        reservation.options or reservation.next_server or reservation.server_name or reservation.boot_file
    )


class _Maker:
    def __init__(self, organisation: Organisation, server: DhcpServer) -> None:
        self._organisation = organisation
        self._server = server
        self._problems: list[str] = []

    def make(self) -> Served:
        organisation, server = self._organisation, self._server
        server_policies = server.policies if server.policies_enabled else ()
        scopes = []
        for scope in organisation.scopes_of(server.server):
            if scope.server != server.server and not self._is_shared(scope):
                self._problems.append(
                    f'scope "{scope.name}" is leased by {scope.server} alone: make the primary of its '
                    "failover relationship its server"
                )
            elif scope.enabled:
                scopes.append(self._scope(scope, server_policies))
        levels = [
            server.options,
            *(policy.options for policy in server.policies),
            *(scope.options for scope in organisation.scopes),
            *(policy.options for scope in organisation.scopes for policy in scope.policies),
            *(reservation.options for reservation in organisation.reservations),
        ]
        return Served(
            server=server,
            scopes=tuple(scopes),
            options=self._level(server, f"server {server.server}"),
            filters=self._filters(),
            classes=ClassTest(organisation.dhcp_classes),
            has_class_values=any(
                value.vendor_class or value.user_class for level in levels for value in level
            ),
            has_ipv6_only=any(value.code == IPV6_ONLY for level in levels for value in level),
            problems=tuple(self._problems),
        )

    def _is_shared(self, scope: Scope) -> bool:
        """Whether the scope is its primary's, and we are the partner."""
        return any(
            scope in shared_scopes(self._organisation, each)
            for each in relationships_of(self._organisation, self._server.server)
        )

    def _filters(self) -> Filters:
        server = self._server
        ours = [
            each
            for each in self._organisation.mac_filters
            if not each.servers or server.server in each.servers
        ]
        try:
            return Filters(ours, allow=server.allow_filter, deny=server.deny_filter)
        except Refusal as refusal:
            self._problems.append(refusal.text)
            return Filters((), allow=server.allow_filter, deny=server.deny_filter)

    def _scope(self, scope: Scope, server_policies: tuple[Policy, ...]) -> ServedScope:
        own = [each for each in scope.policies if each.enabled] if scope.policies_enabled else []
        excluded = [_numbers(each) for each in scope.exclusions]
        pool_ranges: list[Ranges] = [()]
        policies: list[ServedPolicy] = []
        for policy in own:
            number = None
            if policy.ranges:
                number = len(pool_ranges)
                pool_ranges.append(subtract(map(_numbers, policy.ranges), excluded))
            self._add_policy(policies, policy, number, scope)
        claimed = [each for ranges in pool_ranges for each in ranges]
        if scope.pool is not None:
            pool_ranges[0] = subtract([_numbers(scope.pool)], [*excluded, *claimed])
        from_server = len(policies)
        for policy in server_policies:
            if policy.enabled:
                self._add_policy(policies, policy, None, scope)
        reservations = [
            self._reservation(each) for each in self._organisation.reservations_by_scope.get(scope.name, ())
        ]
        reserved = {each.address: each for each in reservations}
        dhcp, bootp = SERVED_KINDS[scope.serves]
        served = ServedScope(
            scope=scope,
            first=int(scope.subnet.first),
            last=int(scope.subnet.last),
            pool_ranges=tuple(pool_ranges),
            reserved=reserved,
            by_key={key: each for each in reservations for key in each.keys},
            unreserved_count=0,
            lease_s=lease_seconds(scope.lease_s, unlimited=scope.lease_unlimited),
            policies=tuple(policies),
            policy_from_server=from_server,
            options=self._level(scope, f'scope "{scope.name}"'),
            dhcp=dhcp,
            bootp=bootp,
        )
        served.count_unreserved()
        return served

    def _add_policy(
        self, policies: list[ServedPolicy], policy: Policy, pool: int | None, scope: Scope
    ) -> None:
        try:
            test = PolicyTest(policy, self._organisation.dhcp_classes_by_name)
        except (Refusal, ValueError) as error:
            self._problems.append(f'policy "{policy.name}" of scope "{scope.name}": {error}')
            return
        lease_s = None
        if policy.lease_unlimited or policy.lease_s is not None:
            lease_s = lease_seconds(policy.lease_s or 0, unlimited=policy.lease_unlimited)
        policies.append(
            ServedPolicy(
                policy.name,
                test,
                pool,
                lease_s,
                self._level(policy, f'policy "{policy.name}"'),
                policy.dns_suffix,
            )
        )

    def _reservation(self, reservation: Reservation) -> ServedReservation:
        keys: tuple[bytes, ...] = ()
        try:
            keys = tuple(key for _, key in client_keys(reservation))
        except Refusal as refusal:
            self._problems.append(f"reservation {reservation.key}: {refusal.text}")
        dhcp, bootp = SERVED_KINDS[reservation.serves]
        return ServedReservation(
            int(reservation.address),
            keys,
            reservation.name,
            dhcp,
            bootp,
            _NOTHING_TOLD
            if _says_nothing(reservation)
            else self._level(reservation, f"reservation {reservation.key}"),
        )

    def _level(self, level: DhcpServer | Scope | Policy | Reservation, what: str) -> OptionLevel:
        values = [each for value in level.options if (each := self._value(value, what)) is not None]
        next_server = b""
        if level.next_server:
            try:
                next_server = bytes(map(int, level.next_server.split(".")))
            except ValueError:
                self._problems.append(f'{what}: "{level.next_server}" is no IPv4 address')
        return OptionLevel(tuple(values), next_server, level.server_name.encode(), level.boot_file.encode())

    def _value(self, value: OptionValue, what: str) -> ServedValue | None:
        definition = self._organisation.option_definition(value.code, value.vendor_class)
        try:
            if definition is None:
                raise Refusal("it has no definition")
            data = encode_option(definition, value.values)
        except Refusal as refusal:
            self._problems.append(f"option {value.code} of {what}: {refusal.text}")
            return None
        return ServedValue(value.code, data, value.vendor_class, value.user_class, value.always)


def _numbers(each: IPRange) -> tuple[int, int]:
    return int(each.first), int(each.last)


def subtract(ranges: Iterable[tuple[int, int]], holes: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges without the holes in them, in order and without overlap."""
    parts: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if parts and first <= parts[-1][1]:  # two that overlap are one
            first = parts[-1][1] + 1
        if first <= last:
            parts.append((first, last))
    for hole_first, hole_last in sorted(holes):
        parts = [
            piece
            for first, last in parts
            for piece in (
                ((first, last),)
                if hole_last < first or last < hole_first
                else ((first, hole_first - 1), (hole_last + 1, last))
            )
            if piece[0] <= piece[1]
        ]
    return tuple(parts)
