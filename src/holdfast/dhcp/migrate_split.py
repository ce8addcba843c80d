"""Make one scope of two halves: a subnet that two servers lease in parts (80/20) becomes whole on one.

What neither half leased stays excluded, what one of them excluded for the sake of the other does not. An
address that is leased or reserved on both sides for different clients is a conflict that an administrator
decides. Ranges are compared as numbers, so a subnet of any size comes out right.

Source: spec/dhcp.md section 1, "80/20", its ten steps and the faults to do better on; section 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from holdfast.dhcp.migrate_plan import keys_of
from holdfast.dhcp.moving import Fate, LeaseState, MovedLease, Note, exclusions_in, merged_options
from holdfast.directory.dhcp import Reservation, Scope
from holdfast.directory.dhcp_keys import client_keys
from holdfast.directory.dhcp_ranges import leased_ranges, without_ranges
from holdfast.kernel.errors import Problem, Refusal
from holdfast.kernel.iprange import IPRange

_OF_ITS_OWN = ("name", "server", "pool", "exclusions", "options")


@dataclass(frozen=True, slots=True)
class Half:
    """One side of a split scope.

    Attributes:
        words: what it is called in messages, for example ``server "a"``.
        scope: as it is declared there.
        reservations: of that scope.
        leases: by address; empty when they are not known.
        serves: whether it gives leases while this is decided, so that none can be passed over.
    """

    words: str
    scope: Scope
    reservations: tuple[Reservation, ...] = ()
    leases: Mapping[int, MovedLease] = field(default_factory=dict)
    serves: bool = False


@dataclass(slots=True)
class Whole:
    """What the two make.

    Attributes:
        scope: on the destination's server, with its name and settings.
        reservations: of both.
        leases: of the source, for the destination to go on with.
        conflicts: what an administrator must decide.
        notes: where the two differed and the destination's word holds.
    """

    scope: Scope
    reservations: tuple[Reservation, ...] = ()
    leases: list[MovedLease] = field(default_factory=list)
    conflicts: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def merge_halves(
    source: Half, destination: Half, *, exclusions: Iterable[IPRange] = (), prefer: str = ""
) -> Whole:
    """Make one of two.

    Args:
        source: the half that goes away.
        destination: the half that becomes the whole.
        exclusions: what is to be excluded, in place of what the halves excluded.
        prefer: ``source`` or ``destination``: whose word holds where they contradict each other; else
            each contradiction is a conflict.

    Raises:
        Refusal: they are not of one subnet, or an exclusion does not lie in the merged pool.
    """
    mine, theirs = destination.scope, source.scope
    if mine.subnet != theirs.subnet:
        raise Refusal(
            f"{source.words} leases {theirs.subnet} and {destination.words} leases {mine.subnet}: "
            "the halves of a split scope have one subnet"
        )
    whole = Whole(replace(mine, options=merged_options(mine.options, theirs.options)))
    whole.scope = _with_range(whole.scope, theirs, mine, tuple(exclusions))
    _note_differences(whole, source, destination)
    _merge_reservations(whole, source, destination, prefer)
    _merge_leases(whole, source, destination, prefer)
    return whole


def _with_range(scope: Scope, one: Scope, other: Scope, wanted: tuple[IPRange, ...]) -> Scope:
    """From the lowest to the highest address of both pools, without what neither of them leased."""
    pools = [each.pool for each in (one, other) if each.pool is not None]
    if not pools:
        return replace(scope, pool=None, exclusions=())
    first = min(int(each.first) for each in pools)
    last = max(int(each.last) for each in pools)
    pool = IPRange(IPv4Address(first), IPv4Address(last))
    for each in wanted:
        if not pool.contains_range(each):
            raise Refusal(f"the exclusion {each} does not lie in the merged pool {pool.first}-{pool.last}")
    if wanted:
        return replace(scope, pool=pool, exclusions=exclusions_in(pool, wanted))
    leased = [*leased_ranges(one), *leased_ranges(other)]
    return replace(scope, pool=pool, exclusions=without_ranges(pool, leased))


def _note_differences(whole: Whole, source: Half, destination: Half) -> None:
    mine, theirs = destination.scope, source.scope
    place = f"scope {mine.subnet}"
    for name in Scope.__dataclass_fields__:
        if name not in _OF_ITS_OWN and getattr(mine, name) != getattr(theirs, name):
            what = f"{name} {_text(getattr(theirs, name))} of {source.words}"
            reason = f"{destination.words} says {_text(getattr(mine, name))}, and that holds"
            whole.notes.append(Note(place, what, Fate.LEFT, reason))
    ours = {(each.code, each.vendor_class, each.user_class): each for each in mine.options}
    for each in theirs.options:
        here = ours.get((each.code, each.vendor_class, each.user_class))
        if here is None:
            reason = f"{destination.words} does not have it: it is taken over"
            whole.notes.append(Note(place, f"option {each.code} of {source.words}", Fate.CHANGED, reason))
        elif here != each:
            what = f"option {each.code} {', '.join(each.values)} of {source.words}"
            reason = f"{destination.words} says {', '.join(here.values)}, and that holds"
            whole.notes.append(Note(place, what, Fate.LEFT, reason))


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(getattr(each, "name", each)) for each in value) or "nothing"
    return str(getattr(value, "value", value)) or "nothing"


# --- reservations and leases ---------------------------------------------------------------------


def _merge_reservations(whole: Whole, source: Half, destination: Half, prefer: str) -> None:
    """Equal ones are one; one client with two addresses, or one address for two clients, is a conflict."""
    found = {each.address: each for each in destination.reservations}
    owners = {key: each.address for each in destination.reservations for key in client_keys(each)}
    for each in source.reservations:
        moved = replace(each, scope=whole.scope.name)
        here = found.get(each.address)
        if here is not None and set(client_keys(here)) & set(client_keys(each)):
            if here != moved:
                what = f"reservation of {each.address} at {source.words}"
                reason = f"{destination.words} has it with other words, which hold"
                whole.notes.append(Note(f"scope {whole.scope.subnet}", what, Fate.LEFT, reason))
            continue
        rivals = {
            address for key in client_keys(each) if (address := owners.get(key)) not in (None, each.address)
        }
        if here is None and not rivals:
            found[each.address] = moved
            continue
        if not prefer:
            whole.conflicts.append(_reservation_conflict(each, here, rivals, source, destination))
        elif prefer == "source":
            for address in rivals:
                found.pop(address, None)
            found[each.address] = moved
    whole.reservations = tuple(found[address] for address in sorted(found))


def _reservation_conflict(
    reservation: Reservation,
    here: Reservation | None,
    rivals: Iterable[object],
    source: Half,
    destination: Half,
) -> Problem:
    if here is not None:
        text = (
            f"is reserved for {_client(reservation)} at {source.words}, "
            f"for {_client(here)} at {destination.words}"
        )
    else:
        others = ", ".join(str(each) for each in rivals)
        text = (
            f"is reserved for {_client(reservation)} at {source.words}, "
            f"who has {others} reserved at {destination.words}"
        )
    return Problem(
        str(reservation.address), text, "remove one of them, or say --prefer source or destination"
    )


def _client(reservation: Reservation) -> str:
    name = f' ("{reservation.name}")' if reservation.name else ""
    return (reservation.mac or reservation.client_id) + name


def _merge_leases(whole: Whole, source: Half, destination: Half, prefer: str) -> None:
    """The source's leases, but for those that contradict what the destination has."""
    reserved = {int(each.address): each for each in whole.reservations}
    for address in sorted(source.leases):
        lease = source.leases[address]
        if IPv4Address(address) not in whole.scope.subnet:
            continue
        if lease.state is not LeaseState.ACTIVE:
            if address not in destination.leases and address not in reserved:
                whole.leases.append(lease)
            continue
        here = destination.leases.get(address)
        rival = (
            here if here is not None and here.state is LeaseState.ACTIVE and not _same(here, lease) else None
        )
        holder = reserved.get(address)
        stranger = holder is not None and not set(client_keys(holder)) & set(keys_of(lease))
        stays = rival is not None and destination.serves and prefer == "source"
        if stays or ((rival is not None or stranger) and not prefer):
            whole.conflicts.append(_lease_conflict(lease, rival, holder, source, destination))
        elif (rival is None and not stranger) or (prefer == "source" and not stranger):
            whole.leases.append(lease)


def _same(one: MovedLease, other: MovedLease) -> bool:
    return bool(set(keys_of(one)) & set(keys_of(other)))


def _lease_conflict(
    lease: MovedLease, rival: MovedLease | None, holder: Reservation | None, source: Half, destination: Half
) -> Problem:
    who = lease.mac.hex(":") or lease.client_id.hex(":")
    if rival is not None:
        text = (
            f"is leased to {who} by {source.words}, "
            f"to {rival.mac.hex(':') or rival.client_id.hex(':')} by {destination.words}"
        )
    else:
        assert holder is not None
        text = f"is leased to {who} by {source.words}, and reserved for {_client(holder)}"
    advice = "release one of them, or say --prefer source or destination"
    if rival is not None and destination.serves:
        address = IPv4Address(lease.address)
        advice = f"end it here (holdfast dhcp lease remove {address}), or say --prefer destination"
    return Problem(str(IPv4Address(lease.address)), text, advice)
