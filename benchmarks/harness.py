"""Run us and a peer in turn in one run, and report ratios.

These machines are noisy: absolute figures say little, so every round runs each
side once, in alternating order, and the ratio is taken per round. The result
goes to ``benchmarks/results/SUITE.json`` and to the terminal as a table.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One case: medians of both sides, and the median, lowest and highest ratio over the rounds."""

    case: str
    peer: str
    ours: float
    theirs: float
    unit: str
    ratio: float
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


def run_case(case: Case, peer: str, unit: str, rounds: int) -> Row:
    """Measure one case, both sides in turn; who begins alternates."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        sides = [(ours, case.ours), (theirs, case.theirs)]
        for figures, measure in sides if number % 2 == 0 else reversed(sides):
            figures.append(measure())
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return Row(
        case.name, peer, round(statistics.median(ours), 1), round(statistics.median(theirs), 1), unit,
        round(statistics.median(ratios), 2), round(min(ratios), 2), round(max(ratios), 2), rounds,
    )  # fmt: skip


def report(suite: str, rows: list[Row]) -> None:
    """Write the results and print the table."""
    RESULTS.mkdir(exist_ok=True)
    result = {"suite": suite, "machine": machine(), "rows": [asdict(row) for row in rows]}
    (RESULTS / f"{suite}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    table = Table(title=f"{suite} on {machine()}")
    for name in ("case", "ours", "theirs", "unit", "ratio", "lowest", "highest", "rounds"):
        table.add_column(name, justify="left" if name in ("case", "unit") else "right")
    for row in rows:
        table.add_row(
            f"{row.case} against {row.peer}", f"{row.ours:,.0f}", f"{row.theirs:,.0f}", row.unit,
            f"{row.ratio:.2f}", f"{row.ratio_min:.2f}", f"{row.ratio_max:.2f}", str(row.rounds),
        )  # fmt: skip
    # As wide as the table, also where the output is no terminal and 80 columns would be assumed.
    Console(width=130).print(table)
