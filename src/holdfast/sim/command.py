"""``holdfast simulate``: run seeds, one line each, and on a failure say which promise broke.

A failure prints the checker's sentence, the seed and the end of the trace; the
same seed and scenario show it again, to the last event. Many seeds are shared
among the processors; their lines come in order all the same.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from holdfast.kernel.errors import Refusal
from holdfast.sim import dhcp_command
from holdfast.sim.dhcp_rates import DHCP_SCENARIOS
from holdfast.sim.pair_rates import PAIR_SCENARIOS
from holdfast.sim.run import Result, Simulation, crash_everywhere, simulate
from holdfast.sim.scenario import DEFAULT_SCENARIO, Scenario, load_scenario, scenario_names
from holdfast.sim.shrink import RUN_COUNT_MAX, Shrunk, shrink
from holdfast.sim.timeline import Timeline
from holdfast.sim.world import World

Out = Callable[[str], object]
PROCESS_COUNT_MAX = 8
SEEDS_AT_ONCE = 10  # given to a processor, so that giving costs nothing
BAR_CHARACTERS = 30
LISTED_SEED_COUNT_MAX = 100  # of more seeds not each has a line
SUMMED = {
    "letter_count": "letters",
    "acknowledged_count": "× 250",
    "delivered_count": "copies delivered",
    "elsewhere_count": "elsewhere",
    "doubled_count": "of them doubled unavoidably",
    "crash_count": "crashes",
    "event_count": "events",
}


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
        seeds = _seeds(arguments)
        if arguments.scenario in (*DHCP_SCENARIOS, *PAIR_SCENARIOS):
            return _dhcp(seeds, arguments, out)
        scenario = load_scenario(arguments.scenario)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except Refusal as refusal:
        sys.stderr.write(f"{refusal.text}\n")
        return 2
    if arguments.everywhere:
        return _everywhere(seeds[0], scenario, out)
    if arguments.shrink:
        return _shrink(seeds[0], scenario, arguments, out)
    if arguments.timeline:
        return _picture(seeds[0], scenario, arguments, out)
    if len(seeds) > 1 and not arguments.trace:
        return _many(seeds, scenario, arguments, out)
    return int(any(_one(seed, scenario, arguments, out) for seed in seeds))


def _dhcp(seeds: range, arguments: argparse.Namespace, out: Out) -> int:
    """Run a scenario of leases.

    Raises:
        Refusal: what is asked is for scenarios of mail alone.
    """
    if arguments.shrink or arguments.timeline:
        raise Refusal(f'--shrink and --timeline are for mail; "{arguments.scenario}" is about leases')
    if arguments.everywhere and arguments.scenario in PAIR_SCENARIOS:
        raise Refusal("--everywhere kills one server; a scenario of two has its own crashes")
    if arguments.everywhere:
        return dhcp_command.run_everywhere(seeds[0], arguments.scenario, out)
    return dhcp_command.run_seeds(
        seeds, arguments.scenario, out, as_json=arguments.json, trace=arguments.trace
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfast simulate",
        description="Run servers, senders and mailboxes in a made-up world in which anything fails, and "
        "check that nothing acknowledged is lost or doubled.",
        epilog="example: holdfast simulate --seeds 0-199 --scenario plug-pull",
    )
    parser.add_argument("--seed", type=_natural, help="decides everything; the first of --seeds")
    parser.add_argument(
        "--seeds", metavar="COUNT or A-B", default="", help="how many seeds to run, or which: 0-199"
    )
    parser.add_argument(
        "--scenario",
        default=DEFAULT_SCENARIO,
        help=f"one of: {', '.join((*scenario_names(), *DHCP_SCENARIOS, *PAIR_SCENARIOS))}",
    )
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--json", action="store_true", help="print one JSON object per run")
    parser.add_argument("--timeline", metavar="FILE.svg", default="", help="draw the run of the first seed")
    parser.add_argument(
        "--shrink",
        action="store_true",
        help="find the fewest letters and faults with which the first seed still fails",
    )
    parser.add_argument(
        "--processes", type=_natural, default=0, help="how many seeds at once; one per processor by default"
    )
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


def _seeds(arguments: argparse.Namespace) -> range:
    """Which seeds are meant.

    Raises:
        Refusal: none are, or the words make no sense.
    """
    first, _, last = arguments.seeds.partition("-")
    if last or (arguments.seeds and not first):
        if not (first.isdecimal() and last.isdecimal()) or int(last) < int(first):
            raise Refusal(
                f'--seeds {arguments.seeds} is no range of seeds; write the first and the last: "0-199"'
            )
        if arguments.seed is not None:
            raise Refusal("--seed and a range in --seeds say the same; leave one of them out")
        return range(int(first), int(last) + 1)
    if arguments.seed is None:
        raise Refusal("which seed? name one with --seed, or several with --seeds 0-199")
    if first and not first.isdecimal():
        raise Refusal(f'--seeds {arguments.seeds} is neither a number of seeds nor a range such as "0-199"')
    return range(arguments.seed, arguments.seed + int(first or 1))


# --- one seed ------------------------------------------------------------------------------------


def _one(seed: int, scenario: Scenario, arguments: argparse.Namespace, out: Out) -> bool:
    """Run one seed and report; True when it failed."""
    listener = _printer(out) if arguments.trace else None
    if not arguments.json:
        out(_head(seed, scenario, arguments))
    result = Simulation(seed, scenario, listener=None if arguments.json else listener).run()
    out(_as_json(result) if arguments.json else _as_text(result))
    return result.failure is not None


def _printer(out: Out) -> Callable[[str], None]:
    def print_line(line: str) -> None:
        out(f"{line}\n")

    return print_line


def _picture(seed: int, scenario: Scenario, arguments: argparse.Namespace, out: Out) -> int:
    """Draw a run."""
    timeline = Timeline()
    result = simulate(seed, scenario, listener=timeline.listen)
    title = f"holdfast simulate --seed {seed} --scenario {scenario.name}"
    try:
        Path(arguments.timeline).write_text(timeline.draw(title, result.failure), "utf-8")
    except OSError as error:
        sys.stderr.write(
            f"{arguments.timeline} cannot be written: {error.strerror}; name a file in a folder that exists\n"
        )
        return 2
    out(_as_json(result) if arguments.json else _as_text(result))
    if not arguments.json:
        out(f"the picture is in {arguments.timeline}\n")
    return int(result.failure is not None)


def _shrink(seed: int, scenario: Scenario, arguments: argparse.Namespace, out: Out) -> int:
    """Find the shortest schedule that fails, and print it so that a test can replay it."""
    progress = _Progress(RUN_COUNT_MAX, "runs at most")
    shrunk = shrink(seed, scenario, tell=progress.at)
    progress.end()
    if shrunk is None:
        out(f"seed {seed} scenario {scenario.name}: ok, there is nothing to shrink\n")
        return 0
    if arguments.json:
        found = {**asdict(shrunk.result), "schedule": str(shrunk.schedule), "faults": list(shrunk.faults)}
        out(json.dumps(found) + "\n")
    else:
        out(_shrunk_as_text(seed, scenario, shrunk))
    return 1


def _shrunk_as_text(seed: int, scenario: Scenario, shrunk: Shrunk) -> str:
    letters, faults = shrunk.schedule.letters or (), shrunk.faults
    lines = [
        f"seed {seed} scenario {scenario.name}, after {shrunk.run_count} runs: "
        f"{len(letters)} letters ({' '.join(sorted(letters))}) and {len(faults)} faults are left:",
        *(f"  {each}" for each in faults),
        *(f"  {each}" for each in shrunk.result.last_lines),
        f"seed {seed}: {shrunk.result.failure}",
        "a test that replays it:",
        f'    simulate({seed}, load_scenario("{scenario.name}"), schedule={shrunk.schedule})',
    ]
    return "\n".join(lines) + "\n"


def _everywhere(seed: int, scenario: Scenario, out: Out) -> int:
    run_count = 0
    for result in crash_everywhere(seed, scenario):
        run_count += 1
        if result.failure is not None:
            out(f"run {run_count} of crash everywhere\n{_as_text(result)}")
            return 1
    out(f"seed {seed} scenario {scenario.name}: {run_count} runs, killed before each event: ok\n")
    return 0


# --- many seeds ----------------------------------------------------------------------------------


class _Progress:
    """A bar on a terminal's standard error; nothing elsewhere."""

    def __init__(self, count: int, unit: str) -> None:
        self._count = max(1, count)
        self._unit = unit
        self._shown = sys.stderr.isatty()

    def at(self, done_count: int) -> None:
        """Show how many are done."""
        if self._shown:
            full = BAR_CHARACTERS * min(done_count, self._count) // self._count
            bar = "#" * full + "." * (BAR_CHARACTERS - full)
            sys.stderr.write(f"\r[{bar}] {done_count}/{self._count} {self._unit} ")
            sys.stderr.flush()

    def end(self) -> None:
        """Clear the bar away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _results(seeds: range, scenario: Scenario, process_count: int) -> Iterator[Result]:
    """Run seeds on several processors; the results come in the order of the seeds."""
    run = partial(simulate, scenario=scenario)
    if process_count <= 1:
        yield from map(run, seeds)
        return
    with multiprocessing.Pool(process_count) as pool:
        yield from pool.imap(run, seeds, SEEDS_AT_ONCE)


def _many(seeds: range, scenario: Scenario, arguments: argparse.Namespace, out: Out) -> int:
    """Run seeds until one fails; of very many only the failure and the sums are printed."""
    processors = arguments.processes or min(PROCESS_COUNT_MAX, os.cpu_count() or 1)
    progress = _Progress(len(seeds), "seeds")
    sums = dict.fromkeys(SUMMED, 0)
    failed = False
    results = _results(seeds, scenario, 1 if len(seeds) <= SEEDS_AT_ONCE else processors)
    for done_count, result in enumerate(_until_failure(results), 1):
        progress.at(done_count)
        failed = result.failure is not None
        for name in SUMMED:
            sums[name] += getattr(result, name)
        if arguments.json:
            out(_as_json(result))
        elif failed or len(seeds) <= LISTED_SEED_COUNT_MAX:
            progress.end()
            out(_head(result.seed, scenario, arguments) + _as_text(result))
    progress.end()
    if not failed and not arguments.json and len(seeds) > LISTED_SEED_COUNT_MAX:
        words = ", ".join(f"{count} {SUMMED[name]}" for name, count in sums.items())
        out(f"seeds {seeds[0]}-{seeds[-1]} scenario {scenario.name}: all ok, {words}\n")
    return int(failed)


def _until_failure(results: Iterable[Result]) -> Iterator[Result]:
    for result in results:
        yield result
        if result.failure is not None:
            return


# --- words ---------------------------------------------------------------------------------------


def _head(seed: int, scenario: Scenario, arguments: argparse.Namespace) -> str:
    """What is simulated: seed, version and every drawn rate."""
    rates = scenario.draw(World(seed).luck("rates"))
    return f"seed {seed} scenario {scenario.name} {_version(arguments.commit)} {rates}\n"


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
    again = f"holdfast simulate --seed {result.seed} --scenario {result.scenario}"
    return (
        f"{line}the end of the trace:\n{trace}seed {result.seed}: {result.failure}\n"
        f"see it again: {again} --trace\nwith as little around it as possible: {again} --shrink\n"
    )


def _elsewhere(result: Result) -> str:
    if not result.elsewhere_count:
        return ""
    return f"{result.elsewhere_count} elsewhere ({result.doubled_count} of them doubled unavoidably), "
