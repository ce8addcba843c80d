"""DANE and MTA-STS from the DNS record to the handshake: Knot signs, Unbound validates, OpenSSL serves."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from certificates.made import Issued, make_authority, make_self_signed
from holdfast.directory.model import Organisation
from holdfast.drivers.mta_sts_fetch import PolicyFetcher
from holdfast.drivers.outbound import OutboundConnections
from holdfast.drivers.resolver import Resolver
from holdfast.drivers.tcp import Connections
from holdfast.kernel.ids import ConnectionId
from holdfast.kernel.iprange import parse_ip_range
from holdfast.node.ports import Connect
from holdfast.transport.hop_profile import HopProfile
from holdfast.transport.names import NameCache
from holdfast.transport.next_hop import HostList, Pending, find_hosts
from holdfast.transport.queue import DeliveryType, NextHopKey
from holdfast.transport.sts_policies import StsPolicies
from holdfast.transport.tls_policy import (
    HostRefused,
    TlsDemand,
    TlsFacts,
    TlsLevel,
    TlsPending,
    TlsPolicies,
)
from holdfast.wire.dns_answers import Answer
from interop.dns_server import INSTALLED, Knot, Unbound
from ports import free_ports

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not (INSTALLED and shutil.which("openssl")) and not os.environ.get("HOLDFAST_PEERS_REQUIRED"),
        reason="Knot, Unbound or openssl is not installed",
    ),
]

ROOT = make_authority()
MIDDLE = ROOT.issue(authority=True, common_name="Middle")
OWN = MIDDLE.issue("mx.signed.test", "mx.anchor.test")
OTHER = make_self_signed("other.test")
STS_OWN = ROOT.issue("mx.sts.test")


PORT, STS_PORT = free_ports(2)


def tlsa(usage: int, issued: Issued) -> str:
    return f"TLSA {usage} 1 1 {hashlib.sha256(issued.spki).hexdigest()}"


def zone(name: str, record: str) -> str:
    return f"@ MX 10 mx.{name}.\nmx A 127.0.0.1\n_{PORT}._tcp.mx {record}\n"


SIGNED = {
    "signed.test": zone("signed.test", tlsa(3, OWN)),
    "anchor.test": zone("anchor.test", tlsa(2, MIDDLE)),
    "wrong.test": zone("wrong.test", tlsa(3, OTHER)),
    "odd.test": zone("odd.test", "TLSA 1 1 1 " + "00" * 32),
    "bogus.test": zone("bogus.test", tlsa(3, OWN)),
}
PLAIN = {
    "plain.test": zone("plain.test", tlsa(3, OTHER)),
    "sts.test": '@ MX 10 mx\nmx A 127.0.0.1\n_mta-sts TXT "v=STSv1; id=1"\n@ MX 20 evil\nevil A 127.0.0.1\n',
}


@pytest.fixture(scope="module")
def resolver_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    knot = Knot(tmp_path_factory.mktemp("knot"), {**SIGNED, **PLAIN}, signed=tuple(SIGNED))
    anchors = {name: knot.trust_anchor(name) for name in SIGNED}
    anchors["bogus.test"] = "bogus.test. DS 1 13 2 " + "00" * 32
    unbound = Unbound(tmp_path_factory.mktemp("unbound"), knot, anchors)
    yield unbound.resolver_address
    unbound.stop()
    knot.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory that trusts the authority, and openssl s_server with the certificates."""
    made = tmp_path_factory.mktemp("home")
    (made / "tls" / "trusted").mkdir(parents=True)
    (made / "tls" / "trusted" / "root.pem").write_bytes(ROOT.pem)
    servers = [serve(made / "one", OWN, PORT), serve(made / "two", STS_OWN, STS_PORT)]
    yield made
    for each in servers:
        with each:  # which closes its pipe
            each.kill()


def serve(directory: Path, own: Issued, port: int) -> subprocess.Popen[bytes]:
    own.write(directory)
    (directory / "chain.pem").write_bytes(b"".join(each.pem for each in own.above))
    server = subprocess.Popen(
        [
            "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-naccept", "1000",
            "-cert", directory / "certificate.pem", "-key", directory / "key.pem",
            "-cert_chain", directory / "chain.pem",
        ],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(100):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        try:
            server.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("openssl s_server does not listen")


class World:
    """What a node has: names from real DNS, policies from a real web server, connections."""

    def __init__(self, resolver_address: str, home: Path, port: int) -> None:
        self.port = port
        self.last_id = 0
        self.answers: asyncio.Queue[Answer | None] = asyncio.Queue()
        self.heard: asyncio.Queue[TlsFacts | str] = asyncio.Queue()
        self.resolver = Resolver(self.answers.put_nowait, lambda event: None)
        organisation = Organisation(resolver_addresses=(resolver_address,))
        self.resolver.follow(organisation)
        self.names = NameCache()
        self.policies = StsPolicies(self.names)
        self.tls = TlsPolicies(self.names, self.policies)
        self.tls.follow(organisation)
        self.connections = Connections(self, lambda: None, lambda *_: None)  # type: ignore[arg-type]  # no clients
        self.outbound = OutboundConnections(self, self.connections, home)
        self.fetcher: PolicyFetcher | None = None

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def demands(self, domain: str) -> list[TlsDemand | HostRefused]:
        """What each host of a domain needs, once everything is known."""
        profile = HopProfile(
            NextHopKey(DeliveryType.DNS, domain),
            "us.test",
            self.port,
            private_ranges=(parse_ip_range("127.0.0.0/8"),),
        )
        while True:
            hosts = find_hosts(self.now(), self.names, profile)
            if isinstance(hosts, HostList):
                found = [
                    self.tls.demand(self.now(), profile, domain, host)
                    for group in hosts.groups
                    for host in group
                ]
                if not any(isinstance(each, TlsPending) for each in found):
                    return [each for each in found if not isinstance(each, TlsPending)]
            else:
                assert isinstance(hosts, Pending), hosts
            for question in self.names.take_questions():
                self.resolver.ask(question)
            for each in self.policies.take_fetches():
                assert self.fetcher is not None
                self.fetcher.fetch(each)
            answer = await self.answers.get()
            if answer is not None:
                self.names.resolved(self.now(), answer)

    def fetched(self, domain: str, text: bytes | None, reason: str) -> None:
        assert text is not None, reason
        self.policies.policy_fetched(self.now(), domain, text, reason)
        self.answers.put_nowait(None)

    async def handshake(self, demand: TlsDemand) -> TlsFacts | str:
        self.last_id -= 1
        self.outbound.perform(Connect(ConnectionId(self.last_id), "127.0.0.1", self.port, tls=demand))
        return await self.heard.get()

    def outbound_connected(self, now: float, connection_id: ConnectionId, local_address: str) -> None:
        """The handshake comes next."""

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        """The server of the test says nothing."""

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        """The end is told by connection_lost."""

    def connection_lost(self, now: float, connection_id: ConnectionId, reason: str = "") -> None:
        self.heard.put_nowait(reason)

    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None = None) -> None:
        assert facts is not None
        self.heard.put_nowait(facts)

    async def close(self) -> None:
        self.outbound.close()
        self.connections.abort_all()
        while self.connections.outgoing:  # noqa: ASYNC110 - it has no event to tell a test
            await asyncio.sleep(0.005)
        self.resolver.close()
        for _ in range(5):
            await asyncio.sleep(0)  # a connection that was dropped is closed a moment after that is told


DANE = {
    "signed.test": (TlsLevel.DANE, True, ""),
    "anchor.test": (TlsLevel.DANE, True, ""),
    "wrong.test": (TlsLevel.DANE, False, "the certificate matches none of the TLSA records"),
    "odd.test": (TlsLevel.ENCRYPTED, True, ""),
    "plain.test": (TlsLevel.OPPORTUNISTIC, True, ""),
}


@pytest.mark.parametrize("domain", DANE)
def test_dane(resolver_address: str, home: Path, domain: str) -> None:
    level, comes_about, reason = DANE[domain]

    async def main() -> None:
        world = World(resolver_address, home, PORT)
        (demand,) = await asyncio.wait_for(world.demands(domain), 60)
        assert isinstance(demand, TlsDemand)
        assert demand.level is level
        heard = await asyncio.wait_for(world.handshake(demand), 60)
        assert isinstance(heard, TlsFacts) is comes_about, heard
        if comes_about:
            assert isinstance(heard, TlsFacts)
            assert heard.verified is (level is TlsLevel.DANE)
        else:
            assert heard == reason
        await world.close()

    asyncio.run(main())


def test_a_zone_that_does_not_validate_is_no_way_to_send(resolver_address: str, home: Path) -> None:
    async def main() -> None:
        world = World(resolver_address, home, PORT)
        with pytest.raises(AssertionError, match="no usable answer"):
            await asyncio.wait_for(world.demands("bogus.test"), 60)
        await world.close()

    asyncio.run(main())


def test_mta_sts(resolver_address: str, home: Path, tmp_path: Path) -> None:
    policy = b"version: STSv1\nmode: enforce\nmx: mx.sts.test\nmax_age: 86400\n"

    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"
            % (len(policy), policy)
        )
        writer.close()

    async def loopback(host: str) -> Sequence[str]:
        assert host == "mta-sts.sts.test"
        return ("127.0.0.1",)

    async def main() -> None:
        context = ROOT.issue("mta-sts.sts.test").context(tmp_path)
        server = await asyncio.start_server(web, "127.0.0.1", 0, ssl=context)
        world = World(resolver_address, home, STS_PORT)
        world.fetcher = PolicyFetcher(
            home / "tls" / "trusted", world.fetched, loopback, server.sockets[0].getsockname()[1]
        )
        demand, evil = await asyncio.wait_for(world.demands("sts.test"), 60)
        assert isinstance(evil, HostRefused)
        assert isinstance(demand, TlsDemand)
        assert demand.why == "MTA-STS of sts.test"
        heard = await asyncio.wait_for(world.handshake(demand), 60)
        assert isinstance(heard, TlsFacts), heard
        assert heard.verified
        # The same host with the certificate of another one.
        world.port = PORT
        assert "not for mx.sts.test" in str(await asyncio.wait_for(world.handshake(demand), 60))
        await world.close()
        world.fetcher.close()
        server.close()

    asyncio.run(main())
