"""The states of a failover relationship in plain words: what each means, and what has to happen next.

Source: draft-ietf-dhc-failover-12 section 9; spec/dhcp.md section 2.8.
"""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """What a state means for clients, and what leads out of it."""

    meaning: str
    next_step: str


_CANNOT_TELL = Words("this version does not know the state", "look at the log of the dhcp role")
_OF_STATE = {
    "STARTUP": Words(
        "the service has just started and looks for its partner",
        "nothing: in a few seconds it goes on as it was, or as its partner says",
    ),
    "NORMAL": Words("both partners lease, and each knows what the other leased", "nothing"),
    "COMMUNICATIONS-INTERRUPTED": Words(
        "the partner is not reached: clients keep their addresses, new ones get the free addresses that are "
        "ours, for at most the MCLT",
        "bring the partner or the network back; only when the partner is switched off for certain, say so "
        "with: holdfast dhcp failover partner-down {name}",
    ),
    "PARTNER-DOWN": Words(
        "the partner was declared down: this server leases alone, after the MCLT also what was the partner's",
        "start the partner again when it is repaired: it asks for what it missed by itself",
    ),
    "RECOVER": Words(
        "this server asks its partner for what it missed, and answers no client",
        "let the partner be reached; a new pair begins once both servers have seen each other. If the "
        "partner is gone for good, say so with: holdfast dhcp failover partner-down {name}",
    ),
    "RECOVER-WAIT": Words(
        "this server knows everything again and waits until no client has a lease of it that nobody knows",
        "nothing: it ends by itself after at most the MCLT; the partner serves meanwhile",
    ),
    "RECOVER-DONE": Words(
        "this server knows everything again and waits for its partner to share",
        "nothing: it ends as soon as both have told each other",
    ),
    "POTENTIAL-CONFLICT": Words(
        "both partners have leased alone, and now compare what they did",
        "nothing: it takes seconds. Look for addresses that two clients have in the log (DHC events)",
    ),
    "CONFLICT-DONE": Words(
        "this server has compared what both did, and waits until the partner has, too",
        "nothing: it takes seconds",
    ),
    "RESOLUTION-INTERRUPTED": Words(
        "the connection broke while both compared what they leased alone",
        "bring the partner or the network back",
    ),
    "PAUSED": Words(
        "this server was told to pause and answers no client; its partner serves what is its own",
        "go on with: holdfast dhcp failover resume {name}",
    ),
    "SHUTDOWN": Words(
        "this server was told to stop for long and answers no client; its partner leases alone",
        "go on with: holdfast dhcp failover resume {name}",
    ),
}


def words_of(state: str, name: str) -> Words:
    """What a state means, for people; ``name`` is that of the relationship."""
    meaning, next_step = _OF_STATE.get(state, _CANNOT_TELL)
    return Words(meaning, next_step.format(name=name))


STATES = tuple(_OF_STATE)
