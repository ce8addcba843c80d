"""Draw a drill as a picture: mail taken per second, and below it when each door answered.

The picture is SVG and stands alone: no script, no font, no file of others.
"""

from __future__ import annotations

from html import escape

from holdfast.lab.accounts import Gap
from holdfast.lab.outcome import Outcome

WIDTH = 960
LABEL_WIDTH = 150
RIGHT_MARGIN = 20
BAR_HEIGHT = 110
LANE_HEIGHT = 16
LANE_STEP = 24
TOP = 34

SERVING = "#2f8f5b"
DOWN = "#c8372d"
HIT = "#3b3f46"
INK = "#22262b"
FAINT = "#d9dde2"
# Different in lightness as well, so that they can be told apart on paper.
SERVER_COLOURS = ("#2b5c9e", "#8fb8e8", "#6a4c93", "#c9b6e4", "#1d7a78", "#9ad4d2")


def draw(outcome: Outcome) -> str:
    """The picture as SVG text."""
    return _Picture(outcome).draw()


class _Picture:
    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        # A drill of no length would divide by nothing.
        self._length_s = max(outcome.ended_s, 1.0)
        self._parts: list[str] = []

    def draw(self) -> str:
        outcome = self._outcome
        bars_bottom = TOP + BAR_HEIGHT
        self._bars(bars_bottom)
        at = bars_bottom + 26
        lanes_top = TOP
        for server in outcome.servers:
            down = tuple(gap for name, gap in outcome.down if name == server)
            self._lane(at, f"{server} itself", down, HIT, "not running, frozen or cut off")
            at += LANE_STEP
        at += 6
        for door in outcome.doors:
            self._lane(at, f"{door.protocol} {door.server}", door.outages, DOWN, "does not answer")
            at += LANE_STEP
        self._axis(at)
        self._marks(lanes_top, at)
        height = at + 34
        title = escape(outcome.headline)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'font-family="sans-serif" font-size="12" fill="{INK}"><title>{title}</title>'
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>{"".join(self._parts)}</svg>\n'
        )

    def _x(self, at_s: float) -> float:
        width = WIDTH - LABEL_WIDTH - RIGHT_MARGIN
        return LABEL_WIDTH + width * min(max(at_s, 0.0), self._length_s) / self._length_s

    def _bars(self, bottom: int) -> None:
        rates = self._outcome.letters_per_s
        seconds = max((len(each) for each in rates.values()), default=0)
        sums = [
            sum(each[second] for each in rates.values() if second < len(each)) for second in range(seconds)
        ]
        most = max(sums, default=0) or 1
        self._text(LABEL_WIDTH - 10, TOP + 10, f"{most}/s", "end")
        self._text(LABEL_WIDTH - 10, bottom, "0", "end")
        self._text(10, TOP + 10, "mail taken")
        self._line(LABEL_WIDTH, bottom, WIDTH - RIGHT_MARGIN, bottom, FAINT)
        for second in range(seconds):
            base = float(bottom)
            left, right = self._x(second), self._x(second + 1)
            for number, server in enumerate(self._outcome.servers):
                count = rates[server][second] if second < len(rates.get(server, ())) else 0
                height = BAR_HEIGHT * count / most
                base -= height
                if count:
                    colour = SERVER_COLOURS[number % len(SERVER_COLOURS)]
                    words = f"{server}: {count} letters in second {second}"
                    self._rect((left, base, max(right - left - 0.5, 0.5), height), colour, words)
        for number, server in enumerate(self._outcome.servers):
            colour = SERVER_COLOURS[number % len(SERVER_COLOURS)]
            self._rect((10, TOP + 22 + 18 * number, 10, 10), colour, server)
            self._text(26, TOP + 31 + 18 * number, server)

    def _lane(self, top: int, label: str, gaps: tuple[Gap, ...], colour: str, words: str) -> None:
        self._text(10, top + 12, label)
        whole = (self._x(0), top, self._x(self._length_s) - self._x(0), LANE_HEIGHT)
        self._rect(whole, SERVING, f"{label}: serves")
        for gap in gaps:
            left, right = self._x(gap.from_s), self._x(gap.until_s)
            span = f"{label}: {words} from {gap.from_s:.1f} s to {gap.until_s:.1f} s"
            self._rect((left, top, max(right - left, 1.0), LANE_HEIGHT), colour, span)

    def _axis(self, top: int) -> None:
        self._line(LABEL_WIDTH, top + 2, WIDTH - RIGHT_MARGIN, top + 2, INK)
        step = next(
            (each for each in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if self._length_s / each <= 14), 3600
        )
        for second in range(0, int(self._length_s) + 1, step):
            x = self._x(second)
            self._line(x, top + 2, x, top + 7, INK)
            self._text(x, top + 21, f"{second} s", "middle")

    def _marks(self, top: int, bottom: int) -> None:
        for index, mark in enumerate(self._outcome.marks):
            x = self._x(mark.at_s)
            self._line(x, top - 4, x, bottom, HIT, dashed=True)
            anchor = "end" if x > WIDTH * 0.75 else "start"
            self._text(
                x + (-4 if anchor == "end" else 4),
                14 + 13 * (index % 2),
                f"{mark.server} {mark.what}",
                anchor,
            )

    def _rect(self, box: tuple[float, float, float, float], colour: str, words: str) -> None:
        x, y, width, height = box
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}">'
            f"<title>{escape(words)}</title></rect>"
        )

    def _line(self, x1: float, y1: float, x2: float, y2: float, colour: str, *, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dash}/>'
        )

    def _text(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>')
