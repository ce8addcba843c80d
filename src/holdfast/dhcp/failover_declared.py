"""What one server is told of its failover relationships, out of the organisation.

Source: spec/dhcp.md sections 1, 2.10 and 2.11.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.dhcp.failover_settings import BUCKET_COUNT, Settings
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


def _settings(
    organisation: Organisation, relationship: FailoverRelationship, server: str, secret: str
) -> Settings:
    is_standby = relationship.mode is FailoverMode.HOT_STANDBY
    split = round(BUCKET_COUNT * relationship.split_percent / 100)
    return Settings(
        relationship=relationship.name,
        primary=relationship.servers[0] == server,
        partner=partner_address(organisation, relationship, partner_of(relationship, server)),
        port=relationship.port,
        scopes=relationship.scopes,
        mclt_s=int(relationship.mclt_s),
        split_count=BUCKET_COUNT if is_standby else split,
        reserve_percent=relationship.reserve_percent if is_standby else 100 - relationship.split_percent,
        receive_timer_s=int(relationship.receive_timeout_s),
        unacked_max=relationship.unacknowledged_count_max,
        switch_over_s=relationship.switch_over_s or None,
        secret=secret.encode(),
    )
