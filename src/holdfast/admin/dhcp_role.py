"""What the dhcp role tells of leases, for verbs that also work without it.

The role of this server alone is asked: leases of another server are looked at there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from holdfast.admin.context import Context
from holdfast.directory.dhcp import Reservation
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.iprange import IPRange

if TYPE_CHECKING:
    from holdfast.drivers.dhcp_requests import LeaseState, ScopeCounts

Run = tuple[int, int, str]
ACTIVE = "active"


def scope_counts(context: Context) -> dict[str, ScopeCounts]:
    """How full the scopes of this server are; empty, with a warning, while the role does not answer."""
    from holdfast.drivers.dhcp_requests import COUNT_SCOPES
    from holdfast.drivers.role_requests import Nothing

    try:
        answer = COUNT_SCOPES.ask(context.surroundings.ask, Nothing())
    except (Unavailable, Refusal) as error:
        context.warnings.append(f"how many addresses are leased is not known: {error.text}")
        return {}
    return {each.scope: each for each in answer.scopes}


def pool_state(context: Context, scope: str) -> list[Run] | None:
    """What of a scope is not free; None, with a warning, while the role does not answer."""
    from holdfast.drivers.dhcp_requests import SHOW_POOL, PoolQuestion

    try:
        answer = SHOW_POOL.ask(context.surroundings.ask, PoolQuestion(scope))
    except (Unavailable, Refusal) as error:
        context.warnings.append(f"which addresses are leased is not known: {error.text}")
        return None
    return [(each.first, each.last, each.state) for each in answer.runs]


def clients_in(context: Context, scope: str, ranges: Iterable[IPRange]) -> list[str]:
    """How many clients have an address of these ranges now, as a danger; nothing when none or not known."""
    from holdfast.drivers.dhcp_requests import SHOW_POOL, PoolQuestion

    wanted = list(ranges)
    if not wanted:
        return []
    try:
        answer = SHOW_POOL.ask(context.surroundings.ask, PoolQuestion(scope))
    except (Unavailable, Refusal):
        return []
    count = sum(
        max(0, min(run.last, int(each.last)) - max(run.first, int(each.first)) + 1)
        for run in answer.runs
        if run.state == ACTIVE
        for each in wanted
    )
    return _clients_have(count, "one of these addresses")


def clients_of(context: Context, scope: str) -> list[str]:
    """How many clients have a lease of a scope now, as a danger; nothing when none or not known."""
    found = scope_counts(context).get(scope)
    return _clients_have(0 if found is None else found.active_count, f'a lease of scope "{scope}"')


def _clients_have(count: int, what: str) -> list[str]:
    if not count:
        return []
    return [f"1 client has {what} now" if count == 1 else f"{count} clients have {what} now"]


def other_client(context: Context, reservation: Reservation) -> list[str]:
    """Who else has the address of a reservation now, as a danger; nothing when nobody or not known."""
    warnings = list(context.warnings)
    lease = lease_of(context, str(reservation.address))
    context.warnings[:] = warnings  # that it is not known hinders nobody
    if lease is None or lease.state != ACTIVE:
        return []
    same_mac = bool(lease.mac) and lease.mac == reservation.mac
    if same_mac or (lease.client_id and lease.client_id == reservation.client_id):
        return []
    client = lease.mac or lease.client_id
    who = f"{lease.host_name} ({client})" if lease.host_name else client
    return [f"{reservation.address} is leased to {who} now, which must take another address when it renews"]


def lease_of(context: Context, address: str) -> LeaseState | None:
    """The lease of an address; None, with a warning where the role does not answer."""
    from holdfast.drivers.dhcp_requests import LIST_LEASES, LeaseQuestion

    try:
        answer = LIST_LEASES.ask(context.surroundings.ask, LeaseQuestion(addresses=(address,), count_max=1))
    except (Unavailable, Refusal) as error:
        context.warnings.append(f"whether {address} is leased is not known: {error.text}")
        return None
    return answer.leases[0] if answer.leases else None
