"""What a DHCP server tells all its clients, and what of it two partners should have alike.

Clients of a shared scope see it whichever partner answers: the server's own
options, policies and filters, and where names are registered. It also goes for
scopes that are not shared, so it is compared, and taken over only on request.
Where a server listens and what it writes down is its own.

Source: spec/dhcp.md sections 1 and 4.4.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from holdfast.directory.dhcp import DhcpServer, MacFilter
from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.edit import with_object
from holdfast.directory.model import Organisation

# What a server has for itself; everything else clients see.
OWN_FIELDS = frozenset(
    {
        "server",
        "interfaces",
        "port",
        "probe_count",
        "offer_s",
        "audit_log",
        "lease_query",
        "bulk_lease_query_from",
    }
)
SEEN_FIELDS = tuple(each.name for each in dataclasses.fields(DhcpServer) if each.name not in OWN_FIELDS)


def seen_of(organisation: Organisation, server: str) -> DhcpServer:
    """A server's entry with what is its own left out; its name is, too."""
    entry = organisation.dhcp_server(server)
    return DhcpServer("", **{name: getattr(entry, name) for name in SEEN_FIELDS})


def filters_of(organisation: Organisation, server: str) -> tuple[MacFilter, ...]:
    """The MAC filters that a server goes by, as if they were for every server."""
    found = (
        dataclasses.replace(each, servers=())
        for each in organisation.mac_filters
        if not each.servers or server in each.servers
    )
    return tuple(sorted(found, key=lambda each: each.pattern))


def server_options(entry: DhcpServer) -> Iterator[OptionValue]:
    """Every option that a server tells."""
    yield from entry.options
    for policy in entry.policies:
        yield from policy.options


def with_server_wide(
    mine: Organisation, server: str, entry: DhcpServer, filters: tuple[MacFilter, ...]
) -> Organisation:
    """Our organisation with what another server tells all its clients in the place of what ours does.

    Args:
        mine: ours.
        server: which server of it.
        entry: ``seen_of`` the other one.
        filters: ``filters_of`` it.
    """
    own = mine.dhcp_server(server)
    after = with_object(
        mine, dataclasses.replace(own, **{name: getattr(entry, name) for name in SEEN_FIELDS})
    )
    if filters_of(mine, server) == filters:
        return after
    taken = {each.pattern for each in filters}
    kept = tuple(
        each
        for each in mine.mac_filters
        if each.servers and server not in each.servers and each.pattern not in taken
    )
    return dataclasses.replace(after, mac_filters=(*kept, *filters))
