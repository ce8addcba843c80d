"""Asking DNS servers that behave, that are silent, that talk nonsense, and that are not there.

What real servers and resolvers answer is in tests/interop/test_dns.py.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.scripted_dns import GOOD, MX, SOA, Says, Server, resolve, resolve_one, response, says, silent
from holdfast.directory.model import Organisation
from holdfast.drivers.resolver import UNUSABLE, DnsServer, Resolver, parse_server, servers_of_machine
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, Record, RecordType, TlsaRecord

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_an_answer(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    server = Server(GOOD)
    answer = resolve_one(server, loop=loop)
    exchangers = (MxRecord(10, "a.example.test"), MxRecord(20, "b.example.test"))
    assert answer == Answer(MX, Outcome.FOUND, exchangers, "example.test", False, 300.0)
    query = server.asked[0]
    # A server on loopback is believed, so DNSSEC is asked for.
    assert query.edns == 0
    assert query.ednsflags & dns.flags.DO
    assert query.flags & dns.flags.AD
    assert query.flags & dns.flags.RD


OK = "example.test. 60 MX 7 ok.test."
NOTHING = Answer(MX, Outcome.NO_DATA, (), "example.test", False, 300.0)


def name(text: str, record_type: RecordType = RecordType.A) -> Question:
    return Question(text, record_type)


@pytest.mark.parametrize(
    ("question", "say", "expected"),
    [
        (
            name("a.test"),
            says("a.test. 60 A 192.0.2.1", "a.test. 60 A 192.0.2.2"),
            Answer(name("a.test"), Outcome.FOUND, ("192.0.2.1", "192.0.2.2"), "a.test", False, 60.0),
        ),
        (
            name("a.test", RecordType.AAAA),
            says("a.test. 60 AAAA 2001:DB8::1"),
            Answer(name("a.test", RecordType.AAAA), Outcome.FOUND, ("2001:db8::1",), "a.test", False, 60.0),
        ),
        (
            name("_25._tcp.a.test", RecordType.TLSA),
            says(f"_25._tcp.a.test. 60 TLSA 3 1 1 {'0f' * 32}"),
            Answer(
                name("_25._tcp.a.test", RecordType.TLSA),
                Outcome.FOUND,
                (TlsaRecord(3, 1, 1, b"\x0f" * 32),),
                "_25._tcp.a.test",
                False,
                60.0,
            ),
        ),
        (
            name("_mta-sts.a.test", RecordType.TXT),
            says('_mta-sts.a.test. 60 TXT "v=STSv1; " "id=1;\\255"'),
            Answer(
                name("_mta-sts.a.test", RecordType.TXT),
                Outcome.FOUND,
                ("v=STSv1; id=1;\ufffd",),
                "_mta-sts.a.test",
                False,
                60.0,
            ),
        ),
        (
            MX,
            says("example.test. 60 MX 0 ."),
            Answer(MX, Outcome.FOUND, (MxRecord(0, ""),), "example.test", False, 60.0),
        ),
        (
            MX,
            says("example.test. 60 MX 0 a\\032b.test.", "example.test. 60 MX 5 a\\.b.test.", OK),
            Answer(MX, Outcome.FOUND, (MxRecord(7, "ok.test"),), "example.test", False, 60.0),
        ),
        (MX, says(SOA), Answer(MX, Outcome.NO_DATA, (), "example.test", False, 77.0)),
        (MX, says(), NOTHING),
        (MX, says(SOA, rcode=3), Answer(MX, Outcome.NO_NAME, (), "example.test", False, 77.0)),
        (
            MX,
            says("example.test. 30 CNAME b.test.", "b.test. 300 MX 1 c.test."),
            Answer(MX, Outcome.FOUND, (MxRecord(1, "c.test"),), "b.test", False, 30.0),
        ),
        (
            MX,
            says("example.test. 30 CNAME b.test.", SOA.replace("example.test. 900", "b.test. 900"), rcode=3),
            Answer(MX, Outcome.NO_NAME, (), "b.test", False, 30.0),
        ),
        (
            MX,
            says("example.test. 30 CNAME x\\032y.test."),
            Answer(MX, Outcome.NO_DATA, (), "example.test", False, 30.0),
        ),
        # The records of another name are none of an answer.
        (MX, says("evil.test. 60 MX 1 evil.test."), NOTHING),
    ],
)  # fmt: skip
def test_answers_as_plain_values(question: Question, say: Says, expected: Answer) -> None:
    assert resolve_one(Server(say), question=question) == expected


@pytest.mark.parametrize(
    ("text", "record_type", "outcome", "records"),
    [
        ("localhost", RecordType.A, Outcome.FOUND, ("127.0.0.1",)),
        ("localhost", RecordType.AAAA, Outcome.FOUND, ("::1",)),
        ("mail.localhost", RecordType.MX, Outcome.NO_DATA, ()),
        ("", RecordType.MX, Outcome.NO_NAME, ()),
        ("a..b", RecordType.A, Outcome.NO_NAME, ()),
        ("a b", RecordType.A, Outcome.NO_NAME, ()),
        ("a.test.", RecordType.A, Outcome.NO_NAME, ()),
        ("A.test", RecordType.A, Outcome.NO_NAME, ()),
        ("ü.test", RecordType.A, Outcome.NO_NAME, ()),
        ("x" * 64, RecordType.A, Outcome.NO_NAME, ()),
        ("x." * 127 + "x", RecordType.A, Outcome.NO_NAME, ()),
    ],
)
def test_names_that_nobody_is_asked_for(
    text: str, record_type: RecordType, outcome: Outcome, records: tuple[str, ...]
) -> None:
    server = Server(silent)
    answer = resolve_one(server, question=Question(text, record_type))
    assert (answer.outcome, answer.records) == (outcome, records)
    assert server.asked == []


def test_the_longest_name_is_asked_for() -> None:
    longest = "x." * 126 + "x"
    assert resolve_one(Server(says(rcode=3)), question=name(longest)).outcome is Outcome.NO_NAME


def test_a_hundred_exchangers_are_read_and_no_more() -> None:
    records = [f"example.test. 60 MX {200 - number} mx{number}.test." for number in range(150)]
    server = Server(lambda query: [response(query, flags=dns.flags.TC).to_wire()], says(*records))
    answer = resolve_one(server)
    assert [record.preference for record in answer.records if isinstance(record, MxRecord)] == [
        *range(51, 151)
    ]
    assert server.asked_by_tcp == 1


def test_what_is_cut_short_is_asked_for_over_tcp() -> None:
    short = Server(lambda query: [response(query, flags=dns.flags.TC).to_wire()], GOOD)
    assert resolve_one(short).outcome is Outcome.FOUND
    assert short.asked_by_tcp == 1


@pytest.mark.parametrize(
    "by_tcp",
    [
        None,
        silent,
        lambda query: [b"garbage"],
        lambda query: [dns.message.make_response(dns.message.make_query("evil.test", "MX")).to_wire()],
    ],
)
def test_a_server_whose_tcp_is_of_no_use_is_passed_over(by_tcp: Says | None) -> None:
    short = Server(lambda query: [response(query, flags=dns.flags.TC).to_wire()], by_tcp)
    assert resolve_one(short, Server(GOOD), total_s=2.0).outcome is Outcome.FOUND
    assert resolve_one(short, total_s=0.2).outcome is Outcome.FAILED


def false_answers(query: dns.message.Message) -> list[bytes]:
    """Garbage, another id, another question, then the answer."""
    other_id = response(query, "example.test. 60 MX 1 evil.test.")
    other_id.id ^= 1
    other_question = response(
        dns.message.make_query("evil.test", "MX", id=query.id), "evil.test. 60 MX 1 evil.test."
    )
    no_response = dns.message.make_query("example.test", "MX", id=query.id)
    wires = [other_id.to_wire(), other_question.to_wire(), no_response.to_wire()]
    return [b"", b"garbage", b"\xff" * 600, *wires, *GOOD(query)]


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_what_is_no_answer_to_the_question_is_as_if_it_had_not_come(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    answer = resolve_one(Server(false_answers), loop=loop)
    assert MxRecord(10, "a.example.test") in answer.records


def test_only_nonsense_is_no_answer() -> None:
    server = Server(lambda query: [b"garbage"])
    answer = resolve_one(server, total_s=0.2)
    assert answer.outcome is Outcome.FAILED
    assert f"127.0.0.1:{server.port}" in answer.reason
    assert answer.ttl_s == 30.0


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (says(rcode=2), "says SERVFAIL"),
        (says(rcode=5), "says REFUSED"),
        (says(rcode=1), "says FORMERR"),
    ],
)
def test_the_next_server_is_asked_when_one_refuses(say: Says, reason: str) -> None:
    refusing = Server(say)
    assert resolve_one(refusing, Server(GOOD)).outcome is Outcome.FOUND
    failed = resolve_one(refusing)
    assert failed.outcome is Outcome.FAILED
    assert failed.reason == f"127.0.0.1:{refusing.port} {reason}"


def test_a_server_says_why_it_fails() -> None:
    def bogus(query: dns.message.Message) -> list[bytes]:
        answer = response(query, rcode=2)
        answer.use_edns(0, options=[dns.edns.EDEOption(6, "signature expired")])
        return [answer.to_wire()]

    answer = resolve_one(Server(bogus))
    assert "SERVFAIL (" in answer.reason
    assert "signature expired" in answer.reason


def test_a_server_without_edns_is_asked_without() -> None:
    def old(query: dns.message.Message) -> list[bytes]:
        return says(rcode=1)(query) if query.edns >= 0 else GOOD(query)

    server = Server(old)
    assert resolve_one(server).outcome is Outcome.FOUND
    assert [query.edns for query in server.asked] == [0, -1]


def malformed(record_type: str, *good: str) -> Says:
    """An answer with a record that is cut short, and good ones."""

    def say(query: dns.message.Message) -> list[bytes]:
        answer = response(query, *good)
        asked = query.question[0].name
        answer.answer.append(dns.rrset.from_text(asked, 60, "IN", "TYPE65280", "\\# 6 03010105aabb"))
        number = dns.rdatatype.from_text(record_type)
        return [answer.to_wire().replace((65280).to_bytes(2, "big"), number.to_bytes(2, "big"))]

    return say


@pytest.mark.parametrize(
    ("question", "good", "outcome", "records"),
    [
        (MX, (OK,), Outcome.FOUND, (MxRecord(7, "ok.test"),)),
        (MX, (), Outcome.FAILED, ()),
        (name("example.test"), (), Outcome.FAILED, ()),
        (Question("example.test", RecordType.TLSA), (), Outcome.FOUND, (UNUSABLE,)),
    ],
)
def test_records_that_are_malformed_are_left_out(
    question: Question, good: tuple[str, ...], outcome: Outcome, records: tuple[Record, ...]
) -> None:
    answer = resolve_one(Server(malformed(question.record_type.value, *good)), question=question)
    assert (answer.outcome, answer.records) == (outcome, records)
    assert ("malformed" in answer.reason) == (outcome is Outcome.FAILED)


def test_a_server_that_only_refers_is_no_resolver() -> None:
    def refer(query: dns.message.Message) -> list[bytes]:
        answer = response(query)
        answer.flags &= ~dns.flags.RA
        return [answer.to_wire()]

    answer = resolve_one(Server(refer))
    assert answer.outcome is Outcome.FAILED
    assert "only refers" in answer.reason


def alias(query: dns.message.Message) -> list[bytes]:
    """Follows no CNAME."""
    asked = query.question[0].name.to_text()
    number = int(asked.split(".")[0][1:])
    if number == 3:
        return says(f"{asked} 60 A 192.0.2.1", flags=dns.flags.AD)(query)
    flags = 0 if number == 9 else dns.flags.AD
    return says(f"{asked} 60 CNAME n{(number + 1) % 20}.test.", flags=flags)(query)


def test_aliases_that_a_server_leaves_to_us_are_followed() -> None:
    answer = resolve_one(Server(alias), question=name("n0.test"))
    assert answer == Answer(name("n0.test"), Outcome.FOUND, ("192.0.2.1",), "n3.test", True, 60.0)


@pytest.mark.parametrize(
    "say",
    [
        alias,
        says("n4.test. 60 CNAME n5.test.", "n5.test. 60 CNAME n4.test."),
        says(*(f"n{number}.test. 60 CNAME n{number + 1}.test." for number in range(4, 40))),
    ],
)
def test_aliases_without_an_end_fail(say: Says) -> None:
    answer = resolve_one(Server(say), question=name("n4.test"))
    assert answer.outcome is Outcome.FAILED
    assert answer.reason


@pytest.mark.parametrize(
    ("server", "flags", "validated"),
    [
        (DnsServer("127.0.0.1", trusted=True), dns.flags.AD, True),
        (DnsServer("127.0.0.1", trusted=True), 0, False),
    ],
)
def test_what_a_resolver_on_this_machine_says_of_dnssec_counts(
    server: DnsServer, flags: int, validated: bool
) -> None:
    assert server.trusted
    assert resolve_one(Server(says("example.test. 60 MX 1 a.test.", flags=flags))).validated is validated
    assert resolve_one(Server(says(SOA, flags=flags, rcode=3))).validated is validated


@pytest.mark.parametrize(
    ("text", "validates", "expected"),
    [
        ("192.0.2.53", False, DnsServer("192.0.2.53", 53, False)),
        ("192.0.2.53", True, DnsServer("192.0.2.53", 53, True)),
        ("192.0.2.53:5353", False, DnsServer("192.0.2.53", 5353, False)),
        ("127.0.0.53", False, DnsServer("127.0.0.53", 53, True)),
        ("2001:db8::53", False, DnsServer("2001:db8::53", 53, False)),
        ("[2001:db8::53]:5353", True, DnsServer("2001:db8::53", 5353, True)),
        ("::1", False, DnsServer("::1", 53, True)),
        ("fe80::1%eth0", False, DnsServer("fe80::1%eth0", 53, False)),
        ("dns.example", False, None),
        ("192.0.2.53:0", False, None),
        ("", False, None),
    ],
)
def test_reading_a_server(text: str, validates: bool, expected: DnsServer | None) -> None:
    assert parse_server(text, validates=validates) == expected


def test_a_server_in_words() -> None:
    for text in ("192.0.2.1", "192.0.2.1:54", "[::1]:54"):
        assert str(parse_server(text, validates=False)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# none\n", ["127.0.0.1"]),
        ("", ["127.0.0.1"]),
        ("nameserver 192.0.2.1\nnameserver ::1 # here\nsearch a\nnameserver\n", ["192.0.2.1", "[::1]"]),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver nonsense", ["192.0.2.1"]),
        ("".join(f"nameserver 192.0.2.{n}\n" for n in range(50)), [f"192.0.2.{n}" for n in range(8)]),
    ],
)  # fmt: skip
def test_the_servers_of_the_machine(text: str, expected: list[str]) -> None:
    assert [str(server) for server in servers_of_machine(text, validates=False)] == expected


@given(st.text(max_size=300))
def test_any_resolv_conf_names_a_server(text: str) -> None:
    assert servers_of_machine(f"{text}\nnameserver {text}\n", validates=False)


@contextmanager
def running(resolver: Callable[[], Resolver]) -> Iterator[tuple[asyncio.Runner, Resolver]]:
    with asyncio.Runner() as runner:

        async def make() -> Resolver:
            return resolver()

        yield runner, runner.run(make())


def test_the_servers_of_the_machine_are_looked_at_again(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    with running(lambda: Resolver(lambda answer: None, lambda event: None, resolv_conf=file)) as (
        runner,
        resolver,
    ):

        async def servers() -> list[str]:
            return [str(each) for each in resolver.servers()]

        assert runner.run(servers()) == ["127.0.0.1"]
        file.write_text("nameserver 192.0.2.1\n", encoding="utf-8")
        assert runner.run(servers()) == ["127.0.0.1"]  # a look every few seconds is enough
        resolver.follow(Organisation())
        assert runner.run(servers()) == ["192.0.2.1"]
        resolver.follow(Organisation(resolver_addresses=("192.0.2.9", "nonsense")))
        assert runner.run(servers()) == ["192.0.2.9"]


def test_nobody_is_told_after_the_end() -> None:
    async def run() -> list[Answer]:
        answers: list[Answer] = []
        resolver = Resolver(answers.append, lambda event: None)
        resolver.ask(MX)
        resolver.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return answers

    assert asyncio.run(run()) == []


def closed_port() -> Server:
    """A server that is not there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server(silent)
        server.port = probe.getsockname()[1]
        return server


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_a_server_that_is_not_there_costs_no_time(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    gone = closed_port()
    answers: list[Answer] = []
    logs: list[str] = []

    async def run() -> None:
        done = asyncio.Event()

        def answered(answer: Answer) -> None:
            answers.append(answer)
            done.set()

        resolver = Resolver(answered, lambda event: logs.append(event.message()))
        resolver.follow(Organisation(resolver_addresses=(f"127.0.0.1:{gone.port}",)))
        for _ in range(2):
            done.clear()
            resolver.ask(MX)
            await done.wait()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())
    assert [answer.outcome for answer in answers] == [Outcome.FAILED] * 2
    assert "refused" in answers[0].reason
    assert len(logs) == 1  # once, not with each question
    assert str(gone.port) in logs[0]


def test_silence_and_its_end_are_told_once() -> None:
    asked = 0

    def recovers(query: dns.message.Message) -> list[bytes]:
        nonlocal asked
        asked += 1
        # Cut short, and nobody at its port for TCP: that is known at once, as silence is not.
        return GOOD(query) if asked > 7 else [response(query, flags=dns.flags.TC).to_wire()]

    result = resolve(Server(recovers), questions=(MX,) * 4)
    outcomes = [answer.outcome for answer in result.answers]
    assert outcomes == [Outcome.FAILED, Outcome.FAILED, Outcome.FOUND, Outcome.FOUND]
    assert result.logs == ["DRV-0370", "DRV-0371"]


def test_a_refusal_is_a_sign_of_life() -> None:
    asked = 0

    def recovers(query: dns.message.Message) -> list[bytes]:
        nonlocal asked
        asked += 1
        return says(rcode=2)(query) if asked > 3 else [response(query, flags=dns.flags.TC).to_wire()]

    result = resolve(Server(recovers), questions=(MX,) * 3)
    assert [answer.outcome for answer in result.answers] == [Outcome.FAILED] * 3
    assert result.logs == ["DRV-0370", "DRV-0371"]


def test_the_server_that_answered_is_asked_first() -> None:
    refusing, good = Server(says(rcode=5)), Server(GOOD)
    asked = resolve(refusing, good, questions=(MX, MX, MX))
    assert [answer.outcome for answer in asked.answers] == [Outcome.FOUND] * 3
    assert (len(refusing.asked), len(good.asked)) == (1, 3)
    assert asked.logs == []


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=60))
def test_whatever_a_server_sends_there_is_an_answer(head: bytes, tail: bytes) -> None:
    def say(query: dns.message.Message) -> list[bytes]:
        # Bytes that begin as the answer would, so that they are read and not passed over.
        wire = GOOD(query)[0]
        cut = len(head) % len(wire)
        return [wire[:cut] + head + tail, wire[:12] + head, wire]

    assert resolve_one(Server(say), total_s=0.5).question == MX
