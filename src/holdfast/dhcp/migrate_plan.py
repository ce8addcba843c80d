"""What an arrival makes of the organisation: what is new, what is there already, and what conflicts.

Nothing is changed here: the plan says what the organisation would be. A conflict is named with both values
and stops the whole import, for an administrator decides which of the two is right. What is there already
and says the same is no conflict, so that an import that was interrupted can be repeated.

Source: spec/dhcp.md section 7, "Migration verb".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from holdfast.dhcp.migrate_leases import still_active
from holdfast.dhcp.moving import Arrival, LeaseState, MovedLease, free_name
from holdfast.dhcp.settling import settle
from holdfast.directory.dhcp import (
    Condition,
    ConditionField,
    DhcpServer,
    MacFilter,
    Policy,
    Reservation,
    Scope,
)
from holdfast.directory.dhcp_keys import client_keys
from holdfast.directory.dhcp_options import DhcpClass, OptionDefinition, OptionValue
from holdfast.directory.kinds import subject_of
from holdfast.directory.model import Organisation
from holdfast.kernel.errors import Problem, Refusal

_CLASS_FIELDS = (ConditionField.VENDOR_CLASS, ConditionField.USER_CLASS)
_NAMED_LEASES_MAX = 20


@dataclass(slots=True)
class MovingPlan:
    """What would be.

    Attributes:
        after: the organisation with what arrived.
        leases: those that come over.
        conflicts: what contradicts what is there.
        counts: how many of each thing are new.
    """

    after: Organisation
    leases: list[MovedLease] = field(default_factory=list)
    conflicts: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def plan_arrival(
    organisation: Organisation, arrival: Arrival, now: float, *, scopes: Iterable[str] = ()
) -> MovingPlan:
    """Plan to take an arrival over.

    Args:
        organisation: as it is.
        arrival: what was read.
        now: seconds since the epoch.
        scopes: take only these, by name or subnet, with their reservations and leases; all when empty.

    Raises:
        Refusal: there is no such scope in the arrival.
    """
    settle(arrival)
    arrival = _only(arrival, tuple(scopes))
    plan = MovingPlan(organisation)
    arrival = _renamed(organisation, arrival)
    _take_classes(plan, arrival)
    _take_definitions(plan, arrival)
    _take_scopes(plan, organisation, arrival)
    _take_filters(plan, arrival)
    _take_server(plan, arrival)
    _take_leases(plan, arrival, now)
    return plan


def _only(arrival: Arrival, wanted: tuple[str, ...]) -> Arrival:
    if not wanted:
        return arrival
    chosen: list[Scope] = []
    for text in wanted:
        found = [
            each
            for each in arrival.scopes
            if text.casefold() == each.name.casefold() or text == str(each.subnet)
        ]
        if not found:
            names = ", ".join(f'"{each.name}"' for each in arrival.scopes[:10]) or "none"
            raise Refusal(f'no scope "{text}" arrives; those that do are: {names}')
        chosen += [each for each in found if each not in chosen]
    names_chosen = {each.name for each in chosen}
    return replace(
        arrival,
        scopes=chosen,
        reservations=[each for each in arrival.reservations if each.scope in names_chosen],
    )


# --- names ---------------------------------------------------------------------------------------


def _renamed(organisation: Organisation, arrival: Arrival) -> Arrival:
    """Give classes the names that they have here, and scopes and classes names that nobody has."""
    ours = {(each.kind, each.data_bytes): each.name for each in organisation.dhcp_classes}
    taken = {each.name.casefold() for each in organisation.dhcp_classes}
    names: dict[str, str] = {}
    classes: list[DhcpClass] = []
    for each in arrival.classes:
        known = ours.get((each.kind, each.data_bytes))
        if known is None:
            name = free_name(each.name, taken, each.kind.value)
            taken.add(name.casefold())
            classes.append(replace(each, name=name))
            names[each.name] = name
        else:
            names[each.name] = known
    scope_names = _scope_names(organisation, arrival)

    def options(values: tuple[OptionValue, ...]) -> tuple[OptionValue, ...]:
        return tuple(
            replace(
                each,
                vendor_class=names.get(each.vendor_class, each.vendor_class),
                user_class=names.get(each.user_class, each.user_class),
            )
            for each in values
        )

    def policy(each: Policy) -> Policy:
        conditions = tuple(_condition(one, names) for one in each.conditions)
        return replace(each, conditions=conditions, options=options(each.options))

    server = arrival.server
    return replace(
        arrival,
        classes=classes,
        definitions=[
            replace(each, vendor_class=names.get(each.vendor_class, each.vendor_class))
            for each in arrival.definitions
        ],
        server=replace(server, options=options(server.options), policies=tuple(map(policy, server.policies))),
        scopes=[
            replace(
                each,
                name=scope_names[each.name],
                options=options(each.options),
                policies=tuple(map(policy, each.policies)),
            )
            for each in arrival.scopes
        ],
        reservations=[
            replace(each, scope=scope_names[each.scope], options=options(each.options))
            for each in arrival.reservations
        ],
    )


def _scope_names(organisation: Organisation, arrival: Arrival) -> dict[str, str]:
    """A scope of the same subnet and server keeps its name here; others get one that nobody has."""
    server = arrival.server.server
    ours = {each.subnet: each.name for each in organisation.scopes if each.server == server}
    taken = {each.name.casefold() for each in organisation.scopes}
    names: dict[str, str] = {}
    for each in arrival.scopes:
        names[each.name] = ours.get(each.subnet) or free_name(each.name, taken, str(each.subnet))
        taken.add(names[each.name].casefold())
    return names


def _condition(condition: Condition, names: dict[str, str]) -> Condition:
    if condition.looks_at not in _CLASS_FIELDS:
        return condition
    values = []
    for value in condition.values:
        star = "*" if value.endswith("*") and value not in names else ""
        name = value.removesuffix("*") if star else value
        values.append(names.get(name, name) + star)
    return replace(condition, values=tuple(values))


# --- what is taken -------------------------------------------------------------------------------


def _take_classes(plan: MovingPlan, arrival: Arrival) -> None:
    plan.after = replace(plan.after, dhcp_classes=(*plan.after.dhcp_classes, *arrival.classes))
    plan.counts["classes"] = len(arrival.classes)


def _take_definitions(plan: MovingPlan, arrival: Arrival) -> None:
    new: list[OptionDefinition] = []
    known = {(each.vendor_class, each.code): each for each in plan.after.option_definitions}
    for each in arrival.definitions:
        ours = known.get((each.vendor_class, each.code))
        if ours is None:
            new.append(each)
        elif (ours.types, ours.array) != (each.types, each.array):
            plan.conflicts.append(
                Problem(
                    subject_of(each),
                    f"arrives as {_form(each)}, and is {_form(ours)} here",
                    "make the two alike, there or here",
                )
            )
    taken = {(each.vendor_class, each.name.casefold()) for each in plan.after.option_definitions}
    named = [
        replace(each, name=f"{each.name}-{each.code}")
        if (each.vendor_class, each.name.casefold()) in taken
        else each
        for each in new
    ]
    plan.after = replace(plan.after, option_definitions=(*plan.after.option_definitions, *named))
    plan.counts["option definitions"] = len(new)


def _form(definition: OptionDefinition) -> str:
    words = ", ".join(each.value for each in definition.types)
    return f"an array of {words}" if definition.array else words


def _take_scopes(plan: MovingPlan, organisation: Organisation, arrival: Arrival) -> None:
    ours = organisation.scopes_by_name
    reserved = organisation.reservations_by_scope
    new_scopes: list[Scope] = []
    new_reservations: list[Reservation] = []
    by_scope: dict[str, list[Reservation]] = {}
    for reservation in arrival.reservations:
        by_scope.setdefault(reservation.scope, []).append(reservation)
    for scope in arrival.scopes:
        arriving = by_scope.get(scope.name, [])
        here = ours.get(scope.name)
        if here is None:
            new_scopes.append(scope)
            new_reservations += arriving
        elif here != scope:
            plan.conflicts.append(
                Problem(
                    subject_of(scope),
                    f"is there already for {scope.subnet}, with other settings: {_differences(here, scope)}",
                    "remove it first, or name the scopes to import with --scope",
                )
            )
        else:
            new_reservations += _new_reservations(plan, arriving, reserved.get(scope.name, ()))
    after = plan.after
    plan.after = replace(
        after,
        scopes=(*after.scopes, *new_scopes),
        reservations=(*after.reservations, *new_reservations),
    )
    plan.counts["scopes"] = len(new_scopes)
    plan.counts["reservations"] = len(new_reservations)


def _differences(here: Scope, arriving: Scope) -> str:
    names = [each for each in Scope.__dataclass_fields__ if getattr(here, each) != getattr(arriving, each)]
    return ", ".join(names)


def _new_reservations(
    plan: MovingPlan, arriving: Iterable[Reservation], here: Iterable[Reservation]
) -> list[Reservation]:
    by_address = {each.address: each for each in here}
    new: list[Reservation] = []
    for each in arriving:
        ours = by_address.get(each.address)
        if ours is None:
            new.append(each)
        elif ours != each:
            plan.conflicts.append(
                Problem(
                    subject_of(each),
                    f"arrives for {_client(each)}, and is for {_client(ours)} here",
                    "remove one of the two",
                )
            )
    return new


def _client(reservation: Reservation) -> str:
    return " ".join(
        text
        for text in (
            f"hardware address {reservation.mac}" if reservation.mac else "",
            f"client id {reservation.client_id}" if reservation.client_id else "",
            f'("{reservation.name}")' if reservation.name else "",
        )
        if text
    )


def _take_filters(plan: MovingPlan, arrival: Arrival) -> None:
    ours = {each.pattern.casefold(): each for each in plan.after.mac_filters}
    new: list[MacFilter] = []
    for each in arrival.filters:
        here = ours.get(each.pattern.casefold())
        if here is None:
            new.append(each)
            ours[each.pattern.casefold()] = each
        elif here.action is not each.action:
            plan.conflicts.append(
                Problem(
                    subject_of(each),
                    f"arrives on the {each.action.value} list, and is on the {here.action.value} list here",
                    "remove one of the two",
                )
            )
    plan.after = replace(plan.after, mac_filters=(*plan.after.mac_filters, *new))
    plan.counts["filters"] = len(new)


def _take_server(plan: MovingPlan, arrival: Arrival) -> None:
    """Settings of the server are taken where ours stand at their defaults; both set, they conflict."""
    arriving = arrival.server
    entries = plan.after.dhcp_servers
    here = next((each for each in entries if each.server == arriving.server), None)
    if here is None:
        if arriving != DhcpServer(arriving.server):
            plan.after = replace(plan.after, dhcp_servers=(*entries, arriving))
            plan.counts["server settings"] = 1
        return
    blank = DhcpServer(arriving.server)
    values: dict[str, object] = {}
    for name in DhcpServer.__dataclass_fields__:
        ours, theirs, default = (getattr(each, name) for each in (here, arriving, blank))
        if name in ("options", "policies"):
            values[name] = _joined(plan, here, name, ours, theirs)
        elif theirs not in (default, ours):
            if ours != default:
                plan.conflicts.append(
                    Problem(
                        subject_of(here),
                        f"{name} arrives as {theirs}, and is {ours} here",
                        "make the two alike",
                    )
                )
            else:
                values[name] = theirs
    merged = replace(here, **values)  # type: ignore[arg-type]  # each value is of its own field
    if merged != here:
        plan.counts["server settings"] = 1
        others = tuple(merged if each is here else each for each in entries)
        plan.after = replace(plan.after, dhcp_servers=others)


def _joined(
    plan: MovingPlan,
    here: DhcpServer,
    what: str,
    ours: tuple[OptionValue | Policy, ...],
    theirs: tuple[OptionValue | Policy, ...],
) -> tuple[OptionValue | Policy, ...]:
    def key(each: OptionValue | Policy) -> object:
        if isinstance(each, Policy):
            return each.name.casefold()
        return (each.code, each.vendor_class, each.user_class)

    known = {key(each): each for each in ours}
    new = []
    for each in theirs:
        same = known.get(key(each))
        if same is None:
            new.append(each)
        elif same != each:
            label = f'policy "{each.name}"' if isinstance(each, Policy) else f"option {each.code}"
            plan.conflicts.append(
                Problem(
                    subject_of(here),
                    f"{label} arrives with other values than it has here",
                    "make the two alike",
                )
            )
    return (*ours, *new)


# --- leases --------------------------------------------------------------------------------------


def _take_leases(plan: MovingPlan, arrival: Arrival, now: float) -> None:
    """Leases in the scopes that arrive; what ended is remembered, what contradicts a reservation is noted."""
    scopes = [each for each in plan.after.scopes if each.server == arrival.server.server]
    names, chosen = {each.name for each in scopes}, {each.name for each in arrival.scopes}
    keys = {int(each.address): each for each in plan.after.reservations if each.scope in names}
    bounds = sorted((int(each.subnet.first), int(each.subnet.last)) for each in scopes if each.name in chosen)
    outside: list[MovedLease] = []
    at = 0
    for address in sorted(arrival.leases):
        lease = arrival.leases[address]
        while at < len(bounds) and bounds[at][1] < address:
            at += 1
        if at == len(bounds) or address < bounds[at][0]:
            outside.append(lease)
            continue
        if lease.state is LeaseState.ACTIVE and not still_active(lease, now):
            lease = lease._replace(state=LeaseState.REMEMBERED)
        reservation = keys.get(address)
        if reservation is not None and not _is_for(reservation, lease):
            if lease.state is LeaseState.ACTIVE:
                arrival.left(
                    f"line {lease.line}",
                    f"lease of {IPv4Address(address)} to {_who(lease)}",
                    f"the address is reserved for {_client(reservation)}",
                )
            continue
        plan.leases.append(lease)
    for lease in outside[:_NAMED_LEASES_MAX]:
        what = f"lease of {IPv4Address(lease.address)} to {_who(lease)}"
        arrival.left(f"line {lease.line}", what, "its address lies in no scope that is taken over")
    if len(outside) > _NAMED_LEASES_MAX:
        arrival.left(
            "", f"{len(outside) - _NAMED_LEASES_MAX} more leases", "they lie in no scope that is taken over"
        )
    plan.counts["leases"] = sum(each.state is LeaseState.ACTIVE for each in plan.leases)
    plan.counts["remembered clients"] = sum(each.state is LeaseState.REMEMBERED for each in plan.leases)
    plan.counts["declined addresses"] = sum(each.state is LeaseState.DECLINED for each in plan.leases)


def _is_for(reservation: Reservation, lease: MovedLease) -> bool:
    """Whether a lease is of the client that its address is reserved for."""
    if lease.state is LeaseState.DECLINED:
        return True
    return bool(set(client_keys(reservation)) & set(keys_of(lease)))


def keys_of(lease: MovedLease) -> tuple[tuple[str, bytes], ...]:
    """By what the client of a lease is known, as ``client_keys`` says it of a reservation."""
    keys: list[tuple[str, bytes]] = []
    if lease.client_id:
        is_mac = lease.client_id[0] == 1 and len(lease.client_id) == 7
        keys.append(("mac" if is_mac else "id", lease.client_id))
    if lease.mac:
        keys.append(("mac", bytes((lease.hardware_type & 0xFF,)) + lease.mac))
    return tuple(keys)


def _who(lease: MovedLease) -> str:
    return lease.mac.hex(":") or lease.client_id.hex(":") or "nobody"
