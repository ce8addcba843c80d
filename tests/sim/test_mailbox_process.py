"""The mailbox process: what its driver does with a node's outputs."""

from __future__ import annotations

import pytest

from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.sim.mailbox_process import READ_UIDS_MAX
from holdfast.sim.network import Endpoint
from holdfast.sim.run import Simulation
from holdfast.sim.scenario import parse_scenario
from holdfast.sim.world import Violation
from holdfast.wire import store
from holdfast.wire.framing import FrameReader

BOX = MailboxId("mailbox-0")


class Client:
    """A client of the store protocol."""

    def __init__(self, made: Simulation) -> None:
        self.answers: list[store.Response] = []
        self.heard: list[str] = []
        self.reader = FrameReader()
        self.endpoint: Endpoint = made.network.connect("tester", made.mailbox.name, self)

    def opened(self) -> None:
        self.heard.append("opened")

    def received(self, data: bytes) -> None:
        self.answers += [store.decode_response(body) for body in self.reader.feed(data)]

    def ended(self) -> None:
        self.heard.append("ended")

    def lost(self) -> None:
        self.heard.append("lost")

    def ask(self, number: int, operation: store.Operation) -> None:
        self.endpoint.send(store.encode_frame(store.Request(number, operation)))


def simulation() -> Simulation:
    made = Simulation(1, parse_scenario("mine", ""))
    made.mailbox.start()
    return made


def run(made: Simulation, span_s: float = 10.0) -> None:
    until = made.world.now + span_s
    while made.world.step(until):
        pass


def delivery(number: int, data: bytes = b"Subject: x\r\n\r\nhello\r\n") -> store.Deliver:
    target = store.Target(BOX, b"Delivered-To: x\r\n", 1 << 40)
    return store.Deliver([store.Delivery(NetworkMessageId(f"id-{number}"), data, 0.0, [target])])


def test_writes_and_reads_are_answered() -> None:
    made = simulation()
    client = Client(made)
    run(made)
    client.ask(1, delivery(1))
    run(made)
    client.ask(2, store.ReadUsage([BOX]))
    run(made)
    assert client.answers[0] == store.Response(1, store.Delivered([[store.Outcome.DELIVERED]]))
    usage = client.answers[1].answer
    assert isinstance(usage, store.UsageRead)
    assert usage.message_count == [1]
    assert made.mailbox.at_rest()


def test_a_full_disk_refuses_and_keeps_nothing() -> None:
    made = simulation()
    client = Client(made)
    run(made)
    made.servers[0].store_disk.weather.full_until = made.world.now + 1
    client.ask(1, delivery(1))
    run(made)
    answer = client.answers[0].answer
    assert isinstance(answer, store.Refused)
    assert answer.reason is store.RefusalReason.UNAVAILABLE
    assert made.mailbox.read_inbox(BOX, 0) == ([], 0)


def test_nonsense_is_disconnected_and_logged() -> None:
    made = simulation()
    client = Client(made)
    run(made)
    client.endpoint.send(b"\x00\x00\x00\x01\xc1")
    run(made)
    assert client.heard == ["opened", "ended"]
    assert any("log MBX-" in line for line in made.world.last_lines)
    client.endpoint.send(b"more")
    client.endpoint.close()
    run(made)


def test_a_client_that_says_no_more_is_closed() -> None:
    made = simulation()
    client = Client(made)
    run(made)
    client.endpoint.end()
    run(made)
    assert client.heard == ["opened", "ended"]
    assert made.mailbox.clients == {}


def test_answers_for_a_client_that_is_gone_go_nowhere() -> None:
    made = simulation()
    client = Client(made)
    run(made)
    client.ask(1, delivery(1))
    while "store disk commit of 1" not in "".join(made.world.last_lines):
        made.world.step(made.world.now + 1)
    client.endpoint.abort()
    run(made)
    assert made.mailbox.read_inbox(BOX, 0)[1] == 1


def test_a_long_inbox_is_read_in_parts() -> None:
    made = simulation()
    client = Client(made)
    run(made)
    for number in range(READ_UIDS_MAX + 20):
        client.ask(number + 1, delivery(number))
    run(made)
    messages, count = made.mailbox.read_inbox(BOX, 0)
    assert len(messages) == count == READ_UIDS_MAX + 20
    assert [message.uid for message in made.mailbox.read_inbox(BOX, messages[-3].uid)[0]] == [
        message.uid for message in messages[-2:]
    ]


def test_an_inbox_of_great_messages_is_read_in_several_answers() -> None:
    made = simulation()
    client = Client(made)
    run(made)
    for number in range(6):
        client.ask(number + 1, delivery(number, b"Subject: x\r\n\r\n" + b"x" * (6 << 20)))
    run(made, 600.0)
    assert [len(message.data) > 6 << 20 for message in made.mailbox.read_inbox(BOX, 0)[0]] == [True] * 6


def test_an_inbox_that_lists_what_it_does_not_give_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = simulation()
    client = Client(made)
    run(made)
    client.ask(1, delivery(1))
    run(made)
    real = made.mailbox._ask

    def ask(operation: store.Operation) -> store.Answer:
        if isinstance(operation, store.FetchMessages):
            return store.Messages([], True)
        return real(operation)

    monkeypatch.setattr(made.mailbox, "_ask", ask)
    with pytest.raises(Violation, match="does not give them"):
        made.mailbox.read_inbox(BOX, 0)
