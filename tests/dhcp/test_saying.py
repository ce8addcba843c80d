"""Events of what happens often are bounded, and counted."""

from __future__ import annotations

from holdfast.dhcp import events
from holdfast.dhcp.saying import QUIET_S, Sayer


def test_once_in_a_while_with_a_count() -> None:
    said = Sayer()
    for step in range(100):
        said.sometimes(step / 100, events.CLIENT_FILTERED, client="a")
    said.sometimes(QUIET_S, events.CLIENT_FILTERED, client="b")
    assert [each.fields["unsaid_count"] for each in said.events] == [0, 99]
    said.always(events.POOL_HAS_ROOM, scope="s", free_count=1)
    said.always(events.POOL_HAS_ROOM, scope="s", free_count=2)
    assert len(said.events) == 4
