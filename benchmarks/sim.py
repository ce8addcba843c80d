"""``make bench-sim``: how many simulated seconds go by in a second, three servers and 50 messages a second.

Ten senders write to thirty mailboxes on three servers, so two of three messages
cross to another server; a process dies every twenty seconds. Measured on one
processor, and with as many seeds at once as there are processors. The figures
go to ``benchmarks/results/sim.json``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from functools import partial

from harness import RESULTS, machine
from holdfast.sim.run import simulate
from holdfast.sim.scenario import parse_scenario

SENDER_COUNT, MESSAGES_PER_S = 10, 50
TEXT = """
[rates]
safety_s = {span_s}
server_count = 3
sender_count = {sender_count}
letter_count = {letter_count}
letter_every_s = {every_s}
session_letter_max = 20
recipient_max = 1
group_rate = 0
unknown_rate = 0
mailbox_count = 30
body_bytes_max = 2000
pipelining_rate = 1
segment_bytes_max = 65536
crash_every_s = 20
"""


def run(seed: int, span_s: int) -> int:
    """Simulate one seed; returns how many messages were acknowledged."""
    text = TEXT.format(
        span_s=span_s,
        sender_count=SENDER_COUNT,
        letter_count=span_s * MESSAGES_PER_S // SENDER_COUNT,
        every_s=SENDER_COUNT / MESSAGES_PER_S,
    )
    result = simulate(seed, parse_scenario("bench", text))
    if result.failure is not None:
        raise SystemExit(f"seed {seed}: {result.failure}")
    return result.acknowledged_count


def measure(seeds: range, span_s: int) -> float:
    """Simulated seconds per second, all seeds of a range at once."""
    began = time.perf_counter()
    if len(seeds) == 1:
        run(seeds[0], span_s)
    else:
        with multiprocessing.Pool(len(seeds)) as pool:
            pool.map(partial(run, span_s=span_s), seeds, 1)
    return len(seeds) * span_s / (time.perf_counter() - began)


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=60, help="simulated, per seed")
    arguments = parser.parse_args()
    processors = os.cpu_count() or 1
    figures = {
        words: round(
            statistics.median(
                measure(range(number * count, (number + 1) * count), arguments.seconds)
                for number in range(arguments.rounds)
            ),
            1,
        )
        for words, count in (("one seed at a time", 1), (f"{processors} seeds at once", processors))
    }
    result = {
        "suite": "sim",
        "machine": machine(),
        "case": f"3 servers, {MESSAGES_PER_S} messages/s, medians of {arguments.rounds} rounds",
        "simulated seconds per second": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "sim.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for words, figure in figures.items():
        print(f"{result['case']}, {words}: {figure:.1f} simulated seconds per second")


if __name__ == "__main__":
    main()
