"""How long to wait before the next try.

The wait doubles from ``first_s`` up to ``longest_s`` and varies by a tenth, so
that many peers that failed together do not come back together.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """A schedule of growing waits, in seconds."""

    first_s: float
    longest_s: float

    def wait_s(self, failure_count: int, luck: random.Random) -> float:
        """Return the wait after ``failure_count`` failures in a row (1 is the first)."""
        assert failure_count >= 1
        # The exponent is bounded because 2.0 ** 5000 would overflow a float.
        wait_s = min(self.longest_s, self.first_s * 2.0 ** min(failure_count - 1, 60))
        return wait_s * luck.uniform(0.9, 1.1)
