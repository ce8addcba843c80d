"""Run us and a peer in turn in one run, and report ratios.

These machines are noisy: absolute figures say little, so every round runs each
side once, in alternating order. What counts is the ratio of the medians; the
ratios of the rounds are reported beside it. The result
goes to ``benchmarks/results/SUITE.json`` and to the terminal as a table.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One case.

    Attributes:
        ours: the median over the rounds.
        theirs: the same.
        ratio: of these medians.
        ratio_of_rounds: the median of the ratios of the rounds.
        ratio_min: the lowest of them.
        ratio_max: the highest of them.
    """

    case: str
    peer: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    ratio_of_rounds: float
    ratio_min: float
    ratio_max: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: each side returns a rate; larger is better."""

    name: str
    ours: Callable[[], float]
    theirs: Callable[[], float]


def machine() -> str:
    """The machine in one line: cores, processor, kernel, Python."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}, Python {platform.python_version()}"


def seconds_of(words: Sequence[str], patience_s: float) -> float:
    """Run a program, in a session of its own, and return how long it took.

    ``subprocess`` with a time-out looks at the program every 50 ms only: too seldom for the shortest case.
    """
    started = time.monotonic()
    with subprocess.Popen(words, start_new_session=True) as process:
        limit = threading.Timer(patience_s, process.kill)
        limit.start()
        code = process.wait()
        seconds = time.monotonic() - started
        limit.cancel()
    if code:
        raise SystemExit(f"it ended with {code} after {seconds:.0f} s: {' '.join(words)}")
    return seconds


def run_case(case: Case, peer: str, unit: str, rounds: int) -> Row:
    """Measure one case, both sides in turn; who begins alternates."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        sides = [(ours, case.ours), (theirs, case.theirs)]
        for figures, measure in sides if number % 2 == 0 else reversed(sides):
            figures.append(measure())
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    our_median, their_median = statistics.median(ours), statistics.median(theirs)
    return Row(
        case.name, peer, round(our_median, 1), round(their_median, 1), unit,
        round(our_median / their_median, 2), round(statistics.median(ratios), 2),
        round(min(ratios), 2), round(max(ratios), 2), rounds,
    )  # fmt: skip


def report(suite: str, rows: list[Row], *, keep: bool = False) -> None:
    """Write the results and print the table.

    Args:
        suite: names the file.
        rows: what was measured.
        keep: whether cases of the same machine that were not measured now stay in the file.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{suite}.json"
    if keep and path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["machine"] == machine():
            now = {(row.case, row.peer): row for row in rows}
            found = [now.pop((row["case"], row["peer"]), None) or Row(**row) for row in before["rows"]]
            rows = [*found, *now.values()]
    result = {"suite": suite, "machine": machine(), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    table = Table(title=f"{suite} on {machine()}")
    for name in ("case", "ours", "theirs", "unit", "ratio", "of rounds", "lowest", "highest", "rounds"):
        table.add_column(name, justify="left" if name in ("case", "unit") else "right")
    for row in rows:
        table.add_row(
            f"{row.case} against {row.peer}", f"{row.ours:,.0f}", f"{row.theirs:,.0f}", row.unit,
            f"{row.ratio:.2f}", f"{row.ratio_of_rounds:.2f}", f"{row.ratio_min:.2f}", f"{row.ratio_max:.2f}",
            str(row.rounds),
        )  # fmt: skip
    # As wide as the table, also where the output is no terminal and 80 columns would be assumed.
    Console(width=140).print(table)
