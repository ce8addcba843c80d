"""The mailbox role: who asked, who is told."""

from __future__ import annotations

import pytest

from holdfast.kernel.ids import ConnectionId, MailboxId
from holdfast.node import mailbox
from holdfast.node.mailbox import (
    Disconnect,
    MailboxLog,
    MailboxNode,
    MailboxOutput,
    Perform,
    Performed,
    SendFrame,
)
from holdfast.wire import store
from holdfast.wire.framing import FrameReader

A, B = ConnectionId(1), ConnectionId(2)
ALICE = MailboxId("alice")


def connected(*clients: ConnectionId) -> MailboxNode:
    node = MailboxNode()
    for client in clients:
        node.client_connected(client)
    return node


def take(node: MailboxNode) -> list[MailboxOutput]:
    outputs, node.outputs = node.outputs, []
    return outputs


def ask(
    node: MailboxNode, client: ConnectionId, number: int, operation: store.Operation
) -> list[MailboxOutput]:
    node.bytes_received(client, store.encode_frame(store.Request(number, operation)))
    return take(node)


def sent(output: MailboxOutput) -> tuple[ConnectionId, int, store.Answer]:
    assert isinstance(output, SendFrame)
    [body] = FrameReader().feed(output.frame)
    response = store.decode_response(body)
    return output.client_id, response.number, response.answer


@pytest.mark.parametrize(
    ("operation", "writes"),
    [
        (store.Deliver([]), True),
        (store.Expunge(ALICE, 1, None), True),
        (store.FetchMessages(ALICE, 1, [1], store.Part.ALL), False),
        (store.FetchSlice(ALICE, 1, 1, 0, 10), False),
        (store.ReadUsage([ALICE]), False),
        (store.FindMissing([]), False),
        (store.ReadChanges(ALICE, 1, 0, False), False),
        (store.ReadChanges(ALICE, 1, 0, True), True),
    ],
)
def test_what_changes_nothing_goes_to_a_reader(operation: store.Operation, writes: bool) -> None:
    assert ask(connected(A), A, 1, operation) == [Perform(A, 1, operation, writes)]


def test_the_first_use_of_a_mailbox_goes_to_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "KNOWN_MAILBOX_COUNT_MAX", 1)
    node = connected(A)

    def writes(number: int, operation: store.Operation) -> bool:
        [output] = ask(node, A, number, operation)
        assert isinstance(output, Perform)
        return output.writes

    assert writes(1, store.ListFolders(ALICE))
    assert not writes(2, store.ListFolders(ALICE))
    assert not writes(3, store.OpenFolder(ALICE, "INBOX", False))
    assert writes(4, store.OpenFolder(ALICE, "INBOX", True))
    assert writes(5, store.OpenFolder(MailboxId("bob"), "INBOX", False))
    assert writes(6, store.ListFolders(ALICE))


def test_answers_go_to_who_asked_and_changes_to_who_watches() -> None:
    node = connected(A, B)
    for client in (A, B):
        [output] = ask(node, client, 1, store.Watch(ALICE, 7, True))
        assert sent(output) == (client, 1, store.Done())
    ask(node, A, 2, store.Deliver([]))
    ask(node, A, 3, store.Deliver([]))
    assert not node.idle()
    node.performed(
        [Performed(A, 2, store.Done(), ((7, 4), (8, 1))), Performed(A, 3, store.Done(), ((7, 5),))]
    )
    assert node.idle()
    assert [sent(output) for output in take(node)] == [
        (A, 2, store.Done()),
        (A, 3, store.Done()),
        (A, 0, store.Changed(7, 5)),
        (B, 0, store.Changed(7, 5)),
    ]


def test_watches_end_when_unwanted_or_with_their_client() -> None:
    node = connected(A, B)
    ask(node, A, 1, store.Watch(ALICE, 7, True))
    ask(node, B, 1, store.Watch(ALICE, 7, True))
    ask(node, A, 2, store.Watch(ALICE, 7, False))
    ask(node, A, 3, store.Watch(ALICE, 7, False))
    ask(node, A, 4, store.Deliver([]))
    ask(node, B, 5, store.Deliver([]))
    node.client_lost(B)
    node.client_lost(B)
    node.performed([Performed(A, 4, store.Done(), ((7, 4),)), Performed(B, 5, store.Done(), ((7, 5),))])
    assert [sent(output) for output in take(node)] == [(A, 4, store.Done())]
    assert node.idle()


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x00"],
    ids=["too long", "not MessagePack", "empty"],
)
def test_a_client_that_does_not_speak_the_protocol_is_disconnected(data: bytes) -> None:
    node = connected(A)
    node.bytes_received(A, data)
    log, disconnect = take(node)
    assert isinstance(log, MailboxLog)
    assert log.event.kind.event_id == "MBX-0101"
    assert log.event.message()
    assert disconnect == Disconnect(A)
    node.bytes_received(A, data)
    assert take(node) == []
    node.client_lost(A)


def test_a_number_that_is_open_may_not_be_asked_again() -> None:
    node = connected(A)
    ask(node, A, 1, store.Deliver([]))
    assert isinstance(ask(node, A, 1, store.Deliver([]))[-1], Disconnect)
    node.performed([Performed(A, 1, store.Done(), ())])
    assert take(node) == []


@pytest.mark.parametrize("bound", ["OUTSTANDING_COUNT_MAX", "OUTSTANDING_BYTES_MAX"])
def test_what_one_client_has_open_is_bounded(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(mailbox, bound, 1)
    node = connected(A)
    ask(node, A, 1, store.Deliver([]))
    log, refused = ask(node, A, 2, store.Deliver([]))
    assert isinstance(log, MailboxLog)
    assert log.event.message()
    answer = sent(refused)[2]
    assert isinstance(answer, store.Refused)
    assert answer.reason is store.RefusalReason.UNAVAILABLE
    assert len(ask(node, A, 2, store.Deliver([]))) == 1  # said once
    node.performed([Performed(A, 1, store.Done(), ())])
    take(node)
    assert ask(node, A, 3, store.Deliver([])) == [Perform(A, 3, store.Deliver([]), True)]


def test_watches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "WATCH_COUNT_MAX", 1)
    node = connected(A)
    ask(node, A, 1, store.Watch(ALICE, 7, True))
    [refused] = ask(node, A, 2, store.Watch(ALICE, 8, True))
    assert isinstance(sent(refused)[2], store.Refused)
