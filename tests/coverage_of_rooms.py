"""Fail when the branch coverage of the pure rooms is under 95 %. Run after the tests, on their data."""

from __future__ import annotations

import io
import sys

import coverage

COVERED_PERCENT_MIN = 95.0
ROOMS = ("kernel", "wire", "directory", "transport", "mailbox", "access", "node", "sim")


def main() -> int:
    data = coverage.Coverage()
    data.load()
    worst = 100.0
    sys.stdout.write("\nbranch coverage of the pure rooms\n")
    for room in ROOMS:
        percent = data.report(include=[f"*/holdfast/{room}/*"], file=io.StringIO())
        worst = min(worst, percent)
        sys.stdout.write(f"  {room:<10} {percent:6.2f} %\n")
    if worst < COVERED_PERCENT_MIN:
        how = "see `coverage report -m --include '*/holdfast/ROOM/*'`"
        sys.stdout.write(f"\nunder {COVERED_PERCENT_MIN} %: {how}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
