"""Debian's clients and ours get, keep, give back and refuse addresses, directly and through ISC's relay."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from interop.dhcp_clients import CLIENTS, Client, Until
from interop.dhcp_network import (
    DOMAIN,
    FAR,
    NAME_SERVER,
    NEAR,
    NETWORKS,
    PROGRAMS,
    REFUSED,
    RELEASED,
    RESERVED,
    RESERVED_MAC,
    ROUTERS,
    SYSTEM_PATH,
    Network,
)

pytestmark = [pytest.mark.interop, pytest.mark.process]

StartClient = Callable[..., Client]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Both networks with the server and the relay; making namespaces takes root and the clients."""
    missing = [each for each in PROGRAMS if shutil.which(each, path=SYSTEM_PATH) is None]
    if os.geteuid() != 0 or missing:
        what = f"{missing[0]} is not installed" if missing else "only root can make network namespaces"
        assert not os.environ.get("HOLDFAST_PEERS_REQUIRED"), what
        pytest.skip(what)
    # The clients drop their rights: pytest's own folders are closed to them.
    with tempfile.TemporaryDirectory(prefix="dhcp-") as name:
        Path(name).chmod(0o755)
        made = Network(Path(name))
        try:
            made.make()
            yield made
        finally:
            made.destroy()


@pytest.fixture
def make_client(network: Network, until: Until) -> Iterator[StartClient]:
    """Puts a machine with a client on a wire; it is taken away after the test."""
    with ExitStack() as stack:

        def make(name: str, wire: str, mac: str = "") -> Client:
            place = stack.enter_context(network.place(wire, mac))
            client = CLIENTS[name](place, Path(tempfile.mkdtemp(dir=network.folder)), until)
            stack.callback(client.close)
            return client

        yield make


every_client = pytest.mark.parametrize("name", CLIENTS)
every_wire = pytest.mark.parametrize("wire", [NEAR, FAR], ids=["direct", "by a relay"])


def leased(client: Client) -> str:
    """The one address that the server says this client has."""
    active = {
        address: each
        for address, each in client.place.network.leases(client.place.mac).items()
        if each["state"] == "active"
    }
    assert len(active) == 1, active
    return next(iter(active))


@every_client
@every_wire
def test_a_client_obtains_renews_reboots_and_releases(
    make_client: StartClient, network: Network, until: Until, name: str, wire: str
) -> None:
    client = make_client(name, wire)
    told = client.obtain()
    address = client.address_in(told)
    assert IPv4Address(NETWORKS[wire] + "100") <= IPv4Address(address) <= IPv4Address(NETWORKS[wire] + "199")
    assert client.options_in(told) == (ROUTERS[wire], NAME_SERVER, DOMAIN)
    assert leased(client) == address
    before = network.lease(address)
    # The relay's option 82 names the interface where it heard the client (sub-option 1).
    assert (before["scope"], before["relay"]) == (wire, "01:05:64:6f:77:6e:30" if wire == FAR else "")

    def renews_for_longer() -> bool:
        client.renew()
        assert client.address_in(client.wait_for(client.renewed)) == address
        return bool(network.lease(address)["ends_at"] > before["ends_at"])

    until(renews_for_longer)  # leases end at whole seconds: what is renewed within one ends at the same
    assert leased(client) == address

    assert client.address_in(client.reboot()) == address
    assert leased(client) == address

    client.release()
    until(lambda: network.state(address) != "active")
    until(lambda: network.has_record(RELEASED, client.place.mac, address))
    assert client.place.addresses() == []


@every_client
def test_a_reserved_address_is_given_to_its_client(
    make_client: StartClient, network: Network, name: str
) -> None:
    client = make_client(name, NEAR, RESERVED_MAC)
    assert client.address_in(client.obtain()) == RESERVED
    (lease,) = network.leases(RESERVED_MAC).values()
    assert (lease["address"], lease["state"], lease["reserved"]) == (RESERVED, "active", True)
    client.release()  # the next client has the same hardware address and another identifier


@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.declines])
def test_an_address_that_somebody_else_uses_is_declined(
    make_client: StartClient, network: Network, until: Until, name: str
) -> None:
    client = make_client(name, NEAR)
    taken = client.address_in(client.obtain())
    # It is switched off and forgets; a machine without manners takes the address, which is offered again.
    client.crash()
    client.forget()
    with network.place(NEAR) as other:
        other.take(taken)
        client.start(probing=True)
        until(lambda: network.state(taken) == "declined")
        told = client.wait_for(client.got)
        # dhclient leaves the probe to its script, and tells it of the address before.
        while client.address_in(told) == taken:
            told = client.wait_for(client.got)
        assert leased(client) == client.address_in(told)
    assert network.state(taken) == "declined"


@every_client
@pytest.mark.parametrize("way", [(NEAR, FAR), (FAR, NEAR)], ids=["behind the relay", "to the server's wire"])
def test_a_client_that_moved_gets_an_address_of_the_new_network(
    make_client: StartClient, network: Network, until: Until, name: str, way: tuple[str, str]
) -> None:
    client = make_client(name, way[0])
    old = client.address_in(client.obtain())
    client.crash()
    client.place.carry(way[1])
    told = client.obtain()
    new = client.address_in(told)
    assert new.startswith(NETWORKS[way[1]])
    assert client.options_in(told)[0] == ROUTERS[way[1]]
    assert network.state(new) == "active"
    if client.remembers:
        assert client.was_refused(), client.log()
        until(lambda: network.has_record(REFUSED, client.place.mac, old))
