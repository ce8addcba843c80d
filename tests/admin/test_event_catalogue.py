"""Events of all rooms."""

from __future__ import annotations

from holdfast.admin.event_catalogue import all_events


def test_every_event_has_advice_and_fields_that_can_be_filled() -> None:
    events = all_events()
    assert [each.event_id for each in events] == sorted(each.event_id for each in events)
    assert {"DRV-0001", "DRV-0105"} <= {each.event_id for each in events}
    for event in events:
        assert event.advice.endswith((".", "`.")), event.event_id
        assert event.text.format(**dict.fromkeys(event.field_names, "x"))
