"""What the dhcp role tells of leases, for verbs that also work without it.

The role of this server alone is asked: leases of another server are looked at there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.admin.context import Context
from holdfast.kernel.errors import Refusal, Unavailable

if TYPE_CHECKING:
    from holdfast.drivers.dhcp_requests import LeaseState, ScopeCounts

Run = tuple[int, int, str]


def scope_counts(context: Context) -> dict[str, ScopeCounts]:
    """How full the scopes of this server are; empty, with a warning, while the role does not answer."""
    from holdfast.drivers.dhcp_requests import COUNT_SCOPES
    from holdfast.drivers.transport_requests import Nothing

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


def lease_of(context: Context, address: str) -> LeaseState | None:
    """The lease of an address; None, with a warning where the role does not answer."""
    from holdfast.drivers.dhcp_requests import LIST_LEASES, LeaseQuestion

    try:
        answer = LIST_LEASES.ask(context.surroundings.ask, LeaseQuestion(addresses=(address,), count_max=1))
    except (Unavailable, Refusal) as error:
        context.warnings.append(f"whether {address} is leased is not known: {error.text}")
        return None
    return answer.leases[0] if answer.leases else None
