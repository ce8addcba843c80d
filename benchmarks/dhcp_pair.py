"""The second half of ``make bench-dhcp``: pairs of servers, ours against ISC dhcpd's and Kea's, in one run.

- Exchanges a second, 64 outstanding, each by a client that never asked before and
  whose messages reach both servers; both servers and the generator share two cores.
- What a client feels when one of the two goes.
- What it costs a client below full load that a partner is told of its lease.
- How long a partner takes to know 100,000 leases that it does not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dhcp_pair_peers import (
    ADDRESSES,
    CLIENT_SPACE,
    MCLT_S,
    HoldfastPair,
    IscPair,
    KeaPair,
    Pair,
    ask,
    pair_namespaces,
    plug,
)
from dhcp_peers import LEASE_S, PRIORITY, RELAY, Load, Pool
from harness import RESULTS, Case, Row, machine, report, run_case

WINDOW = 64
WINDOW_BELOW = 12  # outstanding where half of the full rate is wanted
SMALL, LARGE, HUGE = Pool("10.100.0.0", 4_096), Pool("10.100.0.0", 65_536), Pool("10.100.0.0", 262_144)
LIMITS = {SMALL: 2_500, LARGE: 45_000}
LEASE_COUNT = 100_000
RENEWING_COUNT = 200
SETTLE_S = 1.0  # from NORMAL until free addresses are shared and on disk; no figure contains it
# When clients repeat a message that was not answered: the first is that of a hasty one, the second udhcpc's.
REPEATS_S = (1.0, 3.0)
_LATEST_S = 90.0


def rate(load: Load, seconds: float, pair: Pair) -> float:
    """Exchanges a second, in one fresh round."""
    with pair.running():
        time.sleep(SETTLE_S)
        return ask(load, seconds, WINDOW, LIMITS[pair.pool])["rate"]


def throughput(load: Load, folder: Path, rounds: int, seconds: float, only: str) -> list[Row]:
    """The pairs against each other."""
    large = HoldfastPair(folder, LARGE)
    fast = {"heartbeat_delay": 1000, "max_response_delay": 5000, "max_ack_delay": 5000}
    cases: list[tuple[str, HoldfastPair, Pair]] = [
        ("ISC dhcpd pair, synced", HoldfastPair(folder, SMALL), IscPair(folder, SMALL)),
        *(
            (f"Kea pair, {mode}, without sync", large, KeaPair(folder, LARGE, mode, **fast))
            for mode in ("load-balancing", "hot-standby")
        ),
    ]
    rows = []
    for peer, ours, theirs in cases:
        if only in peer:
            case = Case(
                f"pair, {WINDOW} outstanding, pool of {ours.pool.size:,}",
                partial(rate, load, seconds, ours),
                partial(rate, load, seconds, theirs),
            )
            rows.append(run_case(case, peer, "exchanges/s", rounds))
    return rows


def latency(load: Load, folder: Path, rounds: int, seconds: float) -> dict[str, object]:
    """How long an exchange takes below full load: of two that tell each other, and of one that tells nobody.

    Either server has the same number of clients outstanding in both, and so tells as many leases or none.
    """
    together, alone = [], []
    for _ in range(rounds):
        pair = HoldfastPair(folder, LARGE)
        with pair.running():
            time.sleep(SETTLE_S)
            together.append(_times(ask(load, seconds, WINDOW_BELOW, LIMITS[LARGE])))
            pair.kill(1)
            pair.wait_until("apart", lambda each=pair: not each.is_normal(0))
            alone.append(_times(ask(load, seconds, WINDOW_BELOW // 2, LIMITS[LARGE], only=0)))
    return {"told to the partner": together, "partner dead": alone}


def _times(result: dict[str, float]) -> dict[str, float]:
    return {name: result[name] for name in ("rate", "p50_ms", "p99_ms")}


def _bucket_is_primarys(hardware: bytes) -> bool:
    from holdfast.dhcp.balance import bucket_of, buckets_of, is_primarys

    return is_primarys(buckets_of(128), bucket_of(hardware))


def time_to_lease(load: Load, dead: int, repeat_s: float, latest_s: float = _LATEST_S) -> float | None:
    """Seconds until a new client of the dead server has a lease; None when it has none."""
    load.next_client_for(lambda hardware: _bucket_is_primarys(hardware) == (dead == 0))
    result = ask(load, latest_s, 1, 1, only=1 - dead, repeat_s=repeat_s)
    return round(result["seconds"], 3) if result["exchanges"] else None


@contextmanager
def clients(count: int) -> Iterator[Callable[[str], dict[str, float]]]:
    """Clients of both servers; what is given makes them rebind at those that are named."""
    program = str(Path(__file__).parent / "dhcp_pair_clients.py")
    process = subprocess.Popen(
        [
            "ip", "netns", "exec", CLIENT_SPACE, sys.executable, program, str(count), RELAY, *ADDRESSES,
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None

    def rebind(servers: str) -> dict[str, float]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{servers}\n")
        process.stdin.flush()
        found: dict[str, float] = json.loads(process.stdout.readline())
        return found

    try:
        assert process.stdout.readline() == "ready\n"
        yield rebind
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def pulled(load: Load, pair: Pair, dead: int, repeat_s: float) -> float | None:
    """Seconds until a new client has a lease that asks as the plug of its server is pulled."""
    with pair.running():
        time.sleep(SETTLE_S)
        plug(dead, is_in=False)
        try:
            return time_to_lease(load, dead, repeat_s)
        finally:
            plug(dead)


def healed(pair: Pair, away_s: float) -> float:
    """Seconds from a plug that was out and is in again until both are NORMAL."""
    with pair.running():
        time.sleep(SETTLE_S)
        plug(1, is_in=False)
        pair.wait_until("apart", lambda: not (pair.is_normal(0) or pair.is_normal(1)))
        time.sleep(away_s)
        plug(1)
        return round(pair.wait_until("together again", pair.both_normal), 3)


def killed(load: Load, pair: Pair, dead: int, repeat_s: float, latest_s: float = _LATEST_S) -> float | None:
    """Seconds until a new client has a lease that asks as its server is killed."""
    with pair.running():
        time.sleep(SETTLE_S)
        pair.kill(dead)
        return time_to_lease(load, dead, repeat_s, latest_s)


def renewals(pair: Pair, dead: int) -> dict[str, float]:
    """What clients of both servers get that rebind as soon as one is killed."""
    with pair.running(), clients(RENEWING_COUNT) as rebind:
        pair.kill(dead)
        return rebind(ADDRESSES[1 - dead])


def _leases(flags: int) -> Iterator[object]:
    from holdfast.dhcp.lease import ACTIVE, Lease

    now = int(time.time())
    for number in range(LEASE_COUNT):
        hardware = b"\x01\x02\x05" + number.to_bytes(4, "big")
        yield Lease(
            0x0A640000 + number, ACTIVE, flags, hardware, b"", now, now + LEASE_S, now, now,
            b"host-%d" % number, potential_sent=now + LEASE_S + MCLT_S,
        )  # fmt: skip


def _put_leases(home: Path, flags: int) -> None:
    from holdfast.drivers.sqlite_leases import LEASE_FILE, LeaseStore

    store = LeaseStore.open(home / LEASE_FILE)
    store.commit(list(_leases(flags)))  # type: ignore[arg-type]  # leases
    store.close()


_ACTIVE = "SELECT count(*) FROM lease WHERE status = 2"
_UNTOLD = "SELECT count(*) FROM lease WHERE status = 2 AND flags & 4"


def resynchronised(pair: HoldfastPair, *, wiped: bool) -> dict[str, float]:
    """Seconds until a partner knows what it lost, or what it missed, from the connection on.

    Args:
        pair: with a pool of more than so many.
        wiped: its database is lost; else it was away while all of it happened.
    """
    from holdfast.dhcp.lease import UNTOLD

    pair.prepare()
    try:
        if wiped:
            _put_leases(pair.homes[0], 0)
        else:
            for index in range(2):
                pair.start(index)
            pair.wait_until("together", pair.both_normal)
            for process in pair.processes:
                process.terminate()
                process.wait()
            _put_leases(pair.homes[0], UNTOLD)
        pair.start(0)
        pair.wait_until("served", lambda: "DHC-0301" in pair.said(0).rpartition("stopp")[2])
        time.sleep(6)  # its STARTUP ends (up to 5 s), so that what follows is a connection and not a start
        connected = pair.said(0).count("DHC-0402")
        pair.start(1)
        pair.wait_until("connected", lambda: pair.said(0).count("DHC-0402") > connected)
        began = time.monotonic()
        pair.wait_until("told", lambda: pair.query(1, _ACTIVE) == LEASE_COUNT)
        told_s = time.monotonic() - began
        pair.wait_until("acknowledged", lambda: pair.query(0, _UNTOLD) == 0)
        return {"told_s": round(told_s, 2), "acknowledged_s": round(time.monotonic() - began, 2)}
    finally:
        pair.close()


def take_over(load: Load, folder: Path, rounds: int) -> dict[str, object]:
    """What clients feel."""
    ours, isc = HoldfastPair(folder, SMALL), IscPair(folder, SMALL)
    found: dict[str, object] = {}
    for repeat_s in REPEATS_S:
        name = f"plug pulled, new client of the dead half that repeats after {repeat_s:g} s"
        found[name] = {
            "ours": [pulled(load, ours, at % 2, repeat_s) for at in range(rounds)],
            "ISC": [pulled(load, isc, 0, repeat_s)],
        }
    found["kill -9, new client of the dead half"] = {
        "ours": [killed(load, ours, at % 2, 1.0) for at in range(rounds)],
        "ISC": [killed(load, isc, 0, 1.0)],
        "Kea hot-standby, defaults, the standby killed": [
            killed(load, KeaPair(folder, LARGE, "hot-standby"), 1, 1.0, latest_s=80.0)
        ],
    }
    found["kill -9, clients that rebind at once"] = {"ours": [renewals(ours, at) for at in range(2)]}
    found["link healed, seconds to NORMAL"] = {
        "ours": [healed(ours, 6.0) for _ in range(rounds)],
        "ISC": [healed(isc, 6.0)],
    }
    return found


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one round")
    parser.add_argument("--only", default="", help="a part of the names of the peers wanted")
    parser.add_argument(
        "--part", choices=("all", "throughput", "latency", "take-over", "resync"), default="all"
    )
    parser.add_argument("--real-time", action="store_true", help="before all other work of the machine")
    arguments = parser.parse_args()
    if arguments.real_time:
        PRIORITY[:] = ["chrt", "-f", "10"]
    path = RESULTS / "dhcp-pair.json"
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if before.get("machine") != machine():
        before = {}  # what another machine did says nothing here
    kept = ("latency", "take-over", "resynchronising 100,000 leases")
    more = {name: before[name] for name in kept if name in before}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name, pair_namespaces():
        folder = Path(name)
        load = Load(folder)
        if arguments.part in ("all", "throughput"):
            rows = throughput(load, folder, arguments.rounds, arguments.seconds, arguments.only)
        if arguments.part in ("all", "latency"):
            more["latency"] = latency(load, folder, arguments.rounds, arguments.seconds)
        if arguments.part in ("all", "resync"):
            more["resynchronising 100,000 leases"] = {
                kind: [resynchronised(HoldfastPair(folder, HUGE), wiped=wiped) for _ in range(2)]
                for kind, wiped in (("a partner that was away", False), ("a partner with a new disk", True))
            }
        if arguments.part in ("all", "take-over"):
            more["take-over"] = take_over(load, folder, arguments.rounds)
    report("dhcp-pair", rows, keep=True)
    more["scheduled"] = "before all other work (chrt -f)" if arguments.real_time else "as usual"
    more["load average of the machine"] = [round(each, 1) for each in os.getloadavg()]
    result = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(result | more, indent=2) + "\n", "utf-8")
    print(json.dumps(more, indent=2))


if __name__ == "__main__":
    main()
