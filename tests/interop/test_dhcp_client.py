"""``holdfast dhcp client`` with ISC dhcpd and Kea, without any server, and the search among ours and a rogue.

With our own server it is one of the clients of test_dhcp_clients.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest

from interop.dhcp_clients import Holdfast, Until
from interop.dhcp_network import NEAR, SYSTEM_PATH, Network, Place, ip

pytestmark = [pytest.mark.interop, pytest.mark.process]

SERVER, GATEWAY, NAME_SERVER, DOMAIN = "10.79.0.1", "10.79.0.254", "10.79.0.53", "peers.example.test"
ROGUE = "10.77.0.66"
LEASE_S = 600

ISC = f"""authoritative; ddns-update-style none; ping-check false; dhcp-cache-threshold 0;
default-lease-time {LEASE_S}; max-lease-time {LEASE_S};
subnet 10.79.0.0 netmask 255.255.255.0 {{ range 10.79.0.100 10.79.0.110; option routers {GATEWAY};
  option domain-name-servers {NAME_SERVER}; option domain-name "{DOMAIN}"; }}
"""
ROGUE_ISC = """authoritative; ddns-update-style none; ping-check false;
default-lease-time 60; min-lease-time 60;
subnet 10.77.0.0 netmask 255.255.255.0 { range 10.77.0.210 10.77.0.219; option routers 10.77.0.66; }
"""


def kea(folder: Path) -> dict[str, Any]:
    options = {"routers": GATEWAY, "domain-name-servers": NAME_SERVER, "domain-name": DOMAIN}
    return {
        "Dhcp4": {
            "interfaces-config": {"interfaces": ["s0"]},
            "lease-database": {"type": "memfile", "name": str(folder / "kea.csv")},
            "valid-lifetime": LEASE_S,
            "authoritative": True,
            "subnet4": [
                {
                    "subnet": "10.79.0.0/24",
                    "pools": [{"pool": "10.79.0.100 - 10.79.0.110"}],
                    "option-data": [{"name": name, "data": data} for name, data in options.items()],
                }
            ],
            "loggers": [{"name": "kea-dhcp4", "severity": "DEBUG", "debuglevel": 40}],
        }
    }


def dhcpd(folder: Path, configuration: str, interface: str) -> list[str]:
    """ISC's server, with files of its own."""
    (folder / "dhcpd.conf").write_text(configuration, "ascii")
    (folder / "dhcpd.leases").write_text("", "ascii")
    files = [
        "-cf",
        str(folder / "dhcpd.conf"),
        "-lf",
        str(folder / "dhcpd.leases"),
        "-pf",
        str(folder / "pid"),
    ]
    return ["dhcpd", "-4", "-f", "-d", *files, interface]


class Foreign(Network):
    """One wire with a server that is not ours.

    Attributes:
        releases: what the server says when an address is given back; ``{}`` is the address.
    """

    releases: ClassVar[dict[str, str]] = {"isc": "DHCPRELEASE of {} ", "kea": "DHCP4_RELEASE "}

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(folder)
        self.released = self.releases[kind]
        self._kind = kind

    def make(self) -> None:
        self.make_wires()
        self.server = self.namespace(f"{self.prefix}s")
        self.plug(self.server, NEAR, "s0", "02:77:00:00:00:01")
        ip("-n", self.server, "addr", "add", f"{SERVER}/24", "dev", "s0")
        if self._kind == "isc":
            self.run_until(self.server, dhcpd(self.folder, ISC, "s0"), "Server starting service")
            return
        (self.folder / "kea.json").write_text(json.dumps(kea(self.folder)), "utf-8")
        places = [f"KEA_{each}_DIR={self.folder}" for each in ("PIDFILE", "LOCKFILE")]
        command = ["env", *places, "kea-dhcp4", "-c", str(self.folder / "kea.json")]
        self.run_until(self.server, command, "DHCP4_STARTED")


@pytest.fixture(scope="module", autouse=True)
def _programs_are_there() -> None:
    programs = ("ip", "dhcpd", "kea-dhcp4", "dhcrelay")
    missing = [each for each in programs if shutil.which(each, path=SYSTEM_PATH) is None]
    if os.geteuid() != 0 or missing:
        what = f"{missing[0]} is not installed" if missing else "only root can make network namespaces"
        assert not os.environ.get("HOLDFAST_PEERS_REQUIRED"), what
        pytest.skip(what)


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Iterator[Foreign]:
    """A wire with the server that the test names."""
    with tempfile.TemporaryDirectory(prefix="dhcp-") as name:
        Path(name).chmod(0o777)
        made = Foreign(Path(name), request.param)
        try:
            made.make()
            yield made
        finally:
            made.destroy()


@pytest.fixture
def client(network: Foreign, until: Until) -> Iterator[Holdfast]:
    """Our client on that wire."""
    with network.place(NEAR) as place:
        made = Holdfast(place, network.folder / "client", until)
        yield made
        made.close()


def said(client: Holdfast, what: str) -> list[str]:
    """The texts of one kind in the timeline so far."""
    lines = [
        each
        for each in client.log().splitlines(keepends=True)
        if each.startswith("{") and each.endswith("\n")
    ]
    return [each["text"] for each in map(json.loads, lines) if each["what"] == what]


def routes(place: Place) -> list[str]:
    return [
        each["gateway"] for each in json.loads(ip("-j", "-n", place.namespace, "route")) if "gateway" in each
    ]


@pytest.mark.parametrize("network", ["isc", "kea"], indirect=True)
def test_it_obtains_renews_reboots_and_releases(client: Holdfast, network: Foreign, until: Until) -> None:
    told = client.obtain()
    address = client.address_in(told)
    assert address.startswith("10.79.0.1")
    assert client.options_in(told) == (GATEWAY, NAME_SERVER, DOMAIN)
    assert routes(client.place) == [GATEWAY]
    client.renew()
    assert client.address_in(client.wait_for(client.renewed)) == address
    assert any(f"for more time of {address} to {SERVER}" in each for each in said(client, "sent"))
    assert client.address_in(client.reboot()) == address
    client.release()
    until(lambda: network.released.format(address) in network.log())
    assert client.place.addresses() == []
    assert routes(client.place) == []


@pytest.mark.parametrize("network", ["isc", "kea"], indirect=True)
def test_an_address_of_another_network_is_refused_and_another_one_taken(client: Holdfast) -> None:
    client.obtain()
    client.crash()
    lease = client.lease_file
    lease.write_text(lease.read_text("utf-8").replace('"address": "10.79', '"address": "10.80'), "utf-8")
    told = client.obtain()
    assert client.address_in(told).startswith("10.79.0.1")
    assert any(each.startswith("NAK of 10.80") for each in said(client, "heard"))


@pytest.mark.parametrize("network", ["isc"], indirect=True)
def test_without_a_server_it_keeps_the_lease_while_the_gateway_answers_else_it_takes_a_link_local_address(
    client: Holdfast, network: Foreign, until: Until
) -> None:
    address = client.address_in(client.obtain())
    client.crash()
    network.stop_programs()
    with network.place(NEAR) as gateway:
        gateway.take(GATEWAY)
        assert client.address_in(client.reboot()) == address
        assert f"the gateway {GATEWAY} answers: keeps {address}" in said(client, "heard")
        client.crash()
    client.start()
    until(lambda: any(each.startswith("169.254.") for each in client.place.addresses()))
    assert f"the gateway {GATEWAY} does not answer: {address} is of no use here" in said(client, "waits")
    assert len(client.place.addresses()) == 1


# --- the search ------------------------------------------------------------------------------------


def probe(network: Network, place: Place, *words: str) -> tuple[int, dict[str, Any]]:
    """What ``holdfast dhcp probe`` says there."""
    done = subprocess.run(
        ["ip", "netns", "exec", place.namespace, sys.executable, "-m", "holdfast.cli.main", "--home",
         str(network.home), "dhcp", "probe", "--interface", "c0", "--wait", "4s", "--json", *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_search_tells_our_server_from_a_rogue() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dhcp-")))
        folder.chmod(0o777)
        network = Network(folder)
        stack.callback(network.destroy)
        network.make()
        place = stack.enter_context(network.place(NEAR))
        code, found = probe(network, place)
        assert (code, found["server_count"], found["rogue_count"], found["note"]) == (0, 1, 0, "")
        (ours,) = found["servers"]
        assert (ours["standing"], ours["name"], ours["server"]) == ("ours", "ns1", "10.77.0.1")

        rogue = stack.enter_context(network.place(NEAR))
        rogue.take(ROGUE)
        network.run_until(rogue.namespace, dhcpd(folder, ROGUE_ISC, "c0"), "Server starting service")
        code, found = probe(network, place)
        assert (code, found["server_count"], found["rogue_count"]) == (1, 2, 1)
        first, second = found["servers"]
        assert (first["standing"], first["server"], first["mac"]) == ("rogue", ROGUE, rogue.mac)
        assert (first["routers"], first["lease_s"]) == ([ROGUE], 60)
        assert (second["standing"], second["server"]) == ("ours", "10.77.0.1")

        code, found = probe(network, place, "--known", ROGUE)
        assert (code, [each["standing"] for each in found["servers"]]) == (0, ["known", "ours"])
