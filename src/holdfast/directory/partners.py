"""Who is whose partner, and where: what a failover relationship says about two servers of an organisation.

Source: spec/dhcp.md section 2.1; draft-ietf-dhc-failover-12 section 5.1.1.
"""

from __future__ import annotations

from ipaddress import ip_address

from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.model import Organisation

ROLE_NAMES = ("primary", "secondary")


def relationships_of(organisation: Organisation, server: str) -> tuple[FailoverRelationship, ...]:
    """The relationships that a server is in and that have two partners."""
    return tuple(
        each
        for each in organisation.failover_relationships
        if server in each.servers and len(set(each.servers)) == 2 == len(each.servers)
    )


def partner_of(relationship: FailoverRelationship, server: str) -> str:
    """The other one of two partners."""
    first, second = relationship.servers
    return second if server == first else first


def partner_address(organisation: Organisation, relationship: FailoverRelationship, server: str) -> str:
    """Where a partner is reached: as the relationship says, else its first IPv4 address; or empty."""
    if relationship.addresses:
        return relationship.addresses[relationship.servers.index(server)]
    declared = organisation.server(server)
    for text in () if declared is None else declared.addresses:
        try:
            if ip_address(text).version == 4:
                return text
        except ValueError:
            continue  # the checks tell of it
    return ""
