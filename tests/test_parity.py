"""docs/reference/exchange-parity.md has a row for every fact, and the tests that it names exist."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "exchange-parity.md"
# How many facts each section has.
COUNTS = {
    "RC": 11, "SC": 11, "RT": 11, "TL": 7, "QU": 10, "SR10": 9, "SR13": 15, "SN": 8, "BP": 14, "MT": 8,
}  # fmt: skip
ROW = re.compile(r"\| ([A-Z]{2}(?:[0-9]{2})?-[0-9]+) \| ([^|]+) \| (yes|no|differs)\b([^|]*) \| ([^|]*)\|")
NAMED = re.compile(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`")


@lru_cache(maxsize=128)
def functions_of(name: str) -> frozenset[str]:
    """The test functions of a file below tests/; none when there is no such file."""
    path = ROOT / "tests" / name
    if not path.exists():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(each.name for each in tree.body if isinstance(each, ast.FunctionDef))


def faults_of(page: str) -> list[str]:
    """What is wrong with the page."""
    faults = []
    rows = {match[1]: match for match in ROW.finditer(page)}
    for number, line in enumerate(page.splitlines(), 1):
        if re.match(r"\| [A-Z]{2}(?:[0-9]{2})?-", line) and not ROW.fullmatch(line):
            faults.append(f"line {number} is malformed: {line[:60]}")
    wanted = {f"{section}-{number}" for section, count in COUNTS.items() for number in range(1, count + 1)}
    faults += [f"{each} is missing" for each in sorted(wanted - rows.keys())]
    faults += [f"{each} is not known" for each in sorted(rows.keys() - wanted)]
    for name, match in rows.items():
        _, _, answer, why, shown = match.groups()
        tests = NAMED.findall(shown)
        if answer != "yes" and not why.startswith(": "):
            faults.append(f"{name} does not say why")
        if answer != "no" and not tests:
            faults.append(f"{name} names no test")
        if len(tests) != shown.count("`") // 2:
            faults.append(f"{name} names something that is no test: {shown}")
        faults += [
            f"{name}: there is no {path}::{test}" for path, test in tests if test not in functions_of(path)
        ]
    return faults


def test_every_fact_has_a_row_and_every_row_its_tests() -> None:
    assert faults_of(PAGE.read_text(encoding="utf-8")) == []


def test_faults_are_found() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for old, new, fault in (
        ("| RC-8 |", "| RC-80 |", "RC-8 is missing"),
        ("| SR13-15 |", "| SR13-16 |", "SR13-15 is missing"),
        ("other members first | no:", "other members first | no,", "RT-7 does"),
        ("::test_tie_rules`", "::test_tie_rule`", "RT-2: there is no"),
        ("test_site_paths.py::test_tie_rules`", "test_paths.py::test_tie_rules`", "RT-2: there is no"),
        ("`transport/test_site_paths.py::test_tie_rules`", "", "RT-2 names no test"),
        ("| QU-2 |", "| QU-2 ", "is malformed"),
    ):  # fmt: skip
        assert old in page
        assert any(fault in each for each in faults_of(page.replace(old, new))), fault
