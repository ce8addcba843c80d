"""DHCP servers that are measured, each in a network namespace of its own: ours, Kea and ISC dhcpd.

All tell their clients the same (options 1 3 6 15 51 54 58 59), know a hundred
reservations and a class, and probe no address. What they do before an ACK
differs, and is said in the table: ours and ISC's are synced to the disk, Kea's
memfile is appended to without ever being synced (checked with strace).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.directory.model import Organisation

SERVER_SPACE, CLIENT_SPACE = "hfdhcpS", "hfdhcpC"
SERVER, RELAY = "10.99.0.1", "10.99.0.2"
PREFIX_BITS = 8
RESERVATION_COUNT = 100
LEASE_S = 3600
SERVER_CORE, CLIENT_CORE = "0", "1"
# In front of server and generator, the same for all: "chrt -f 10" keeps other work of the machine away.
PRIORITY: list[str] = []
_READY_S = 30.0
_PATH = f"{os.environ['PATH']}:/usr/sbin"
_LOAD_SOURCE = Path(__file__).parent / "dhcp_load.c"


def program(name: str, package: str) -> str:
    """The path of a program of a Debian package."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise SystemExit(f"{name} is not installed; it comes with Debian's {package} package")
    return found


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def namespaces() -> Iterator[None]:
    """Two network namespaces with a wire between them."""
    if os.geteuid() != 0:
        raise SystemExit("network namespaces need root")
    _remove_namespaces()
    try:
        for space in (SERVER_SPACE, CLIENT_SPACE):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
        _ip(
            "link",
            "add",
            "v0",
            "netns",
            SERVER_SPACE,
            "type",
            "veth",
            "peer",
            "name",
            "v0",
            "netns",
            CLIENT_SPACE,
        )
        for space, address in ((SERVER_SPACE, SERVER), (CLIENT_SPACE, RELAY)):
            _ip("-n", space, "addr", "add", f"{address}/{PREFIX_BITS}", "dev", "v0")
            _ip("-n", space, "link", "set", "v0", "up")
        yield
    finally:
        _remove_namespaces()


def _remove_namespaces() -> None:
    for space in (SERVER_SPACE, CLIENT_SPACE):
        subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)


class Load:
    """The generator, compiled once."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "dhcp_load"
        compiler = program("gcc", "gcc")
        subprocess.run([compiler, "-O2", "-o", str(self._program), str(_LOAD_SOURCE)], check=True)
        self._next_client = 1

    def run(
        self,
        seconds: float,
        window: int,
        limit: int = 0,
        *,
        servers: str = SERVER,
        space: str = CLIENT_SPACE,
        cores: str = CLIENT_CORE,
        repeat_s: float = 1.0,
    ) -> dict[str, float]:
        """Let clients ask; what came of it. No client ever asks twice.

        Args:
            seconds: how long.
            window: how many at once.
            limit: ends it after so many exchanges; 0 does not.
            servers: their addresses, with commas between them.
            space: the network namespace of the relay.
            cores: where the generator runs.
            repeat_s: after which silence a client repeats its message.
        """
        done = subprocess.run(
            [
                "ip", "netns", "exec", space, *PRIORITY, "taskset", "-c", cores, str(self._program), RELAY,
                servers, str(seconds), str(window), str(self._next_client), str(limit), str(repeat_s),
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        result: dict[str, float] = json.loads(done.stdout)
        self._next_client = int(result["next_client"])
        return result

    def next_client_for(self, is_wanted: Callable[[bytes], bool]) -> None:
        """Pass over clients until the hardware address of the next is one that is wanted."""
        while not is_wanted(b"\x02\x00" + self._next_client.to_bytes(4, "big")):
            self._next_client += 1


@dataclass(frozen=True, slots=True)
class Pool:
    """What is leased, by first and last address.

    Attributes:
        leased_count: how many of them clients have already when the server starts, the first ones.
    """

    first: str
    size: int
    leased_count: int = 0

    @property
    def last(self) -> str:
        return str(IPv4Address(self.first) + (self.size - 1))


class DhcpPeer:
    """A server that is started fresh for each round."""

    cores = SERVER_CORE

    def __init__(self, folder: Path, pool: Pool) -> None:
        self._folder = folder
        self._pool = pool

    def command(self, home: Path) -> list[str]:
        """Write its configuration; how it is started."""
        raise NotImplementedError

    def leases(self) -> Iterator[tuple[IPv4Address, str]]:
        """The addresses that are leased before it starts, and the MAC address of each client."""
        for number in range(self._pool.leased_count):
            yield IPv4Address(self._pool.first) + number, (b"\x02\x01" + number.to_bytes(4, "big")).hex(":")

    def environment(self, home: Path) -> dict[str, str]:
        """What it finds in its environment."""
        return dict(os.environ)

    @contextmanager
    def running(self, load: Load) -> Iterator[subprocess.Popen[bytes]]:
        """Start it with an empty store, and wait until it answers."""
        home = Path(tempfile.mkdtemp(dir=self._folder))
        inside = ["ip", "netns", "exec", SERVER_SPACE, *PRIORITY, "taskset", "-c", self.cores]
        command = [*inside, *self.command(home)]
        with (home / "out").open("wb") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=out, env=self.environment(home),
                start_new_session=True,
            )  # fmt: skip
        try:
            give_up_at = time.monotonic() + _READY_S
            while load.run(0.3, 1, 1)["exchanges"] < 1:
                if process.poll() is not None or time.monotonic() > give_up_at:
                    raise SystemExit(
                        f"{command} does not serve:\n{(home / 'out').read_text('utf-8', 'replace')}"
                    )
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
            shutil.rmtree(home, ignore_errors=True)


class Holdfast(DhcpPeer):
    """Our dhcp role, without the others."""

    def command(self, home: Path) -> list[str]:
        declare(home, organisation(self._pool))
        store_leases(home, self.leases())
        return [sys.executable, "-m", "holdfast.daemons.dhcp", "--home", str(home), "--server", "ns1"]


def store_leases(home: Path, leases: Iterable[tuple[IPv4Address, str]]) -> None:
    """Put leases into the database of a home."""
    from holdfast.dhcp.lease import ACTIVE, Lease
    from holdfast.drivers.sqlite_leases import LEASE_FILE, LeaseStore

    now = int(time.time())
    store = LeaseStore.open(home / LEASE_FILE)
    store.commit(
        [
            Lease(
                int(address), ACTIVE, 0, b"\x01" + bytes.fromhex(mac.replace(":", "")), b"",
                now, now + LEASE_S, now, now,
            )
            for address, mac in leases
        ]
    )  # fmt: skip
    store.close()


def organisation(pool: Pool) -> Organisation:
    """One server, one scope, reservations, a class with an option of its own."""
    from holdfast.directory.dhcp import Condition, ConditionField, DhcpServer, Policy, Reservation, Scope
    from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionValue
    from holdfast.directory.model import Organisation, Role, Server, Site
    from holdfast.kernel.iprange import parse_ip_range

    policy = Policy(
        "boot", (Condition(ConditionField.VENDOR_CLASS, ("PXE*",)),), options=(OptionValue(66, (SERVER,)),)
    )
    scope = Scope(
        "bench", parse_ip_range("10.0.0.0/8"), "ns1", parse_ip_range(f"{pool.first}-{pool.last}"),
        lease_s=float(LEASE_S), policies=(policy,),
        options=(
            OptionValue(3, (SERVER,)), OptionValue(6, (SERVER, SERVER)), OptionValue(15, ("lab.example",)),
        ),
    )  # fmt: skip
    return Organisation(
        name="Bench",
        sites=(Site("here"),),
        servers=(Server("ns1", "ns1.lab.example", "here", roles=(Role.DHCP,), metrics=""),),
        dhcp_servers=(DhcpServer("ns1", interfaces=("v0",)),),
        scopes=(scope,),
        dhcp_classes=(DhcpClass("PXE", ClassKind.VENDOR, "PXEClient"),),
        reservations=tuple(
            Reservation("bench", IPv4Address(f"10.1.0.{at}"), f"02:ff:00:00:00:{at:02x}")
            for at in range(1, RESERVATION_COUNT + 1)
        ),
    )


def declare(home: Path, wanted: Organisation) -> None:
    """Make this the organisation of a home."""
    from holdfast.directory.plan import plan_change
    from holdfast.drivers.role_link import DIRECTORY_FILE
    from holdfast.drivers.sqlite_directory import DirectoryStore

    (home / "run").mkdir(parents=True, exist_ok=True)
    store = DirectoryStore.open(home / DIRECTORY_FILE, writable=True)
    try:
        before = store.read()
        plan = plan_change(before, replace(wanted, revision=before.revision))
        store.apply(plan, who="bench", why="", at=0.0)
    finally:
        store.close()


def kea_loggers(home: Path) -> list[dict[str, object]]:
    """Where a Kea says what went wrong."""
    return [
        {"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": str(home / "log")}]},
    ]


def kea_environment(home: Path) -> dict[str, str]:
    """Where a Kea keeps what else would be in folders of the system."""
    return {**os.environ, "KEA_PIDFILE_DIR": str(home), "KEA_LOCKFILE_DIR": str(home)}


class Kea(DhcpPeer):
    """Debian's Kea with its memfile, on one thread, or with two threads on both cores."""

    def __init__(self, folder: Path, pool: Pool, *, thread_count: int) -> None:
        super().__init__(folder, pool)
        self._thread_count = thread_count
        if thread_count > 1:
            self.cores = f"{SERVER_CORE},{CLIENT_CORE}"

    def command(self, home: Path) -> list[str]:
        reservations = [
            {"hw-address": f"02:ff:00:00:00:{at:02x}", "ip-address": f"10.1.0.{at}"}
            for at in range(1, RESERVATION_COUNT + 1)
        ]
        subnet = {
            "id": 1,
            "subnet": "10.0.0.0/8",
            "pools": [{"pool": f"{self._pool.first} - {self._pool.last}"}],
            "reservations": reservations,
            "option-data": [
                {"name": "routers", "data": SERVER},
                {"name": "domain-name-servers", "data": f"{SERVER}, {SERVER}"},
                {"name": "domain-name", "data": "lab.example"},
            ],
        }
        configuration = {
            "Dhcp4": {
                "interfaces-config": {"interfaces": ["v0"], "dhcp-socket-type": "udp"},
                "lease-database": {
                    "type": "memfile", "persist": True, "lfc-interval": 3600,
                    "name": str(home / "leases.csv"),
                },
                "multi-threading": {
                    "enable-multi-threading": self._thread_count > 1, "thread-pool-size": self._thread_count,
                    "packet-queue-size": 64,
                },
                "valid-lifetime": LEASE_S, "renew-timer": LEASE_S // 2, "rebind-timer": LEASE_S * 7 // 8,
                "client-classes": [
                    {
                        "name": "PXE", "test": "substring(option[60].hex, 0, 9) == 'PXEClient'",
                        "option-data": [{"name": "tftp-server-name", "data": SERVER}],
                    }
                ],
                "subnet4": [subnet],
                "loggers": kea_loggers(home),
            }
        }  # fmt: skip
        path = home / "kea.json"
        path.write_text(json.dumps(configuration), "utf-8")
        return [program("kea-dhcp4", "kea-dhcp4-server"), "-c", str(path)]

    def environment(self, home: Path) -> dict[str, str]:
        return kea_environment(home)


class Isc(DhcpPeer):
    """Debian's ISC dhcpd: synced at each ACK, as it is by default."""

    def command(self, home: Path) -> list[str]:
        hosts = "\n".join(
            f"host h{at} {{ hardware ethernet 02:ff:00:00:00:{at:02x}; fixed-address 10.1.0.{at}; }}"
            for at in range(1, RESERVATION_COUNT + 1)
        )
        (home / "dhcpd.conf").write_text(
            f"""authoritative; ddns-update-style none; ping-check false; log-facility local7;
default-lease-time {LEASE_S}; max-lease-time {LEASE_S}; dhcp-cache-threshold 0;
option domain-name "lab.example"; option domain-name-servers {SERVER}, {SERVER};
class "PXE" {{
  match if substring(option vendor-class-identifier, 0, 9) = "PXEClient"; option tftp-server-name "{SERVER}";
}}
subnet 10.0.0.0 netmask 255.0.0.0 {{ option routers {SERVER}; range {self._pool.first} {self._pool.last}; }}
{hosts}
""",
            "utf-8",
        )
        now = int(time.time())
        (home / "leases").write_text(
            "".join(
                f"lease {address} {{ starts epoch {now}; ends epoch {now + LEASE_S}; cltt epoch {now}; "
                f"binding state active; next binding state free; hardware ethernet {mac}; }}\n"
                for address, mac in self.leases()
            ),
            "utf-8",
        )
        return [
            program("dhcpd", "isc-dhcp-server"), "-4", "-f", "-q", "-cf", str(home / "dhcpd.conf"),
            "-lf", str(home / "leases"), "-pf", str(home / "pid"), "v0",
        ]  # fmt: skip
