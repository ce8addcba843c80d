"""What a change of a failover relationship means: who leases from now on, and what the partner must be told.

Each server has a directory of its own, so every change is made on both; what
goes wrong while it is made on one alone is said before.

Source: spec/dhcp.md sections 2.7, 2.8 and 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from holdfast.directory.failover import FailoverMode, FailoverRelationship
from holdfast.directory.kinds import subject_of
from holdfast.directory.model import Organisation
from holdfast.directory.partners import partner_address, partner_of
from holdfast.directory.values import write_text

_AGREED = ("servers", "mclt_s", "port", "addresses")
_SHARES = ("mode", "split_percent", "reserve_percent")
LONG_MCLT_S = 86400.0
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
        yield from _owns_nothing(was, new)
        if new.mclt_s > LONG_MCLT_S and (was is None or was.mclt_s != new.mclt_s):
            yield (
                f"{subject_of(new)} has an MCLT of {write_text(new.mclt_s, 'seconds')}: when a partner is "
                "lost, the addresses that were its to lease are held back for so long; an hour is usual"
            )
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
            other = partner_of(old, server) if len(set(old.servers)) == 2 else "the partner"
            mclt = write_text(old.mclt_s, "seconds")
            yield (
                f'server "{server}" leases {_named(alone)} alone from now on: clients keep their addresses, '
                f"and free addresses that were the partner's are leased after {mclt} (MCLT). "
                f"Change it on both partners, first on {other}: one that is not told goes on leasing "
                "the same addresses, also one that is off now and comes back"
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
    changed = _changed(_AGREED, old, new)
    if changed:
        yield (
            f"{subject_of(new)} changes its {' and '.join(changed)}: change it on both partners, they refuse "
            "each other while it differs"
        )
    changed = _changed(_SHARES, old, new)
    if changed:
        yield (
            f"{subject_of(new)} changes its {' and '.join(changed)}: change it on both partners, they share "
            "addresses by different rules while it differs"
        )


def _changed(names: Iterable[str], old: FailoverRelationship, new: FailoverRelationship) -> list[str]:
    return [each.removesuffix("_s") for each in names if getattr(old, each) != getattr(new, each)]


def _owns_nothing(was: FailoverRelationship | None, new: FailoverRelationship) -> Iterator[str]:
    """A partner that has no free address of its own leases to no new client while the other one is away."""
    if was is not None and not _changed(_SHARES, was, new):
        return
    share = new.reserve_percent if new.mode is FailoverMode.HOT_STANDBY else 100 - new.split_percent
    if share in (0, 100) and len(new.servers) == 2:
        without, other = new.servers if share else reversed(new.servers)
        yield (
            f'server "{without}" has no free address of its own in {subject_of(new)}: while "{other}" is '
            "away, new clients get none, until it is declared down and the MCLT has passed"
        )


def _named(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - SHOWN_COUNT} more" if len(listed) > SHOWN_COUNT else ""
    word = "scope" if len(listed) == 1 else "scopes"
    return f"{word} " + ", ".join(f'"{each}"' for each in listed[:SHOWN_COUNT]) + more
