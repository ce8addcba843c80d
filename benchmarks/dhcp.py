"""``make bench-dhcp``: exchanges a second against Debian's Kea and ISC dhcpd, in one run.

Closed loop, 64 exchanges outstanding, each by a client that never asked before;
the server on one core, the generator (``dhcp_load.c``) on the other; a fresh
store in each round. Reservations, a class, statistics and the audit log are on,
and every ACK of ours is synced to the disk first. Besides: what one exchange
takes when it is alone, and what a hundred thousand and a million leases cost.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dhcp_peers import PRIORITY, DhcpPeer, Holdfast, Isc, Kea, Load, Pool, declare, namespaces, organisation
from harness import RESULTS, Case, Row, report, run_case

WINDOW = 64
SMALL, LARGE, HUGE = Pool("10.100.0.0", 4_096), Pool("10.100.0.0", 65_536), Pool("10.100.0.0", 1_048_576)
# A pool as one finds it: what costs more, the more is leased, shows in no fresh one within seconds.
IN_USE = Pool("10.100.0.0", 65_536, leased_count=49_152)


class Bench:
    """What is measured, and the latencies that come with it."""

    def __init__(self, load: Load, seconds: float) -> None:
        self._load = load
        self._seconds = seconds
        self.latencies: dict[str, list[dict[str, float]]] = {}

    def rate(self, peer: DhcpPeer, name: str, *, window: int = WINDOW, limit: int = 0) -> float:
        """Exchanges a second, in one fresh round."""
        with peer.running(self._load):
            result = self._load.run(self._seconds, window, limit)
        self.latencies.setdefault(name, []).append(result)
        return result["rate"]


def measure(folder: Path, arguments: argparse.Namespace) -> tuple[list[Row], dict[str, object]]:
    """Every case; the rows, and the figures that have no peer."""
    rows: list[Row] = []
    bench = Bench(Load(folder), arguments.seconds)

    def compare(name: str, ours: Callable[[], float], theirs: Callable[[], float], peer: str) -> None:
        if arguments.only in f"{name} {peer}":
            rows.append(run_case(Case(name, ours, theirs), peer, "exchanges/s", arguments.rounds))

    with namespaces():
        ours = Holdfast(folder, HUGE)
        for thread_count in (1, 2):
            kea = Kea(folder, HUGE, thread_count=thread_count)
            name = f"Kea, memfile without sync, {thread_count} thread{'s' if thread_count > 1 else ''}"
            compare(
                f"{WINDOW} outstanding",
                partial(bench.rate, ours, "ours"),
                partial(bench.rate, kea, name),
                name,
            )
        for pool in (SMALL, LARGE, IN_USE):
            # At most as many as leave some of the pool free.
            limit = (pool.size - pool.leased_count) * 3 // 4
            isc, same = Isc(folder, pool), Holdfast(folder, pool)
            leased = f", {pool.leased_count:,} of them leased" if pool.leased_count else ""
            compare(
                f"{WINDOW} outstanding, pool of {pool.size:,}{leased}",
                partial(bench.rate, same, "ours, small pool", limit=limit),
                partial(bench.rate, isc, "ISC", limit=limit),
                "ISC dhcpd, synced",
            )
        alone = {}
        if arguments.only in "one exchange at a time":
            for name, peer in (
                ("ours", ours),
                ("Kea", Kea(folder, HUGE, thread_count=1)),
                ("ISC", Isc(folder, SMALL)),
            ):
                bench.rate(peer, f"{name} alone", window=1, limit=3000)
                alone[name] = {key: bench.latencies[f"{name} alone"][-1][key] for key in ("p50_ms", "p99_ms")}
    under_load = {
        name: {key: statistics.median(each[key] for each in found) for key in ("p50_ms", "p99_ms")}
        for name, found in bench.latencies.items()
        if not name.endswith(" alone")
    }
    return rows, {"one exchange at a time": alone, f"{WINDOW} outstanding": under_load}


def start_with(folder: Path, count: int) -> dict[str, float]:
    """Start our role with so many leases: seconds until it serves, and its resident memory."""
    from holdfast.dhcp.lease import ACTIVE, Lease
    from holdfast.drivers.sqlite_leases import LEASE_FILE, LeaseStore

    home = Path(tempfile.mkdtemp(dir=folder))
    declare(home, organisation(HUGE if count > LARGE.size else LARGE))
    first, now = 0x0A640000, int(time.time())
    store = LeaseStore.open(home / LEASE_FILE)
    for at in range(0, count, 10_000):
        store.commit(
            [
                Lease(
                    first + number, ACTIVE, 0, b"\x01\x02\x00" + number.to_bytes(4, "big"),
                    b"\x01\x02\x00" + number.to_bytes(4, "big") if number % 2 else b"", now,
                    now + 36_000 + number % 3600, now, now, b"host-%d" % number,
                )
                for number in range(at, min(at + 10_000, count))
            ]
        )  # fmt: skip
    store.close()
    read_ready, write_ready = os.pipe()
    began = time.monotonic()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "holdfast.daemons.dhcp", "--home", str(home), "--server", "ns1",
            "--ready-fd", str(write_ready),
        ],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=(write_ready,),
    )  # fmt: skip
    os.close(write_ready)
    with os.fdopen(read_ready, "rb") as ready:
        assert ready.readline()
    took_s = time.monotonic() - began
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    process.terminate()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    return {"leases": count, "start_s": round(took_s, 2), "resident_mb": round(resident / 1024, 1)}


def plain_because() -> str:
    """Why our server decides by plain Python; empty when it is compiled."""
    program = (
        "from holdfast.drivers.compiled import *; print(prefer_compiled('holdfast.drivers.dhcp_runner'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one round")
    parser.add_argument("--only", default="", help="a part of the names of the cases wanted")
    parser.add_argument(
        "--real-time", action="store_true", help="servers and generator before all other work of the machine"
    )
    arguments = parser.parse_args()
    if arguments.real_time:
        PRIORITY[:] = ["chrt", "-f", "10"]
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder = Path(name)
        rows, latencies = measure(folder, arguments)
        sizes = []
        if arguments.only in "start and memory":
            sizes = [start_with(folder, count) for count in (0, 100_000, 1_000_000)]
    report("dhcp", rows)
    manner = "before all other work (chrt -f)" if arguments.real_time else "as usual"
    load = [round(each, 1) for each in os.getloadavg()]
    more = {
        "scheduled": manner,
        "ours is": f"plain Python: {why_plain}" if (why_plain := plain_because()) else "compiled",
        "load average of the machine": load,
        "latency": latencies,
        "start and memory": sizes,
    }
    path = RESULTS / "dhcp.json"
    result = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(result | more, indent=2) + "\n", "utf-8")
    print(json.dumps(more, indent=2))


if __name__ == "__main__":
    main()
