"""A DNS server that says what a test wants it to say, and a way to ask it.

Real servers are in tests/interop/dns_server.py; this one is for what they cannot be made to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from holdfast.directory.model import Organisation
from holdfast.drivers.resolver import Resolver
from holdfast.kernel.events import LogEvent
from holdfast.wire.dns_answers import Answer, Question, RecordType
from ports import free_ports

MX = Question("example.test", RecordType.MX)
# What a server says to a query over UDP, or over TCP: datagrams as they are, none for silence.
Says = Callable[[dns.message.Message], list[bytes]]


@dataclass(eq=False)
class Server(asyncio.DatagramProtocol):
    """A server that says what a test wants it to say."""

    says: Says
    says_by_tcp: Says | None = None
    asked: list[dns.message.Message] = field(default_factory=list)
    asked_by_tcp: int = 0
    port: int = 0
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query)
        assert self.transport is not None
        for answer in self.says(query):
            self.transport.sendto(answer, addr)

    async def by_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self.says_by_tcp is not None
        size = int.from_bytes(await reader.readexactly(2), "big")
        query = dns.message.from_wire(await reader.readexactly(size))
        self.asked_by_tcp += 1
        for answer in self.says_by_tcp(query):
            writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()


def response(query: dns.message.Message, *records: str, **more: int) -> dns.message.Message:
    """An answer with records as a zone file writes them; ``flags`` and ``rcode`` may be given."""
    answer = dns.message.make_response(query)
    answer.flags |= more.get("flags", 0) | dns.flags.RA
    answer.set_rcode(dns.rcode.Rcode(more.get("rcode", 0)))
    for record in records:
        owner, ttl, record_type, data = record.split(None, 3)
        section = answer.authority if record_type == "SOA" else answer.answer
        name = dns.name.from_text(owner)
        existing = answer.get_rrset(section, name, 1, dns.rdatatype.from_text(record_type))
        made = dns.rrset.from_text(name, int(ttl), "IN", record_type, data)
        if existing is not None:
            existing.update(made)
        else:
            section.append(made)
    return answer


def says(*records: str, **more: int) -> Says:
    return lambda query: [response(query, *records, **more).to_wire(max_size=65_535)]


def silent(_: dns.message.Message) -> list[bytes]:
    return []


SOA = "example.test. 900 SOA ns.example.test. hostmaster.example.test. 1 2 3 4 77"
GOOD = says("example.test. 300 MX 20 B.Example.Test.", "example.test. 300 MX 10 a.example.test.")


@dataclass
class Asked:
    """What came of questions."""

    answers: list[Answer] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)


def resolve(
    *servers: Server,
    questions: tuple[Question, ...] = (MX,),
    validates: bool = False,
    total_s: float = 5.0,
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> Asked:
    """Ask the questions one after the other, of servers that are made for it."""
    asked = Asked()

    def log(event: LogEvent) -> None:
        asked.logs.append(event.kind.event_id)

    async def run() -> None:
        running = asyncio.get_running_loop()
        closing: list[Callable[[], None]] = []
        for server in servers:
            (server.port,) = free_ports(1)  # the same for both
            transport, _ = await running.create_datagram_endpoint(
                lambda server=server: server,
                local_addr=("127.0.0.1", server.port),  # type: ignore[misc]  # bound early
            )
            closing.append(transport.close)
            if server.says_by_tcp is not None:
                tcp = await asyncio.start_server(server.by_tcp, "127.0.0.1", server.port)
                closing.append(tcp.close)
        answers: asyncio.Queue[Answer] = asyncio.Queue()
        resolver = Resolver(answers.put_nowait, log, total_s=total_s)
        addresses = tuple(f"127.0.0.1:{server.port}" for server in servers)
        resolver.follow(Organisation(resolver_addresses=addresses, resolver_validates=validates))
        for question in questions:
            resolver.ask(question)
            asked.answers.append(await answers.get())
        for close in closing:
            close()
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())
    return asked


def resolve_one(*servers: Server, question: Question = MX, **more: object) -> Answer:
    return resolve(*servers, questions=(question,), **more).answers[0]  # type: ignore[arg-type]  # of resolve
