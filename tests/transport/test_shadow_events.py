from __future__ import annotations

from holdfast.kernel.events import EventKind
from holdfast.transport import shadow_events


def test_every_event_says_what_to_do_and_has_an_id_of_its_own() -> None:
    kinds = [each for each in vars(shadow_events).values() if isinstance(each, EventKind)]
    assert len({each.event_id for each in kinds}) == len(kinds) > 5
    assert all(each.event_id.startswith("TRN-05") and len(each.advice) > 80 for each in kinds)
