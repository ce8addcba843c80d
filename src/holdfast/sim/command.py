"""``holdfast simulate``: run seeds, one line each, and on a failure say which promise broke.

A failure prints the checker's sentence, the seed and the end of the trace; the
same seed and scenario show it again, to the last event.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from holdfast.kernel.errors import Refusal
from holdfast.sim.run import Result, Simulation, crash_everywhere
from holdfast.sim.scenario import DEFAULT_SCENARIO, Scenario, load_scenario, scenario_names
from holdfast.sim.world import World

Out = Callable[[str], object]


def main(argv: list[str], out: Out | None = None) -> int:
    """Run ``holdfast simulate`` with its arguments.

    Args:
        argv: the arguments after ``simulate``.
        out: takes what is printed; the standard output when None.

    Returns:
        0 when every run kept every promise, 1 when one did not, 2 for wrong arguments.
    """
    out = out or sys.stdout.write
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    try:
        scenario = load_scenario(arguments.scenario)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal.text}\n")
        return 2
    if arguments.everywhere:
        return _everywhere(arguments.seed, scenario, out)
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        failed = _one(seed, scenario, arguments, out)
        if failed:
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfast simulate",
        description="Run servers, senders and a mailbox in a made-up world in which anything fails, and "
        "check that nothing acknowledged is lost or doubled.",
        epilog="example: holdfast simulate --seed 7 --seeds 100 --scenario plug-pull",
    )
    parser.add_argument(
        "--seed", type=_natural, required=True, help="decides everything; the first of --seeds"
    )
    parser.add_argument("--seeds", type=_natural, default=1, metavar="COUNT", help="how many seeds to run")
    parser.add_argument("--scenario", default=DEFAULT_SCENARIO, help=f"one of: {', '.join(scenario_names())}")
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--json", action="store_true", help="print one JSON object per run")
    parser.add_argument(
        "--everywhere",
        action="store_true",
        help="kill each process right before each event of the run, in turn",
    )
    parser.add_argument("--commit", default="", help="what to print as the commit that is simulated")
    return parser


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("a number of 0 or more is wanted")
    return number


def _one(seed: int, scenario: Scenario, arguments: argparse.Namespace, out: Out) -> bool:
    """Run one seed and report; True when it failed."""
    listener = _printer(out) if arguments.trace else None
    if not arguments.json:
        rates = scenario.draw(World(seed).luck("rates"))
        out(f"seed {seed} scenario {scenario.name} {_version(arguments.commit)} {rates}\n")
    result = Simulation(seed, scenario, listener=None if arguments.json else listener).run()
    out(_as_json(result) if arguments.json else _as_text(result))
    return result.failure is not None


def _printer(out: Out) -> Callable[[str], None]:
    def print_line(line: str) -> None:
        out(f"{line}\n")

    return print_line


def _everywhere(seed: int, scenario: Scenario, out: Out) -> int:
    run_count = 0
    for result in crash_everywhere(seed, scenario):
        run_count += 1
        if result.failure is not None:
            out(f"run {run_count} of crash everywhere\n{_as_text(result)}")
            return 1
    out(f"seed {seed} scenario {scenario.name}: {run_count} runs, killed before each event: ok\n")
    return 0


def _version(commit: str) -> str:
    try:
        number = version("holdfast")
    except PackageNotFoundError:
        number = "unknown"
    return f"version {number}" + (f" commit {commit}" if commit else "")


def _as_json(result: Result) -> str:
    return json.dumps(asdict(result)) + "\n"


def _as_text(result: Result) -> str:
    line = (
        f"seed {result.seed}: {'FAILED' if result.failure else 'ok'}, {result.letter_count} letters, "
        f"{result.acknowledged_count} × 250, {result.delivered_count} copies delivered, "
        f"{_elsewhere(result)}"
        f"{result.crash_count} crashes, {result.event_count} events in {result.virtual_s:.0f} s, "
        f"trace {result.trace_hash}\n"
    )
    if result.failure is None:
        return line
    trace = "".join(f"  {each}\n" for each in result.last_lines)
    again = f"holdfast simulate --seed {result.seed} --scenario {result.scenario} --trace"
    return (
        f"{line}the end of the trace:\n{trace}seed {result.seed}: {result.failure}\nsee it again: {again}\n"
    )


def _elsewhere(result: Result) -> str:
    if not result.elsewhere_count:
        return ""
    return f"{result.elsewhere_count} elsewhere ({result.doubled_count} of them doubled unavoidably), "
