"""Look again for a moment before sleeping, while what comes next is likely to come at once.

A processor with nothing to do is put to sleep, and takes some 30 µs to wake up in a virtual machine. One
session waits for that at each of its commands and at each commit: of what a message costs it, a fifth to a
third (docs/decisions/0013). So the event loop asks again and again, without waiting, until ``LOOK_S`` have
gone by without anything new. It begins when two things came within that time: whoever is far away answers
later, and nothing is looked for in vain. Linux does the same for virtual machines (haltpoll) and network
cards (busy polling).

Between two looks whoever else wants the processor has it (``sched_yield``): what is waited for may be on the
same one, and would else wait until our slice of time is over. Not with many clients, since then something is
nearly always there and other processes need the processor; nor with one processor.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from holdfast.drivers import clock

# As long as a commit takes on a quick disk, and longer than a client on the same machine or network needs.
LOOK_S: Final = 300e-6
CLIENT_COUNT_MAX: Final = 4


def _not_yet(_: Callable[[], None]) -> None:
    raise AssertionError("nothing was heard")


class BusyPolling:
    """Whether an event loop looks again; told of whatever comes.

    Public attribute: ``looking`` is True while it does.
    """

    def __init__(self, processor_count: int | None = None) -> None:
        """Look at nothing yet.

        Args:
            processor_count: those that this process may use; asked of the system when it is not given.
        """
        self.looking = False
        self._possible = (processor_count or len(os.sched_getaffinity(0))) > 1
        self._last_at = 0.0
        self._look_soon: Callable[[Callable[[], None]], object] = _not_yet

    def heard(self, now: float, client_count: int) -> None:
        """Something came.

        Args:
            now: on the steady clock.
            client_count: how many clients are connected.
        """
        soon = now - self._last_at < LOOK_S
        self._last_at = now
        if soon and not self.looking and self._possible and 0 < client_count <= CLIENT_COUNT_MAX:
            self.looking = True
            self._look_soon = asyncio.get_running_loop().call_soon
            self._look_soon(self._look)

    def _look(self) -> None:
        if clock.steady() - self._last_at < LOOK_S:
            os.sched_yield()
            self._look_soon(self._look)
        else:
            self.looking = False
