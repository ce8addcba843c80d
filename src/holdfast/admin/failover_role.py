"""What the dhcp role tells of failover and takes of orders, for verbs that also work without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.admin.context import Context
from holdfast.kernel.errors import Refusal, Unavailable

if TYPE_CHECKING:
    from holdfast.drivers.failover_requests import FailoverState


def live_states(context: Context) -> dict[str, FailoverState]:
    """How the relationships of this server are; empty, with a warning, while the role does not answer."""
    from holdfast.drivers.failover_requests import SHOW_FAILOVER
    from holdfast.drivers.role_requests import Nothing

    try:
        found = SHOW_FAILOVER.ask(context.surroundings.ask, Nothing()).relationships
    except (Unavailable, Refusal) as error:
        context.warnings.append(f"how the relationship goes is not known: {error.text}")
        return {}
    return {each.relationship: each for each in found}


def tell_of_secret(context: Context) -> None:
    """Have the role read the shared secrets again; one that does not run reads them when it starts."""
    from holdfast.drivers.failover_requests import REREAD_SECRETS
    from holdfast.drivers.role_requests import Nothing

    try:
        REREAD_SECRETS.ask(context.surroundings.ask, Nothing())
    except Unavailable:
        return
    except Refusal as error:
        context.warnings.append(f"the dhcp role does not know of the secret yet: {error.text}")
