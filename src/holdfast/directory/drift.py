"""In what the configurations of two partners differ, in words: which scope, the relationship, the server.

Each partner tells a digest of every thing, and compares the partner's with its
own; so both see the same difference, each from its side.

Source: spec/dhcp.md sections 4.4 and 7, "configuration is one object for both".
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable
from typing import NamedTuple

from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.directory.replicate import digest_of, server_part, shared_part

ITEM_DIGEST_BYTES = 8  # of no secret, and nobody gains by two that are equal


class ItemKind(enum.IntEnum):
    """What is compared; the numbers are those on the wire."""

    SCOPE = 1  # with its reservations, policies, options, classes
    RELATIONSHIP = 2  # its settings
    SERVER = 3  # what a server tells all its clients


class Item(NamedTuple):
    """One thing that is compared.

    Attributes:
        kind: what it is.
        name: of the scope; else empty.
        first: the first address of its subnet, as a number; else 0.
        last: the last one.
        digest: of how it is declared.
    """

    kind: ItemKind
    name: str
    first: int
    last: int
    digest: bytes


def items_of(organisation: Organisation, relationship: FailoverRelationship, server: str) -> list[Item]:
    """Everything that a server tells its partner a digest of."""
    # Which scopes are shared is told by the scopes themselves.
    plain = dataclasses.replace(relationship, scopes=())
    settings = shared_part(organisation, plain)
    found = [
        Item(ItemKind.RELATIONSHIP, "", 0, 0, _short(settings)),
        Item(ItemKind.SERVER, "", 0, 0, _short(server_part(organisation, server))),
    ]
    for name in sorted(set(relationship.scopes)):
        scope = organisation.scopes_by_name.get(name)
        if scope is not None:
            part = shared_part(organisation, relationship, [name])
            span = (int(scope.subnet.first), int(scope.subnet.last))
            found.append(Item(ItemKind.SCOPE, name, *span, _short(part)))
    return found


def _short(part: Organisation) -> bytes:
    return digest_of(part)[:ITEM_DIGEST_BYTES]


def differences(ours: Iterable[Item], theirs: Iterable[Item]) -> list[str]:
    """In what we differ from the partner, a line for each thing."""
    mine = {(each.kind, each.name): each for each in ours}
    others = {(each.kind, each.name): each for each in theirs}
    found = []
    for key in sorted({*mine, *others}):
        kind, name = key
        one, other = mine.get(key), others.get(key)
        if one is not None and other is not None and one[2:] == other[2:]:
            continue
        match kind:
            case ItemKind.RELATIONSHIP:
                found.append("the settings of the relationship are not the same on both servers")
            case ItemKind.SERVER:
                found.append("what each server tells all its clients is not the same on both")
            case ItemKind.SCOPE if other is None:
                found.append(f'scope "{name}" is shared here, and not by the partner')
            case ItemKind.SCOPE if one is None:
                found.append(f'scope "{name}" is shared by the partner, and not here')
            case _:
                found.append(f'scope "{name}" is not the same on both servers')
    return found
