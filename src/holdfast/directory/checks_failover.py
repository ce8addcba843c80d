"""Checks of failover relationships: two partners that lease, scopes that no other relationship has.

Source: spec/dhcp.md sections 1 and 4.4; draft-ietf-dhc-failover-12 section 5.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from holdfast.directory.dhcp import UNLIMITED_LEASE_S
from holdfast.directory.failover import RELATIONSHIP_COUNT_MAX, FailoverRelationship
from holdfast.directory.kinds import subject_of
from holdfast.directory.model import Organisation, Role
from holdfast.directory.references import Names
from holdfast.kernel.errors import Problem

_SPANS_OF_WHOLE_SECONDS = ("mclt_s", "receive_timeout_s")


def check_failover(organisation: Organisation, names: Names) -> Iterator[Problem]:
    """Everything about failover relationships."""
    users: dict[str, list[str]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for relationship in organisation.failover_relationships:
        counts.update(set(relationship.servers))
        yield from _partners(relationship, names)
        yield from _addresses(relationship, organisation)
        yield from _times(relationship)
        yield from names.check("scope", relationship.scopes, subject_of(relationship))
        for name in dict.fromkeys(relationship.scopes):
            users[name].append(relationship.name)
        yield from _scopes(relationship, organisation)
    for name, relationships in users.items():
        if len(relationships) > 1:
            yield Problem(
                f'scope "{name}"',
                f"is in failover relationships {_quoted(relationships[:2])}",
                "let one of them have it",
            )
    for server, count in counts.items():
        if count > RELATIONSHIP_COUNT_MAX:
            yield Problem(
                f'server "{server}"',
                f"is in {count} failover relationships, more than {RELATIONSHIP_COUNT_MAX}",
                "put the scopes that have the same partner into one relationship",
            )


def _partners(relationship: FailoverRelationship, names: Names) -> Iterator[Problem]:
    subject = subject_of(relationship)
    count = len(relationship.servers)
    if count != 2:
        yield Problem(subject, f"has {count} servers", "it has two different partners")
    elif len(set(relationship.servers)) == 1:
        yield Problem(
            subject, f'has server "{relationship.servers[0]}" twice', "it has two different partners"
        )
    for server in relationship.servers:
        yield from names.check_role(server, Role.DHCP, subject)


def _addresses(relationship: FailoverRelationship, organisation: Organisation) -> Iterator[Problem]:
    subject, addresses = subject_of(relationship), relationship.addresses
    if addresses and len(addresses) != 2:
        yield Problem(
            subject,
            f"has {len(addresses)} addresses",
            "give one for each server in their order, or none to use those of the servers",
        )
    versions = set()
    for text in addresses:
        try:
            address = ip_address(text)
        except ValueError:
            yield Problem(
                subject, f'its address "{text}" is no IP address', "write it as in 192.0.2.11, without a port"
            )
            continue
        versions.add(address.version)
        if address.is_unspecified or address.is_multicast or text == "255.255.255.255":
            yield Problem(subject, f"its address {text} is not that of one machine", "write as in 192.0.2.11")
    if len(versions) > 1:
        yield Problem(
            subject, f"its addresses {' and '.join(addresses)} do not reach each other", "give two of a kind"
        )
    if len(addresses) == 2 and addresses[0] == addresses[1]:
        yield Problem(subject, f"both partners have the address {addresses[0]}", "each has one of its own")
    elif len(addresses) == 2:
        for text, server, other in zip(
            addresses, relationship.servers, relationship.servers[::-1], strict=False
        ):
            declared = organisation.server(other)
            if declared is not None and text in declared.addresses and server != other:
                yield Problem(
                    subject,
                    f'gives server "{server}" the address {text}, which server "{other}" has',
                    "give the addresses in the order of the servers",
                )


def _times(relationship: FailoverRelationship) -> Iterator[Problem]:
    subject = subject_of(relationship)
    for attribute in _SPANS_OF_WHOLE_SECONDS:
        value = getattr(relationship, attribute)
        if not (value == int(value) and 1 <= value < UNLIMITED_LEASE_S):
            yield Problem(
                subject,
                f"{attribute.removesuffix('_s')} is {value:g} seconds",
                f"write whole seconds, 1 to {UNLIMITED_LEASE_S - 1}",
            )
    if 0 < relationship.switch_over_s <= relationship.receive_timeout_s:
        yield Problem(
            subject,
            f"switch_over is {relationship.switch_over_s:g} seconds, receive_timeout is "
            f"{relationship.receive_timeout_s:g}",
            "let it be longer: an hour is usual, 0 switches over by an administrator's word alone",
        )


def _scopes(relationship: FailoverRelationship, organisation: Organisation) -> Iterator[Problem]:
    subject = subject_of(relationship)
    for name, count in Counter(relationship.scopes).items():
        if count > 1:
            yield Problem(subject, f'names scope "{name}" twice', "take one away")
        scope = organisation.scopes_by_name.get(name)
        if scope is not None and scope.server not in relationship.servers:
            yield Problem(
                subject,
                f'scope "{name}" belongs to server "{scope.server}", which is none of its partners',
                "let one of the partners have the scope",
            )
        elif scope is not None and scope.server != relationship.servers[0]:
            # Else a server that leases a scope alone, and was not told yet, would share it with one that was.
            yield Problem(
                subject,
                f'scope "{name}" belongs to server "{scope.server}", which is the secondary',
                f'its leases go on where "{scope.server}" is the primary: share it in a second relationship '
                f"of the same servers, with: holdfast dhcp failover create NAME --server {scope.server} "
                f"--partner {relationship.servers[0]} --scope {name}",
            )


def _quoted(names: Iterable[str]) -> str:
    return " and ".join(f'"{name}"' for name in names)
