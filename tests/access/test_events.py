"""Log events of the access room can be written with their fields."""

from __future__ import annotations

import pytest

from holdfast.access import events
from holdfast.kernel.events import CATALOGUE, EventKind, happened

KINDS = [kind for kind in vars(events).values() if isinstance(kind, EventKind)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.event_id)
def test_event_has_advice_and_a_message(kind: EventKind) -> None:
    assert CATALOGUE[kind.event_id] is kind
    assert kind.event_id.startswith("ACC-")
    assert happened(kind, **dict.fromkeys(kind.field_names, "x")).message()
    assert kind.advice.endswith(".")
