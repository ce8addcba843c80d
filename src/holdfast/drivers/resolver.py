"""Ask DNS servers and answer in plain values: always, in bounded time, without raising.

The servers are the organisation's, or those of the machine. They resolve, follow
CNAMEs and validate DNSSEC; what one says of validation counts only where nobody
could have changed it on its way: on this machine's loopback, or where the
administrator says so.

The codec and the sockets are dnspython's. Each question has a socket of its own,
so with a source port of its own, which makes false answers hard to slip in; it is
connected, so that a server that is not there is known at once.

Source: RFC 1035 section 4.2; RFC 2308 section 5; RFC 5452 section 9.2; RFC 6891 section 7; RFC 7766
section 5; RFC 6840 section 5.7 and RFC 7672 section 2.1 for validation; RFC 6761 section 6.3.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import dns.asyncbackend
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.TLSA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rrset

from holdfast.directory.listening import parse_binding
from holdfast.directory.model import Organisation
from holdfast.drivers.events import DNS_ANSWERS_AGAIN, DNS_SILENT
from holdfast.kernel.events import LogEvent, happened
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, Record, RecordType, TlsaRecord

TOTAL_S = 10.0  # for one question, whatever happens
PATIENCE = (0.15, 0.3, 0.5)  # what of that one server may take, in the first round, the second …
QUESTIONS_AT_ONCE_MAX = 100
# Passes everywhere without being cut into fragments (RFC 6891 section 6.2.5 leaves the choice to us).
UDP_BYTES = 1232
RECORD_COUNT_MAX = 100
CHAIN_MAX = 8
FAILURE_KEPT_S = 30.0
NOTHING_KEPT_S = 300.0
RESOLV_CONF = Path("/etc/resolv.conf")
RESOLV_CONF_BYTES_MAX = 65_536
RESOLV_CONF_LOOK_S = 5.0
SERVER_COUNT_MAX = 8
DNS_PORT = 53

# Stands for TLSA records that are malformed: DANE must know that there are some.
UNUSABLE = TlsaRecord(255, 255, 255, b"")

_NAME = re.compile(r"(?!.{254})[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_LOCALHOST = {RecordType.A: "127.0.0.1", RecordType.AAAA: "::1"}


@dataclass(frozen=True, slots=True)
class DnsServer:
    """A server that is asked.

    Attributes:
        trusted: whether its word about DNSSEC counts.
    """

    address: str
    port: int = DNS_PORT
    trusted: bool = False

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port == DNS_PORT else f"{host}:{self.port}"


class NoAnswer(Exception):
    """No server gave an answer that can be used; the text says why."""


class Resolver:
    """Asks DNS for one process."""

    def __init__(
        self,
        answered: Callable[[Answer], None],
        log: Callable[[LogEvent], None],
        *,
        resolv_conf: Path = RESOLV_CONF,
        total_s: float = TOTAL_S,
    ) -> None:
        """Make one that asks the servers of the machine, until ``follow`` says otherwise.

        Args:
            answered: is told each answer, in the thread of the event loop.
            log: takes events.
            resolv_conf: where the machine's servers are written.
            total_s: after so long a question has failed.
        """
        self._answered = answered
        self._log = log
        self._resolv_conf = resolv_conf
        self._total_s = total_s
        self._declared: tuple[DnsServer, ...] = ()
        self._validates = False
        self._machine: tuple[DnsServer, ...] = ()
        self._machine_mark: tuple[int, int] | None = None
        self._looked_at = float("-inf")
        self._preferred: DnsServer | None = None
        self._silent = False
        self._tasks: dict[asyncio.Task[Answer], Question] = {}
        self._turns = asyncio.Semaphore(QUESTIONS_AT_ONCE_MAX)
        self._backend = dns.asyncbackend.get_backend("asyncio")

    def follow(self, organisation: Organisation) -> None:
        """Ask the servers that the organisation names; questions that are out are not asked again."""
        self._validates = organisation.resolver_validates
        self._declared = tuple(
            server
            for text in organisation.resolver_addresses
            if (server := parse_server(text, validates=self._validates))
        )
        self._machine_mark = None
        self._looked_at = float("-inf")
        self._preferred = None

    def servers(self) -> tuple[DnsServer, ...]:
        """The servers that are asked now, in the order declared."""
        if self._declared:
            return self._declared
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= RESOLV_CONF_LOOK_S:
            self._looked_at = now
            self._read_resolv_conf()
        return self._machine

    def ask(self, question: Question) -> None:
        """Ask one question; ``answered`` is told what came of it."""
        task = asyncio.get_running_loop().create_task(self._answer(question))
        self._tasks[task] = question
        task.add_done_callback(self._done)

    def close(self) -> None:
        """Ask no more; what is under way is not answered."""
        for task in self._tasks:
            task.cancel()

    def _done(self, task: asyncio.Task[Answer]) -> None:
        del self._tasks[task]
        if not task.cancelled():
            self._answered(task.result())

    async def _answer(self, question: Question) -> Answer:
        """Answer a question, also when nothing could be learnt."""
        try:
            async with asyncio.timeout(self._total_s):
                async with self._turns:
                    return await self._look_up(question)
        except TimeoutError:
            reason = f"no answer within {self._total_s:g} s from {_listed(self.servers())}"
        except (NoAnswer, dns.exception.DNSException, OSError, EOFError) as error:
            reason = str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 - whatever bytes make the library raise, mail goes on
            reason = f"the answer cannot be read: {type(error).__name__}: {error}"
        return Answer(question, Outcome.FAILED, ttl_s=FAILURE_KEPT_S, reason=reason[:300])

    async def _look_up(self, question: Question) -> Answer:
        if not _NAME.fullmatch(question.name):
            return Answer(question, Outcome.NO_NAME, ttl_s=NOTHING_KEPT_S)
        if question.name == "localhost" or question.name.endswith(".localhost"):
            return _of_localhost(question)
        name, validated, ttl_s = question.name, True, float("inf")
        for _ in range(CHAIN_MAX):
            server, response = await self._exchange(name, question.record_type)
            chain = response.resolve_chaining()
            validated = validated and server.trusted and bool(response.flags & dns.flags.AD)
            ttl_s = min(ttl_s, float(chain.minimum_ttl))
            canonical = _host_name(chain.canonical_name)
            if chain.answer is None and chain.cnames and canonical and _stops_midway(response):
                name = canonical
                continue
            outcome, records = _what_it_says(server, question, response, chain.answer)
            return Answer(question, outcome, records, canonical or question.name, validated, ttl_s)
        raise NoAnswer(f"more than {CHAIN_MAX} CNAMEs, or a loop of them")

    # --- servers ---------------------------------------------------------------------------------

    async def _exchange(
        self, name: str, record_type: RecordType
    ) -> tuple[DnsServer, dns.message.QueryMessage]:
        """Ask one server after the other until one answers; those that are silent are asked again.

        Raises:
            NoAnswer: none did, with what each said.
        """
        left = list(self.servers())
        if self._preferred in left:
            left.remove(self._preferred)
            left.insert(0, self._preferred)
        said: dict[DnsServer, str] = {}
        heard = False
        for patience in PATIENCE:
            for server in tuple(left):
                try:
                    response = await self._ask_server(server, name, record_type, patience * self._total_s)
                except NoAnswer as error:
                    said[server] = str(error)
                    continue
                except (OSError, EOFError) as error:
                    said[server] = f"{server}: {error or type(error).__name__}"
                    continue
                heard = True
                if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                    self._preferred = server
                    self._note_heard()
                    return server, response
                said[server] = f"{server} says {_refusal(response)}"
                left.remove(server)
            if not left:
                break
        if heard:
            self._note_heard()
        else:
            self._note_silence(said)
        raise NoAnswer("; ".join(said.values()) or "there is no DNS server to ask")

    async def _ask_server(
        self, server: DnsServer, name: str, record_type: RecordType, patience_s: float
    ) -> dns.message.QueryMessage:
        """Ask one server, without EDNS where it knows nothing of that (RFC 6891 section 7)."""
        response = await self._send(server, _query(server, name, record_type, edns=True), patience_s)
        if response.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS):
            response = await self._send(server, _query(server, name, record_type, edns=False), patience_s)
        return response

    async def _send(
        self, server: DnsServer, query: dns.message.QueryMessage, patience_s: float
    ) -> dns.message.QueryMessage:
        """Send a query, and again over TCP when the response is too large (RFC 7766 section 5)."""
        try:
            async with asyncio.timeout(patience_s):
                response = await self._by_udp(server, query)
            if response.flags & dns.flags.TC:
                async with asyncio.timeout(patience_s):
                    response = await self._by_tcp(server, query)
        except TimeoutError:
            raise NoAnswer(f"{server} does not answer") from None
        return response

    async def _by_udp(self, server: DnsServer, query: dns.message.QueryMessage) -> dns.message.QueryMessage:
        family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
        place = (server.address, server.port)
        made = self._backend.make_socket(family, socket.SOCK_DGRAM, 0, None, place)  # type: ignore[no-untyped-call]  # dnspython has no types here
        async with await made as connected:
            await connected.sendto(query.to_wire(), None, None)
            while True:
                wire, _ = await connected.recvfrom(UDP_BYTES, None)
                # What is no response to this very query is as if it had not come (RFC 5452 section 9.1).
                response = _read(query, wire)
                if response is not None:
                    return response

    async def _by_tcp(self, server: DnsServer, query: dns.message.QueryMessage) -> dns.message.QueryMessage:
        reader, writer = await asyncio.open_connection(server.address, server.port)
        try:
            wire = query.to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await reader.readexactly(2), "big")
            response = _read(query, await reader.readexactly(size))
        finally:
            writer.close()
        if response is None:
            raise NoAnswer(f"{server} answered something else than it was asked")
        return response

    def _note_silence(self, said: dict[DnsServer, str]) -> None:
        if not self._silent:
            self._silent = True
            self._log(happened(DNS_SILENT, servers=_listed(said), reason="; ".join(said.values())[:300]))

    def _note_heard(self) -> None:
        if self._silent:
            self._silent = False
            self._log(happened(DNS_ANSWERS_AGAIN, servers=_listed(self.servers())))

    def _read_resolv_conf(self) -> None:
        try:
            status = self._resolv_conf.stat()
            mark = (status.st_mtime_ns, status.st_size)
            if mark == self._machine_mark:
                return
            with self._resolv_conf.open("rb") as file:
                text = file.read(RESOLV_CONF_BYTES_MAX).decode("utf-8", "replace")
        except OSError:
            mark, text = (0, 0), ""
        self._machine_mark = mark
        self._machine = servers_of_machine(text, validates=self._validates)


# --- servers --------------------------------------------------------------------------------------


def parse_server(text: str, *, validates: bool) -> DnsServer | None:
    """Read ``192.0.2.53``, ``192.0.2.53:5353``, ``2001:db8::53`` or ``[2001:db8::53]:5353``.

    Args:
        validates: whether the administrator trusts its word about DNSSEC; on loopback it counts anyway.

    Returns:
        None when it is no such thing.
    """
    endpoint = parse_binding(text)
    try:
        address = endpoint.address if endpoint is not None else ipaddress.ip_address(text)
    except ValueError:
        return None
    port = endpoint.port if endpoint is not None else DNS_PORT
    return DnsServer(str(address), port, validates or address.is_loopback)


def servers_of_machine(text: str, *, validates: bool) -> tuple[DnsServer, ...]:
    """Read the servers of a resolv.conf; without any it is this machine, as resolv.conf(5) says."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            server = parse_server(words[1], validates=validates)
            if server is not None and server not in found:
                found.append(server)
    return tuple(found[:SERVER_COUNT_MAX]) or (DnsServer("127.0.0.1", trusted=True),)


def _listed(servers: Iterable[DnsServer]) -> str:
    return ", ".join(str(server) for server in servers)


def _query(server: DnsServer, name: str, record_type: RecordType, *, edns: bool) -> dns.message.QueryMessage:
    query = dns.message.make_query(name, record_type.value, use_edns=0 if edns else False, payload=UDP_BYTES)
    if server.trusted and edns:
        # Signatures make answers large; they are wanted only where the word about them counts.
        query.want_dnssec(True)
        query.flags |= dns.flags.AD  # RFC 6840 section 5.7
    return query


# --- answers --------------------------------------------------------------------------------------


def _of_localhost(question: Question) -> Answer:
    """``localhost`` is this machine, and is asked of nobody (RFC 6761 section 6.3)."""
    address = _LOCALHOST.get(question.record_type)
    answer = Answer(question, Outcome.NO_DATA, canonical_name=question.name, ttl_s=NOTHING_KEPT_S)
    return answer if address is None else replace(answer, outcome=Outcome.FOUND, records=(address,))


def _stops_midway(response: dns.message.QueryMessage) -> bool:
    """Whether a server left it to us to follow a CNAME; one that followed says what is at its end."""
    return response.rcode() == dns.rcode.NOERROR and not _has_soa(response)


def _says_nothing(response: dns.message.QueryMessage) -> bool:
    """Whether an empty answer means that there is nothing (RFC 2308 section 2.2)."""
    return _has_soa(response) or bool(response.flags & (dns.flags.AA | dns.flags.RA))


def _has_soa(response: dns.message.QueryMessage) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)


def _refusal(response: dns.message.QueryMessage) -> str:
    """The error of a response, with its own words where it has some (RFC 8914)."""
    code = dns.rcode.to_text(response.rcode())
    words = [f"{error.code!s} {error.text or ''}".strip() for error in response.extended_errors()]
    return f"{code} ({', '.join(words)})" if words else code


def _read(query: dns.message.QueryMessage, wire: bytes) -> dns.message.QueryMessage | None:
    """Read a response; None when it is none to this query.

    Records that are malformed are left out, and noted in its ``errors``: the others still count.
    """
    try:
        response = dns.message.from_wire(wire, continue_on_error=True, ignore_trailing=True)
    except dns.exception.DNSException:
        return None
    if not isinstance(response, dns.message.QueryMessage) or not query.is_response(response):
        return None
    return response


def _what_it_says(
    server: DnsServer,
    question: Question,
    response: dns.message.QueryMessage,
    rrset: dns.rrset.RRset | None,
) -> tuple[Outcome, tuple[Record, ...]]:
    """What a response means, and its records.

    Raises:
        NoAnswer: nothing that could be relied on.
    """
    if rrset is not None:
        return Outcome.FOUND, _records(question.record_type, rrset)
    if response.errors:
        if question.record_type is RecordType.TLSA:
            return Outcome.FOUND, (UNUSABLE,)  # RFC 7672 section 2.2: published, and none can be used
        raise NoAnswer(f"{server} sent an answer that is malformed: {response.errors[0].exception}")
    if response.rcode() == dns.rcode.NXDOMAIN:
        return Outcome.NO_NAME, ()
    if not _says_nothing(response):
        raise NoAnswer(f"{server} does not resolve for us, it only refers to other servers")
    return Outcome.NO_DATA, ()


def _host_name(name: dns.name.Name) -> str | None:
    """A name as we write it; empty for the root, None when it is no name of a host."""
    text = name.to_text(omit_final_dot=True).lower()
    if text in (".", ""):
        return ""
    return text if _NAME.fullmatch(text) else None


def _records(record_type: RecordType, rrset: dns.rrset.RRset) -> tuple[Record, ...]:
    """The records as plain values: exchangers the most preferred first, names that are none left out."""
    if record_type is RecordType.MX:
        exchangers = (
            MxRecord(each.preference, host)
            for each in rrset
            if isinstance(each, dns.rdtypes.ANY.MX.MX) and (host := _host_name(each.exchange)) is not None
        )
        return tuple(sorted(exchangers)[:RECORD_COUNT_MAX])
    records = (_record(each) for each in rrset)
    return tuple([record for record in records if record is not None][:RECORD_COUNT_MAX])


def _record(each: object) -> Record | None:
    match each:
        case dns.rdtypes.IN.A.A() | dns.rdtypes.IN.AAAA.AAAA():
            return str(each.address)
        case dns.rdtypes.ANY.TLSA.TLSA():
            return TlsaRecord(each.usage, each.selector, each.mtype, bytes(each.cert))
        case dns.rdtypes.ANY.TXT.TXT():
            return b"".join(each.strings).decode("utf-8", "replace")
    return None
