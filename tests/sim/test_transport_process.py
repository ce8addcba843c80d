"""The transport process: what its driver does with a node's outputs."""

from __future__ import annotations

import pytest

from holdfast.kernel.events import LogEvent, Severity, declare, happened
from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.node.ports import (
    CallStore,
    CheckPassword,
    Close,
    Log,
    PauseReading,
    ResumeReading,
    Send,
    StartTls,
)
from holdfast.node.transport import TransportNode
from holdfast.sim.network import Endpoint, Receiver
from holdfast.sim.organisation import server_address
from holdfast.sim.run import Simulation
from holdfast.sim.scenario import parse_scenario
from holdfast.sim.transport_process import PLACE
from holdfast.sim.world import Violation
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire import store

BROKEN = declare("TST-9001", Severity.BROKEN, "a planted bug", "This event exists in tests only.")


def simulation() -> Simulation:
    made = Simulation(1, parse_scenario("mine", "[rates]\nletter_count = 1\nsender_count = 1"))
    made.transport.start()
    return made


def run(made: Simulation, span_s: float = 10.0) -> None:
    until = made.world.now + span_s
    while made.world.step(until):
        pass


def test_a_question_without_a_store_is_answered_as_unavailable() -> None:
    made = simulation()
    answers: list[tuple[int, store.Answer]] = []
    made.transport.node.store_answered = (  # type: ignore[method-assign]  # on this one node
        lambda now, number, answer: answers.append((number, answer))
    )
    for database in ("db1", "no such database"):
        made.transport.node.outputs.append(CallStore(database, 7, store.ReadUsage([])))
    made.transport.after_input()
    run(made)
    assert [number for number, _ in answers] == [7, 7]
    assert all(isinstance(answer, store.Refused) for _, answer in answers)


def test_outputs_for_a_connection_that_is_gone_are_nothing() -> None:
    made = simulation()
    gone = ConnectionId(99)
    made.transport.node.outputs += [Send(gone, b"x"), Close(gone), PauseReading(gone), ResumeReading(gone)]
    made.transport.after_input()


def test_passwords_are_checked_and_wrong() -> None:
    made = simulation()
    checked: list[MailboxId | None] = []
    made.transport.node.password_checked = (  # type: ignore[method-assign]  # on this one node
        lambda now, connection_id, mailbox_id: checked.append(mailbox_id)
    )
    made.transport.node.outputs.append(CheckPassword(ConnectionId(1), "user0@example.test", "guess"))
    made.transport.after_input()
    run(made)
    assert checked == [None]


def test_a_node_that_calls_itself_broken_is_found() -> None:
    made = simulation()
    made.transport.node.outputs.append(Log(happened(BROKEN)))
    with pytest.raises(Violation, match="calls itself broken: a planted bug"):
        made.transport.after_input()


class Listener:
    """A client that says nothing, at a place."""

    def __init__(self, made: Simulation, place: str) -> None:
        self.heard: list[str] = []
        self.endpoint = made.network.connect(place, PLACE, self)

    def opened(self) -> None:
        self.heard.append("opened")

    def received(self, data: bytes) -> None:
        self.heard.append("bytes")

    def ended(self) -> None:
        self.heard.append("ended")

    def lost(self) -> None:
        self.heard.append("lost")


def test_tls_with_a_stranger_is_found_and_with_nobody_is_nothing() -> None:
    made = simulation()
    Listener(made, "198.51.100.77")
    run(made, 1.0)
    made.transport.node.outputs.append(StartTls(ConnectionId(99)))
    made.transport.after_input()
    made.transport.node.outputs.append(StartTls(ConnectionId(1)))
    with pytest.raises(Violation, match="begins TLS"):
        made.transport.after_input()


def test_a_server_of_ours_is_shown_by_its_certificate() -> None:
    made = Simulation(1, parse_scenario("mine", "[rates]\nserver_count = 2\nsender_count = 1"))
    made.transport.start()
    client = Listener(made, server_address(1))
    run(made, 1.0)
    told: list[TlsFacts | None] = []
    made.transport.node.tls_started = (  # type: ignore[method-assign]  # on this one node
        lambda now, connection_id, facts=None: told.append(facts)
    )
    made.transport.node.outputs.append(StartTls(ConnectionId(1)))
    made.transport.after_input()
    run(made, 1.0)
    assert told == []
    client.endpoint.start_tls(lambda: client.heard.append("tls"))
    run(made, 1.0)
    assert [facts.peer_names for facts in told if facts is not None] == [("hub2.example.test",)]
    assert "tls" in client.heard


def test_a_stopping_transport_takes_no_connection() -> None:
    made = simulation()
    made.transport.stopping = True
    made.network.listen(PLACE, made.transport._accept)
    heard: list[str] = []

    class Client:
        def opened(self) -> None:
            heard.append("opened")

        def received(self, data: bytes) -> None:
            raise AssertionError

        def ended(self) -> None:
            raise AssertionError

        def lost(self) -> None:
            heard.append("lost")

    made.network.connect("198.51.100.1", PLACE, Client())
    run(made, 1.0)
    assert heard == ["lost"]


def test_a_store_that_speaks_nonsense_is_found() -> None:
    made = simulation()

    class Nonsense:
        def opened(self) -> None:
            raise AssertionError

        def received(self, data: bytes) -> None:
            pass

        def ended(self) -> None:
            pass

        def lost(self) -> None:
            pass

    def accept(endpoint: Endpoint) -> Receiver:
        endpoint.send(b"\x00\x00\x00\x01\xc1")
        return Nonsense()

    made.network.listen("mailbox db1", accept)
    with pytest.raises(Violation, match="does not speak the store protocol"):
        run(made)


def test_the_node_is_the_real_one() -> None:
    assert type(simulation().transport.node) is TransportNode
    assert isinstance(happened(BROKEN), LogEvent)
