"""What happens in a run: which of the drawn letters are sent, and which of the drawn faults take place.

A seed draws letters and faults. A schedule leaves some of them out and changes
nothing else that was drawn, so a failure can be looked at with as little around
it as possible, and be kept as a test.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is left of what a seed draws.

    Attributes:
        letters: markers of the letters that are sent; None for all.
        faults: numbers of the faults that take place, counted from 1 as they are drawn; None for all.
    """

    letters: frozenset[str] | None = None
    faults: frozenset[int] | None = None

    def sends(self, marker: str) -> bool:
        """Whether a letter is sent."""
        return self.letters is None or marker in self.letters

    def has_fault(self, number: int) -> bool:
        """Whether a fault takes place."""
        return self.faults is None or number in self.faults

    def __str__(self) -> str:
        """As a test writes it."""
        parts = []
        if self.letters is not None:
            parts.append(f"letters=frozenset({sorted(self.letters)!r})")
        if self.faults is not None:
            parts.append(f"faults=frozenset({sorted(self.faults)!r})")
        return f"Schedule({', '.join(parts)})"


EVERYTHING = Schedule()
