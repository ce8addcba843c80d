"""Names from real DNS servers: what Knot publishes, what Unbound makes of it, and where mail then goes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import uvloop

from holdfast.directory.model import Organisation
from holdfast.drivers.resolver import Resolver
from holdfast.kernel.iprange import parse_ip_range
from holdfast.transport.names import NameCache
from holdfast.transport.next_hop import HopFailure, HostList, Pending, find_hosts
from holdfast.transport.queue import DeliveryType, NextHopKey
from holdfast.transport.route import HopProfile
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType, TlsaRecord
from interop.dns_server import INSTALLED, Knot, Unbound

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not INSTALLED and not os.environ.get("HOLDFAST_PEERS_REQUIRED"),
        reason="Knot or Unbound is not installed",
    ),
]

HUNDRED = "\n".join(
    f"many MX {number} mx{number:03}.many\nmx{number:03}.many A 8.2.0.{number}" for number in range(100)
)
TLSA_DATA = "ab" * 32
PLAIN = f"""
@ MX 10 mx1
@ MX 20 mx2
@ MX 20 mx3
mx1 A 8.1.0.1
mx1 AAAA 2a00:1::1
mx2 A 8.1.0.2
mx3 AAAA 2a00:1::3
bare A 8.1.0.9
null MX 0 .
inside MX 10 loop
loop A 127.0.0.1
private MX 10 lan
lan A 10.1.2.3
alias CNAME target
target MX 5 mxalias
mxalias CNAME mx2
ring1 CNAME ring2
ring2 CNAME ring1
rings MX 10 ring1
dangling MX 10 nowhere
empty TXT "nothing for mail"
Upper MX 10 MX1
dotted MX 10 a\\.b
oxford.smarthost MX 10 mx1
oxford.smarthost MX 20 mx2
{HUNDRED}
"""
SIGNED = f"""
@ MX 10 mx
mx A 8.3.0.1
mx AAAA 2a00:3::1
_25._tcp.mx TLSA 3 1 1 {TLSA_DATA}
_25._tcp.mx TLSA 2 0 1 {TLSA_DATA}
mixed MX 10 mx1.plain.test.
"""
BOGUS = "@ MX 10 mx\nmx A 8.4.0.1"
# A trust anchor that belongs to no key: what a signature of an attacker looks like.
WRONG = "bogus.test. DS 1 13 2 " + "00" * 32


@pytest.fixture(scope="module")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    zones = {"plain.test": PLAIN, "signed.test": SIGNED, "bogus.test": BOGUS}
    server = Knot(tmp_path_factory.mktemp("knot"), zones, signed=("signed.test", "bogus.test"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory, knot: Knot) -> Iterator[Unbound]:
    anchors = {"signed.test": knot.trust_anchor("signed.test"), "bogus.test": WRONG}
    server = Unbound(tmp_path_factory.mktemp("unbound"), knot, anchors)
    yield server
    server.stop()


@pytest.fixture(params=["knot", "unbound"])
def server(request: pytest.FixtureRequest, knot: Knot, unbound: Unbound) -> Knot | Unbound:
    return knot if request.param == "knot" else unbound


class Asker:
    """A resolver that asks one server, with the cache and the search on top, as the node has them."""

    def __init__(
        self, *addresses: str, loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    ) -> None:
        self.organisation = Organisation(resolver_addresses=addresses)
        self._loop = loop

    def resolve(self, *questions: Question) -> list[Answer]:
        """Ask all at the same time; in the order of the questions."""

        async def run() -> list[Answer]:
            queue: asyncio.Queue[Answer] = asyncio.Queue()
            resolver = Resolver(queue.put_nowait, lambda event: None)
            resolver.follow(self.organisation)
            for question in questions:
                resolver.ask(question)
            answers = [await queue.get() for _ in questions]
            return sorted(answers, key=lambda answer: questions.index(answer.question))

        with asyncio.Runner(loop_factory=self._loop) as runner:
            return runner.run(run())

    def find(self, domain: str, **more: object) -> HostList | HopFailure:
        """Where mail for a domain goes."""
        profile = HopProfile(NextHopKey(DeliveryType.DNS, domain, "internet"), "mail.us.test")
        profile = replace(profile, **more)  # type: ignore[arg-type]  # fields of the profile
        names = NameCache()
        for _ in range(4):
            found = find_hosts(0, names, profile)
            if not isinstance(found, Pending):
                return found
            for answer in self.resolve(*names.take_questions()):
                names.resolved(0, answer)
        raise AssertionError("it asks for ever")


def shape(found: HostList | HopFailure) -> str:
    """Groups by ``|``, hosts by blanks; or the status."""
    if isinstance(found, HopFailure):
        return found.failure.status
    return " | ".join(
        " ".join(f"{host.name}={'+'.join(host.addresses)}" for host in group) for group in found.groups
    )


MX1 = "mx1.plain.test=2a00:1::1+8.1.0.1"
MX2, MX3 = "mx2.plain.test=8.1.0.2", "mx3.plain.test=2a00:1::3"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("plain.test", f"{MX1} | {MX2} {MX3}"),
        ("bare.plain.test", "bare.plain.test=8.1.0.9"),
        ("upper.plain.test", MX1),
        ("null.plain.test", "5.1.10"),
        ("nowhere.plain.test", "5.4.4"),
        ("empty.plain.test", "5.4.4"),
        ("dangling.plain.test", "5.4.4"),
        ("dotted.plain.test", "5.4.4"),
        ("inside.plain.test", "5.4.4"),
        ("private.plain.test", "5.4.4"),
        ("alias.plain.test", "mxalias.plain.test=8.1.0.2"),
        ("ring1.plain.test", "4.4.3"),
        ("rings.plain.test", "4.4.3"),
        ("elsewhere.org", "4.4.3"),
    ],
)
def test_where_mail_goes(server: Knot | Unbound, domain: str, expected: str) -> None:
    assert shape(Asker(server.resolver_address).find(domain)) == expected


def test_an_alias_is_followed_to_its_end(server: Knot | Unbound) -> None:
    found = Asker(server.resolver_address).find("alias.plain.test")
    assert isinstance(found, HostList)
    assert found.canonical_domain == "target.plain.test"
    assert found.groups[0][0].canonical_name == "mx2.plain.test"


def test_of_a_hundred_exchangers_the_best_twenty_are_used(server: Knot | Unbound) -> None:
    asker = Asker(server.resolver_address)
    (answer,) = asker.resolve(Question("many.plain.test", RecordType.MX))
    # Too much for one datagram: this came over TCP.
    assert len(answer.records) == 100
    assert answer.records[0] == MxRecord(0, "mx000.many.plain.test")
    found = asker.find("many.plain.test")
    assert isinstance(found, HostList)
    assert [group[0].addresses for group in found.groups] == [(f"8.2.0.{number}",) for number in range(20)]


def test_a_private_network_that_is_named_is_used(server: Knot | Unbound) -> None:
    found = Asker(server.resolver_address).find(
        "private.plain.test", private_ranges=(parse_ip_range("10.0.0.0/8"),)
    )
    assert shape(found) == "lan.plain.test=10.1.2.3"


def test_a_smart_host_with_fail_over(server: Knot | Unbound) -> None:
    asker = Asker(server.resolver_address)
    found = asker.find("", smart_hosts=("oxford.smarthost.plain.test",))
    assert shape(found) == f"{MX1} | {MX2}"
    found = asker.find("", smart_hosts=("oxford.smarthost.plain.test", "loop.plain.test", "[192.0.2.25]"))
    assert shape(found) == f"{MX1} loop.plain.test=127.0.0.1 192.0.2.25=192.0.2.25 | {MX2}"


def test_the_way_is_proven_where_it_is_signed(unbound: Unbound) -> None:
    asker = Asker(unbound.resolver_address)
    expected = {"signed.test": (True, True), "mixed.signed.test": (True, False), "plain.test": (False, False)}
    for domain, proven in expected.items():
        found = asker.find(domain)
        assert isinstance(found, HostList)
        host = found.groups[0][0]
        assert (host.name_validated, host.addresses_validated) == proven, domain
    for name, record_type, outcome in [
        ("_25._tcp.mx.signed.test", RecordType.TLSA, Outcome.FOUND),
        ("mx.signed.test", RecordType.TXT, Outcome.NO_DATA),
        ("nowhere.signed.test", RecordType.A, Outcome.NO_NAME),
    ]:
        (answer,) = asker.resolve(Question(name, record_type))
        assert answer.outcome is outcome
        assert answer.validated
        if outcome is Outcome.FOUND:
            data = bytes.fromhex(TLSA_DATA)
            assert set(answer.records) == {TlsaRecord(3, 1, 1, data), TlsaRecord(2, 0, 1, data)}


def test_without_a_resolver_that_validates_nothing_is_proven(knot: Knot) -> None:
    (answer,) = Asker(knot.resolver_address).resolve(Question("signed.test", RecordType.MX))
    assert answer.outcome is Outcome.FOUND
    assert not answer.validated


def test_a_zone_whose_signatures_are_false_takes_no_mail_for_now(unbound: Unbound) -> None:
    asker = Asker(unbound.resolver_address)
    assert shape(asker.find("bogus.test")) == "4.4.3"
    (answer,) = asker.resolve(Question("bogus.test", RecordType.MX))
    assert answer.outcome is Outcome.FAILED
    assert "SERVFAIL" in answer.reason


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_many_questions_at_the_same_time(knot: Knot, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    questions = [Question(f"mx{number:03}.many.plain.test", RecordType.A) for number in range(100)]
    questions += [Question(question.name, RecordType.AAAA) for question in questions]
    answers = Asker(knot.resolver_address, loop=loop).resolve(*questions)
    assert [answer.records for answer in answers[:100]] == [(f"8.2.0.{number}",) for number in range(100)]
    assert {answer.outcome for answer in answers[100:]} == {Outcome.NO_DATA}


def test_a_server_over_ipv6(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = Knot(tmp_path_factory.mktemp("knot6"), {"plain.test": PLAIN}, address="::1")
    try:
        assert shape(Asker(server.resolver_address).find("plain.test")) == f"{MX1} | {MX2} {MX3}"
    finally:
        server.stop()


def test_the_next_server_is_asked_when_one_is_gone_or_refuses(
    knot: Knot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gone = Knot(tmp_path_factory.mktemp("gone"), {"other.test": "@ A 8.8.8.8"})
    refusing = Asker(gone.resolver_address, knot.resolver_address)
    assert shape(refusing.find("bare.plain.test")) == "bare.plain.test=8.1.0.9"
    gone.stop()
    assert shape(refusing.find("bare.plain.test")) == "bare.plain.test=8.1.0.9"
    assert shape(Asker(gone.resolver_address).find("bare.plain.test")) == "4.4.3"


def test_a_zone_that_changes_is_seen(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = Knot(tmp_path_factory.mktemp("changes"), {"moving.test": "@ A 8.8.8.8"})
    try:
        asker = Asker(server.resolver_address)
        assert shape(asker.find("moving.test")) == "moving.test=8.8.8.8"
        server.set_zone("moving.test", "@ MX 10 new\nnew A 8.8.4.4")
        assert shape(asker.find("moving.test")) == "new.moving.test=8.8.4.4"
    finally:
        server.stop()
