"""What is said of partners: each event has an id of its own and advice."""

from __future__ import annotations

from holdfast.dhcp import failover_events
from holdfast.kernel.events import CATALOGUE, EventKind


def test_every_event_is_in_the_catalogue_with_advice() -> None:
    kinds = [each for each in vars(failover_events).values() if isinstance(each, EventKind)]
    assert [each.event_id for each in kinds] == [f"DHC-04{number:02}" for number in range(1, 14)]
    for each in kinds:
        assert CATALOGUE[each.event_id] is each
        assert len(each.advice) > 20
