"""Two networks in namespaces, a server of ours in the first, ISC's relay between them, clients to plug in.

    server -- near (10.77.0.0/24) -- relay -- far (10.78.0.0/24)

The wires are bridges in a namespace of their own, so that a client can be carried
from one to the other. Nothing of it is seen by the machine or outlives the test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from dhcp.conversations import option, reservation, scope
from dhcp_service import declare
from holdfast.directory.dhcp import Condition, ConditionField, DhcpServer, Policy
from holdfast.directory.dhcp_options import ClassKind, DhcpClass
from holdfast.directory.model import Organisation, Role, Server, Site
from holdfast.drivers.audit_log import AUDIT_DIRECTORY

NEAR, FAR = "near", "far"
SERVER = "10.77.0.1"
RELAY_UP, RELAY_DOWN = "10.77.0.2", "10.78.0.1"
NETWORKS = {NEAR: "10.77.0.", FAR: "10.78.0."}
ROUTERS = {NEAR: RELAY_UP, FAR: RELAY_DOWN}
NAME_SERVER, DOMAIN = "10.77.0.53", "clients.example.test"
RESERVED_MAC, RESERVED = "02:77:00:00:00:50", "10.77.0.50"
# Events of the audit log, in the numbers of Windows.
RELEASED, REFUSED = "12", "15"
NETWORKD = "/lib/systemd/systemd-networkd"
PROGRAMS = ("ip", "dhclient", "udhcpc", "dhcpcd", "dhcrelay", "busybox", NETWORKD)
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
# networkd can be told to renew by a bus alone: it does so by itself, at half of a short lease.
IMPATIENT = Policy("impatient", (Condition(ConditionField.VENDOR_CLASS, ("networkd",)),), lease_s=10.0)
START_PATIENCE_S, STOP_PATIENCE_S = 60, 30


def organisation() -> Organisation:
    """A scope on each network; the far one is reached by the relay."""
    scopes = [
        scope(
            name,
            f"{NETWORKS[name]}0/24",
            f"{NETWORKS[name]}100-{NETWORKS[name]}199",
            options=(option(3, ROUTERS[name]), option(6, NAME_SERVER), option(15, DOMAIN)),
            policies=(IMPATIENT,),
        )
        for name in (NEAR, FAR)
    ]
    return Organisation(
        name="Example",
        sites=(Site("here"),),
        servers=(
            Server("ns1", "ns1.example.test", "here", roles=(Role.DHCP,), addresses=(SERVER,), metrics=""),
        ),
        dhcp_servers=(DhcpServer("ns1"),),
        dhcp_classes=(DhcpClass("networkd", ClassKind.VENDOR, "systemd"),),
        scopes=tuple(scopes),
        reservations=(reservation(RESERVED, RESERVED_MAC, NEAR),),
    )


def ip(*words: str, check: bool = True) -> str:
    """What ``ip`` says."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


def kill_all(namespace: str) -> None:
    """Kill whatever runs there; some of it may end by itself meanwhile."""
    for pid in ip("netns", "pids", namespace, check=False).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


class Network:
    """The namespaces, and what runs in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.prefix = f"hfc{os.getpid()}"
        self._wires = f"{self.prefix}w"
        self._made: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._plug_count = 0
        self._log: list[str] = []

    def make(self) -> None:
        """Make both networks, and start the server and the relay."""
        self.make_wires()
        server, relay = (self.namespace(self.prefix + each) for each in ("s", "r"))
        self.plug(server, NEAR, "s0", "02:77:00:00:00:01")
        ip("-n", server, "addr", "add", f"{SERVER}/24", "dev", "s0")
        ip("-n", server, "route", "add", f"{NETWORKS[FAR]}0/24", "via", RELAY_UP)
        for wire, name, address in ((NEAR, "up0", RELAY_UP), (FAR, "down0", RELAY_DOWN)):
            self.plug(relay, wire, name, f"02:77:00:00:01:0{len(wire)}")
            ip("-n", relay, "addr", "add", f"{address}/24", "dev", name)
        ip("netns", "exec", relay, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        declare(self.home, organisation())
        self._start_server(server)
        # -a: with option 82, as switches do. Its sockets are there before it says where it listens.
        self.run_until(
            relay,
            ["dhcrelay", "-4", "-d", "-a", "--no-pid", "-id", "down0", "-iu", "up0", SERVER],
            "Sending on   Socket",
        )

    def make_wires(self) -> None:
        """Make both wires, with nothing plugged in."""
        self.namespace(self._wires)
        for wire in (NEAR, FAR):
            ip("-n", self._wires, "link", "add", wire, "type", "bridge")
            ip("-n", self._wires, "link", "set", wire, "up")

    def namespace(self, name: str) -> str:
        """Make a namespace; it is taken away at the end."""
        ip("netns", "add", name)
        self._made.append(name)
        ip("-n", name, "link", "set", "lo", "up")
        return name

    @contextmanager
    def place(self, wire: str, mac: str = "") -> Iterator[Place]:
        """A machine on a wire, without an address; all that runs on it is killed at the end.

        Without a hardware address it gets one that nobody had before.
        """
        name = f"{self.prefix}c{self._plug_count}"
        mac = mac or f"02:77:00:00:02:{self._plug_count:02x}"
        try:
            self.namespace(name)
            port = self.plug(name, wire, "c0", mac)
            yield Place(self, name, port, mac)
        finally:
            self._remove(name)

    def plug(self, namespace: str, wire: str, interface: str, mac: str) -> str:
        """Lay a cable from a namespace to a wire; the name of its far end."""
        self._plug_count += 1
        port = f"p{self._plug_count}"
        # One end is made in each namespace at once: nothing is ever seen by the machine's own network.
        ip("-n", self._wires, "link", "add", port, "type", "veth", "peer", "name", interface, "address", mac,
           "netns", namespace)  # fmt: skip
        self.carry(port, wire)
        ip("-n", namespace, "link", "set", interface, "up")
        return port

    def carry(self, port: str, wire: str) -> None:
        """Plug the far end of a cable into a wire."""
        ip("-n", self._wires, "link", "set", port, "master", wire, "up")

    def _start_server(self, namespace: str) -> None:
        command = [
            sys.executable,
            "-m",
            "holdfast.cli.main",
            "--home",
            str(self.home),
            "up",
            "--server",
            "ns1",
        ]
        self.run_until(namespace, command, "Holdfast is ready")

    def run_until(self, namespace: str, command: Sequence[str], word: str) -> None:
        """Start a program, and wait until it says a word."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=os.environ | {"PATH": SYSTEM_PATH},
        )  # fmt: skip
        self._processes.append(process)
        ready = threading.Event()
        threading.Thread(target=self._read, args=(process, word, ready), daemon=True).start()
        assert ready.wait(START_PATIENCE_S), self.log()
        assert process.poll() is None, self.log()

    def _read(self, process: subprocess.Popen[bytes], word: str, ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._log.append(line.decode("utf-8", "replace").rstrip())
                if word in self._log[-1]:
                    ready.set()
        ready.set()

    def log(self) -> str:
        """What the server and the relay said."""
        return "\n".join(self._log)

    def leases(self, mac: str) -> dict[str, dict[str, Any]]:
        """What ``holdfast dhcp lease list`` knows of a client, by address."""
        listed = self._holdfast("dhcp", "lease", "list")["leases"]
        return {each["address"]: each for each in listed if each["mac"] == mac}

    def lease(self, address: str) -> dict[str, Any]:
        """All that ``holdfast dhcp lease show`` says."""
        return self._holdfast("dhcp", "lease", "show", address)

    def state(self, address: str) -> str:
        """The state of the lease of an address; empty without one."""
        listed = {each["address"]: each for each in self._holdfast("dhcp", "lease", "list")["leases"]}
        return str(listed[address]["state"]) if address in listed else ""

    def has_record(self, event: str, mac: str, address: str) -> bool:
        """Whether the audit log says this of a client."""
        rows = [
            line.split(",")
            for path in (self.home / AUDIT_DIRECTORY).glob("*.log")
            for line in path.read_text("utf-8").splitlines()
        ]
        wanted = (event, address, mac.replace(":", "").upper())
        return any((each[0], each[4], each[6]) == wanted for each in rows if len(each) > 6)

    def _holdfast(self, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "holdfast.cli.main", "--home", str(self.home), *words, "--json"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def stop_programs(self) -> None:
        """Stop the servers and the relay."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def destroy(self) -> None:
        """Stop everything, also what was only half made."""
        self.stop_programs()
        for name in list(self._made):
            self._remove(name)

    def _remove(self, name: str) -> None:
        if name not in self._made:
            return
        kill_all(name)
        ip("netns", "del", name, check=False)
        self._made.remove(name)


class Place:
    """A machine that may be carried to another wire."""

    def __init__(self, network: Network, namespace: str, port: str, mac: str) -> None:
        self.network = network
        self.namespace = namespace
        self.mac = mac
        self._port = port

    def carry(self, wire: str) -> None:
        """Pull its cable and plug it in somewhere else."""
        self.network.carry(self._port, wire)

    def take(self, address: str) -> None:
        """Use an address without asking anybody."""
        ip("-n", self.namespace, "addr", "add", f"{address}/24", "dev", "c0")

    def empty(self) -> None:
        """Take all addresses away, and kill what still runs here."""
        kill_all(self.namespace)
        ip("-n", self.namespace, "-4", "addr", "flush", "dev", "c0")

    def addresses(self) -> list[str]:
        """What ``ip addr`` says it has."""
        (interface,) = json.loads(ip("-j", "-n", self.namespace, "-4", "addr", "show", "dev", "c0")) or [{}]
        return [str(IPv4Address(each["local"])) for each in interface.get("addr_info", ())]
