"""The page of what does not survive is what happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhcp.moving_report import NAMES, report
from dhcp.round_trips import arrived, differences, trip

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "dhcp-moving.md"


def test_the_page_says_what_happens() -> None:
    assert PAGE.read_text(encoding="utf-8") == report(), "write it anew: see tests/dhcp/moving_report.py"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_on_the_way_back_to_where_it_came_from(name: str) -> None:
    there = trip(arrived(name), name)
    assert there.out == []
    assert differences(there.before, there.after) == []
