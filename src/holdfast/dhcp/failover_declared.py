"""What one server is told of its failover relationships, out of the organisation.

Source: spec/dhcp.md sections 1, 2.10 and 2.11.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.dhcp.balance import BUCKET_COUNT
from holdfast.dhcp.failover_settings import Settings
from holdfast.directory.dhcp import Scope
from holdfast.directory.failover import FailoverMode, FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.directory.partners import partner_address, partner_of, relationships_of


def declared_settings(
    organisation: Organisation, server: str, secret_of: Callable[[str], str | None]
) -> list[Settings]:
    """The relationships of a server as it goes by them.

    Args:
        organisation: where they are declared.
        server: its name.
        secret_of: gives the shared secret of a relationship; None for none.
    """
    return [
        _settings(organisation, each, server, secret_of(each.name) or "")
        for each in relationships_of(organisation, server)
    ]


def shared_scopes(organisation: Organisation, relationship: FailoverRelationship) -> list[Scope]:
    """The scopes that two partners lease together: those whose server is the primary.

    A secondary that leases a scope alone, and has not heard yet that it is shared, would share it with a
    primary that has.
    """
    return [
        each
        for each in organisation.scopes
        if each.name in relationship.scopes and each.server == relationship.servers[0]
    ]


def _settings(
    organisation: Organisation, relationship: FailoverRelationship, server: str, secret: str
) -> Settings:
    is_standby = relationship.mode is FailoverMode.HOT_STANDBY
    split = round(BUCKET_COUNT * relationship.split_percent / 100)
    scopes = shared_scopes(organisation, relationship)
    return Settings(
        relationship=relationship.name,
        primary=relationship.servers[0] == server,
        partner=partner_address(organisation, relationship, partner_of(relationship, server)),
        port=relationship.port,
        scopes=tuple(each.name for each in scopes),
        spans=tuple((int(each.subnet.first), int(each.subnet.last)) for each in scopes),
        mclt_s=max(1, int(relationship.mclt_s)),
        split_count=BUCKET_COUNT if is_standby else split,
        reserve_percent=relationship.reserve_percent if is_standby else 100 - relationship.split_percent,
        receive_timer_s=max(1, int(relationship.receive_timeout_s)),
        unacked_max=max(1, relationship.unacknowledged_count_max),
        switch_over_s=relationship.switch_over_s or None,
        secret=secret.encode(),
    )
