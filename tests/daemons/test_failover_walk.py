"""docs/operate/dhcp-failover.md from its first command to its last, at two servers that really run.

What differs from the page is what loopback asks for: the addresses of both, ports of their own, a relay
before the scope, and an MCLT of seconds. Each command is given where the page says; what its sentences tell
of (a server dies, gets a new disk, comes back) happens between them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from tests.test_documents import PLACEHOLDER, ROOT, text_of

from dhcp.conversations import Client
from dhcp_service import RELAY, RELAY_OPTION, free_udp_port, relay
from holdfast.drivers.failover_replica import SAME
from holdfast.wire.dhcp4 import Message, encode_message, read_message
from ports import free_ports

pytestmark = pytest.mark.process

PAGE = ROOT / "docs" / "operate" / "dhcp-failover.md"
ADDRESSES = {"ns1": "127.0.0.1", "ns2": "127.0.0.3"}
OF_THE_PAGE = {"ns1": "192.0.2.11", "ns2": "192.0.2.12"}
SECRET = "open sesame"
MCLT = "4s"
NORMAL, INTERRUPTED, DOWN = "NORMAL", "COMMUNICATIONS-INTERRUPTED", "PARTNER-DOWN"
Until = Callable[[Callable[[], bool]], None]


def commands_and_places() -> list[tuple[str, tuple[str, ...]]]:
    """The commands of the page, and where each is given: at one of the two, or at both."""
    found = []
    # The block of another language is taken as well: else its end would be the beginning of the next one.
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(PAGE), flags=re.DOTALL | re.MULTILINE)
    for block in (text for language, text in blocks if not language):
        for line in block.splitlines():
            command, _, where = (each.strip() for each in line.partition("   "))
            assert command.startswith("holdfast "), f"this is no command, and is not tested: {line}"
            assert not PLACEHOLDER.search(re.sub(r"DHC-\d+", "", command)), line
            words = re.fullmatch(r"on (both|ns1|ns2)\b.*", where or "on ns1")
            assert words is not None, f"the page does not say where: {line}"
            found.append((command, tuple(ADDRESSES) if words[1] == "both" else (words[1],)))
    return found


class Ns:
    """One of the two servers, with all its processes."""

    def __init__(self, folder: Path, name: str, until: Until) -> None:
        self.name = name
        self.until = until
        self.folder = folder
        self.home = folder / name
        self.port = free_udp_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"HOLDFAST_HOME": str(self.home)}

    def words(self, command: str) -> list[str]:
        return [sys.executable, "-m", "holdfast.cli.main", *shlex.split(command)[1:]]

    def up(self, command: str) -> None:
        """Give the command that starts it, and wait until it says that it is ready."""
        assert self.process is None
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.words(command), stdout=subprocess.PIPE, stderr=log, env=self.environment,
                cwd=self.folder,
            )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith(b"Holdfast is ready"), self.log()

    def loses_power(self) -> None:
        """Nothing of it runs on."""
        assert self.process is not None
        assert self.process.stdout is not None
        # Roles have sessions of their own, and would stop in good order when they miss the supervisor.
        self.process.send_signal(signal.SIGSTOP)
        for pid in self._pids():
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(60)
        self.process.stdout.close()
        self.process = None
        self.until(lambda: not self._pids())

    def _pids(self) -> list[int]:
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = each.read_bytes().split(b"\0")
            except OSError:
                continue
            if any(word.startswith(str(self.home).encode()) for word in words):
                found.append(int(each.parent.name))
        return found

    def give(self, command: str) -> str:
        """Give a command; what it prints."""
        done = subprocess.run(
            self.words(command), input=f"{SECRET}\n", capture_output=True, text=True, timeout=120,
            check=False, env=self.environment, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, f"{command} at {self.name}: {done.stderr}\n{self.log()}"
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    def show(self, name: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.give(f"holdfast dhcp failover show {name} --json"))
        return shown

    def log(self) -> str:
        path = self.folder / f"{self.name}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def lease(self, number: int) -> str:
        """A client behind the relay; the address that it got, empty for none."""
        client = Client(number, giaddr=RELAY)
        with relay(self.port, timeout_s=1.0) as wire:

            def ask(message: Message) -> Message:
                wire.send(encode_message(message))
                return read_message(wire.recv(4096))

            try:
                offer = ask(client.discover(RELAY_OPTION))
                address = str(IPv4Address(offer.yiaddr))
                ack = ask(client.select(address, RELAY_OPTION, server=offer.options[54]))
            except (TimeoutError, ConnectionRefusedError):
                return ""
        return address if ack.options[53] == b"\x05" else ""


class Walk:
    """The page, read by an administrator of both servers."""

    def __init__(self, folder: Path, until: Until) -> None:
        self.until = until
        self.first, self.second = self.both = [Ns(folder, name, until) for name in ADDRESSES]
        self.port = free_ports(1)[0]
        self.left = commands_and_places()
        (text,) = re.findall(r"^```toml\n(.*?)^```", text_of(PAGE), re.DOTALL | re.MULTILINE)
        for name, address in ADDRESSES.items():
            on_loopback = f'addresses = ["{address}"]\nmetrics = ""'
            text = text.replace(f'addresses = ["{OF_THE_PAGE[name]}"]', on_loopback)
        text += f'relays = ["{RELAY}"]\n'
        for each in self.both:
            text += f'\n[[dhcp_server]]\nserver = "{each.name}"\ninterfaces = ["lo"]\nport = {each.port}\n'
        (folder / "organisation.toml").write_text(text, "utf-8")

    def through(self, words: str) -> dict[str, str]:
        """Give the next commands of the page, up to the first that has these words; what that one printed."""
        while True:
            command, places = self.left.pop(0)
            if "failover create" in command:
                command += f" --port {self.port} --mclt {MCLT}"
            printed = {}
            for each in self.both:
                if each.name in places:
                    printed[each.name] = self._give(each, command)
            if words in command:
                return printed

    def _give(self, at: Ns, command: str) -> str:
        if command.startswith("holdfast up "):
            at.up(command)
            return ""
        return at.give(command)

    def comes_to(self, at: Ns, state: str, name: str = "pair") -> None:
        """Wait until a server is in a state."""
        try:
            self.until(lambda: at.show(name)["state"] == state)
        except AssertionError:
            logs = "\n".join(f"--- {each.name}\n{each.log()}" for each in self.both)
            raise AssertionError(f"{at.name} is not in {state}: {at.show(name)}\n{logs}") from None

    def both_are_normal(self, *names: str) -> None:
        for name in names:
            for each in self.both:
                self.comes_to(each, NORMAL, name)

    def leases(self, at: Ns, number: int) -> str:
        """Wait until a client has an address of this server."""
        got: list[str] = []
        self.until(lambda: bool(got.append(at.lease(number)) or got[-1]))
        return got[-1]

    def close(self) -> None:
        for each in self.both:
            if each.process is not None:
                each.loses_power()


@pytest.fixture
def walk(tmp_path: Path, until: Until) -> Iterator[Walk]:
    made = Walk(tmp_path, until)
    yield made
    made.close()


def test_every_command_of_the_page_is_given_to_two_servers_that_run(walk: Walk) -> None:
    first, second = walk.first, walk.second
    # 1 and 2: both are declared and lease together, with the secret; what is set is taken in.
    walk.through("organisation import")
    walk.through("show pair")
    walk.both_are_normal("pair")
    assert first.show("pair")["secret"]
    walk.through("create back")
    walk.both_are_normal("pair", "back")
    walk.through("set-secret pair")
    walk.both_are_normal("pair")
    assert first.show("pair")["settings"] == second.show("pair")["settings"]
    clients = {number: address for number in range(1, 9) if (address := first.lease(number))}
    clients |= {number: address for number in range(1, 9) if (address := second.lease(number))}
    assert len(set(clients.values())) == 8
    # 3: ns2 is gone, ns1 says why it does not reach it, leases on, and is told; ns2 comes back.
    second.loses_power()
    walk.comes_to(first, INTERRUPTED)
    walk.through("status")
    assert first.show("pair")["trouble"]
    assert walk.through("partner-down")["ns1"]
    walk.comes_to(first, DOWN)
    clients[10] = walk.leases(first, 10)
    second.up("holdfast up --server ns2")
    walk.both_are_normal("pair", "back")
    # 4: its disk is gone with everything on it.
    second.loses_power()
    shutil.rmtree(second.home)
    walk.comes_to(first, INTERRUPTED)
    first.give("holdfast dhcp failover partner-down pair --yes")  # "as above"
    walk.through("show pair")
    walk.both_are_normal("pair", "back")
    known = json.loads(second.give("holdfast dhcp lease list --json"))["leases"]
    assert {each["address"] for each in known if each["state"] == "active"} >= {clients[10]}
    walk.through("recover pair")
    walk.both_are_normal("pair")
    assert "RECOVER-WAIT" in second.log()
    # 5: work at ns2.
    walk.through("shutdown pair")
    walk.comes_to(first, DOWN)
    walk.through("resume pair")
    walk.both_are_normal("pair")
    walk.through("pause pair")
    walk.comes_to(first, INTERRUPTED)
    walk.through("resume pair")
    walk.both_are_normal("pair")
    # 6: a scope joins, and leaves.
    walk.through("add-scope pair lab")
    walk.both_are_normal("pair")
    assert [each["scope"] for each in second.show("pair")["scopes"]] == ["office", "lab"]
    walk.through("remove-scope")
    walk.through("remove-scope")
    walk.until(lambda: "DHC-0410" in first.log() and "DHC-0411" in first.log())
    walk.both_are_normal("pair")
    # 7: somebody made a reservation at ns1 alone; ns2 takes it over, and what ns1 tells its clients.
    first.give("holdfast dhcp reservation add 192.0.2.150 --mac 02:00:00:00:00:50 --name printer")
    first.give("holdfast dhcp option set dns-servers 192.0.2.53 --server ns1 --yes")
    walk.until(lambda: second.show("pair")["configuration"] == "different")
    assert "192.0.2.150" in walk.through("replicate-relationship pair --plan")["ns2"]
    walk.through("replicate-relationship pair --yes")
    assert "192.0.2.150" in second.give("holdfast dhcp reservation list")
    assert "192.0.2.53" in walk.through("--server-wide --plan")["ns2"]
    walk.through("--server-wide --yes")
    walk.until(lambda: first.show("pair")["configuration"] == second.show("pair")["configuration"] == SAME)
    walk.through("write pair pair.toml")
    assert SECRET not in (first.folder / "pair.toml").read_text("utf-8")
    walk.through("--from-file pair.toml")
    # 8: ns1 goes on alone; they begin anew; ns2 is gone for good.
    walk.through("delete back")
    assert not second.lease(11)
    walk.leases(first, 12)
    walk.through("create pair")
    walk.both_are_normal("pair")
    second.loses_power()
    walk.comes_to(first, INTERRUPTED)
    walk.through("delete pair")
    walk.leases(first, 13)
    assert "PARTNER-DOWN" in walk.through("explain")["ns1"]
    assert walk.left == []
    assert "Traceback" not in first.log() + second.log()
    assert SECRET not in first.log() + second.log()
