"""Two DHCP servers on one wire in namespaces, ours or ISC dhcpd, and clients that they lease to.

    first (10.77.0.1) --+-- near (10.77.0.0/24) --+-- second (10.77.0.2)
                        |                         |
                     clients                   clients

Whatever a server is, it is asked in the same words: its state, its partner's, its leases. Of ISC dhcpd
that is what its log and its lease file say.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from dhcp.conversations import option, scope
from dhcp_service import declare
from holdfast.directory.model import (
    FailoverRelationship,
    Organisation,
    Role,
    Server,
    Site,
)
from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal
from holdfast.wire.isc_leases import BindingState, LeaseFile, read_leases
from interop.dhcp_clients import Dhclient
from interop.dhcp_network import NEAR, SYSTEM_PATH, Network, ip, kill_all

NAMES = ("first", "second")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
POOL_FIRST, POOL_LAST = "10.77.0.100", "10.77.0.199"
PORT = 647
MCLT_S, LEASE_S = 8, 24
ISC_UNACKED_MAX = 10
PROGRAMS = ("ip", "nft", "dhclient", "dhcpd", "omshell")
_SET_STATE = {"partner-down": 4, "shutdown": 8}


def organisation(**changes: Any) -> Organisation:
    """One scope that both servers lease; ``changes`` are of the relationship."""
    office = scope(
        "office", "10.77.0.0/24", f"{POOL_FIRST}-{POOL_LAST}", lease_s=float(LEASE_S), server="first",
        options=(option(3, "10.77.0.254"), option(6, "10.77.0.53"), option(15, "clients.example.test")),
    )  # fmt: skip
    pair = FailoverRelationship(
        "pair", NAMES, ("office",), port=PORT, **({"mclt_s": float(MCLT_S)} | changes)
    )
    return Organisation(
        name="Example",
        sites=(Site("here"),),
        servers=tuple(
            Server(name, f"{name}.example.test", "here", roles=(Role.DHCP,), addresses=(address,), metrics="")
            for name, address in zip(NAMES, ADDRESSES, strict=True)
        ),
        scopes=(office,),
        failover_relationships=(pair,),
    )


class PairServer:
    """One of the two."""

    kind = ""

    def __init__(self, network: PairNetwork, index: int) -> None:
        self.network = network
        self.index = index
        self.name = NAMES[index]
        self.address = ADDRESSES[index]
        self.folder = network.folder / self.name
        self.folder.mkdir(exist_ok=True)
        self.namespace = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    def command(self) -> list[str]:
        """What runs."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, or start it again."""
        assert self.process is None
        self._log_from = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *self.command()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | {"PATH": SYSTEM_PATH},
            )  # fmt: skip

    def kill(self) -> None:
        """Take its power away: nothing of it runs on."""
        kill_all(self.namespace)
        self._reap()

    def stop(self) -> None:
        """Stop it in good order."""
        assert self.process is not None
        self.process.terminate()
        self._reap()

    def _reap(self) -> None:
        if self.process is not None:
            self.process.wait(60)
        self.process = None

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def wipe(self) -> None:
        """Its disk is lost, but for what was declared."""
        raise NotImplementedError

    def state(self) -> str:
        """Its state, in capital letters; empty when it does not tell."""
        raise NotImplementedError

    def partner_state(self) -> str:
        """What it believes of its partner, likewise."""
        raise NotImplementedError

    def active(self) -> dict[str, str]:
        """Hardware addresses by the address that it says is theirs."""
        raise NotImplementedError

    def order(self, command: str) -> None:
        """An administrator's word."""
        raise NotImplementedError

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    def log(self) -> str:
        """What it said since it was started."""
        if not self.log_file.exists():
            return ""
        return self.log_file.read_bytes()[self._log_from :].decode("utf-8", "replace")


class Ours(PairServer):
    """Holdfast, with all its processes."""

    kind = "ours"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def declare(self, wanted: Organisation, secret: str = "") -> None:
        """What it goes by from its next start on."""
        declare(self.home, wanted)
        store = DirectoryStore.open(self.home / DIRECTORY_FILE, writable=True)
        store.set_failover_secret("pair", secret or None)
        store.close()

    def command(self) -> list[str]:
        return [*self._program(), "up", "--server", self.name]

    def _program(self) -> list[str]:
        return [sys.executable, "-m", "holdfast.cli.main", "--home", str(self.home)]

    def holdfast(self, *words: str) -> Any:
        """What a verb gives back."""
        done = subprocess.run(
            [*self._program(), *words, "--json"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Refusal(done.stderr)
        return json.loads(done.stdout)

    def _shown(self) -> dict[str, Any]:
        try:
            shown: dict[str, Any] = self.holdfast("dhcp", "failover", "show", "pair")
        except Refusal:
            return {}
        return shown

    def state(self) -> str:
        return str(self._shown().get("state", ""))

    def partner_state(self) -> str:
        return str(self._shown().get("partner_state", ""))

    def trouble(self) -> str:
        """Why there is no connection."""
        return str(self._shown().get("trouble", ""))

    def active(self) -> dict[str, str]:
        listed = self.holdfast("dhcp", "lease", "list")["leases"]
        return {each["address"]: each["mac"] for each in listed if each["state"] == "active"}

    def order(self, command: str) -> None:
        yes = () if command == "resume" else ("--yes",)
        self.holdfast("dhcp", "failover", command, "pair", *yes)

    def wipe(self) -> None:
        for path in self.home.glob("leases.sqlite*"):
            path.unlink()


class Isc(PairServer):
    """ISC dhcpd."""

    kind = "isc"

    def configure(self, *, role: str = "", name: str = "pair", mclt_s: int = MCLT_S) -> None:
        """Write its configuration."""
        role = role or ("primary", "secondary")[self.index]
        primary = f"mclt {mclt_s}; split 128;" if role == "primary" else ""
        self.configuration.write_text(
            f"""failover peer "{name}" {{
  {role}; address {self.address}; port {PORT};
  peer address {ADDRESSES[1 - self.index]}; peer port {PORT};
  max-response-delay 6; max-unacked-updates {ISC_UNACKED_MAX}; load balance max seconds 3; {primary}
}}
authoritative; ddns-update-style none; ping-check false; omapi-port 7911;
default-lease-time {LEASE_S}; max-lease-time {LEASE_S}; min-lease-time 4;
subnet 10.77.0.0 netmask 255.255.255.0 {{
  option routers 10.77.0.254;
  pool {{ failover peer "{name}"; range {POOL_FIRST} {POOL_LAST}; }}
}}
""",
            "utf-8",
        )

    @property
    def configuration(self) -> Path:
        return self.folder / "dhcpd.conf"

    @property
    def lease_file(self) -> Path:
        return self.folder / "leases"

    def command(self) -> list[str]:
        self.lease_file.touch()
        return [
            "dhcpd", "-4", "-f", "-d", "-cf", str(self.configuration), "-lf", str(self.lease_file),
            "-pf", str(self.folder / "pid"), "s0",
        ]  # fmt: skip

    def _read(self) -> LeaseFile:
        return read_leases(self.lease_file.read_bytes())

    def state(self) -> str:
        # The log says it at once; after a start and before its first words the file does.
        moves = re.findall(r"failover peer \S+: I move from \S+ to (\S+)", self.log())
        if moves:
            return str(moves[-1]).upper()
        peer = self._read().peers.get("pair")
        return "" if peer is None or not self.is_running else peer.own.upper()

    def written_state(self) -> str:
        """What its lease file says of its own state."""
        peer = self._read().peers.get("pair")
        return "" if peer is None else peer.own.upper()

    def partner_state(self) -> str:
        moves = re.findall(r"failover peer \S+: peer moves from \S+ to (\S+)", self.log())
        if moves:
            return str(moves[-1]).upper()
        peer = self._read().peers.get("pair")
        return "" if peer is None else peer.partner.upper()

    def active(self) -> dict[str, str]:
        return {
            str(IPv4Address(address)): lease.mac.hex(":")
            for address, lease in self._read().leases.items()
            if lease.state is BindingState.ACTIVE
        }

    def order(self, command: str) -> None:
        words = [
            "server 127.0.0.1", "port 7911", "connect", "new failover-state", 'set name = "pair"', "open",
            f"set local-state = {_SET_STATE[command]}", "update",
        ]  # fmt: skip
        subprocess.run(
            ["ip", "netns", "exec", self.namespace, "omshell"], input="\n".join(words) + "\n", text=True,
            capture_output=True, timeout=30, check=True, env=os.environ | {"PATH": SYSTEM_PATH},
        )  # fmt: skip

    def wipe(self) -> None:
        self.lease_file.unlink()

    def leave_shutdown(self) -> None:
        """What an administrator of ISC dhcpd must do by hand before it is started again."""
        with self.lease_file.open("a", encoding="ascii") as file:
            file.write(
                'failover peer "pair" state {\n  my state recover;\n  partner state partner-down;\n}\n'
            )


KINDS: dict[str, type[PairServer]] = {each.kind: each for each in (Ours, Isc)}


class PairNetwork(Network):
    """The wire, both servers, and what their clients are plugged into."""

    def __init__(self, folder: Path, kinds: tuple[str, str]) -> None:
        super().__init__(folder)
        self.kinds = kinds
        self.servers: list[PairServer] = []
        self.ports: list[str] = []
        self._is_cut = False

    def make(self) -> None:
        """Make the wire and both servers; nothing runs yet."""
        self.namespace(self._wires)
        ip("-n", self._wires, "link", "add", NEAR, "type", "bridge")
        ip("-n", self._wires, "link", "set", NEAR, "up")
        for index, kind in enumerate(self.kinds):
            server = KINDS[kind](self, index)
            server.namespace = self.namespace(f"{self.prefix}{'ab'[index]}")
            self.ports.append(self.plug(server.namespace, NEAR, "s0", f"02:77:00:00:00:0{index + 1}"))
            ip("-n", server.namespace, "addr", "add", f"{server.address}/24", "dev", "s0")
            self.servers.append(server)
            if isinstance(server, Ours):
                # ISC dhcpd acknowledges when half of what we take is under way, else after two seconds.
                same = {"unacknowledged_count_max": ISC_UNACKED_MAX} if "isc" in self.kinds else {}
                server.declare(organisation(**same))
            else:
                assert isinstance(server, Isc)
                server.configure()

    def cut(self) -> None:
        """The servers do not reach each other any more; clients reach both."""
        first = self.servers[0].namespace
        script = "".join(
            f"add chain inet cut {hook} {{ type filter hook {hook} priority 0; }}\n"
            f"add rule inet cut {hook} ip {where} {ADDRESSES[1]} drop\n"
            for hook, where in (("input", "saddr"), ("output", "daddr"))
        )
        self._nft(first, "add table inet cut\n" + script)
        self._is_cut = True

    def heal(self) -> None:
        """They reach each other again."""
        if self._is_cut:
            self._nft(self.servers[0].namespace, "delete table inet cut\n")
        self._is_cut = False

    def _nft(self, namespace: str, script: str) -> None:
        subprocess.run(
            ["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=script, text=True, check=True,
            capture_output=True, env=os.environ | {"PATH": SYSTEM_PATH},
        )  # fmt: skip

    def log(self) -> str:
        """What both said."""
        return "\n".join(f"--- {each.name} ({each.kind})\n{each.log()[-6000:]}" for each in self.servers)

    def destroy(self) -> None:
        """Stop everything."""
        for server in self.servers:
            if server.process is not None:
                server.kill()
        super().destroy()


class PairClient(Dhclient):
    """A dhclient that renews after two seconds, and after five asks everybody."""

    def command(self, *, probing: bool) -> list[str]:
        words = super().command(probing=probing)
        configuration = self._folder / "dhclient.conf"
        text = configuration.read_text("utf-8")
        configuration.write_text(text + "supersede dhcp-rebinding-time 5;\ntimeout 30;\n", "utf-8")
        return words
