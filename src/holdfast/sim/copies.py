"""Shadow copies, as they lie on the disks: what a server calls protected has its copy, and none is left over.

**protection**: whenever a queue database says that a partner holds the copy of a
message, that partner's queue database holds it, or has taken it over; unless the
partner lost its disk since, which the server cannot know yet.
**discard**: long after the last fault no copy, no discard and no take-over is
left that its other side does not know of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.sim.queue_view import QueueView
from holdfast.sim.world import Violation


class CopyChecker:
    """Compares what each queue disk says of copies with what is on the others."""

    def __init__(self, queues: Sequence[QueueView]) -> None:
        self._queues = queues
        self._by_name = {queue.name: queue for queue in queues}
        # What was on disks that are lost, by the name of their server.
        self._lost: dict[str, set[tuple[str, str, int]]] = {}

    def disk_lost(self, queue: QueueView) -> None:
        """A disk is about to be lost: others believe for a while that it has what it held."""
        self._lost.setdefault(queue.name, set()).update(_held(queue))

    def check(self) -> None:
        """Check that what is called protected is; holds at any moment.

        Raises:
            Violation: a copy is not where a server believes it to be.
        """
        held = {queue.name: _held(queue) for queue in self._queues}
        for queue in self._queues:
            if queue.gone:
                continue
            identity = queue.disk.shadows.identity
            for number in queue.disk.messages:
                holder, _ = queue.disk.shadows.holders.get(number, ("", 0.0))
                if not holder or holder not in self._by_name:
                    continue
                key = (queue.name, identity, number)
                if key not in held[holder] and key not in self._lost.get(holder, ()):
                    raise Violation(
                        f"{queue.name} says that {holder} holds the copy of its message {number}, "
                        "which it does not"
                    )

    def left_over(self) -> str | None:
        """What is not finished between servers, in words; None when all is."""
        gone = {queue.name for queue in self._queues if queue.gone}
        for queue in self._queues:
            shadows = queue.disk.shadows
            if queue.gone:
                continue
            for number, held in shadows.copies.items():
                owner = self._by_name.get(held.primary)
                # What waits for a server that never comes back keeps its copy.
                waits = owner is not None and held.primary_number in owner.disk.messages
                if held.primary not in gone and not waits:
                    return (
                        f"{queue.name} still holds message {held.primary_number} of {held.primary} ({number})"
                    )
            for number, holder in shadows.discards.items():
                if holder not in gone:
                    return f"{queue.name} still has a discard of message {number} for {holder}"
            for primary, identity, number in shadows.taken_over:
                known = self._by_name.get(primary)
                if known is not None and not known.gone and known.disk.shadows.identity == identity:
                    return f"{queue.name} took over message {number} of {primary}, which does not know it"
        return None


def _held(queue: QueueView) -> set[tuple[str, str, int]]:
    """Whose messages are held on a disk, or were taken over: server, identity and number."""
    shadows = queue.disk.shadows
    copies: Iterable[tuple[str, str, int]] = (
        (held.primary, held.identity, held.primary_number) for held in shadows.copies.values()
    )
    return {*copies, *shadows.taken_over}
