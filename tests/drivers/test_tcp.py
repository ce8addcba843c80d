"""TCP connections between asyncio and a node: real sockets, and a node that says what the test wants."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from certificates.made import make_authority
from holdfast.drivers import loop as quick_loop
from holdfast.drivers import tcp
from holdfast.drivers.handshake import HandshakesUnderWay
from holdfast.drivers.server_trust import ask_for_known
from holdfast.drivers.tcp import Connection, Connections, ImplicitTls
from holdfast.drivers.tls import ensure_certificate
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Close, ConnectionOutput, PauseReading, Peer, ResumeReading, Send, StartTls
from holdfast.transport.tls_policy import TlsFacts


class Echo:
    """A node that sends back what it gets; some words make it do other things."""

    def __init__(self) -> None:
        self.outputs: list[ConnectionOutput] = []
        self.heard: list[str] = []
        self.drained_count = 0
        self.facts: TlsFacts | None = None

    def opened(self, connection_id: ConnectionId, peer: Peer) -> None:
        version = f" {peer.facts.version}" if peer.facts else ""
        self.heard.append(f"opened {peer.address} tls={peer.tls}{version}")
        self.outputs.append(Send(connection_id, b"hello\n"))

    def bytes_received(self, now: float, connection_id: ConnectionId, data: bytes) -> None:
        assert now > 0
        if data == b"bye\n":
            self.outputs += [Send(connection_id, b"goodbye\n"), Close(connection_id)]
        elif data == b"tls\n":
            self.outputs += [Send(connection_id, b"go on\n"), StartTls(connection_id)]
        elif data == b"pause\n":
            self.outputs += [PauseReading(connection_id), Send(connection_id, b"paused\n")]
        elif data == b"much\n":
            self.outputs.append(Send(connection_id, bytes(tcp.WRITE_BUFFER_BYTES_MAX * 2)))
        else:
            self.outputs.append(Send(connection_id, data))

    def connection_ended(self, now: float, connection_id: ConnectionId) -> None:
        self.heard.append("ended")
        self.outputs += [Send(connection_id, b"still here\n"), Close(connection_id)]

    def connection_lost(self, now: float, connection_id: ConnectionId, reason: str = "") -> None:
        self.heard.append("lost")

    def tls_started(self, now: float, connection_id: ConnectionId, facts: TlsFacts | None = None) -> None:
        assert facts is not None
        self.heard.append("tls")
        self.facts = facts
        self.outputs.append(Send(connection_id, b"secret hello\n"))

    def drained(self, now: float, connection_id: ConnectionId) -> None:
        self.drained_count += 1


class Stage:
    """A listening socket, its connections and the node behind them."""

    def __init__(self, directory: Path) -> None:
        self.node = Echo()
        self.failed: list[tuple[str, str, str]] = []
        self.directory = directory
        self.connections = Connections(
            self.node,
            self.drain,
            self.context,
            self.node.drained,
            lambda *words: self.failed.append(words[:3]),
        )
        self.server: asyncio.Server | None = None

    def context(self, connector: str, of_servers: bool = False) -> ssl.SSLContext:
        if not (self.directory / "certificate.pem").exists():
            raise Unavailable("there is no certificate")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "certificate.pem", self.directory / "key.pem")
        return context

    def drain(self) -> None:
        while self.node.outputs:
            self.connections.perform(self.node.outputs.pop(0))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self.server is not None
        reader, writer = await asyncio.open_connection(*self.server.sockets[0].getsockname()[:2])
        assert await reader.readline() == b"hello\n"
        return reader, writer

    async def until_all_lost(self) -> None:
        while self.connections.open:  # noqa: ASYNC110 - the node has no event for a test to wait on
            await asyncio.sleep(0.005)


def run(test: Callable[[Stage], Awaitable[None]], directory: Path, *, quick: bool = False) -> None:
    async def main() -> int:
        stage = Stage(directory)
        loop = asyncio.get_running_loop()
        stage.server = await loop.create_server(
            lambda: Connection(stage.connections, stage.node.opened), "127.0.0.1", 0
        )
        try:
            await asyncio.wait_for(test(stage), 30)
        finally:
            stage.connections.abort_all()
            stage.server.close()
            await stage.until_all_lost()
        return 0

    if quick:
        quick_loop.run(main())
    else:
        asyncio.run(main())


def test_bytes_go_in_and_answers_come_out(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        assert stage.node.heard == ["opened 127.0.0.1 tls=False"]
        assert stage.node.drained_count > 0
        writer.close()
        await stage.until_all_lost()
        assert stage.node.heard[-1] == "lost"

    run(test, tmp_path)


def test_the_last_reply_arrives_although_the_client_is_still_sending(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"bye\n")
        await asyncio.sleep(0)
        # A close with unread input would reset the connection and take the goodbye with it.
        assert await reader.readline() == b"goodbye\n"
        writer.write(bytes(300_000))
        assert await reader.read() == b""
        writer.close()
        await stage.until_all_lost()

    run(test, tmp_path)


def test_what_is_said_after_the_goodbye_is_dropped(tmp_path: Path) -> None:
    # Found by the crash test: a stop said 421 to a session that had just said its own goodbye.
    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"bye\n")
        assert await reader.readline() == b"goodbye\n"
        (connection_id,) = stage.connections.open
        stage.connections.perform(Send(connection_id, b"too late\n"))
        assert await reader.read() == b""
        writer.close()
        await stage.until_all_lost()

    run(test, tmp_path)


def test_a_client_that_never_closes_is_dropped(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"bye\n")
        assert await reader.read() == b"goodbye\n"
        await stage.until_all_lost()
        writer.close()

    run(test, tmp_path)


def test_connections_that_take_leave_are_dropped_one_by_one_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "CLOSE_TIMEOUT_S", 0.05)

    async def scenario() -> None:
        node = Echo()
        connections = Connections(node, lambda: None, lambda _: ssl.create_default_context())
        dropped: list[str] = []

        class Leaving(asyncio.Transport):
            def __init__(self, name: str) -> None:
                super().__init__()
                self.name = name

            def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
                pass

            def abort(self) -> None:
                dropped.append(self.name)
                if self.name == "third":
                    done.set()

        def stream(name: str) -> tcp.Stream:
            made = tcp.Stream(connections)
            made._take(Leaving(name))
            return made

        done = asyncio.Event()
        first, second = stream("first"), stream("second")
        connections.leaves(first)
        connections.leaves(second)
        connections.left(second)
        await asyncio.sleep(0)
        connections.leaves(stream("third"))
        async with asyncio.timeout(60):
            await done.wait()
        assert dropped == ["first", "third"]
        assert not connections._leaving

    asyncio.run(scenario())


def test_a_client_that_ended_its_side_still_gets_its_answer(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write_eof()
        assert await reader.read() == b"still here\n"
        writer.close()
        await stage.until_all_lost()
        assert stage.node.heard[-2:] == ["ended", "lost"]

    run(test, tmp_path)


def test_starttls(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, ("localhost",))
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))

    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"tls\n")
        assert await reader.readline() == b"go on\n"
        await writer.start_tls(context, server_hostname="localhost")
        assert await reader.readline() == b"secret hello\n"
        writer.write(b"in private\n")
        assert await reader.readline() == b"in private\n"
        writer.write(b"bye\n")
        assert await reader.readline() == b"goodbye\n"
        writer.close()
        await stage.until_all_lost()
        assert "tls" in stage.node.heard

    run(test, tmp_path)


def test_a_handshake_that_comes_before_we_are_ready_for_it_is_not_lost(tmp_path: Path) -> None:
    # Found by the tests on a busy machine: the 220 was answered before TLS had been put on the connection.
    ensure_certificate(tmp_path, ("localhost",))
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))

    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        (connection_id,) = stage.connections.open
        stage.connections.perform(Send(connection_id, b"go on\n"))
        assert await reader.readline() == b"go on\n"
        handshake = asyncio.get_running_loop().create_task(
            writer.start_tls(context, server_hostname="localhost")
        )
        stage.connections.perform(StartTls(connection_id))
        await handshake
        assert await reader.readline() == b"secret hello\n"
        writer.close()

    run(test, tmp_path)


def say_with_the_end_of_the_handshake(
    server: socket.socket, context: ssl.SSLContext, words: bytes, *, wanted: bytes
) -> bytes:
    """Begin TLS; the last message of the handshake and the first words go out in one segment.

    Returns:
        What the server says, up to the wanted end.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

    def until_it_works(step: Callable[[], object]) -> object:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                server.sendall(outgoing.read())
                answer = server.recv(1 << 16)
                assert answer, "the server has closed"
                incoming.write(answer)

    until_it_works(tls.do_handshake)
    tls.write(words)
    server.sendall(outgoing.read())
    said = b""
    while not said.endswith(wanted):
        said += cast(bytes, until_it_works(tls.read))
    return said


@pytest.mark.parametrize("quick", [False, True], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "from the first byte"])
def test_what_comes_with_the_end_of_the_handshake_is_not_lost(
    tmp_path: Path, implicit: bool, quick: bool
) -> None:
    # Found with Python's smtplib: its EHLO came before the node knew that TLS was on, and was taken for
    # something said in the clear.
    ensure_certificate(tmp_path, ("localhost",))
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))

    def converse(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            if not implicit:
                assert client.recv(100) == b"hello\n"
                client.sendall(b"tls\n")
                assert client.recv(100) == b"go on\n"
            return say_with_the_end_of_the_handshake(client, context, b"first\n", wanted=b"first\n")

    async def test(stage: Stage) -> None:
        make = ImplicitTls(lambda peer: stage.context("")) if implicit else None
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(stage.connections, stage.node.opened, make), "127.0.0.1", 0
        )
        said = await asyncio.to_thread(converse, server.sockets[0].getsockname()[1])
        assert said == (b"hello\n" if implicit else b"secret hello\n") + b"first\n"
        server.close()

    run(test, tmp_path, quick=quick)


@pytest.mark.parametrize("quick", [False, True], ids=["asyncio", "uvloop"])
def test_who_connects_and_begins_no_tls_makes_room_for_who_does(tmp_path: Path, quick: bool) -> None:
    # Found with 1,500 connections to port 465: no connector counts them before their handshake, and they had
    # all the files that the process may open, so that port 25 did not answer either.
    ensure_certificate(tmp_path, ("localhost",))
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))

    def converse(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            return say_with_the_end_of_the_handshake(client, context, b"first\n", wanted=b"first\n")

    async def test(stage: Stage) -> None:
        stage.connections.handshakes = HandshakesUnderWay(count_max=3, per_source_max=2)
        make = ImplicitTls(lambda peer: stage.context(""))
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(stage.connections, stage.node.opened, make), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _ in range(3):
            assert (await asyncio.to_thread(converse, port)).endswith(b"first\n")
        with contextlib.suppress(ConnectionResetError):
            assert await silent[0][0].read() == b""
        for _, writer in silent:
            writer.close()
        server.close()

    run(test, tmp_path, quick=quick)


def test_a_failed_handshake_ends_the_connection_once(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, ("localhost",))

    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"tls\n")
        assert await reader.readline() == b"go on\n"
        writer.write(b"this is no handshake\n" * 10)
        await reader.read()
        writer.close()
        await stage.until_all_lost()
        assert stage.node.heard.count("lost") == 1
        assert "tls" not in stage.node.heard
        ((address, place, reason),) = stage.failed
        assert (address, place) == ("127.0.0.1", "STARTTLS")
        assert "TLS failed" in reason

    run(test, tmp_path)


def test_without_a_certificate_the_connection_ends_and_the_log_says_why(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"tls\n")
        assert await reader.readline() == b"go on\n"
        assert await reader.read() == b""
        writer.close()
        await stage.until_all_lost()
        assert stage.failed == [("127.0.0.1", "STARTTLS", "there is no certificate")]

    run(test, tmp_path)


@pytest.mark.parametrize("quick", [False, True], ids=["asyncio", "uvloop"])
def test_tls_from_the_first_byte(tmp_path: Path, quick: bool) -> None:
    ensure_certificate(tmp_path, ("localhost",))
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))

    async def test(stage: Stage) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(
                stage.connections, stage.node.opened, ImplicitTls(lambda peer: stage.context(""))
            ),
            "127.0.0.1",
            0,
        )
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        assert await reader.readline() == b"hello\n"
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        assert stage.node.heard == ["opened 127.0.0.1 tls=True TLSv1.3"]
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        ((_, place, reason),) = stage.failed
        assert place == f"port {port}"
        assert "TLS failed" in reason
        server.close()

    run(test, tmp_path, quick=quick)


@pytest.mark.parametrize("quick", [False, True], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("header", "heard"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4444 465\r\n", "opened 192.0.2.7 tls=True TLSv1.3"),
        (b"PROXY UNKNOWN\r\n", "opened 127.0.0.1 tls=True TLSv1.3"),
        (b"EHLO nobody said that\r\n", ""),
    ],
)
def test_a_balancer_says_before_tls_who_its_client_is(
    tmp_path: Path, header: bytes, heard: str, quick: bool
) -> None:
    ensure_certificate(tmp_path, ("localhost",))
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))

    async def test(stage: Stage) -> None:
        implicit = ImplicitTls(lambda peer: stage.context(""), lambda peer: peer.address == "127.0.0.1")
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(stage.connections, stage.node.opened, implicit), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(header[:4])
        await asyncio.sleep(0)
        writer.write(header[4:])
        if heard:
            await writer.start_tls(context, server_hostname="localhost")
            assert await reader.readline() == b"hello\n"
            assert stage.node.heard == [heard]
        else:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            ((_, _, reason),) = stage.failed
            assert "PROXY protocol" in reason
        writer.close()
        server.close()

    run(test, tmp_path, quick=quick)


def test_reading_pauses_and_goes_on(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"pause\n")
        assert await reader.readline() == b"paused\n"
        writer.write(b"later\n")
        (connection_id,) = stage.connections.open
        stage.connections.perform(PauseReading(connection_id))
        stage.connections.perform(ResumeReading(connection_id))
        assert await reader.readline() == b"later\n"
        writer.close()

    run(test, tmp_path)


def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        _, writer = await stage.connect()
        writer.write(b"much\n")
        await stage.until_all_lost()
        writer.close()

    run(test, tmp_path)


def test_outputs_for_a_connection_that_is_gone_do_nothing(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        stage.connections.perform(Send(ConnectionId(99), b"nobody"))

    run(test, tmp_path)


@pytest.mark.parametrize(
    "who", ["a server of ours", "one that a server of ours has issued", "a stranger", "nobody"]
)
def test_a_client_that_comes_from_a_server_of_ours_is_asked_who_it_is(tmp_path: Path, who: str) -> None:
    ensure_certificate(tmp_path, ("localhost",))
    authority = make_authority()
    shown = {
        "a server of ours": authority,
        "one that a server of ours has issued": authority.issue("mail2.example.test", purposes=()),
        "a stranger": make_authority("Stranger"),
    }.get(who)

    async def test(stage: Stage) -> None:
        refused: list[tuple[str, str, str, bool]] = []
        stage.connections.handshake_failed = lambda *words: refused.append(words)
        stage.connections.server_of = lambda der: "mail2" if der == authority.der else ""
        known = stage.context("in", True)
        ask_for_known(known, [authority.der])
        stage.connections.context = lambda connector, of_servers: known
        client = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        if shown is not None:
            shown.write(tmp_path, "client")
            client.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key.pem")
        reader, writer = await stage.connect()
        (connection_id,) = stage.connections.open
        stage.connections.perform(StartTls(connection_id, "in", of_servers=True))
        await writer.start_tls(client, server_hostname="localhost")
        if who == "a stranger":
            with contextlib.suppress(OSError):
                assert await reader.read() == b""
            await stage.until_all_lost()
            assert refused[0][3]
            assert "the certificate is not valid" in refused[0][2]
            return
        assert await reader.readline() == b"secret hello\n"
        facts = stage.node.facts
        assert facts is not None
        assert facts.server == ("mail2" if shown is authority else "")
        assert [each[2:] for each in refused] == (
            [("the certificate is not one by which a server of ours is known", True)]
            if who.startswith("one")
            else []
        )
        writer.close()

    run(test, tmp_path)
