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
from holdfast.sim.run import Simulation
from holdfast.sim.scenario import parse_scenario
from holdfast.sim.world import Violation
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


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (StartTls(ConnectionId(1)), "begins TLS"),
        (Log(happened(BROKEN)), "calls itself broken: a planted bug"),
    ],
)
def test_what_a_node_must_never_want(output: StartTls | Log, words: str) -> None:
    made = simulation()
    made.transport.node.outputs.append(output)
    with pytest.raises(Violation, match=words):
        made.transport.after_input()


def test_a_stopping_transport_takes_no_connection() -> None:
    made = simulation()
    made.transport.stopping = True
    made.network.listen("transport", made.transport._accept)
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

    made.network.connect("198.51.100.1", "transport", Client())
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
