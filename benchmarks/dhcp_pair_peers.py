"""Pairs of DHCP servers that share a pool: ours, ISC dhcpd by the failover protocol, Kea with its HA hook.

    hfpairA (10.99.0.1) --+-- bridge in hfpairK (10.99.0.2, the relay) --+-- hfpairB (10.99.0.3)

Servers and generator share both cores as the scheduler likes. All are in load
balance unless the name says otherwise; ours and ISC's leases are synced to the
disk before each ACK and at the partner before it acknowledges, Kea's never.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dhcp_peers import (
    LEASE_S,
    PREFIX_BITS,
    PRIORITY,
    RELAY,
    Load,
    Pool,
    declare,
    kea_environment,
    kea_loggers,
    organisation,
    program,
)

CLIENT_SPACE, SPACES = "hfpairK", ("hfpairA", "hfpairB")
ADDRESSES = ("10.99.0.1", "10.99.0.3")
BOTH_CORES = "0,1"
MCLT_S = 600
_READY_S = 120.0
_LOOK_S = 0.01
_HOOKS = Path("/usr/lib/x86_64-linux-gnu/kea/hooks")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def pair_namespaces() -> Iterator[None]:
    """The wire, with both servers' ends and the relay on it."""
    if os.geteuid() != 0:
        raise SystemExit("network namespaces need root")
    _remove_namespaces()
    try:
        for space in (CLIENT_SPACE, *SPACES):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", CLIENT_SPACE, "link", "add", "br0", "type", "bridge")
        _ip("-n", CLIENT_SPACE, "addr", "add", f"{RELAY}/{PREFIX_BITS}", "dev", "br0")
        _ip("-n", CLIENT_SPACE, "link", "set", "br0", "up")
        for index, (space, address) in enumerate(zip(SPACES, ADDRESSES, strict=True)):
            end = ("type", "veth", "peer", "name", f"p{index}", "netns", CLIENT_SPACE)
            _ip("link", "add", "v0", "netns", space, *end)
            _ip("-n", CLIENT_SPACE, "link", "set", f"p{index}", "master", "br0")
            plug(index)
            _ip("-n", space, "addr", "add", f"{address}/{PREFIX_BITS}", "dev", "v0")
            _ip("-n", space, "link", "set", "v0", "up")
        yield
    finally:
        _remove_namespaces()


def plug(index: int, *, is_in: bool = True) -> None:
    """Put the plug of a server in, or pull it: nobody is told anything."""
    _ip("-n", CLIENT_SPACE, "link", "set", f"p{index}", "up" if is_in else "down")


def _remove_namespaces() -> None:
    for space in (CLIENT_SPACE, *SPACES):
        subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)


class Pair:
    """Two servers that are started fresh for each round."""

    has_primary_buckets = True  # whether hash buckets are shared as RFC 3074 and ISC do

    def __init__(self, folder: Path, pool: Pool) -> None:
        self._folder = folder
        self.pool = pool
        self.homes: list[Path] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def command(self, index: int) -> list[str]:
        """Write the configuration of a server; how it is started."""
        raise NotImplementedError

    def environment(self, index: int) -> dict[str, str]:
        """What a server finds in its environment."""
        return dict(os.environ)

    def is_normal(self, index: int) -> bool:
        """Whether a server says that it and its partner serve together."""
        raise NotImplementedError

    def shares_free_addresses(self) -> bool:
        """Whether each server has its part of the pool to lease."""
        return True

    def prepare(self) -> None:
        """Make fresh homes."""
        self.homes = [Path(tempfile.mkdtemp(dir=self._folder)) for _ in SPACES]
        self.processes = []

    def start(self, index: int) -> None:
        """Start a server, or start it again."""
        space, home = SPACES[index], self.homes[index]
        inside = ["ip", "netns", "exec", space, *PRIORITY, "taskset", "-c", BOTH_CORES]
        command = [*inside, *self.command(index)]
        with (home / "out").open("ab") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=out, env=self.environment(index),
                start_new_session=True,
            )  # fmt: skip
        self.processes[index:] = [process, *self.processes[index + 1 :]]

    def kill(self, index: int) -> None:
        """``kill -9``: its connections end, for the machine lives."""
        os.killpg(self.processes[index].pid, signal.SIGKILL)
        self.processes[index].wait()

    def said(self, index: int) -> str:
        """What a server wrote."""
        return (self.homes[index] / "out").read_text("utf-8", "replace")

    def wait_until(self, what: str, fact: Any, patience_s: float = _READY_S) -> float:
        """Wait for a fact; the seconds that it took."""
        began = time.monotonic()
        while not fact():
            if time.monotonic() - began > patience_s:
                said = "\n---\n".join(self.said(index)[-2000:] for index in range(2))
                raise SystemExit(f"{type(self).__name__}: not {what} after {patience_s:g} s:\n{said}")
            time.sleep(_LOOK_S)
        return time.monotonic() - began

    def both_normal(self) -> bool:
        """Whether both say so."""
        return self.is_normal(0) and self.is_normal(1)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start both with empty stores, and wait until they share the pool."""
        self.prepare()
        try:
            for index in range(2):
                self.start(index)
            self.wait_until("together", self.both_normal)
            self.wait_until("shared", self.shares_free_addresses)
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Stop both, and leave nothing behind."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if process.stdin is not None:
                process.stdin.close()
        for home in self.homes:
            shutil.rmtree(home, ignore_errors=True)


def ask(
    load: Load, seconds: float, window: int, limit: int = 0, *, only: int | None = None, repeat_s: float = 1.0
) -> dict[str, float]:
    """Let clients ask both servers, or one."""
    servers = ",".join(ADDRESSES) if only is None else ADDRESSES[only]
    return load.run(
        seconds, window, limit, servers=servers, space=CLIENT_SPACE, cores=BOTH_CORES, repeat_s=repeat_s
    )


class HoldfastPair(Pair):
    """Our dhcp role twice, without the others."""

    def prepare(self) -> None:
        from holdfast.directory.failover import FailoverRelationship
        from holdfast.directory.model import Role, Server

        super().prepare()
        plain = organisation(self.pool)
        names = ("ns1", "ns2")
        (first,) = plain.dhcp_servers
        wanted = replace(
            plain,
            servers=tuple(
                Server(name, f"{name}.lab.example", "here", (Role.DHCP,), (address,), metrics="")
                for name, address in zip(names, ADDRESSES, strict=True)
            ),
            dhcp_servers=(first, replace(first, server="ns2")),
            failover_relationships=(FailoverRelationship("bench", names, ("bench",), mclt_s=float(MCLT_S)),),
        )
        for home in self.homes:
            declare(home, wanted)

    def command(self, index: int) -> list[str]:
        home = str(self.homes[index])
        return [
            sys.executable, "-m", "holdfast.daemons.dhcp", "--home", home, "--server", f"ns{index + 1}",
        ]  # fmt: skip

    def query(self, index: int, words: str) -> int:
        """A number out of a server's lease database; 0 while there is none."""
        from holdfast.drivers.sqlite_leases import LEASE_FILE

        path = self.homes[index] / LEASE_FILE
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                row = database.execute(words).fetchone()
        except sqlite3.Error:
            return 0
        return 0 if row is None else int(row[0] or 0)

    def is_normal(self, index: int) -> bool:
        return self.query(index, "SELECT state = 2 AND partner_state = 2 FROM failover") == 1

    def shares_free_addresses(self) -> bool:
        wanted = self.pool.size * 0.44
        return self.query(1, "SELECT count(*) FROM lease WHERE status = 7") >= wanted


class IscPair(Pair):
    """Debian's ISC dhcpd twice."""

    def command(self, index: int) -> list[str]:
        home = self.homes[index]
        role = f"primary; mclt {MCLT_S}; split 128;" if index == 0 else "secondary;"
        (home / "dhcpd.conf").write_text(
            f"""failover peer "bench" {{ {role}
  address {ADDRESSES[index]}; port 647; peer address {ADDRESSES[1 - index]}; peer port 647;
  max-response-delay 30; max-unacked-updates 100; load balance max seconds 3; }}
authoritative; ddns-update-style none; ping-check false; log-facility local7;
default-lease-time {LEASE_S}; max-lease-time {LEASE_S}; dhcp-cache-threshold 0;
option domain-name "lab.example"; option domain-name-servers {ADDRESSES[0]}, {ADDRESSES[0]};
subnet 10.0.0.0 netmask 255.0.0.0 {{ option routers {ADDRESSES[0]};
  pool {{ failover peer "bench"; range {self.pool.first} {self.pool.last}; }} }}
""",
            "utf-8",
        )
        (home / "leases").touch()
        return [
            program("dhcpd", "isc-dhcp-server"), "-4", "-f", "-d", "-cf", str(home / "dhcpd.conf"),
            "-lf", str(home / "leases"), "-pf", str(home / "pid"), "v0",
        ]  # fmt: skip

    def is_normal(self, index: int) -> bool:
        moves = re.findall(r"failover peer \S+: (I|peer) moves? from \S+ to (\S+)", self.said(index))
        latest = dict(moves)
        return latest.get("I") == latest.get("peer") == "normal"

    def shares_free_addresses(self) -> bool:
        counts = re.findall(r"backup (\d+)", self.said(0))
        return bool(counts) and int(counts[-1]) >= self.pool.size * 0.44


class KeaPair(Pair):
    """Debian's Kea twice with its HA hook; the times of HA are Kea's own unless they are given."""

    has_primary_buckets = False

    def __init__(self, folder: Path, pool: Pool, mode: str, **times: int) -> None:
        super().__init__(folder, pool)
        self._mode = mode
        self._times = times

    def command(self, index: int) -> list[str]:
        from ipaddress import IPv4Address

        home = self.homes[index]
        middle = IPv4Address(self.pool.first) + self.pool.size // 2
        balanced = self._mode == "load-balancing"
        pools = (
            [
                {"pool": f"{self.pool.first} - {middle - 1}", "client-class": "HA_server1"},
                {"pool": f"{middle} - {self.pool.last}", "client-class": "HA_server2"},
            ]
            if balanced
            else [{"pool": f"{self.pool.first} - {self.pool.last}"}]
        )
        roles = ("primary", "secondary" if balanced else "standby")
        threads = {
            "enable-multi-threading": True, "http-dedicated-listener": True, "http-listener-threads": 2,
            "http-client-threads": 2,
        }  # fmt: skip
        availability = {
            "this-server-name": f"server{index + 1}",
            "mode": self._mode,
            "multi-threading": threads,
            "peers": [
                {"name": f"server{at + 1}", "url": f"http://{address}:8005/", "role": role}
                for at, (address, role) in enumerate(zip(ADDRESSES, roles, strict=True))
            ],
        } | {name.replace("_", "-"): value for name, value in self._times.items()}
        configuration = {
            "Dhcp4": {
                "interfaces-config": {"interfaces": ["v0"], "dhcp-socket-type": "udp"},
                "lease-database": {
                    "type": "memfile", "persist": True, "lfc-interval": 3600,
                    "name": str(home / "leases.csv"),
                },
                "control-socket": {"socket-type": "unix", "socket-name": str(home / "socket")},
                "multi-threading": {
                    "enable-multi-threading": True, "thread-pool-size": 2, "packet-queue-size": 64,
                },
                "hooks-libraries": [
                    {"library": str(_HOOKS / "libdhcp_lease_cmds.so"), "parameters": {}},
                    {
                        "library": str(_HOOKS / "libdhcp_ha.so"),
                        "parameters": {"high-availability": [availability]},
                    },
                ],
                "valid-lifetime": LEASE_S, "renew-timer": LEASE_S // 2, "rebind-timer": LEASE_S * 7 // 8,
                "subnet4": [
                    {
                        "id": 1, "subnet": "10.0.0.0/8", "pools": pools,
                        "option-data": [
                            {"name": "routers", "data": ADDRESSES[0]},
                            {"name": "domain-name-servers", "data": f"{ADDRESSES[0]}, {ADDRESSES[0]}"},
                            {"name": "domain-name", "data": "lab.example"},
                        ],
                    }
                ],
                "loggers": kea_loggers(home),
            }
        }  # fmt: skip
        path = home / "kea.json"
        path.write_text(json.dumps(configuration), "utf-8")
        return [program("kea-dhcp4", "kea-dhcp4-server"), "-c", str(path)]

    def environment(self, index: int) -> dict[str, str]:
        return kea_environment(self.homes[index])

    def is_normal(self, index: int) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as wire:
                wire.settimeout(5)
                wire.connect(str(self.homes[index] / "socket"))
                wire.sendall(b'{"command": "status-get"}')
                answer = b""
                while data := wire.recv(65536):
                    answer += data
            servers = json.loads(answer)["arguments"]["high-availability"][0]["ha-servers"]
        except (OSError, ValueError, LookupError):
            return False
        return bool(servers["local"]["state"] == servers["remote"]["last-state"] == self._mode)
