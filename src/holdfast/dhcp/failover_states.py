"""The states of a failover partner, as tables: what it does in each, and what leads to another.

Two servers share addresses, and each must know what the other may be doing
where it cannot see it. What that is, is what the states are about:

- NORMAL: they speak. Each answers its share of new clients (by hash), out of
  the free addresses that are its own; either extends any lease.
- COMMUNICATIONS-INTERRUPTED: they do not, and the other may be serving. Each
  answers everybody out of its own free addresses and extends any lease, by at
  most MCLT beyond what the other knows of. So both can go on for ever, and no
  address is ever leased twice: that is the whole invention.
- PARTNER-DOWN: the other is known to serve nobody. After MCLT (whatever it gave
  without telling us has ended) its addresses are ours.
- RECOVER, RECOVER-WAIT, RECOVER-DONE: we were down while the other went on
  (or our database is new). We serve nobody until it has told us everything, and
  until whatever we gave without telling it has ended.
- POTENTIAL-CONFLICT, RESOLUTION-INTERRUPTED, CONFLICT-DONE: somebody was in
  PARTNER-DOWN while the other served. Both tell each other everything, and
  where two clients have one address the primary's keeps it.
- PAUSED, SHUTDOWN: we serve nobody on purpose, for a while or for long.
- STARTUP: a few seconds at each start, in which we look what the other does.

A change of the partner's state counts as "communications failed", then
"communications established with a partner in that state" (section 9.2): so
``heard`` is the only table that speaks of the partner's states.

Repairs to the draft, each with the run of events that needs it (docs/decisions/0025):
a server whose database is new never goes to POTENTIAL-CONFLICT, for it has
nothing that could conflict and must wait MCLT (its partner then leaves the
conflict states for COMMUNICATIONS-INTERRUPTED, as it does from NORMAL); and
CONFLICT-DONE is left for POTENTIAL-CONFLICT when the partner went to
PARTNER-DOWN since, for then the primary does not know everything any more.

Source: draft-ietf-dhc-failover-12 section 9, figure 9.2-1; spec/dhcp.md section 2.8.
"""

from __future__ import annotations

import enum
from typing import Final


class State(enum.IntEnum):
    """The numbers are those of the wire."""

    STARTUP = 1
    NORMAL = 2
    COMMUNICATIONS_INTERRUPTED = 3
    PARTNER_DOWN = 4
    POTENTIAL_CONFLICT = 5
    RECOVER = 6
    PAUSED = 7
    SHUTDOWN = 8
    RECOVER_DONE = 9
    RESOLUTION_INTERRUPTED = 10
    CONFLICT_DONE = 11
    RECOVER_WAIT = 254  # the draft forgot a number; ISC's

    @property
    def text(self) -> str:
        """As the draft writes it."""
        return self.name.replace("_", "-")


class Serves(enum.Enum):
    """Whom a server answers."""

    NOBODY = "nobody"
    EXTENSIONS = "clients that renew or rebind"
    BALANCED = "its share of new clients, and everybody who renews or rebinds"
    EVERYBODY = "everybody"


_NORMAL, _INTERRUPTED, _DOWN = State.NORMAL, State.COMMUNICATIONS_INTERRUPTED, State.PARTNER_DOWN
_CONFLICT, _RESOLUTION, _RESOLVED = (
    State.POTENTIAL_CONFLICT,
    State.RESOLUTION_INTERRUPTED,
    State.CONFLICT_DONE,
)
_RECOVER, _WAIT, _DONE = State.RECOVER, State.RECOVER_WAIT, State.RECOVER_DONE

SERVES: Final = {
    State.STARTUP: Serves.NOBODY,
    _NORMAL: Serves.BALANCED,
    _INTERRUPTED: Serves.EVERYBODY,
    _DOWN: Serves.EVERYBODY,
    _CONFLICT: Serves.NOBODY,
    _RECOVER: Serves.NOBODY,
    State.PAUSED: Serves.NOBODY,
    State.SHUTDOWN: Serves.NOBODY,
    _DONE: Serves.EXTENSIONS,
    _RESOLUTION: Serves.EVERYBODY,
    _RESOLVED: Serves.EVERYBODY,
    _WAIT: Serves.NOBODY,
}

# Where "communications failed" leads; not named: it stays.
FAILED = {_NORMAL: _INTERRUPTED, _CONFLICT: _RESOLUTION}

_CONFLICTING = dict.fromkeys((_DOWN, _CONFLICT, _RESOLUTION, _RESOLVED), _CONFLICT)
_NEW_AGAIN = {_RECOVER: _INTERRUPTED, _WAIT: _INTERRUPTED, _DONE: _NORMAL}

# Where "communications established" leads, by our state and by the partner's; not named: it stays. RECOVER
# has a table of its own, for it depends on whether our database is new.
HEARD: dict[State, dict[State, State]] = {
    _INTERRUPTED: {
        _NORMAL: _NORMAL, _INTERRUPTED: _NORMAL, _DONE: _NORMAL, State.SHUTDOWN: _DOWN, **_CONFLICTING,
    },
    _DOWN: {
        _DONE: _NORMAL, **dict.fromkeys((_NORMAL, _INTERRUPTED), _CONFLICT), **_CONFLICTING,
    },
    _CONFLICT: _NEW_AGAIN,
    _RESOLUTION: {
        **dict.fromkeys((_NORMAL, _INTERRUPTED), _CONFLICT), **_CONFLICTING, **_NEW_AGAIN,
    },
    _RESOLVED: {_NORMAL: _NORMAL, _DOWN: _CONFLICT, **_NEW_AGAIN},
    _DONE: {_NORMAL: _NORMAL, _DONE: _NORMAL},
}  # fmt: skip
HEARD_IN_RECOVER = dict.fromkeys((_CONFLICT, _RESOLUTION, _RESOLVED), _CONFLICT)

# From which states an administrator's word, or the switch-over interval, leads to PARTNER-DOWN.
MAY_TAKE_OVER = (_NORMAL, _INTERRUPTED, _RESOLUTION)
# And from which only with force: we may not know all that the partner knows.
MAY_TAKE_OVER_BLINDLY = (State.STARTUP, _RECOVER, _WAIT, _DONE, _CONFLICT, _RESOLVED)

# In which states of ours updates go out as they come, and not only when asked for.
TELLS: Final = (_NORMAL, _INTERRUPTED, _DOWN, _RESOLVED, _DONE)
# States of the partner in which it takes no updates; in RECOVER those that it asked for, for it has not said
# before that what it lost, and so its answers would mean nothing.
DEAF: Final = (State.STARTUP, State.PAUSED, State.SHUTDOWN, State.RECOVER)


def failed(state: State) -> State:
    """The state after communications failed."""
    return FAILED.get(state, state)


def heard(state: State, partner: State, *, database_is_new: bool) -> State:
    """The state after the partner said its own, which is not STARTUP.

    Args:
        state: ours.
        partner: the partner's.
        database_is_new: whether we need everything of the partner.
    """
    if state is State.RECOVER:
        return state if database_is_new else HEARD_IN_RECOVER.get(partner, state)
    if state is State.NORMAL and partner is State.CONFLICT_DONE:
        # The primary of a conflict that is resolved, which has not yet heard that we are NORMAL.
        return state
    after = failed(state) if state is State.NORMAL else state
    return HEARD.get(after, {}).get(partner, after)


def resumed(state: State, partner: State, partner_since: float, alive_at: float) -> State:
    """The state that a start goes on with, once the partner said its own.

    Args:
        state: ours before the start.
        partner: the partner's.
        partner_since: since when it is in it, by our clock.
        alive_at: when we ran last.

    Source: draft-ietf-dhc-failover-12 section 9.3.2, step 5.
    """
    if partner is State.PARTNER_DOWN and state in (State.NORMAL, State.COMMUNICATIONS_INTERRUPTED):
        return State.RECOVER if partner_since > alive_at else State.POTENTIAL_CONFLICT
    return failed(state)
