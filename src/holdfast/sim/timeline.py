"""A picture of one run as SVG: who was up, what was cut or full, and the life of each letter.

Give ``Timeline.listen`` to a simulation as its listener. One lane per process,
one per link or disk that something happened to, one per letter: from when its
sender has it, over each 250 that was read, to each mailbox that stored it.
The page needs nothing but itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape

LANE_PX, LEFT_PX, WIDTH_PX, TOP_PX = 16, 240, 1100, 44
LETTER_COUNT_MAX = 200  # more lanes than anybody looks at

_LINE = re.compile(r" *([0-9.]+) (.*)", re.DOTALL)
_STARTS = re.compile(r"(.+) starts, incarnation [0-9]+")
_ENDS = re.compile(r"(?:fault: )?(.+) (dies|stops cleanly)")
_SPAN = re.compile(
    r"fault: (?:the )?(.+? and .+? parted|link from .+? is slow|.*?disk.*? is (?:full|slow)|.+ is down)"
    r" for ([0-9.]+) s.*"
)
_INSTANT = re.compile(r"fault: (.+? (?:jumps by|is reset|loses its power|loses its disk|is declared lost).*)")
_POSTED = re.compile(r"\S+ has (\S+) for .*")
_READ = re.compile(r"\S+ reads 250 for (\S+)")
_STORED = re.compile(r"(.+) stores (\S+)")

_COLOURS = {"up": "#7fb58a", "cut": "#d08a4e", "letter": "#6b8fc9", "instant": "#b33", "stored": "#274b8a"}


@dataclass(slots=True)
class _Lane:
    """One line of the picture.

    Attributes:
        bars: from, until (None for the end), and what kind.
        marks: instants, what kind, and what is said of them.
    """

    bars: list[tuple[float, float | None, str]] = field(default_factory=list)
    marks: list[tuple[float, str, str]] = field(default_factory=list)


class Timeline:
    """Collects what a simulation notes, and draws it."""

    def __init__(self) -> None:
        self._processes: dict[str, _Lane] = {}
        self._troubles: dict[str, _Lane] = {}
        self._letters: dict[str, _Lane] = {}
        self._calm_at: float | None = None
        self._end = 0.0

    def listen(self, line: str) -> None:
        """Take in one line of the trace."""
        match = _LINE.fullmatch(line)
        if match is None:
            return
        at, text = float(match[1]), match[2]
        self._end = max(self._end, at)
        if text == "faults stop":
            self._calm_at = at
            for lane in self._troubles.values():
                lane.bars = [(begin, min(at, end or at), kind) for begin, end, kind in lane.bars]
        elif found := _STARTS.fullmatch(text):
            self._processes.setdefault(found[1], _Lane()).bars.append((at, None, "up"))
        elif found := _ENDS.fullmatch(text):
            lane = self._processes.setdefault(found[1], _Lane())
            if lane.bars and lane.bars[-1][1] is None:
                lane.bars[-1] = (lane.bars[-1][0], at, "up")
            if found[2] == "dies":
                lane.marks.append((at, "instant", "dies"))
        elif found := _SPAN.fullmatch(text):
            lane = self._troubles.setdefault(found[1], _Lane())
            lane.bars.append((at, at + float(found[2]), "cut"))
        elif found := _INSTANT.fullmatch(text):
            self._troubles.setdefault("other faults", _Lane()).marks.append((at, "instant", found[1]))
        else:
            self._listen_to_letters(at, text)

    def _listen_to_letters(self, at: float, text: str) -> None:
        if found := _POSTED.fullmatch(text):
            if len(self._letters) < LETTER_COUNT_MAX or found[1] in self._letters:
                self._letters.setdefault(found[1], _Lane()).bars.append((at, at, "letter"))
            return
        found = _READ.fullmatch(text)
        words, marker, kind = ("250 was read", found[1], "letter") if found else ("", "", "")
        if not found and (found := _STORED.fullmatch(text)):
            words, marker, kind = f"stored on {found[1]}", found[2], "stored"
        lane = self._letters.get(marker)
        if lane is not None and lane.bars:
            lane.marks.append((at, kind, words))
            lane.bars[-1] = (lane.bars[-1][0], at, "letter")

    def draw(self, title: str, failure: str | None) -> str:
        """The picture as the text of an SVG file.

        Args:
            title: which run it is.
            failure: what a checker said, at the end of the run; None when all was well.
        """
        groups = [("processes", self._processes), ("links, disks, clocks", self._troubles)]
        groups.append(("letters", self._letters))
        body: list[str] = []
        row = 0
        for name, lanes in groups:
            row += 1
            body.append(_text(8, row, name, bold=True))
            for label, lane in lanes.items():
                row += 1
                body.append(_text(20, row, label))
                body += self._draw_lane(row, lane)
        height = TOP_PX + (row + 2) * LANE_PX
        for at, colour, words in (
            (self._calm_at, "#888", "faults stop"),
            (self._end if failure else None, "#b33", "violation"),
        ):
            if at is not None:
                body.append(
                    f'<line x1="{self._x(at):.1f}" x2="{self._x(at):.1f}" y1="{TOP_PX}" y2="{height}" '
                    f'stroke="{colour}" stroke-dasharray="3 3"><title>{words}</title></line>'
                )
        said = f'<text x="8" y="34" fill="#b33">{escape(failure)}</text>' if failure else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT_PX + WIDTH_PX + 20}" height="{height}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
            f'<text x="8" y="16" font-size="13">{escape(title)}</text>{said}'
            f"{self._draw_axis(height)}{''.join(body)}</svg>\n"
        )

    def _x(self, at: float) -> float:
        return LEFT_PX + WIDTH_PX * (at / self._end if self._end else 0.0)

    def _draw_lane(self, row: int, lane: _Lane) -> list[str]:
        y = TOP_PX + row * LANE_PX
        found: list[str] = []
        for begin, end, kind in lane.bars:
            left, right = self._x(begin), self._x(min(self._end if end is None else end, self._end))
            found.append(
                f'<rect x="{left:.1f}" y="{y - 9}" width="{max(0.8, right - left):.1f}" height="9" '
                f'fill="{_COLOURS[kind]}"/>'
            )
        for at, kind, words in lane.marks:
            found.append(
                f'<circle cx="{self._x(at):.1f}" cy="{y - 4.5}" r="3" fill="{_COLOURS[kind]}">'
                f"<title>{at:.3f} s: {escape(words)}</title></circle>"
            )
        return found

    def _draw_axis(self, height: int) -> str:
        step = 10.0 ** max(0, len(str(int(self._end))) - 1)
        if self._end / step < 4:
            step /= 4
        found: list[str] = []
        at = 0.0
        while at <= self._end and len(found) < 100:
            x = self._x(at)
            found.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP_PX}" y2="{height}" stroke="#eee"/>'
                f'<text x="{x:.1f}" y="{TOP_PX - 2}" fill="#666">{at:g} s</text>'
            )
            at += step
        return "".join(found)


def _text(x: int, row: int, words: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{TOP_PX + row * LANE_PX}"{weight}>{escape(words)}</text>'
