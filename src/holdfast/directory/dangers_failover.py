"""What a change of a failover relationship means: who leases from now on, and what the partner must be told.

Each server has a directory of its own, so every change is made on both; what
goes wrong while it is made on one alone is said before.

Source: spec/dhcp.md sections 2.7, 2.8 and 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.kinds import subject_of
from holdfast.directory.model import Organisation
from holdfast.directory.partners import partner_address
from holdfast.directory.values import write_text

_AGREED = ("servers", "mode", "split_percent", "reserve_percent", "mclt_s", "port", "addresses")
SHOWN_COUNT = 5


def find_failover_dangers(before: Organisation, after: Organisation) -> Iterator[str]:
    """List what going from one organisation to the other means for scopes that are or were shared."""
    old_by_name = {each.name.casefold(): each for each in before.failover_relationships}
    new_by_name = {each.name.casefold(): each for each in after.failover_relationships}
    for key, old in old_by_name.items():
        yield from _left(old, new_by_name.get(key), after)
    for key, new in new_by_name.items():
        was = old_by_name.get(key)
        yield from _joined(was, new, before)
        if was is not None:
            yield from _agreed(was, new)
        if new.switch_over_s and (was is None or not was.switch_over_s):
            span = write_text(new.switch_over_s, "seconds")
            yield (
                f"{subject_of(new)} switches over by itself after {span}: partners that both live and only "
                "do not reach each other then lease the same addresses to two clients"
            )
        for server in new.servers:
            if not _reached(after, new, server) and (was is None or _reached(before, was, server)):
                yield (
                    f'server "{server}" of {subject_of(new)} has no IPv4 address: its partner cannot '
                    "reach it; give the server one, or the relationship two"
                )


def _reached(organisation: Organisation, relationship: FailoverRelationship, server: str) -> bool:
    if server not in relationship.servers or len(relationship.addresses) not in (0, 2):
        return True  # the checks tell of it
    return bool(partner_address(organisation, relationship, server))


def _left(old: FailoverRelationship, new: FailoverRelationship | None, after: Organisation) -> Iterator[str]:
    """Scopes that are shared no longer."""
    kept = () if new is None else new.scopes
    for server in old.servers:
        alone = [
            name
            for name in old.scopes
            if name not in kept
            and (scope := after.scopes_by_name.get(name)) is not None
            and scope.server == server
        ]
        if alone:
            yield (
                f'server "{server}" leases {_named(alone)} alone from now on: change it on both partners, '
                "for one that is not told goes on leasing the same addresses"
            )


def _joined(
    was: FailoverRelationship | None, new: FailoverRelationship, before: Organisation
) -> Iterator[str]:
    """Scopes that were leased by one server and are shared from now on."""
    had = () if was is None else was.scopes
    names = [name for name in new.scopes if name not in had and name in before.scopes_by_name]
    if names:
        yield (
            f"{_named(names)} {'is' if len(names) == 1 else 'are'} shared from now on by "
            f"{' and '.join(new.servers)}: until both have reached each other once, none of them leases what "
            "it did not lease before; declare the same on both"
        )


def _agreed(old: FailoverRelationship, new: FailoverRelationship) -> Iterator[str]:
    changed = [each.removesuffix("_s") for each in _AGREED if getattr(old, each) != getattr(new, each)]
    if changed:
        yield (
            f"{subject_of(new)} changes its {' and '.join(changed)}: change it on both partners, they refuse "
            "each other while it differs"
        )


def _named(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - SHOWN_COUNT} more" if len(listed) > SHOWN_COUNT else ""
    word = "scope" if len(listed) == 1 else "scopes"
    return f"{word} " + ", ".join(f'"{each}"' for each in listed[:SHOWN_COUNT]) + more
