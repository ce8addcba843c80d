"""``make bench-mail``: accept and relay, and accept only, against Postfix and aiosmtpd.

Load: Postfix's smtp-source in, its smtp-sink out, on the same machine. Both sides
are durable before their 250, write their logs, offer STARTTLS, and go by their
defaults but for what ``peers`` and this file say. Content filters are off on both.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness import Case, Row, report, run_case
from relay_peers import (
    Aiosmtpd,
    HoldfastRelay,
    Load,
    PostfixRelay,
    Relay,
    accept_into_maildir,
    accept_only,
    relay_on,
)

# sessions, size of a message in bytes, messages of one round, whether sessions last
LOADS: tuple[Load, ...] = (
    (20, 5_000, 3_000, True),
    (20, 5_000, 3_000, False),
    (20, 50_000, 1_000, True),
    (1, 5_000, 2_000, True),
    (100, 5_000, 3_000, True),
)
WARM_UP: Load = (1, 5_000, 10, True)


def title(what: str, load: Load) -> str:
    """One case in words."""
    sessions, size, _, lasting = load
    manner = "many per session" if lasting else "one per session"
    plural = "session" if sessions == 1 else "sessions"
    return f"{what}, {sessions} {plural}, {size // 1000} KB, {manner}"


def main() -> None:
    """Measure every load and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="a part of the names of the cases wanted")
    parser.add_argument("--keep", action="store_true", help="keep the results of the cases not measured now")
    arguments = parser.parse_args()
    rows: list[Row] = []

    def compare(name: str, ours: Callable[[], float], theirs: Callable[[], float], peer: str) -> None:
        if arguments.only in f"{name}, against {peer}":
            rows.append(run_case(Case(name, ours, theirs), peer, "messages/s", arguments.rounds))

    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        ours: Relay = HoldfastRelay(Path(name))
        postfix: Relay = PostfixRelay(Path(name))
        aiosmtpd = Aiosmtpd(Path(name))
        try:
            for server in (ours, postfix):  # both have a queue from now on that can be held
                relay_on(server, WARM_UP)
            for load in LOADS:
                compare(
                    title("accept and relay", load),
                    partial(relay_on, ours, load), partial(relay_on, postfix, load), postfix.name,
                )  # fmt: skip
            for load in LOADS:
                compare(
                    title("accept", load),
                    partial(accept_only, ours, load), partial(accept_only, postfix, load), postfix.name,
                )  # fmt: skip
            for load in LOADS:
                compare(
                    title("accept", load),
                    partial(accept_only, ours, load), partial(accept_into_maildir, aiosmtpd, load),
                    aiosmtpd.name,
                )  # fmt: skip
        finally:
            for each in (ours, postfix, aiosmtpd):
                each.close()
    report("relay", rows, keep=arguments.keep)


if __name__ == "__main__":
    main()
