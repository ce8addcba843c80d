"""The events of the dhcp role."""

from __future__ import annotations

from holdfast.dhcp import events
from holdfast.kernel.events import EventKind, Severity


def test_every_event_says_what_to_do() -> None:
    kinds = [each for each in vars(events).values() if isinstance(each, EventKind)]
    assert len(kinds) > 15
    for kind in kinds:
        assert kind.event_id.startswith("DHC-")
        assert len(kind.advice) > 20
    assert events.POOL_EXHAUSTED.severity is Severity.ERROR
