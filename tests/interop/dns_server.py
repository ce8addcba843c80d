"""Real DNS servers for the tests: Knot with the records of a test, and Unbound that resolves and validates.

``Knot`` serves zones, signed where wanted; ask it directly where validation does not matter.
``Unbound`` asks Knot for everything, and knows the trust anchors of its signed zones: what it says of
DNSSEC is what a resolver on the internet would say.

    knot = Knot(tmp_path / "knot", {"example.test": "@ MX 10 mx\nmx A 192.0.2.1"})
    organisation = Organisation(resolver_addresses=(knot.resolver_address,))
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from ports import free_ports

START_PATIENCE_S = 120
SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin"
INSTALLED = all(shutil.which(name, path=SYSTEM_PATH) for name in ("knotd", "unbound", "keymgr"))


class DnsProcess:
    """One DNS server of the tests."""

    def __init__(self, directory: Path, address: str) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.port = free_ports(1, address)[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def resolver_address(self) -> str:
        """As ``resolver_addresses`` of the organisation writes it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def query(self, name: str, record_type: str) -> dns.message.Message:
        """Ask it, as a client that is not ours; AD is asked for."""
        question = dns.message.make_query(name, record_type, want_dnssec=True)
        question.flags |= 0x20
        return dns.query.udp_with_fallback(question, self.address, timeout=5, port=self.port)[0]

    def log_text(self) -> str:
        """What it said so far."""
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def _start(self, words: list[str], zones: list[str]) -> None:
        """Start the server, and wait until it answers for all zones."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PATH": SYSTEM_PATH},
            )
        pause = threading.Event()
        deadline = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < deadline:
            # A question over UDP to a port that is not open yet would only be waited for.
            with socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET) as probe:
                listens = probe.connect_ex((self.address, self.port)) == 0
            if listens and all(self.query(zone, "SOA").rcode() == dns.rcode.NOERROR for zone in zones):
                return
            pause.wait(0.05)
        self.stop()
        raise AssertionError(f"{words[0]} does not answer: {self.log_text()}")


class Knot(DnsProcess):
    """Knot, the server of the zones."""

    def __init__(
        self,
        directory: Path,
        zones: Mapping[str, str],
        signed: tuple[str, ...] = (),
        address: str = "127.0.0.1",
    ) -> None:
        """Serve zones.

        Args:
            directory: a folder of its own.
            zones: the records of each zone, in the language of zone files, without SOA and NS.
            signed: the names of those that are signed.
        """
        super().__init__(directory, address)
        self.signed = signed
        self.zones = dict(zones)
        self._configuration = directory / "knot.conf"
        # The path of a socket may have 107 bytes, and pytest's folders are long.
        self._sockets = Path(tempfile.mkdtemp(prefix="knot-"))
        (directory / "database").mkdir(exist_ok=True)
        self._serial = 0
        for name in self.zones:
            self._write_zone(name)
        self._configuration.write_text(self._text(), encoding="utf-8")
        self._start(["knotd", "-c", str(self._configuration)], list(self.zones))

    def _text(self) -> str:
        domains = "".join(
            f"  - domain: {name}\n    file: {name}.zone\n"
            f"    dnssec-signing: {'on' if name in self.signed else 'off'}\n"
            for name in self.zones
        )
        return f"""server:
    rundir: {self._sockets}
    listen: {self.address}@{self.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    automatic-acl: off
log:
  - target: stderr
    any: info
database:
    storage: {self.directory}/database
policy:
  - id: test
    algorithm: ECDSAP256SHA256
    single-type-signing: on
    nsec3: off
template:
  - id: default
    storage: {self.directory}
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
    dnssec-policy: test
zone:
{domains}"""

    def _write_zone(self, name: str) -> None:
        self._serial += 1
        text = (
            f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns hostmaster {self._serial} 3600 600 86400 30\n@ NS ns\n"
            f"ns A {'127.0.0.1' if ':' in self.address else self.address}\n"
        )
        (self.directory / f"{name}.zone").write_text(text + self.zones[name] + "\n", encoding="utf-8")

    def stop(self) -> None:
        """Stop it."""
        super().stop()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def set_zone(self, name: str, records: str) -> None:
        """Change the records of a zone; the next answer is by them."""
        self.zones[name] = records
        self._write_zone(name)
        self._run("knotc", "-b", "zone-reload", name)

    def trust_anchor(self, name: str) -> str:
        """The DS record of a signed zone."""
        return next(line for line in self._run("keymgr", name, "ds").splitlines() if " DS " in line)

    def _run(self, program: str, *words: str) -> str:
        result = subprocess.run(
            [program, "-c", str(self._configuration), *words],
            capture_output=True, text=True, env=os.environ | {"PATH": SYSTEM_PATH}, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


class Unbound(DnsProcess):
    """Unbound, a resolver that asks Knot and validates."""

    def __init__(self, directory: Path, knot: Knot, anchors: Mapping[str, str] | None = None) -> None:
        """Resolve what a Knot serves.

        Args:
            directory: a folder of its own.
            anchors: the trust anchor per zone; those of all its signed zones when it is not given.
        """
        super().__init__(directory, "127.0.0.1")
        if anchors is None:
            anchors = {name: knot.trust_anchor(name) for name in knot.signed}
        configuration = directory / "unbound.conf"
        stubs = "".join(
            f'stub-zone:\n  name: "{name}"\n  stub-addr: {knot.address}@{knot.port}\n  stub-no-cache: yes\n'
            for name in (".", *knot.zones)
        )
        trusted = "".join(f'  trust-anchor: "{anchor}"\n' for anchor in anchors.values())
        configuration.write_text(
            f"""server:
  interface: 127.0.0.1
  port: {self.port}
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-ip6: {"yes" if ":" in knot.address else "no"}
  do-not-query-localhost: no
  local-zone: "test." nodefault
  local-zone: "example." nodefault
  module-config: "validator iterator"
  ede: yes
  cache-max-ttl: 1
  cache-max-negative-ttl: 1
  num-threads: 1
{trusted}{stubs}remote-control:
  control-enable: no
""",
            encoding="utf-8",
        )
        self._start(["unbound", "-d", "-p", "-c", str(configuration)], [])
