"""Which host of a next hop is tried when one takes the connection and is of no use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import SendConnector, SendTls
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Connect
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType
from node.next_hops import ORGANISATION, Hop, Talk, World, data_of, queued

FIRST, SECOND = "203.1.113.9", "203.1.113.10"
BY_DNS = replace(ORGANISATION, send_connectors=(SendConnector("out", ("*",)),))
CLOSING = b"421 4.3.2 shutting down\r\n"


def names_of_two_hosts() -> dict[Question, Answer]:
    mx = Question("other.test", RecordType.MX)
    exchangers = (MxRecord(10, "a.other.test"), MxRecord(20, "b.other.test"))
    names = {mx: Answer(mx, Outcome.FOUND, exchangers, mx.name, ttl_s=86_400.0)}
    for host, address in (("a", FIRST), ("b", SECOND)):
        question = Question(f"{host}.other.test", RecordType.A)
        names[question] = Answer(question, Outcome.FOUND, (address,), question.name, ttl_s=86_400.0)
    return names


class Closing(Hop):
    """Says 421 in place of an answer, and behind that one also in the same segment."""

    def __init__(self, verb: str, *, with_answer: bool = False) -> None:
        super().__init__()
        self.verb = verb
        self.with_answer = with_answer

    def command(self, talk: Talk, line: str) -> bytes:
        answer = super().command(talk, line)
        if line.startswith(self.verb):
            return (answer if self.with_answer else b"") + CLOSING
        return answer


class Places:
    """A world with two exchangers, and where connections went."""

    def __init__(self, first: Hop, *recipients: str) -> None:
        self.hops = {FIRST: first, SECOND: Hop()}
        self.tries: list[str] = []
        self.world = World(*(queued(at, each) for at, each in enumerate(recipients, 1)), organisation=BY_DNS)
        self.world.names = names_of_two_hosts()
        self.world.make_hop = self.make

    def make(self, connect: Connect) -> Hop:
        self.tries.append(connect.address)
        return self.hops[connect.address]


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_a_host_that_ends_the_conversation_is_passed_over_at_once(verb: str) -> None:
    places = Places(Closing(verb), "bob@other.test")
    places.world.settle()
    assert places.tries == [FIRST, SECOND]
    assert places.hops[SECOND].taken == [data_of(1)]
    assert not places.world.disk
    assert places.world.event_ids() == ["LOAD", "SEND"]


def test_a_host_that_ends_what_it_has_just_begun_is_not_called_again_and_again() -> None:
    places = Places(Closing("EHLO", with_answer=True), "bob@other.test")
    places.world.settle()
    assert places.tries == [FIRST, SECOND]
    assert not places.world.disk


def test_where_no_other_host_is_left_the_queue_waits_and_its_mail_is_returned_in_time() -> None:
    places = Places(Closing("EHLO", with_answer=True), "bob@other.test")
    places.hops[SECOND] = places.hops[FIRST]
    world = places.world
    world.settle()
    assert sorted(places.tries) == [SECOND, FIRST]
    assert world.event_ids() == ["LOAD", "DEFER"]
    world.wait(3600.0)
    assert len(places.tries) <= 2 * 14  # by the schedule of a queue
    world.wait(2 * 86400.0)
    assert "FAIL" in world.event_ids()


@pytest.mark.parametrize(("level", "taken"), [(SendTls.OPPORTUNISTIC, 1), (SendTls.ENCRYPTED, 0)])
def test_a_host_that_breaks_at_starttls_gets_in_the_clear_what_may_go_so(level: SendTls, taken: int) -> None:
    class Breaking(Hop):
        def command(self, talk: Talk, line: str) -> bytes:
            if line.startswith("EHLO"):
                return b"250-hop.test\r\n250 STARTTLS\r\n"
            if line == "STARTTLS":
                number = next(each for each, known in world.hops.items() if known is talk)
                world.do(world.node.connection_ended, ConnectionId(number))
                return b""
            return super().command(talk, line)

    connector = SendConnector("out", ("*",), ("192.0.2.9",), tls=level)
    world = World(
        queued(1, "bob@other.test"), organisation=replace(ORGANISATION, send_connectors=(connector,))
    )
    hop = Breaking()
    world.make_hop = lambda _: hop
    world.settle()
    assert len(hop.taken) == taken
    assert len(world.disk) == 1 - taken


def test_a_connection_that_was_idle_may_be_ended() -> None:
    places = Places(Hop(), "bob@other.test")
    world = places.world
    world.settle()
    assert not world.disk
    world.do(world.node.bytes_received, ConnectionId(-1), CLOSING)
    world.settle()
    assert "TRN-0330" not in world.log
    assert world.node.outbound_connection_count == 0


def test_what_may_be_delivered_is_not_sent_to_the_next_host_at_once() -> None:
    class Lost(Hop):
        def heard_all(self) -> None:
            places.world.do(places.world.node.connection_ended, ConnectionId(-1))

    places = Places(Lost(), "bob@other.test")
    places.world.settle()
    assert places.tries == [FIRST]
    assert places.hops[SECOND].taken == []
    assert places.world.node.doubtful_message_count == 1


def test_a_message_that_no_host_survives_waits_and_the_others_go() -> None:
    class Fragile(Hop):
        def command(self, talk: Talk, line: str) -> bytes:
            return CLOSING if "poison@" in line else super().command(talk, line)

    places = Places(Fragile(), "poison@other.test", "bob@other.test", "carol@other.test")
    places.hops[SECOND] = Fragile()
    world = places.world
    world.settle()
    world.wait(200.0)
    assert list(world.disk) == [1]
    assert world.ledger()[0] == 0
