"""Check the settings of shadow copies against each other, and say where one that is required cannot be made.

Source: exchange-behaviour SR13-1..4.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.directory.kinds import subject_of
from holdfast.directory.model import (
    AcceptedDomain,
    Organisation,
    Protect,
    ReceiveConnector,
    Role,
    Server,
    ShadowPreference,
)
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Problem

# A server is silent when three heartbeats did not come; before that nothing may be concluded.
MISSED_HEARTBEATS = 3
# How long a mailbox database knows a delivery again: SN-2 asks for 4 days; one more for clocks and weekends.
DELIVERY_MEMORY_S = 5 * 86400.0
_ORGANISATION = "the organisation"


def check_shadow(organisation: Organisation) -> Iterator[Problem]:
    """Spans that fit each other, and no copy that is required and switched off."""
    for attribute in ("shadow_wait_s", "shadow_heartbeat_s"):
        if getattr(organisation, attribute) == 0:
            yield Problem(
                _ORGANISATION, f"{attribute.removesuffix('_s')} is 0 seconds", "give it some time, 1s or more"
            )
    takeover_s, heartbeat_s = organisation.shadow_takeover_s, organisation.shadow_heartbeat_s
    if 0 < takeover_s < MISSED_HEARTBEATS * heartbeat_s:
        yield Problem(
            _ORGANISATION,
            f"shadow_takeover is {takeover_s:g} seconds, less than {MISSED_HEARTBEATS} heartbeats of "
            f"{heartbeat_s:g} seconds",
            "a server that is only slow would be taken for lost; make it longer, or 0 to wait for your word",
        )
    if organisation.safety_net_hold_s > DELIVERY_MEMORY_S:
        yield Problem(
            _ORGANISATION,
            f"safety_net_hold is {write_text(organisation.safety_net_hold_s, 'seconds')}, longer than the "
            f"{write_text(DELIVERY_MEMORY_S, 'seconds')} for which a mailbox database knows a message again",
            "what is older would come twice when it is resubmitted: hold it for at most as long",
        )
    if organisation.shadow_preference is ShadowPreference.OFF:
        for each in _requiring(organisation):
            yield Problem(
                subject_of(each),
                "requires a protected copy (protect), but shadow copies are off (shadow_preference)",
                "set protect to preferred, or shadow_preference to prefer-remote",
            )


def find_shadow_dangers(before: Organisation, after: Organisation) -> Iterator[str]:
    """List what loses its second copy, or is no longer taken because there can be none."""
    if (
        after.shadow_preference is ShadowPreference.OFF
        and before.shadow_preference is not after.shadow_preference
    ):
        yield (
            "shadow copies are switched off: messages in the queue of a server are lost with it, and those "
            "held for another are kept only until they are finished"
        )
    known = set(_without_partner(before))
    yield from (each for each in _without_partner(after) if each not in known)


def _without_partner(organisation: Organisation) -> list[str]:
    requiring = _requiring(organisation)
    if not requiring or organisation.shadow_preference is ShadowPreference.OFF:
        return []
    alone = {each.name for each in organisation.servers if not _has_partner(organisation, each)}
    found = []
    for each in requiring:
        if isinstance(each, ReceiveConnector):
            servers = [each.server] if each.server in alone else []
        else:
            servers = [
                server.name
                for server in organisation.servers
                if Role.TRANSPORT in server.roles and server.name in alone
            ]
        found += [
            f"{subject_of(each)} requires a protected copy, and no other transport server can keep one "
            f'for server "{name}" (shadow_preference {organisation.shadow_preference.value}): mail is put '
            "off there with 451 until there is one; add a server, or set protect to preferred"
            for name in servers
        ]
    return found


def _requiring(organisation: Organisation) -> list[ReceiveConnector | AcceptedDomain]:
    doors = [
        each for each in organisation.receive_connectors if each.enabled and each.protect is Protect.REQUIRED
    ]
    domains = [each for each in organisation.accepted_domains if each.protect is Protect.REQUIRED]
    return [*doors, *domains]


def _has_partner(organisation: Organisation, server: Server) -> bool:
    def may_hold(other: Server) -> bool:
        match organisation.shadow_preference:
            case ShadowPreference.REMOTE_ONLY:
                return other.site != server.site
            case ShadowPreference.LOCAL_ONLY:
                return other.site == server.site
        return True

    return any(
        each is not server and Role.TRANSPORT in each.roles and may_hold(each)
        for each in organisation.servers
    )
