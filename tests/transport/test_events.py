"""What transport says in the log is of one kind, with advice."""

from __future__ import annotations

from holdfast.kernel.events import CATALOGUE
from holdfast.transport import events


def test_every_event_of_the_room_has_its_number_range_and_advice() -> None:
    ours = [kind for name, kind in vars(events).items() if name.isupper()]
    assert len(ours) >= 9
    for kind in ours:
        assert CATALOGUE[kind.event_id] is kind
        assert kind.event_id.startswith("TRN-0")
        assert len(kind.advice.split()) > 15
