"""Two servers lease one scope: ours with ours, ours with ISC dhcpd on either side, and real clients.

Each test begins with both servers in NORMAL and ends with what it is about; what ISC dhcpd believes is read
from its log and its lease file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from interop.dhcp_clients import Until
from interop.dhcp_network import NEAR, SYSTEM_PATH
from interop.failover_pair import (
    LEASE_S,
    MCLT_S,
    POOL_FIRST,
    POOL_LAST,
    PROGRAMS,
    Isc,
    Ours,
    PairClient,
    PairNetwork,
    PairServer,
)

pytestmark = [pytest.mark.interop, pytest.mark.process]

# Each a group of its own, so that `make interop` can run the three side by side.
PAIRINGS = [
    pytest.param((first, second), id=f"{first}-{second}", marks=pytest.mark.xdist_group(f"{first}-{second}"))
    for first, second in (("ours", "ours"), ("ours", "isc"), ("isc", "ours"))
]
NORMAL, INTERRUPTED, DOWN = "NORMAL", "COMMUNICATIONS-INTERRUPTED", "PARTNER-DOWN"


@dataclass
class Pair:
    """Both servers and the wire."""

    network: PairNetwork
    until: Until

    @property
    def first(self) -> PairServer:
        return self.network.servers[0]

    @property
    def second(self) -> PairServer:
        return self.network.servers[1]

    def other(self, server: PairServer) -> PairServer:
        return self.network.servers[1 - server.index]

    def reaches(self, server: PairServer, *states: str) -> None:
        """Wait until a server is in one of these states."""
        try:
            self.until(lambda: server.state() in states)
        except AssertionError:
            raise AssertionError(
                f"{server.name} is in {server.state()}, not in {states}\n{self.network.log()}"
            ) from None

    def is_normal(self) -> None:
        """Wait until both are, and believe it of each other."""
        for server in self.network.servers:
            self.reaches(server, NORMAL)
        for server in self.network.servers:
            self.until(lambda server=server: server.partner_state() == NORMAL)  # type: ignore[misc]  # bound now
            if isinstance(server, Isc):
                assert server.written_state() == NORMAL

    def agree_on(self, *clients: PairClient) -> None:
        """Wait until both servers say the same of these clients: one address each, the one that it has."""
        for server in self.network.servers:
            wanted = {each.place.addresses()[0]: each.place.mac for each in clients}

            def knows(server: PairServer = server, wanted: dict[str, str] = wanted) -> bool:
                active = server.active()
                return all(active.get(address) == mac for address, mac in wanted.items())

            self.until(knows)


MakeClient = Callable[[], PairClient]


@pytest.fixture(scope="module", params=PAIRINGS)
def network(request: pytest.FixtureRequest) -> Iterator[PairNetwork]:
    """The wire and both servers, not started."""
    missing = [each for each in PROGRAMS if shutil.which(each, path=SYSTEM_PATH) is None]
    if os.geteuid() != 0 or missing:
        what = f"{missing[0]} is not installed" if missing else "only root can make network namespaces"
        assert not os.environ.get("HOLDFAST_PEERS_REQUIRED"), what
        pytest.skip(what)
    with tempfile.TemporaryDirectory(prefix="dhcp-") as name:
        Path(name).chmod(0o755)
        made = PairNetwork(Path(name), request.param)
        try:
            made.make()
            yield made
        finally:
            made.destroy()


@pytest.fixture
def pair(network: PairNetwork, until: Until) -> Pair:
    """Both servers in NORMAL, whatever the test before left behind."""
    found = Pair(network, until)
    network.heal()
    for server in network.servers:
        if not server.is_running:
            server.start()
    found.is_normal()
    return found


@pytest.fixture
def make_client(network: PairNetwork, until: Until) -> Iterator[MakeClient]:
    """Plugs in a machine with a client; it is taken away after the test."""
    with ExitStack() as stack:

        def make() -> PairClient:
            place = stack.enter_context(network.place(NEAR))
            client = PairClient(place, Path(tempfile.mkdtemp(dir=network.folder)), until)
            stack.callback(client.close)
            return client

        yield make


def obtained(make_client: MakeClient, count: int) -> list[PairClient]:
    """So many clients that have an address."""
    clients = [make_client() for _ in range(count)]
    for client in clients:
        client.start()
    for client in clients:
        client.settled(client.wait_for(client.got))
    return clients


def keeps(client: PairClient) -> dict[str, str]:
    """Wait until a client has renewed or rebound, with the address that it had; what it was told."""
    (address,) = client.place.addresses()
    told = client.wait_for("RENEW", "REBIND", "EXPIRE", "FAIL", "BOUND")
    assert (told["event"] in ("RENEW", "REBIND"), told.get("new_ip_address")) == (True, address), told
    return told


both = pytest.mark.parametrize("index", [0, 1], ids=["first", "second"])


def test_both_lease_and_each_knows_what_the_other_leased(pair: Pair, make_client: MakeClient) -> None:
    clients = obtained(make_client, 8)
    addresses = [each.place.addresses()[0] for each in clients]
    assert len(set(addresses)) == 8
    assert all(IPv4Address(POOL_FIRST) <= IPv4Address(each) <= IPv4Address(POOL_LAST) for each in addresses)
    pair.agree_on(*clients)
    for client in clients:
        first = next(each for each in client.notes() if each["event"] == "BOUND")
        # No first lease is longer than what the partner may not know of.
        assert int(first["new_dhcp_lease_time"]) <= MCLT_S
    served = {each.notes()[-1]["new_dhcp_server_identifier"] for each in clients}
    assert served <= {pair.first.address, pair.second.address}
    # The partner has acknowledged it: from then on it may be as long as it should.
    pair.until(lambda: int(keeps(clients[0])["new_dhcp_lease_time"]) == LEASE_S)


@both
def test_a_server_dies_and_the_other_goes_on(pair: Pair, make_client: MakeClient, index: int) -> None:
    clients = obtained(make_client, 6)
    pair.agree_on(*clients)
    dead = pair.network.servers[index]
    alive = pair.other(dead)
    dead.kill()
    pair.reaches(alive, INTERRUPTED)
    # Those whose server is dead ask everybody at T2; the others renew where they are.
    for client in clients:
        keeps(client)
    for client in obtained(make_client, 4):
        assert alive.active()[client.place.addresses()[0]] == client.place.mac
        clients.append(client)
    assert len({each.place.addresses()[0] for each in clients}) == len(clients)
    dead.start()
    pair.is_normal()
    pair.agree_on(*clients)


def test_a_partner_that_is_declared_down_comes_back(pair: Pair, make_client: MakeClient) -> None:
    clients = obtained(make_client, 4)
    pair.agree_on(*clients)
    pair.second.kill()
    pair.reaches(pair.first, INTERRUPTED)
    # Messages have whole seconds: what was declared within two of the last lease may as well have been
    # declared before it, and the two would compare what they gave instead (POTENTIAL-CONFLICT).
    last_lease_at = time.monotonic()
    pair.until(lambda: time.monotonic() - last_lease_at > 3)
    pair.first.order("partner-down")
    pair.reaches(pair.first, DOWN)
    if isinstance(pair.first, Ours):
        # Full leases while alone: ISC dhcpd gives the MCLT for ever (spec/dhcp.md section 2.7).
        pair.until(lambda: int(keeps(clients[0])["new_dhcp_lease_time"]) == LEASE_S)
    clients += obtained(make_client, 3)
    pair.second.start()
    pair.is_normal()
    assert "RECOVER" in pair.second.log().upper()
    pair.agree_on(*clients)


def test_the_link_is_cut_and_heals(pair: Pair, make_client: MakeClient) -> None:
    clients = obtained(make_client, 4)
    pair.agree_on(*clients)
    pair.network.cut()
    for server in pair.network.servers:
        pair.reaches(server, INTERRUPTED)
    for client in clients:
        keeps(client)
    # Each has free addresses of its own: what both lease meanwhile is never the same.
    clients += obtained(make_client, 6)
    assert len({each.place.addresses()[0] for each in clients}) == len(clients)
    pair.network.heal()
    pair.is_normal()
    pair.agree_on(*clients)


@both
def test_a_lost_lease_database_is_filled_again(pair: Pair, make_client: MakeClient, index: int) -> None:
    clients = obtained(make_client, 5)
    pair.agree_on(*clients)
    lost = pair.network.servers[index]
    lost.kill()
    lost.wipe()
    pair.reaches(pair.other(lost), INTERRUPTED)
    pair.other(lost).order("partner-down")
    lost.start()
    pair.is_normal()
    pair.agree_on(*clients)


@both
def test_a_server_that_is_stopped_says_so(pair: Pair, make_client: MakeClient, index: int) -> None:
    clients = obtained(make_client, 3)
    pair.agree_on(*clients)
    stopped = pair.network.servers[index]
    stopped.stop()
    pair.reaches(pair.other(stopped), INTERRUPTED)
    for client in clients:
        keeps(client)
    stopped.start()
    pair.is_normal()


@both
def test_a_shutdown_hands_everything_over_and_is_left_again(
    pair: Pair, make_client: MakeClient, index: int
) -> None:
    clients = obtained(make_client, 3)
    pair.agree_on(*clients)
    resting = pair.network.servers[index]
    resting.order("shutdown")
    pair.reaches(resting, "SHUTDOWN")
    pair.reaches(pair.other(resting), DOWN)
    for client in clients:
        keeps(client)
    if isinstance(resting, Isc):
        resting.kill()
        resting.leave_shutdown()
        resting.start()
    else:
        resting.order("resume")
    pair.is_normal()
    pair.agree_on(*clients)


def test_both_served_alone_and_compare(pair: Pair, make_client: MakeClient) -> None:
    clients = obtained(make_client, 3)
    pair.agree_on(*clients)
    pair.network.cut()
    for server in pair.network.servers:
        pair.reaches(server, INTERRUPTED)
        server.order("partner-down")
    for server in pair.network.servers:
        pair.reaches(server, DOWN)
    pair.network.heal()
    pair.is_normal()
    pair.agree_on(*clients)
