"""The marks of back pressure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.model import Resource, ResourceThreshold
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]
MARKS = {"medium": "90", "high": "95", "high_to_medium": "92", "medium_to_low": "85"}


def test_marks_come_change_and_go(call: Call, store: DirectoryStore) -> None:
    call("threshold set", resource="queue-disk", **MARKS)
    assert store.read().resource_thresholds == (ResourceThreshold(Resource.QUEUE_DISK, 90, 95, 92, 85),)
    call("threshold set", resource="queue-disk", high="96", history_count="3")
    (row,) = call("threshold list").thresholds
    assert (row.resource, row.medium, row.high, row.look_count) == ("queue-disk", 90.0, 96.0, 3)
    call("threshold remove", resource="queue-disk")
    assert store.read().resource_thresholds == ()


def test_what_cannot_be_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match="give all four, also high-to-medium, medium-to-low"):
        call("threshold set", resource="queue-disk", medium="90", high="95")
    with pytest.raises(Refusal, match="nothing was changed"):
        call("threshold set", resource="queue-disk", **(MARKS | {"medium": "96"}))
    with pytest.raises(Refusal, match="there is no resource threshold"):
        call("threshold remove", resource="queue-disk")
