"""Look again for a moment before sleeping, while what comes next is likely to come at once.

A processor with nothing to do is put to sleep, and takes some 30 µs to wake up in a virtual machine. One
session waits for that at each of its commands and at each commit: of what a message costs it, a fifth to a
third (docs/decisions/0013). So the event loop asks again and again, without waiting, until ``LOOK_S`` have
gone by without anything new. It begins when two things came within that time: whoever is far away answers
later, and nothing is looked for in vain. Linux does the same for virtual machines (haltpoll) and network
cards (busy polling).

Between two looks the processor is offered to the other processes of the service (``sched_yield``; Linux
keeps it within a group that is scheduled together): the queue writer may be on the same one, and would else
wait until our slice of time is over. If one of them has much to do, it keeps the processor for a slice of its
time, and who sleeps is woken sooner: then nothing is looked for until ``REST_S`` have gone by. Not with many
clients, since then something is nearly always there and other processes need the processor; nor with one
processor.
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
# Away for so long: somebody else has the processor, for a slice of time of Linux, which is some 3 ms long.
AWAY_S: Final = 2.5e-3
REST_S: Final = 0.1


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
        self._look_due = False
        self._rest_until = 0.0
        self._look_soon: Callable[[Callable[[], None]], object] = _not_yet

    def heard(self, now: float, client_count: int) -> None:
        """Something came.

        Args:
            now: on the steady clock.
            client_count: how many clients are connected.
        """
        soon = now - self._last_at < LOOK_S
        self._last_at = now
        few = 0 < client_count <= CLIENT_COUNT_MAX
        self.looking = soon and few and self._possible and now >= self._rest_until
        if self.looking and not self._look_due:
            self._look_due = True
            self._look_soon = asyncio.get_running_loop().call_soon
            self._look_soon(self._look)

    def _look(self) -> None:
        now = clock.steady()
        if self.looking and now - self._last_at < LOOK_S:
            os.sched_yield()
            back = clock.steady()
            if back - now > AWAY_S:
                self._rest_until = back + REST_S
            self._look_soon(self._look)
        else:
            self.looking = self._look_due = False
