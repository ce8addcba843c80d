"""Events of drivers and daemons."""

from __future__ import annotations

from holdfast.drivers import events
from holdfast.kernel.events import EventKind, Severity


def test_each_event_is_in_the_drivers_range_and_says_what_to_do() -> None:
    kinds = [each for each in vars(events).values() if isinstance(each, EventKind)]
    assert len(kinds) >= 10
    for kind in kinds:
        assert kind.event_id.startswith("DRV-")
        assert kind.advice.endswith(".")
    assert events.ROLE_BROKEN.severity is Severity.BROKEN
