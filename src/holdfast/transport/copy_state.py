"""What ``transport.protection`` knows of a message on its way to a partner, and of a partner.

Source: exchange-behaviour SR13-1, SR13-7.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.transport.queue import AddMessage

# What is known of a finished message: it is in the Safety Net; a next hop may have it.
KEPT, OUTSIDE = 1, 2


@dataclass(slots=True)
class Waiting:
    """A message that is not in our queue yet: its copy is on its way."""

    write: AddMessage
    holder: str
    required: bool
    asked: tuple[str, ...] = ()  # before this one


@dataclass(slots=True)
class Partner:
    """What we know of a partner.

    Attributes:
        listed: what it said that it holds, until it has said all; None when its link is down.
        usable: whether new copies may go there.
        discards: finished messages by number, and what is known of their end (``KEPT``, ``OUTSIDE``).
        untold: those of them that were not told on this link.
        given: what it was asked to hold and has not answered, on this link or an earlier one.
        answered_at: when it last answered for a copy.
    """

    listed: set[int] | None = None
    usable: bool = False
    discards: dict[int, int] = field(default_factory=dict)
    untold: dict[int, None] = field(default_factory=dict)
    given: set[int] = field(default_factory=set)
    answered_at: float = 0.0

    def discard(self, number: int, end: int) -> None:
        self.discards[number] = end
        if self.listed is not None:
            self.untold[number] = None
