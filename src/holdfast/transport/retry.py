"""Decide when a queue whose next hop could not be reached is tried again.

First some quick tries, since most failures are glitches; then slower ones, then
slow ones for as long as there is something to deliver.

Source: exchange-behaviour QU-1.
"""

from __future__ import annotations

from holdfast.directory.model import Organisation


def wait_s(organisation: Organisation, failure_count: int) -> float:
    """Return the wait in seconds after ``failure_count`` failures in a row (1 is the first)."""
    assert failure_count >= 1
    if failure_count <= organisation.glitch_retry_count:
        return organisation.glitch_retry_s
    if failure_count <= organisation.glitch_retry_count + organisation.transient_retry_count:
        return organisation.transient_retry_s
    return organisation.retry_s
