"""The picture of a pool: shares along the bar, one sign for each address of the map."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from holdfast.admin.pool_map import DECLINED, EXCLUDED, FREE, LEASED, OFFERED, RESERVED, STATES
from holdfast.admin.results_dhcp import PoolRangeRow, ScopeShown
from holdfast.cli.pool_drawing import BAR_WIDTH, ROW_COUNT_MAX, ROW_WIDTH, bar_cells, draw, map_cells
from holdfast.cli.render import show

COUNTS = {FREE: 100, LEASED: 60, OFFERED: 1, DECLINED: 1, RESERVED: 10, EXCLUDED: 19}


def _shown(**changes: object) -> ScopeShown:
    values: dict[str, object] = {
        "name": "office",
        "subnet": "192.0.2.0/24",
        "pool": "192.0.2.10-192.0.2.79",
        "server": "demo",
        "enabled": True,
        "live": True,
        "address_count": 70,
        "free": 65,
        "leased": 2,
        "offered": 0,
        "declined": 0,
        "reserved": 1,
        "excluded": 2,
        "reservation_count": 1,
        "reserved_outside": 0,
        "policies": [],
        "settings": [],
        "options": [],
        "ranges": [
            PoolRangeRow("192.0.2.10", "192.0.2.11", LEASED, 2),
            PoolRangeRow("192.0.2.12", "192.0.2.12", RESERVED, 1),
            PoolRangeRow("192.0.2.13", "192.0.2.77", FREE, 65),
            PoolRangeRow("192.0.2.78", "192.0.2.79", EXCLUDED, 2),
        ],
    }
    return ScopeShown(**(values | changes))  # type: ignore[arg-type] # from a table


def test_bar_shows_shares_and_hides_nothing_that_is_there() -> None:
    cells = bar_cells(COUNTS)
    assert len(cells) == BAR_WIDTH
    widths = {state: cells.count(state) for state in STATES}
    assert widths == {LEASED: 18, OFFERED: 1, DECLINED: 1, RESERVED: 3, EXCLUDED: 5, FREE: 32}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(STATES), st.integers(1, 1 << 24), min_size=1))
def test_bar_is_always_of_one_width(found: dict[str, int]) -> None:
    cells = bar_cells(dict.fromkeys(STATES, 0) | found)
    assert len(cells) == BAR_WIDTH
    assert set(cells) == set(found)


def test_map_has_a_cell_for_each_address_of_a_small_pool() -> None:
    assert map_cells([(10, 11, LEASED), (12, 14, FREE)]) == (1, [LEASED, LEASED, FREE, FREE, FREE])
    assert map_cells([]) == (1, [])


def test_cell_of_a_large_pool_shows_what_most_of_it_is() -> None:
    count = ROW_WIDTH * ROW_COUNT_MAX * 4
    each_count, cells = map_cells([(0, 2, LEASED), (3, 5, FREE), (6, 7, LEASED), (8, count - 1, FREE)])
    assert each_count == 4
    assert cells[:3] == [LEASED, LEASED, FREE]  # 3 of 4; 2 of 4, told first; none
    assert len(cells) == ROW_WIDTH * ROW_COUNT_MAX


def test_pipe_gets_letters() -> None:
    output = io.StringIO()
    draw(_shown(), Console(file=output, width=200))
    bar, legend, first, second = output.getvalue().splitlines()
    assert bar == "#" + "r" + "x" + "." * 57
    assert legend == "# leased 2 (2.9 %)   r reserved 1 (1.4 %)   x excluded 2 (2.9 %)   . free 65 (92.9 %)"
    assert first == "192.0.2.10      ##r" + "." * 61
    assert second == "192.0.2.74      ....xx"


def test_terminal_gets_coloured_blocks() -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    draw(_shown(), Console(file=output, width=200, force_terminal=True, color_system="standard"))
    output.seek(0)
    text = output.read()
    assert "█" in text
    assert "\x1b[34m" in text
    assert "#" not in text


def test_large_pool_says_how_much_a_sign_is() -> None:
    output = io.StringIO()
    ranges = [PoolRangeRow("10.0.0.0", "10.0.255.255", FREE, 65536)]
    draw(_shown(address_count=65536, free=65536, ranges=ranges), Console(file=output, width=200))
    assert "one sign is 32 addresses" in output.getvalue()
    assert len(output.getvalue().splitlines()) == 3 + ROW_COUNT_MAX


def test_scope_is_shown_with_its_picture_and_without_its_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    show(_shown())
    out = capsys.readouterr().out
    assert out.index("subnet:") < out.index("##r...")
    assert "192.0.2.13" not in out


def test_scope_without_a_pool_has_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    show(_shown(pool="", address_count=0, ranges=[]))
    assert "#" not in capsys.readouterr().out
