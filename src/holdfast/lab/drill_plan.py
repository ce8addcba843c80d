"""Decide what a drill does: how much mail, for how long, and what happens to which server when.

Everything that is left open is drawn from the seed, so that a drill which found
something can be run again. It is not the same run to the last packet, since real
processes take part, but the same letters and the same blow at the same second.
"""

from __future__ import annotations

import enum
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal

RATE_MAX = 5000.0
MINUTES_MAX = 24 * 60.0
SIZES_BYTES = (400, 2_000, 6_000)
# The blow falls while mail flows: not before there is a normal state to compare with, and early
# enough that something happens afterwards.
EARLIEST, LATEST = 0.2, 0.5
BACK_AFTER_S = (4.0, 16.0)
# After a server has noticed that its partner is away, so that it takes mail alone.
SECOND_AFTER_S = (5.0, 8.0)

_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(?:/s)?")


class Blow(enum.Enum):
    """What happens to a server."""

    NONE = "none"
    KILL = "kill"  # kill -9 of every process at one instant
    FREEZE = "freeze"  # every process stands still, as on a machine that hangs
    CUT = "cut"  # nothing that it sends or should receive arrives


PAST_WORDS = {Blow.NONE: "", Blow.KILL: "killed", Blow.FREEZE: "frozen", Blow.CUT: "cut off"}


@dataclass(frozen=True, slots=True)
class Orders:
    """What the administrator asked for.

    Attributes:
        server: whom the blow hits; empty draws one.
        other: for a cut: from whom; empty means from everything.
        back_after_s: how long after the blow it is undone; None draws it.
        no_return: it is undone only at the end, so that the mailboxes can be read.
        lose_queue: a killed server comes back without its queue database, as after a disk was lost.
        both: while the server is away, another one is killed and comes back without its queue.
        declare_lost_after_s: when the others are told that it is lost; None leaves that to them.
        patience_s: how long the queues may take to drain.
    """

    rate: float
    load_s: float
    seed: int
    blow: Blow = Blow.KILL
    server: str = ""
    other: str = ""
    one_way: bool = False
    back_after_s: float | None = None
    no_return: bool = False
    lose_queue: bool = False
    both: bool = False
    declare_lost_after_s: float | None = None
    patience_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of a drill."""

    number: int
    recipients: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens when, in seconds from the first letter.

    Attributes:
        blow_at_s: when the server is hit.
        back_at_s: when that is undone; None means only after the queues have drained.
        lost_at_s: when the others are told that it is lost; None means never.
        second: another server that is killed and loses its queue; empty for none.
        second_at_s: when that is, before ``back_at_s``.
    """

    server: str
    blow_at_s: float
    back_at_s: float | None
    lost_at_s: float | None
    second: str = ""
    second_at_s: float | None = None


def parse_rate(text: str) -> float:
    """Read ``200/s`` or ``200``.

    Raises:
        Refusal: it is no rate, or one that a drill does not make.
    """
    match = _RATE.fullmatch(text.strip())
    rate = float(match[1]) if match else 0.0
    if not 0 < rate <= RATE_MAX:
        raise Refusal(
            f'load "{text[:20]}" is not messages a second; write for example 200/s, at most {RATE_MAX:g}'
        )
    return rate


def parse_minutes(text: str) -> float:
    """Read a number of minutes, also a fraction, and return seconds.

    Raises:
        Refusal: it is none, or longer than a day.
    """
    match = re.fullmatch(r"[0-9]{1,5}(?:\.[0-9]{1,4})?", text.strip())
    minutes = float(match[0]) if match else 0.0
    if not 0 < minutes <= MINUTES_MAX:
        raise Refusal(f'minutes "{text[:20]}" is not a number of minutes; write for example 2 or 0.5')
    return minutes * 60.0


def schedule(orders: Orders, servers: tuple[str, ...]) -> Schedule:
    """Draw what the orders leave open.

    Raises:
        Refusal: there is no such server.
    """
    luck = random.Random(f"blow {orders.seed}")
    server, blow_at_s = luck.choice(servers), luck.uniform(EARLIEST, LATEST) * orders.load_s
    back_after_s = luck.uniform(*BACK_AFTER_S)
    if orders.server:
        server = orders.server
    if server not in servers:
        raise Refusal(f'there is no server "{server}" in this drill; there are {", ".join(servers)}')
    if orders.back_after_s is not None:
        back_after_s = orders.back_after_s
    lost_after_s = orders.declare_lost_after_s
    others = [each for each in servers if each != server]
    second, second_after_s = "", luck.uniform(*SECOND_AFTER_S)
    if orders.both:
        if not others:
            raise Refusal("there is no second server in this drill; leave --both out")
        second = luck.choice(others)
        back_after_s = max(back_after_s, second_after_s + 1.0)
    return Schedule(
        server,
        blow_at_s,
        None if orders.no_return else blow_at_s + back_after_s,
        None if lost_after_s is None else blow_at_s + lost_after_s,
        second,
        blow_at_s + second_after_s if second else None,
    )


def letters(orders: Orders, mailboxes: tuple[str, ...]) -> Iterator[Letter]:
    """The letters of a drill, numbered from 1: each goes to one or two mailboxes, on whatever servers."""
    luck = random.Random(f"letters {orders.seed}")
    for number in range(1, int(orders.rate * orders.load_s) + 1):
        count = min(len(mailboxes), luck.choice((1, 1, 2)))
        yield Letter(number, tuple(luck.sample(mailboxes, count)), luck.choice(SIZES_BYTES))
