"""Draw the pool of a scope: a bar of its states, and a map of its addresses.

Letters where there is no colour (a pipe, a file, NO_COLOR), coloured blocks
where there is, so that the picture is never told by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from holdfast.admin.pool_map import DECLINED, EXCLUDED, FREE, LEASED, OFFERED, RESERVED, STATES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from holdfast.admin.results_dhcp import PoolRangeRow, ScopeShown

BAR_WIDTH = 60
ROW_WIDTH = 64
ROW_COUNT_MAX = 32
LETTERS = {FREE: ".", LEASED: "#", OFFERED: "o", DECLINED: "!", RESERVED: "r", EXCLUDED: "x"}
_STYLES = {
    FREE: "green",
    LEASED: "blue",
    OFFERED: "cyan",
    DECLINED: "red",
    RESERVED: "magenta",
    EXCLUDED: "bright_black",
}
_BLOCK = "█"

Run = tuple[int, int, str]


def draw(shown: ScopeShown, console: Console) -> None:
    """Print the pool of a scope; nothing when it has none."""
    counts = {
        FREE: shown.free,
        LEASED: shown.leased,
        OFFERED: shown.offered,
        DECLINED: shown.declined,
        RESERVED: shown.reserved,
        EXCLUDED: shown.excluded,
    }
    if not shown.address_count:
        return
    in_colour = console.color_system is not None and "utf" in console.encoding.lower()
    console.print(_signs(bar_cells(counts), in_colour=in_colour))
    console.print(_legend(counts, in_colour=in_colour))
    runs = [_run(each) for each in shown.ranges]
    each_count, cells = map_cells(runs)
    if each_count > 1:
        console.print(f"one sign is {each_count} addresses and shows what most of them are")
    for start in range(0, len(cells), ROW_WIDTH):
        row = _signs(cells[start : start + ROW_WIDTH], in_colour=in_colour)
        row.pad_left(1)
        label = str(IPv4Address(runs[0][0] + start * each_count))
        console.print(f"{label:<15}", row, sep="")


def bar_cells(counts: dict[str, int], width: int = BAR_WIDTH) -> list[str]:
    """The states along a bar: each by its share, but nothing that is there is too small to be seen."""
    present = [state for state in STATES if counts[state]]
    total = sum(counts.values())
    widths = {state: max(1, counts[state] * width // total) for state in present}
    # What rounding left over, or took too much, is the largest one's.
    largest = max(present, key=lambda state: widths[state])
    widths[largest] += width - sum(widths.values())
    # Drawn from what is taken to what is free.
    order = (LEASED, OFFERED, DECLINED, RESERVED, EXCLUDED, FREE)
    return [state for state in order if state in widths for _ in range(widths[state])]


def map_cells(runs: Sequence[Run]) -> tuple[int, list[str]]:
    """The states along the pool, cell by cell.

    Returns:
        How many addresses a cell is, and for each cell the state of most of them
        (of equally many that which is told first: leased before free).
    """
    if not runs:
        return 1, []
    first, last = runs[0][0], runs[-1][1]
    cell_count_max = ROW_WIDTH * ROW_COUNT_MAX
    each_count = -(-(last - first + 1) // cell_count_max)
    cells: list[dict[str, int]] = [{} for _ in range(-(-(last - first + 1) // each_count))]
    for start, end, state in runs:
        for index in range((start - first) // each_count, (end - first) // each_count + 1):
            cell_first = first + index * each_count
            inside = min(end, cell_first + each_count - 1) - max(start, cell_first) + 1
            cells[index][state] = cells[index].get(state, 0) + inside
    return each_count, [_most(cell) for cell in cells]


def _most(cell: dict[str, int]) -> str:
    order = (LEASED, OFFERED, DECLINED, RESERVED, EXCLUDED, FREE)
    return max((state for state in order if state in cell), key=lambda state: cell[state], default=FREE)


def _run(row: PoolRangeRow) -> Run:
    return int(IPv4Address(row.first)), int(IPv4Address(row.last)), row.state


def _signs(states: Iterable[str], *, in_colour: bool) -> Text:
    from rich.text import Text

    text = Text()
    for state in states:
        text.append(_BLOCK if in_colour else LETTERS[state], style=_STYLES[state])
    return text


def _legend(counts: dict[str, int], *, in_colour: bool) -> Text:
    from rich.text import Text

    total = sum(counts.values())
    parts = []
    for state in (LEASED, OFFERED, DECLINED, RESERVED, EXCLUDED, FREE):
        if counts[state]:
            sign = _signs([state], in_colour=in_colour)
            parts.append(
                sign.append(f" {state} {counts[state]} ({100 * counts[state] / total:.1f} %)", style="")
            )
    return Text("   ").join(parts)
