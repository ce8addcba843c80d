"""Waits grow, vary and are bounded."""

from __future__ import annotations

import random

import pytest

from holdfast.kernel.backoff import Backoff

BACKOFF = Backoff(first_s=1.0, longest_s=60.0)


@pytest.mark.parametrize(
    ("failure_count", "middle_s"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (5000, 60.0)]
)
def test_wait_doubles_up_to_the_longest_and_varies_by_a_tenth(failure_count: int, middle_s: float) -> None:
    luck = random.Random(1)
    waits = [BACKOFF.wait_s(failure_count, luck) for _ in range(200)]
    assert middle_s * 0.9 <= min(waits) < middle_s * 0.95
    assert middle_s * 1.05 < max(waits) <= middle_s * 1.1


def test_same_luck_same_wait() -> None:
    assert BACKOFF.wait_s(3, random.Random(7)) == BACKOFF.wait_s(3, random.Random(7))


def test_no_failure_is_our_own_fault() -> None:
    with pytest.raises(AssertionError):
        BACKOFF.wait_s(0, random.Random(1))
