"""Connections to next hops: real sockets, real handshakes, and a node that writes down what it hears."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from certificates.made import DAY, NOW, Issued, make_authority, make_self_signed
from holdfast.drivers import loop, tcp
from holdfast.drivers.outbound import OutboundConnections, Outgoing, reason_of
from holdfast.drivers.server_trust import ask_for_known
from holdfast.drivers.tcp import Connections
from holdfast.drivers.trusted import unverifying_context
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import (
    Abort,
    Close,
    Connect,
    PauseReading,
    ResumeReading,
    Send,
    StartTls,
    TransportOutput,
)
from holdfast.transport.tls_policy import TlsDemand, TlsFacts, TlsLevel
from holdfast.wire.dns_answers import TlsaRecord

HOP = ConnectionId(-1)
EE_SHA256 = (3, 1, 1)
TA_SHA256 = (2, 0, 1)


class Listener:
    """A node that writes down what it hears of connections out."""

    def __init__(self) -> None:
        self.outputs: list[TransportOutput] = []
        self.heard: asyncio.Queue[tuple[str, object]] = asyncio.Queue()

    def outbound_connected(self, now: float, connection_id: ConnectionId, local_address: str) -> None:
        assert connection_id == HOP
        self.heard.put_nowait(("connected", local_address))

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        self.heard.put_nowait(("bytes", data))

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        self.heard.put_nowait(("ended", None))

    def connection_lost(self, now: float, connection_id: ConnectionId, reason: str = "") -> None:
        self.heard.put_nowait(("lost", reason))

    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None = None) -> None:
        self.heard.put_nowait(("tls", facts))


class Stage:
    """The connections of a role, and a next hop that greets and does what it is told."""

    def __init__(self, home: Path) -> None:
        self.node = Listener()
        self.connections = Connections(self.node, self.drain, lambda *_: ssl.SSLContext())
        self.outbound = OutboundConnections(self.node, self.connections, home)
        self.context: ssl.SSLContext | None = None
        self.port = 0
        self.seen: list[bytes] = []

    def drain(self) -> None:
        while self.node.outputs:
            self.perform(self.node.outputs.pop(0))

    def perform(self, output: TransportOutput) -> None:
        match output:
            case Connect() | Abort():
                self.outbound.perform(output)
            case Send() | Close() | StartTls() | PauseReading() | ResumeReading():
                self.connections.perform(output)
            case _:
                raise AssertionError(output)

    async def next_hop(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"220 hello\r\n")
            while line := await reader.readline():
                self.seen.append(line)
                if line == b"STARTTLS\r\n":
                    writer.write(b"220 go on\r\n")
                    assert self.context is not None
                    await writer.start_tls(self.context)
                elif line == b"QUIT\r\n":
                    break
                elif line == b"DROP\r\n":
                    writer.transport.abort()
                    return
                else:
                    writer.write(b"250 " + line)
        except (OSError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def expect(self, kind: str) -> object:
        heard, what = await self.node.heard.get()
        assert heard == kind, (heard, what)
        return what

    def connect(self, **more: object) -> None:
        port = more.pop("port", self.port)
        self.perform(Connect(HOP, "127.0.0.1", port, **more))  # type: ignore[arg-type]  # as the test gives them

    async def greeted(self) -> None:
        self.connect()
        await self.expect("connected")
        assert await self.expect("bytes") == b"220 hello\r\n"

    async def start_tls(self, demand: TlsDemand) -> tuple[str, object]:
        await self.greeted()
        self.perform(Send(HOP, b"STARTTLS\r\n"))
        assert await self.expect("bytes") == b"220 go on\r\n"
        self.perform(StartTls(HOP, demand=demand))
        return await self.node.heard.get()


def run(test: Callable[[Stage], Awaitable[None]], home: Path, *, quick: bool = False) -> None:
    async def main() -> int:
        stage = Stage(home)
        server = await asyncio.start_server(stage.next_hop, "127.0.0.1", 0)
        stage.port = server.sockets[0].getsockname()[1]
        try:
            await asyncio.wait_for(test(stage), 30)
        finally:
            server.close()
            stage.outbound.close()
            stage.connections.abort_all()
            while stage.connections.outgoing:  # noqa: ASYNC110 - it has no event to tell a test
                await asyncio.sleep(0.005)
        return 0

    if quick:
        loop.run(main())
    else:
        asyncio.run(main())


@pytest.mark.parametrize("quick", [False, True], ids=["asyncio", "uvloop"])
def test_a_conversation_in_the_clear(tmp_path: Path, quick: bool) -> None:
    async def test(stage: Stage) -> None:
        await stage.greeted()
        stage.perform(Send(HOP, b"NOOP\r\n"))
        assert await stage.expect("bytes") == b"250 NOOP\r\n"
        stage.perform(Send(HOP, b"QUIT\r\n"))
        stage.perform(Close(HOP))
        assert await stage.expect("lost") == ""
        assert not stage.connections.outgoing

    run(test, tmp_path, quick=quick)


def test_a_next_hop_that_ends_its_side_is_told_of(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.greeted()
        stage.perform(Send(HOP, b"QUIT\r\n"))
        await stage.expect("ended")
        stage.perform(Close(HOP))
        assert await stage.expect("lost") == ""

    run(test, tmp_path)


@pytest.mark.parametrize("quick", [False, True], ids=["asyncio", "uvloop"])
def test_what_comes_before_the_node_knows_of_the_connection_is_kept(tmp_path: Path, quick: bool) -> None:
    # uvloop reads also where reading was paused in connection_made.
    async def test(stage: Stage) -> None:
        connection = Outgoing(stage.outbound, HOP)
        loop = asyncio.get_running_loop()
        stage.seen.append(b"")
        await loop.create_connection(lambda: connection, "127.0.0.1", stage.port)
        connection.send(b"QUIT\r\n")
        while len(stage.seen) < 2:  # noqa: ASYNC110 - the next hop has no event to tell a test
            await asyncio.sleep(0.005)
        assert stage.node.heard.empty()
        await connection.begin(None)
        await stage.expect("connected")
        assert await stage.expect("bytes") == b"220 hello\r\n"
        await stage.expect("ended")
        stage.perform(Close(HOP))

    run(test, tmp_path, quick=quick)


def test_a_next_hop_that_drops_the_connection(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.greeted()
        stage.perform(Send(HOP, b"DROP\r\n"))
        assert (await stage.node.heard.get())[0] in ("ended", "lost")

    run(test, tmp_path)


def test_reading_waits_while_it_is_paused(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.greeted()
        stage.perform(PauseReading(HOP))
        stage.perform(Send(HOP, b"NOOP\r\n"))
        while not stage.seen:  # noqa: ASYNC110 - the next hop has no event to tell a test
            await asyncio.sleep(0.005)
        assert stage.node.heard.empty()
        stage.perform(ResumeReading(HOP))
        assert await stage.expect("bytes") == b"250 NOOP\r\n"

    run(test, tmp_path)


def test_a_refused_connection_has_words(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        stage.connect(port=port)
        assert await stage.expect("lost") == "the connection was refused"
        assert not stage.connections.outgoing

    run(test, tmp_path)


def test_a_source_address_that_is_not_ours(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        stage.connect(source_address="192.0.2.1")
        reason = await stage.expect("lost")
        assert "the source address is not one of this machine" in str(reason)

    run(test, tmp_path)


def test_the_source_address_is_used(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        stage.connect(source_address="127.0.0.7")
        assert await stage.expect("connected") == "127.0.0.7"

    run(test, tmp_path)


def test_nobody_answers(tmp_path: Path) -> None:
    # A listener whose queue is full lets further clients wait, as a packet filter that drops does.
    async def test(stage: Stage) -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            with socket.create_connection(full.getsockname()):
                stage.connect(port=full.getsockname()[1], timeout_s=0.05)
                heard = await stage.node.heard.get()
                if heard[0] == "connected":  # the queue of one took it
                    stage.perform(Abort(HOP))
                    await stage.expect("lost")
                else:
                    assert "did not answer within" in str(heard[1])

    run(test, tmp_path)


def test_a_connection_that_is_being_opened_can_be_given_up(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        stage.connect()
        stage.perform(Abort(HOP))
        assert await stage.expect("lost") == "given up"
        stage.perform(Abort(HOP))  # nobody is there any more

    run(test, tmp_path)


def test_an_open_connection_can_be_dropped(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.greeted()
        stage.perform(Abort(HOP))
        await stage.expect("lost")

    run(test, tmp_path)


def test_a_next_hop_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        taken: list[asyncio.WriteTransport] = []

        class Silent(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                transport.pause_reading()  # type: ignore[attr-defined]  # a stream transport
                taken.append(transport)  # type: ignore[arg-type]  # as above

        server = await asyncio.get_running_loop().create_server(Silent, "127.0.0.1", 0)
        stage.connect(port=server.sockets[0].getsockname()[1])
        await stage.expect("connected")
        # One message may be of any size; more on top of it may not.
        stage.perform(Send(HOP, bytes(tcp.WRITE_BUFFER_BYTES_MAX * 2)))
        assert stage.node.heard.empty()
        stage.perform(Send(HOP, b"more"))
        assert await stage.expect("lost") == "the next hop does not read what we send"
        stage.perform(Send(HOP, b"nobody"))
        server.close()
        for each in taken:
            each.abort()

    run(test, tmp_path)


# --- TLS -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root() -> Issued:
    return make_authority()


def demand(level: TlsLevel, *names: str, only_report: bool = False) -> TlsDemand:
    return TlsDemand(level, "mx.example.org", names or ("mx.example.org",), only_report=only_report)


def trust(home: Path, authority: Issued) -> None:
    (home / "tls" / "trusted").mkdir(parents=True)
    (home / "tls" / "trusted" / "ours.pem").write_bytes(authority.pem)


@pytest.mark.parametrize("quick", [False, True], ids=["asyncio", "uvloop"])
def test_any_certificate_does_where_nothing_is_verified(tmp_path: Path, quick: bool) -> None:
    async def test(stage: Stage) -> None:
        stage.context = make_self_signed("other.example", not_after=NOW - DAY).context(tmp_path)
        kind, facts = await stage.start_tls(demand(TlsLevel.OPPORTUNISTIC))
        assert kind == "tls"
        assert isinstance(facts, TlsFacts)
        assert facts.version in ("TLSv1.2", "TLSv1.3")
        assert facts.cipher
        assert not facts.verified
        stage.perform(Send(HOP, b"EHLO us\r\n"))
        assert await stage.expect("bytes") == b"250 EHLO us\r\n"
        stage.perform(Close(HOP))
        await stage.expect("lost")

    run(test, tmp_path, quick=quick)


@pytest.mark.parametrize("quick", [False, True], ids=["asyncio", "uvloop"])
def test_tls_from_the_first_byte(tmp_path: Path, root: Issued, quick: bool) -> None:
    trust(tmp_path, root)

    async def test(stage: Stage) -> None:
        context = root.issue("mx.example.org").context(tmp_path)
        server = await asyncio.start_server(stage.next_hop, "127.0.0.1", 0, ssl=context)
        stage.connect(port=server.sockets[0].getsockname()[1], tls=demand(TlsLevel.VERIFIED))
        await stage.expect("connected")
        facts = await stage.expect("tls")
        assert isinstance(facts, TlsFacts)
        assert facts.verified
        assert facts.peer_names == ("mx.example.org",)
        assert await stage.expect("bytes") == b"220 hello\r\n"
        server.close()

    run(test, tmp_path, quick=quick)


def test_a_name_that_tls_cannot_carry(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        stage.context = make_self_signed("other.example").context(tmp_path)
        await stage.greeted()
        stage.perform(Send(HOP, b"STARTTLS\r\n"))
        assert await stage.expect("bytes") == b"220 go on\r\n"
        stage.perform(StartTls(HOP, demand=TlsDemand(TlsLevel.ENCRYPTED, ".example.org")))
        assert "TLS cannot carry the server's name" in str(await stage.expect("lost"))

    run(test, tmp_path)


def test_a_next_hop_that_drops_in_the_handshake(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.close()

        server = await asyncio.start_server(drop, "127.0.0.1", 0)
        stage.connect(port=server.sockets[0].getsockname()[1], tls=demand(TlsLevel.ENCRYPTED))
        await stage.expect("connected")
        assert "during the TLS handshake" in str(await stage.expect("lost"))
        server.close()

    run(test, tmp_path)


@pytest.mark.parametrize("quick", [False, True], ids=["asyncio", "uvloop"])
def test_a_connection_that_is_given_up_before_its_handshake_begins(tmp_path: Path, quick: bool) -> None:
    """As when a next hop injects replies after its 220: TLS was asked for, then the session has enough."""

    async def test(stage: Stage) -> None:
        errors: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        await stage.greeted()
        stage.perform(StartTls(HOP, demand=demand(TlsLevel.OPPORTUNISTIC)))
        stage.perform(Close(HOP))
        assert "before TLS began" in str(await stage.expect("lost"))
        assert not errors

    run(test, tmp_path, quick=quick)


def test_a_next_hop_that_speaks_no_tls(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        stage.connect(tls=demand(TlsLevel.ENCRYPTED))
        await stage.expect("connected")
        assert "TLS failed" in str(await stage.expect("lost"))

    run(test, tmp_path)


VERIFIED = {
    "valid": (lambda root: root.issue("mx.example.org"), ("mx.example.org",), ""),
    "wildcard": (lambda root: root.issue("*.example.org"), ("mx.example.org",), ""),
    "pattern of a policy": (lambda root: root.issue("mx.example.org"), ("*.example.org",), ""),
    "intermediate": (
        lambda root: root.issue(authority=True, common_name="Middle").issue("mx.example.org"),
        ("mx.example.org",),
        "",
    ),
    "wrong name": (
        lambda root: root.issue("mail.example.net"),
        ("mx.example.org",),
        "the certificate is for mail.example.net, not for mx.example.org",
    ),
    "expired": (
        lambda root: root.issue("mx.example.org", not_before=NOW - 3 * DAY, not_after=NOW - DAY),
        ("mx.example.org",),
        "expired",
    ),
    "not yet valid": (
        lambda root: root.issue("mx.example.org", not_before=NOW + DAY),
        ("mx.example.org",),
        "valid",
    ),
    "self-signed": (lambda root: make_self_signed("mx.example.org"), ("mx.example.org",), "certificate"),
    "another authority": (
        lambda root: make_authority("Somebody").issue("mx.example.org"),
        ("mx.example.org",),
        "certificate",
    ),
}


@pytest.mark.parametrize("only_report", [False, True], ids=["must hold", "only reported"])
@pytest.mark.parametrize("case", VERIFIED)
def test_a_verified_certificate(tmp_path: Path, root: Issued, case: str, only_report: bool) -> None:
    make, names, problem = VERIFIED[case]
    trust(tmp_path, root)

    async def test(stage: Stage) -> None:
        stage.context = make(root).context(tmp_path)
        kind, what = await stage.start_tls(demand(TlsLevel.VERIFIED, *names, only_report=only_report))
        if problem and not only_report:
            assert kind == "lost"
            assert problem in str(what)
        else:
            assert kind == "tls"
            assert isinstance(what, TlsFacts)
            assert what.verified is not bool(problem)
            assert problem in what.problem

    run(test, tmp_path)


def test_authorities_that_are_put_there_later_are_trusted(tmp_path: Path, root: Issued) -> None:
    async def test(stage: Stage) -> None:
        stage.context = root.issue("mx.example.org").context(tmp_path)
        assert (await stage.start_tls(demand(TlsLevel.VERIFIED)))[0] == "lost"
        trust(tmp_path, root)
        (tmp_path / "tls" / "trusted" / "broken.pem").write_text("no certificate")
        assert (await stage.start_tls(demand(TlsLevel.VERIFIED)))[0] == "tls"

    run(test, tmp_path)


def tlsa(kind: tuple[int, int, int], issued: Issued) -> TlsaRecord:
    data = issued.der if kind[1] == 0 else issued.spki
    digest = {
        0: lambda: data,
        1: lambda: hashlib.sha256(data).digest(),
        2: lambda: hashlib.sha512(data).digest(),
    }
    return TlsaRecord(*kind, digest[kind[2]]())


@pytest.mark.parametrize(
    "kind", [(3, 1, 1), (3, 0, 1), (3, 1, 2), (3, 0, 0), (2, 0, 1), (2, 1, 2), (2, 1, 1)]
)
def test_dane(tmp_path: Path, root: Issued, kind: tuple[int, int, int]) -> None:
    middle = root.issue(authority=True, common_name="Middle")
    own = middle.issue("mx.example.org")
    record = tlsa(kind, own if kind[0] == 3 else middle)

    async def test(stage: Stage) -> None:
        stage.context = own.context(tmp_path)
        wanted = TlsDemand(TlsLevel.DANE, "mx.example.org", ("mx.example.org",), (record,))
        kind, facts = await stage.start_tls(wanted)
        assert kind == "tls", facts
        assert isinstance(facts, TlsFacts)
        assert facts.verified
        other = TlsDemand(
            TlsLevel.DANE, "mx.example.org", ("mx.example.org",), (record._replace(data=bytes(32)),)
        )
        lost, reason = await stage.start_tls(other)
        while lost != "lost":  # of the first connection nothing is left to come
            lost, reason = await stage.node.heard.get()
        assert "TLSA" in str(reason)

    run(test, tmp_path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(), "the connection was reset"),
        (OSError(113, "No route to host"), "there is no route to the host"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("all failed"), "all failed"),
        (ssl.SSLError(1, "x"), "TLS broke: unknown"),
    ],
)
def test_reasons_have_words(error: Exception, words: str) -> None:
    assert reason_of(error) == words


# --- servers of ours ------------------------------------------------------------------------------


def direct(*known: Issued, server: str = "mail2") -> TlsDemand:
    return TlsDemand(
        TlsLevel.DIRECT, "mx.example.org", certificates=tuple(each.der for each in known), server=server
    )


def test_a_server_of_ours_is_taken_by_the_certificate_that_is_known(tmp_path: Path) -> None:
    old, new = make_self_signed("other.name.test"), make_self_signed("mx.example.org")

    async def test(stage: Stage) -> None:
        for shown in (old, new):
            stage.context = shown.context(tmp_path)
            kind, facts = await stage.start_tls(direct(old, new))
            assert kind == "tls"
            assert isinstance(facts, TlsFacts)
            assert (facts.verified, facts.server, facts.problem) == (True, "mail2", "")
            stage.perform(Close(HOP))
            await stage.expect("lost")

    run(test, tmp_path)


def test_nothing_is_said_to_one_that_shows_another_certificate(tmp_path: Path, root: Issued) -> None:
    trust(tmp_path, root)  # an authority that is trusted makes no server of ours
    known, shown = make_self_signed("mx.example.org"), root.issue("mx.example.org")

    async def test(stage: Stage) -> None:
        stage.context = shown.context(tmp_path)
        kind, reason = await stage.start_tls(direct(known))
        assert kind == "lost"
        digest = hashlib.sha256(shown.der).hexdigest()
        assert reason == f"the certificate is not one by which server mail2 is known: SHA-256 {digest}"

    run(test, tmp_path)


def test_a_server_of_ours_that_asks_is_shown_our_certificate(tmp_path: Path) -> None:
    ours, theirs = make_self_signed("mail1.example.org"), make_self_signed("mx.example.org")

    async def test(stage: Stage) -> None:
        context = unverifying_context()
        ours.write(tmp_path, "ours")
        context.load_cert_chain(tmp_path / "ours.pem", tmp_path / "ours.key.pem")
        stage.outbound = OutboundConnections(stage.node, stage.connections, tmp_path, lambda: context)
        stage.context = theirs.context(tmp_path)
        ask_for_known(stage.context, [ours.der])
        stage.context.verify_mode = ssl.CERT_REQUIRED
        kind, facts = await stage.start_tls(direct(theirs))
        assert kind == "tls", facts
        # In TLS 1.3 a server that is not content says so after our side is done.
        stage.perform(Send(HOP, b"NOOP\r\n"))
        assert await stage.expect("bytes") == b"250 NOOP\r\n"

    run(test, tmp_path)


def test_without_a_certificate_of_ours_the_connection_is_given_up(tmp_path: Path) -> None:
    def nothing() -> ssl.SSLContext:
        raise Unavailable("no certificate can be used")

    async def test(stage: Stage) -> None:
        stage.outbound = OutboundConnections(stage.node, stage.connections, tmp_path, nothing)
        stage.context = make_self_signed("mx.example.org").context(tmp_path)
        assert await stage.start_tls(direct()) == ("lost", "no certificate can be used")

    run(test, tmp_path)
