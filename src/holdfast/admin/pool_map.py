"""The state of a pool: what the organisation says of each address, and what the dhcp role knows of it.

Works on ranges, never on single addresses: a pool of a million addresses with
ten leases is ten leases' work.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.directory.dhcp import Scope
from holdfast.directory.model import Reservation

FREE, LEASED, OFFERED, DECLINED, RESERVED, EXCLUDED = STATES = (
    "free",
    "leased",
    "offered",
    "declined",
    "reserved",
    "excluded",
)
# As the role calls them; what it says of others (expired, released) is free for who comes.
_OF_ROLE = {"active": LEASED, "offered": OFFERED, "declined": DECLINED}

Run = tuple[int, int, str]


def pool_runs(scope: Scope, reservations: Iterable[Reservation], runs: Iterable[Run]) -> list[Run]:
    """Every address of the pool in one run: first, last, state; in order, without gaps.

    Args:
        scope: whose pool it is; without a pool there are no runs.
        reservations: of the scope, inside and outside the pool.
        runs: what the role says, in order: first, last, and its word for the state.
    """
    if scope.pool is None:
        return []
    found = [(int(scope.pool.first), int(scope.pool.last), FREE)]
    reserved = sorted(int(each.address) for each in reservations)
    found = _painted(found, ((each, each, RESERVED) for each in reserved))
    found = _painted(found, ((first, last, _OF_ROLE[word]) for first, last, word in runs if word in _OF_ROLE))
    excluded = sorted((int(each.first), int(each.last)) for each in scope.exclusions)
    return _painted(found, ((first, last, EXCLUDED) for first, last in excluded))


def counts(runs: Iterable[Run]) -> dict[str, int]:
    """How many addresses are in each state."""
    found = dict.fromkeys(STATES, 0)
    for first, last, state in runs:
        found[state] += last - first + 1
    return found


def _painted(below: list[Run], above: Iterable[Run]) -> list[Run]:
    """Runs with others painted over them; both in order, those above inside or outside of those below."""
    result: list[Run] = []
    over = iter(above)
    top = next(over, None)
    for first, last, state in below:
        at = first
        while top is not None and top[0] <= last:
            if top[1] < at:
                top = next(over, None)
                continue
            if top[0] > at:
                _append(result, (at, top[0] - 1, state))
            end = min(top[1], last)
            _append(result, (max(top[0], at), end, top[2]))
            at = end + 1
            if top[1] > last:
                break  # it goes on in the next run below
            top = next(over, None)
        if at <= last:
            _append(result, (at, last, state))
    return result


def _append(runs: list[Run], run: Run) -> None:
    if runs and runs[-1][2] == run[2] and runs[-1][1] + 1 == run[0]:
        runs[-1] = (runs[-1][0], run[1], run[2])
    else:
        runs.append(run)
