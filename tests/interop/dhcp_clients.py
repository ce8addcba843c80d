"""DHCP clients, one class each: Debian's dhclient, udhcpc, dhcpcd and systemd-networkd, and ours.

The programs are the real ones; only the script that they run at each event is ours:
theirs would write the machine's /etc/resolv.conf. It notes all that the client told it
and gives the interface its address, except with those that do that themselves.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import ClassVar

from interop.dhcp_network import NETWORKD, SYSTEM_PATH, Place

Until = Callable[[Callable[[], bool]], None]
END_PATIENCE_S = 120

_NOTE = """#!/bin/sh
event="${reason:-$1}"
{ env; echo "event=$event"; echo "---"; } > "$NOTES.$$"
cat "$NOTES.$$" >> "$NOTES"
rm "$NOTES.$$"
"""
# The address, by the words of dhclient and of udhcpc. dhclient leaves the probe to its script: 1 declines.
_CONFIGURE = """
address="${new_ip_address:-$ip}"
mask="${new_subnet_mask:-$mask}"
routers="${new_routers:-$router}"
case "$event" in
BOUND|REBOOT|bound)
    if [ -n "$PROBE" ] && ! busybox arping -D -q -c 1 -w 1 -I c0 "$address"; then exit 1; fi
    ip -4 addr flush dev c0
    ip addr add "$address/$mask" dev c0
    ip route add default via "${routers%% *}"
    ;;
EXPIRE|FAIL|RELEASE|STOP|PREINIT|deconfig)
    ip -4 addr flush dev c0
    ;;
esac
exit 0
"""


class Client:
    """One client on one machine.

    Attributes:
        got: its events of an address that it took as a new one.
        rebooted: its event of an address that it has again after a start.
        renewed: its event of a lease that was made longer.
        declines: whether it can tell the server that somebody else has the address.
        configures: whether our script gives the interface its address.
        remembers: whether it asks after a start for the address that it had (INIT-REBOOT).
    """

    got = rebooted = renewed = ""
    remembers = True
    declines = True
    configures = True

    def __init__(self, place: Place, folder: Path, until: Until) -> None:
        self.place = place
        self._folder = folder
        self._until = until
        self._notes = folder / "notes"
        self._script = folder / "script"
        folder.mkdir(parents=True, exist_ok=True)
        self._script.write_text(_NOTE + (_CONFIGURE if self.configures else ""), "utf-8")
        self._script.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self._from = self._log_from = 0

    def command(self, *, probing: bool) -> list[str]:
        """How it is started in the foreground."""
        raise NotImplementedError

    def start(self, *, probing: bool = False) -> None:
        """Switch it on; ``probing`` has it look first whether somebody else uses the address."""
        with (self._folder / "log").open("ab") as log:
            self._log_from = log.tell()
            self._process = subprocess.Popen(
                self._inside(self.command(probing=probing)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment(),
            )  # fmt: skip

    def _inside(self, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self.place.namespace, *command]

    def _environment(self) -> dict[str, str]:
        return {"PATH": SYSTEM_PATH, "NOTES": str(self._notes)}

    def wait_for(self, *events: str) -> dict[str, str]:
        """Wait for the next of these events; what the client told with it."""
        found: list[dict[str, str]] = []

        def happened() -> bool:
            assert self._process is None or self._process.poll() is None, self.log()
            notes = self.notes()
            for number in range(self._from, len(notes)):
                if notes[number]["event"] in events:
                    self._from = number + 1
                    found.append(notes[number])
                    return True
            return False

        try:
            self._until(happened)
        except AssertionError:
            raise AssertionError(f"none of {events}: {self.log()}\n{self.place.network.log()}") from None
        return found[0]

    def notes(self) -> list[dict[str, str]]:
        """All that it told its script so far, event by event."""
        if not self._notes.exists():
            return []
        whole = self._notes.read_text("utf-8", "replace").split("\n---\n")[:-1]
        return [dict(line.partition("=")[::2] for line in each.splitlines()) for each in whole]

    def obtain(self, *, probing: bool = False) -> dict[str, str]:
        """Start it and wait until it has an address, and has written that down if it ever does."""
        self.start(probing=probing)
        return self.settled(self.wait_for(self.got))

    def settled(self, told: dict[str, str]) -> dict[str, str]:
        """Wait until the address is on the interface and the client is done with what it told."""
        address = self.address_in(told)
        self._until(lambda: self.place.addresses() == [address] and self.has_written(address))
        return told

    def has_written(self, address: str) -> bool:
        """Whether what it remembers is on its disk; true for a client that never writes."""
        return True

    def reboot(self) -> dict[str, str]:
        """The power fails and comes back: it had no time to say good-bye."""
        self.crash()
        self.start()
        return self.settled(self.wait_for(self.rebooted))

    def crash(self) -> None:
        """Kill it, and take its address from the interface as a machine without power has none."""
        self.close()
        self.place.empty()

    def close(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(END_PATIENCE_S)

    def ended(self) -> int:
        """Wait until it ends; its exit code."""
        assert self._process is not None
        return self._process.wait(END_PATIENCE_S)

    def renew(self) -> None:
        """Have it renew now."""
        raise NotImplementedError

    def release(self) -> None:
        """Have it give its address back."""
        raise NotImplementedError

    def forget(self) -> None:
        """Take away what it remembers of its leases."""

    def was_refused(self) -> bool:
        """Whether it says that it was told no."""
        return "NAK" in self.log()

    def log(self) -> str:
        """What it printed."""
        return (self._folder / "log").read_text("utf-8", "replace")

    @staticmethod
    def address_in(told: dict[str, str]) -> str:
        """The address in what it told."""
        return told["new_ip_address"]

    @staticmethod
    def options_in(told: dict[str, str]) -> tuple[str, str, str]:
        """Router, DNS server and domain in what it told."""
        return told["new_routers"], told["new_domain_name_servers"], told["new_domain_name"]


class Dhclient(Client):
    """ISC's dhclient; its script probes, for it has no probe of its own."""

    got, rebooted, renewed = "BOUND", "REBOOT", "RENEW"

    def command(self, *, probing: bool) -> list[str]:
        # It has no word for "renew now": its own T1 is a few seconds, whatever the server says.
        configuration = self._folder / "dhclient.conf"
        configuration.write_text("supersede dhcp-renewal-time 2;\nretry 5;\nbackoff-cutoff 2;\n", "utf-8")
        return ["dhclient", "-4", "-d", *self._files(), *(["-e", "PROBE=1"] if probing else []), "c0"]

    def _files(self) -> list[str]:
        return [
            "-cf", str(self._folder / "dhclient.conf"), "-lf", str(self.lease_file), "-pf",
            str(self._folder / "pid"), "-sf", str(self._script), "-e", f"NOTES={self._notes}",
            "-e", f"PATH={SYSTEM_PATH}",
        ]  # fmt: skip

    def has_written(self, address: str) -> bool:
        bound = f"bound to {address} " in self.log()[self._log_from :]
        return bound and f"fixed-address {address};" in self.lease_file.read_text("ascii")

    @property
    def lease_file(self) -> Path:
        """What it remembers."""
        return self._folder / "dhclient.leases"

    def renew(self) -> None:
        """Nothing to do: it does that by itself every two seconds."""

    def release(self) -> None:
        done = subprocess.run(
            self._inside(["dhclient", "-4", "-r", *self._files(), "c0"]), env=self._environment(),
            capture_output=True, timeout=END_PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.ended()

    def forget(self) -> None:
        self.lease_file.unlink()


class Udhcpc(Client):
    """BusyBox's udhcpc: it writes nothing down, what it had it is told at its start."""

    got = rebooted = "bound"
    renewed = "renew"
    remembers = False
    _wanted = ""

    def command(self, *, probing: bool) -> list[str]:
        words = ["udhcpc", "-f", "-i", "c0", "-s", str(self._script), "-t", "5", "-T", "1", "-A", "1"]
        return words + (["-a"] if probing else []) + (["-r", self._wanted] if self._wanted else [])

    def crash(self) -> None:
        self._wanted = self.place.addresses()[0]
        super().crash()

    def forget(self) -> None:
        self._wanted = ""

    def renew(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)

    def release(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR2)
        self.wait_for("deconfig")
        self._process.terminate()
        self.ended()

    @staticmethod
    def address_in(told: dict[str, str]) -> str:
        return told["ip"]

    @staticmethod
    def options_in(told: dict[str, str]) -> tuple[str, str, str]:
        return told["router"], told["dns"], told["domain"]


class Dhcpcd(Client):
    """Roy Marples' dhcpcd: an identifier by RFC 4361, a probe by RFC 5227, its addresses set by itself."""

    got, rebooted, renewed = "BOUND", "REBOOT", "RENEW"
    configures = False

    def command(self, *, probing: bool) -> list[str]:
        configuration = self._folder / "dhcpcd.conf"
        lines = [
            "duid",
            "persistent",
            "option domain_name_servers, domain_name, routers",
            "nodelay",
            "noipv4ll",
        ]
        lines += ["reboot 10", f"env NOTES={self._notes}", f"env PATH={SYSTEM_PATH}"] + (
            [] if probing else ["noarp"]
        )
        configuration.write_text("\n".join(lines) + "\n", "utf-8")
        return self._dhcpcd("-B", "-d")

    def _dhcpcd(self, *words: str) -> list[str]:
        """Its folders are compiled in; it gets its own in their place, seen by nobody else."""
        parts = []
        for name, there in (("lib", "/var/lib/dhcpcd"), ("run", "/run/dhcpcd")):
            (self._folder / name).mkdir(exist_ok=True)
            parts.append(f"mkdir -p {there} && mount --bind {self._folder / name} {there}")
        command = [
            "dhcpcd",
            "-4",
            *words,
            "-f",
            str(self._folder / "dhcpcd.conf"),
            "-c",
            str(self._script),
            "c0",
        ]
        return ["sh", "-c", " && ".join([*parts, f"exec {' '.join(command)}"])]

    def has_written(self, address: str) -> bool:
        return self._lease_file.exists() and IPv4Address(address).packed in self._lease_file.read_bytes()

    @property
    def _lease_file(self) -> Path:
        return self._folder / "lib" / "c0.lease"

    def renew(self) -> None:
        self._tell("-N")

    def release(self) -> None:
        self._tell("-k")
        self.ended()

    def _tell(self, word: str) -> None:
        done = subprocess.run(
            self._inside(self._dhcpcd(word)), env=self._environment(), capture_output=True,
            timeout=END_PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def forget(self) -> None:
        self._lease_file.unlink()


class Networkd(Client):
    """systemd-networkd without systemd: it says in its log what happens, and writes its lease down.

    It needs a /sys that is read-only, else it waits for udev; a /run of its own, so that nobody
    else's networkd is disturbed; and no bus. What it can be told by a bus alone is not there: it
    renews at half of a lease that the scope makes short for it.
    """

    got = rebooted = "acquired"
    renewed = "renewed"
    remembers = False
    # Version 252 finds the conflict and wants to tell it by a socket, but has neither address nor route then.
    declines = False
    configures = False

    def command(self, *, probing: bool) -> list[str]:
        run = self._folder / "run"
        for name in ("network", "netif/links", "netif/leases", "netif/lldp"):
            (run / "systemd" / name).mkdir(parents=True, exist_ok=True)
        lines = ["[Match]", "Name=c0", "[Network]", "DHCP=ipv4", "LinkLocalAddressing=no", "IPv6AcceptRA=no"]
        lines += ["[DHCPv4]", "UseDomains=yes", "VendorClassIdentifier=systemd"]
        (run / "systemd" / "network" / "c0.network").write_text("\n".join(lines) + "\n", "utf-8")
        steps = [
            "mount -o remount,bind,ro /sys",
            f"mount --bind {run} /run",
            "chown -R systemd-network /run/systemd/netif",
            f"exec {NETWORKD}",
        ]
        return ["sh", "-c", " && ".join(steps)]

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"SYSTEMD_LOG_LEVEL": "debug", "SYSTEMD_LOG_TARGET": "console"}

    def notes(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        asks, address = "", ""
        for line in self.log().splitlines():
            if match := re.search(r"DHCPv4 client: REQUEST \((\w+)\)", line):
                asks = match[1]
            elif match := re.search(r"DHCPv4 address ([\d.]+)/\d+.* acquired from", line):
                address = match[1]
                found.append({"event": "acquired", "address": address})
            elif "DHCPv4 client: ACK" in line and asks in ("renewing", "rebinding"):
                found.append({"event": "renewed", "address": address})
        return found

    def wait_for(self, *events: str) -> dict[str, str]:
        told = super().wait_for(*events)
        # It writes its lease down a little later.
        self._until(lambda: f"ADDRESS={told['address']}" in self._lease())
        return told | dict(line.partition("=")[::2] for line in self._lease().splitlines())

    def _lease(self) -> str:
        files = list((self._folder / "run" / "systemd" / "netif" / "leases").iterdir())
        return files[0].read_text("utf-8") if files else ""

    def crash(self) -> None:
        super().crash()
        self.forget()

    def forget(self) -> None:
        for path in (self._folder / "run" / "systemd" / "netif" / "leases").iterdir():
            path.unlink()

    def renew(self) -> None:
        """Nothing to do: its lease is short."""

    def release(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self.ended()
        # It gives the lease back and leaves the address to whoever comes after it.
        self.place.empty()

    @staticmethod
    def address_in(told: dict[str, str]) -> str:
        return told["address"]

    @staticmethod
    def options_in(told: dict[str, str]) -> tuple[str, str, str]:
        return told["ROUTER"], told["DNS"], told["DOMAINNAME"]


class Holdfast(Client):
    """``holdfast dhcp client``: its timeline is what it tells; it always probes."""

    got, rebooted, renewed = "got", "rebooted", "renewed"
    configures = False
    _EVENTS: ClassVar[dict[str, str]] = {"before": "rebooted", "more": "renewed"}

    def command(self, *, probing: bool) -> list[str]:
        words = [
            "--interface",
            "c0",
            "--configure",
            "--json",
            "--release",
            "--lease-file",
            str(self.lease_file),
        ]
        return [sys.executable, "-m", "holdfast.cli.main", "dhcp", "client", *words]

    @property
    def lease_file(self) -> Path:
        """What it remembers."""
        return self._folder / "lease.json"

    def notes(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        event = "got"
        for line in self.log().splitlines(keepends=True):
            if not line.startswith("{") or not line.endswith("\n"):
                continue
            told = json.loads(line)
            if told["what"] == "sent":
                word = re.search(r"REQUEST .*(before|more)", told["text"])
                event = self._EVENTS.get(word[1], "") if word else "got"
            elif told["what"] == "lease" and told["state"] == "bound":
                lease = told["lease"]
                found.append(
                    {
                        "event": event,
                        "address": lease["address"],
                        "options": " ".join([*lease["routers"], *lease["dns_servers"], lease["domain"]]),
                    }
                )
        return found

    def has_written(self, address: str) -> bool:
        return self.lease_file.exists() and f'"{address}"' in self.lease_file.read_text("utf-8")

    def renew(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)

    def release(self) -> None:
        assert self._process is not None
        self._process.terminate()
        assert self.ended() == 0
        assert not self.lease_file.exists()

    def forget(self) -> None:
        self.lease_file.unlink()

    @staticmethod
    def address_in(told: dict[str, str]) -> str:
        return told["address"]

    @staticmethod
    def options_in(told: dict[str, str]) -> tuple[str, str, str]:
        router, name_server, domain = told["options"].split(" ")
        return router, name_server, domain


CLIENTS: dict[str, type[Client]] = {
    "dhclient": Dhclient,
    "udhcpc": Udhcpc,
    "dhcpcd": Dhcpcd,
    "networkd": Networkd,
    "holdfast": Holdfast,
}
