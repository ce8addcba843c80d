"""Names of clients in the zones of Knot and BIND: what a lease puts there, and takes away."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import dns.rcode
import pytest

from dhcp.conversations import Client, option
from dhcp_service import (
    RELAY,
    RELAY_OPTION,
    RunningRole,
    declare,
    free_udp_port,
    organisation,
    relay,
    running,
)
from holdfast.directory.model import Organisation
from holdfast.drivers.audit_log import AUDIT_DIRECTORY
from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.wire.dhcid import make_dhcid
from holdfast.wire.dhcp4 import Message, encode_message, read_message
from interop.dns_server import SYSTEM_PATH, DnsProcess, Knot

PROGRAMS = ("knotd", "named")
MISSING = [each for each in PROGRAMS if shutil.which(each, path=SYSTEM_PATH) is None]
pytestmark = [
    pytest.mark.interop,
    pytest.mark.process,
    pytest.mark.skipif(
        bool(MISSING) and not os.environ.get("HOLDFAST_PEERS_REQUIRED"),
        reason="Knot or BIND is not installed",
    ),
]

KEY, SECRET = "dhcp-key", base64.b64encode(b"k" * 32).decode()
FORWARD, REVERSE = "office.test", "10.in-addr.arpa"
DESK = f"desk.{FORWARD}"
PATIENCE_S = 120.0


class UpdatableKnot(Knot):
    """Knot whose zones our key may change."""

    def _text(self) -> str:
        head, zones = super()._text().split("zone:\n")
        zones = zones.replace("    dnssec-signing", "    acl: dhcp\n    dnssec-signing")
        return (
            f"{head}key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n"
            f"acl:\n  - id: dhcp\n    key: {KEY}\n    action: update\nzone:\n{zones}"
        )

    def start_again(self) -> None:
        """After ``stop_for_a_while``."""
        self._start(["knotd", "-c", str(self._configuration)], list(self.zones))

    def stop_for_a_while(self) -> None:
        DnsProcess.stop(self)


class Bind(DnsProcess):
    """BIND whose zones our key may change."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "127.0.0.1")
        zones = ""
        for name in (FORWARD, REVERSE):
            (directory / f"{name}.zone").write_text(
                f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 30\n"
                "@ NS ns\nns A 127.0.0.1\n",
                encoding="utf-8",
            )
            zones += (
                f'zone "{name}" {{ type primary; file "{name}.zone"; allow-update {{ key "{KEY}"; }}; }};\n'
            )
        configuration = directory / "named.conf"
        configuration.write_text(
            f"""options {{
  directory "{directory}"; pid-file "{directory}/pid"; session-keyfile "{directory}/session.key";
  listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;
  empty-zones-enable no;
}};
controls {{ }};
key "{KEY}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
{zones}""",
            encoding="utf-8",
        )
        self._start(["named", "-g", "-c", str(configuration)], [FORWARD, REVERSE])


@contextmanager
def knot() -> Iterator[UpdatableKnot]:
    with tempfile.TemporaryDirectory(prefix="dns-") as name:
        made = UpdatableKnot(Path(name) / "knot", {FORWARD: "www A 192.0.2.80", REVERSE: ""})
        try:
            yield made
        finally:
            made.stop()


@contextmanager
def bind() -> Iterator[Bind]:
    with tempfile.TemporaryDirectory(prefix="dns-") as name:
        made = Bind(Path(name) / "bind")
        try:
            yield made
        finally:
            made.stop()


def data_of(server: DnsProcess, name: str, kind: str) -> list[str]:
    """The records of a name."""
    answer = server.query(name, kind)
    return sorted(each.to_text(chunksize=0) for rrset in answer.answer for each in rrset)


def until(fact: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline, what
        pause.wait(0.05)


class Office:
    """A role of ours, and its clients."""

    def __init__(self, role: RunningRole, port: int) -> None:
        self.role = role
        self.port = port

    def ask(self, message: Message) -> Message:
        with relay(self.port) as wire:
            wire.send(encode_message(message))
            return read_message(wire.recv(4096))

    def tell(self, message: Message) -> None:
        with relay(self.port) as wire:
            wire.send(encode_message(message))

    def lease(self, client: Client, name: str, flags: int = 1) -> str:
        options = RELAY_OPTION | {81: bytes((flags, 0, 0)) + name.encode()}
        offer = self.ask(client.discover(options))
        address = str(IPv4Address(offer.yiaddr))
        ack = self.ask(client.select(address, options, server=offer.options[54]))
        assert ack.options[53] == b"\x05"
        return address

    def renew(self, client: Client, address: str, name: str) -> None:
        options = RELAY_OPTION | {81: b"\x01\0\0" + name.encode()}
        assert self.ask(client.renew(address, options)).options[53] == b"\x05"

    def release(self, client: Client, address: str) -> None:
        # Without the server's identifier: it is taken by whoever leased the address.
        self.tell(client.message(7, RELAY_OPTION, ciaddr=IPv4Address(address).packed))

    def audit(self) -> list[str]:
        """The lines of the audit log that are about DNS."""
        lines: list[str] = []
        for path in sorted((self.role.home / AUDIT_DIRECTORY).glob("*.log")):
            lines += path.read_text("utf-8").splitlines()
        return [each for each in lines if each.startswith(("30,", "31,", "32,"))]


def declared(port: int, server: DnsProcess, **settings: object) -> Organisation:
    plain = organisation(port, options=(option(15, FORWARD),), lease_s=3600.0)
    entry = replace(
        plain.dhcp_servers[0],
        dns_servers=(server.resolver_address,),
        dns_zones=(FORWARD, REVERSE),
        dns_key=KEY,
    )
    scopes = (replace(plain.scopes[0], **settings),)  # type: ignore[arg-type]  # settings by name
    return replace(plain, dhcp_servers=(entry,), scopes=scopes)


@contextmanager
def office(home: Path, server: DnsProcess, *, secret: str = SECRET, **settings: object) -> Iterator[Office]:
    port = free_udp_port()
    wanted = declared(port, server, **settings)
    declare(home, wanted)
    store = DirectoryStore.open(home / DIRECTORY_FILE, writable=True)
    store.set_tsig_secret(KEY, secret)
    store.close()
    with running(home, wanted) as role:
        yield Office(role, port)


SERVERS = {"knot": knot, "bind": bind}


@pytest.mark.parametrize("which", SERVERS)
def test_a_name_comes_with_its_lease_changes_and_goes(which: str, tmp_path: Path) -> None:
    with SERVERS[which]() as server, office(tmp_path, server) as made:
        client = Client(1, giaddr=RELAY)
        address = made.lease(client, "Desk")
        owner = IPv4Address(address).reverse_pointer
        until(lambda: data_of(server, owner, "PTR") == [f"{DESK}."], "the name of the address is there")
        assert data_of(server, DESK, "A") == [address]
        dhcid = base64.b64encode(make_dhcid(b"\1" + client.mac, b"", DESK)).decode()
        assert data_of(server, DESK, "DHCID") == [dhcid]
        made.renew(client, address, "chair")
        chair = f"chair.{FORWARD}"
        until(lambda: data_of(server, owner, "PTR") == [f"{chair}."], "the address has another name")
        assert data_of(server, chair, "A") == [address]
        assert server.query(DESK, "A").rcode() == dns.rcode.NXDOMAIN
        made.release(client, address)
        until(lambda: server.query(chair, "DHCID").rcode() == dns.rcode.NXDOMAIN, "the name is gone")
        until(lambda: server.query(owner, "PTR").rcode() == dns.rcode.NXDOMAIN, "the address has no name")
        assert {each[:2] for each in made.audit()} == {"30", "32"}


@pytest.mark.parametrize("which", SERVERS)
def test_the_first_client_keeps_its_name_and_so_does_what_was_made_by_hand(
    which: str, tmp_path: Path
) -> None:
    with SERVERS[which]() as server, office(tmp_path, server) as made:
        first, second, third = Client(1, giaddr=RELAY), Client(2, giaddr=RELAY), Client(3, giaddr=RELAY)
        address = made.lease(first, "desk")
        until(lambda: data_of(server, DESK, "A") == [address], "the first has the name")
        other = made.lease(second, "desk")
        until(lambda: "DHC-0602" in made.role.log(), "the second is refused")
        assert data_of(server, DESK, "A") == [address]
        assert server.query(IPv4Address(other).reverse_pointer, "PTR").rcode() == dns.rcode.NXDOMAIN
        assert any(each.startswith("31,") and f",{other}," in each for each in made.audit())
        made.lease(third, "ns")
        until(
            lambda: any(each.startswith("31,") and f",ns.{FORWARD}," in each for each in made.audit()),
            "the name of the zone's server is refused",
        )
        assert data_of(server, f"ns.{FORWARD}", "A") == ["127.0.0.1"]
        # The first gives it back: the second gets it when it renews.
        made.release(first, address)
        until(lambda: server.query(DESK, "DHCID").rcode() == dns.rcode.NXDOMAIN, "the name is free")
        made.renew(second, other, "desk")
        until(lambda: data_of(server, DESK, "A") == [other], "the second has the name")


def test_a_lease_that_ends_takes_its_name_along(tmp_path: Path) -> None:
    with knot() as server, office(tmp_path, server, lease_s=4.0) as made:
        address = made.lease(Client(1, giaddr=RELAY), "desk")
        until(lambda: data_of(server, DESK, "A") == [address], "the name is there")
        until(lambda: server.query(DESK, "DHCID").rcode() == dns.rcode.NXDOMAIN, "the name is gone")


def test_dns_is_down_the_role_is_killed_and_nothing_is_forgotten(tmp_path: Path) -> None:
    with knot() as server, office(tmp_path, server) as made:
        server.stop_for_a_while()
        began = time.monotonic()
        addresses = {number: made.lease(Client(number, giaddr=RELAY), f"host{number}") for number in range(5)}
        assert time.monotonic() - began < 3.0  # no client waits for DNS
        until(lambda: "DHC-0603" in made.role.log(), "it is said that the zone takes no updates")
        made.role.kill()
        made.role.start()
        server.start_again()
        for number, address in addresses.items():
            name = f"host{number}.{FORWARD}"
            until(lambda name=name, address=address: data_of(server, name, "A") == [address], name)


@pytest.mark.parametrize("which", SERVERS)
def test_a_wrong_secret_is_named_and_the_right_one_needs_no_restart(which: str, tmp_path: Path) -> None:
    wrong = base64.b64encode(b"w" * 32).decode()
    with SERVERS[which]() as server, office(tmp_path, server, secret=wrong) as made:
        address = made.lease(Client(1, giaddr=RELAY), "desk")
        until(lambda: "DHC-0603" in made.role.log(), "the key is refused")
        assert f'the key \\"{KEY}\\" (hmac-sha256) is refused: BADSIG' in made.role.log() or (
            f'the key "{KEY}" (hmac-sha256) is refused: BADSIG' in made.role.log()
        ), made.role.log()
        assert wrong not in made.role.log()
        assert any(each.startswith("31,") and each.endswith(",9016") for each in made.audit())
        store = DirectoryStore.open(tmp_path / DIRECTORY_FILE, writable=True)
        store.set_tsig_secret(KEY, SECRET)
        store.close()
        until(lambda: data_of(server, DESK, "A") == [address], "the name is there")
        until(lambda: "DHC-0604" in made.role.log(), "it is said that the zone takes updates again")


def test_the_installed_server_says_who_it_is() -> None:
    said = subprocess.run(
        ["named", "-V"], capture_output=True, text=True, check=True, env=os.environ | {"PATH": SYSTEM_PATH}
    )
    assert said.stdout.startswith("BIND 9")
