"""``make bench``: how many messages a second go from the door into the mailbox, against Postfix.

Load: Postfix's own smtp-source over lasting sessions, 1, 20 and 100 at once,
5 KB and 50 KB. Both sides are durable before their 250 and in the mailbox.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from harness import Case, report, run_case
from peers import Holdfast, Postfix, accept_to_mailbox

LOADS = tuple(
    (sessions, size, count)
    for size, counts in ((5_000, (500, 2_000, 2_000)), (50_000, (300, 800, 800)))
    for sessions, count in zip((1, 20, 100), counts, strict=True)
)


def main() -> None:
    """Measure every load and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        ours, theirs = Holdfast(Path(name)), Postfix(Path(name))
        try:
            rows = []
            for sessions, size, count in LOADS:
                load = {"sessions": sessions, "count": count, "size": size}
                case = Case(
                    f"accept to mailbox, {sessions} sessions, {size // 1000} KB",
                    partial(accept_to_mailbox, ours, **load),
                    partial(accept_to_mailbox, theirs, **load),
                )
                rows.append(run_case(case, theirs.name, "messages/s", arguments.rounds))
        finally:
            ours.close()
            theirs.close()
    report("mail", rows)


if __name__ == "__main__":
    main()
