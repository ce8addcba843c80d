"""The DHCP scenarios of ``holdfast simulate``: one line per seed, and on a failure which promise broke."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict

from holdfast.sim.dhcp_run import DhcpResult, DhcpSimulation, crash_dhcp_everywhere
from holdfast.sim.pair_rates import PAIR_SCENARIOS
from holdfast.sim.pair_run import PairResult, PairSimulation

Out = Callable[[str], object]


def run_seeds(seeds: Iterable[int], scenario: str, out: Out, *, as_json: bool, trace: bool) -> int:
    """Run seeds; 1 when any of them broke a promise, else 0."""
    failed_count = 0
    for seed in seeds:

        def listen(line: str) -> None:
            out(f"{line}\n")

        listener = listen if trace and not as_json else None
        result = _run(seed, scenario, listener)
        out(json.dumps(asdict(result)) + "\n" if as_json else as_text(result))
        failed_count += result.failure is not None
    return int(failed_count > 0)


def run_everywhere(seed: int, scenario: str, out: Out) -> int:
    """Kill the server before each event of one run, in turn; 1 when a promise broke, else 0."""
    count, failed = crash_dhcp_everywhere(seed, scenario)
    for result in failed[:10]:
        out(as_text(result))
    out(f"seed {seed} scenario {scenario}: killed at {count} moments, {len(failed)} failures\n")
    return int(bool(failed))


def _run(seed: int, scenario: str, listener: Callable[[str], None] | None) -> DhcpResult | PairResult:
    if scenario in PAIR_SCENARIOS:
        return PairSimulation(seed, scenario, listener=listener).run()
    return DhcpSimulation(seed, scenario, listener=listener).run()


def as_text(result: DhcpResult | PairResult) -> str:
    """One run as a line; a failed one with the end of its trace."""
    head = f"seed {result.seed} scenario {result.scenario}: "
    if result.failure is None:
        return (
            f"{head}ok, {result.client_count} clients, {result.lease_count} leases, "
            f"{result.renewal_count} renewals, {result.crash_count} crashes, {result.virtual_s:.0f} s\n"
        )
    return "".join(f"  {line}\n" for line in result.last_lines) + f"{head}{result.failure}\n"
