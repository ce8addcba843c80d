"""The mailbox role's part of the catalogue."""

from __future__ import annotations

from holdfast.kernel.events import EventKind
from holdfast.mailbox import events


def test_every_event_has_its_room_and_advice() -> None:
    kinds = [each for each in vars(events).values() if isinstance(each, EventKind)]
    assert len(kinds) == 6
    assert all(kind.event_id.startswith("MBX-0") and len(kind.advice) > 40 for kind in kinds)
