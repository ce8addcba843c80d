"""``make bench-shadow``: what the second copy costs, against ourselves alone and against Postfix (one copy).

Both servers of the pair, the load and the peer share the machine. Each side is durable before its 250: the
pair on two disks' files, the others on one. Load: Postfix's smtp-source; nothing is handed on.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from harness import Case, Row, report, run_case
from relay import title
from relay_peers import HoldfastRelay, Load, PostfixRelay, Relay, accept_only, first_messages
from shadow_peers import HoldfastPair

LOADS: tuple[Load, ...] = (
    (20, 5_000, 3_000, True),
    (20, 5_000, 3_000, False),
    (1, 5_000, 600, True),
)


def main() -> None:
    """Measure every load and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="a part of the names of the cases wanted")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        pair: Relay = HoldfastPair(Path(name))
        alone: Relay = HoldfastRelay(Path(name))
        postfix: Relay = PostfixRelay(Path(name))
        try:
            for server in (pair, alone, postfix):
                first_messages(server)
            for peer, peer_name in ((alone, "one server"), (postfix, postfix.name)):
                for load in LOADS:
                    case = title("accept with a second copy", load)
                    if arguments.only in f"{case} against {peer_name}":
                        measured = Case(
                            case, partial(accept_only, pair, load), partial(accept_only, peer, load)
                        )
                        rows.append(run_case(measured, peer_name, "messages/s", arguments.rounds))
        finally:
            for server in (pair, alone, postfix):
                server.close()
    report("shadow", rows)


if __name__ == "__main__":
    main()
