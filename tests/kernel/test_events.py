"""The catalogue of log events: ids are unique, texts name their fields."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.kernel.events import CATALOGUE, EventKind, Severity, declare, happened


@pytest.fixture
def event() -> Iterator[EventKind]:
    """An event of the test's own, taken away again because the catalogue is printed into a reference page."""
    yield declare("TST-0001", Severity.WARNING, "disk {disk} has {free_bytes} bytes left", "Buy a disk.")
    del CATALOGUE["TST-0001"]


def test_declared_event_is_in_the_catalogue(event: EventKind) -> None:
    assert CATALOGUE["TST-0001"] is event
    assert event.field_names == ("disk", "free_bytes")


def test_id_is_declared_once(event: EventKind) -> None:
    with pytest.raises(AssertionError):
        declare(event.event_id, Severity.INFO, "again", "Never.")


def test_message_shows_the_fields(event: EventKind) -> None:
    happening = happened(event, disk="sda", free_bytes=7, mount=None)
    assert happening.message() == "disk sda has 7 bytes left"
    assert happening.fields["mount"] is None


def test_missing_field_is_our_own_fault(event: EventKind) -> None:
    with pytest.raises(AssertionError):
        happened(event, disk="sda")
