"""Requests of management: what is not understood is refused, on both sides."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.model import Organisation
from holdfast.drivers import transport_requests
from holdfast.drivers.role_requests import Nothing
from holdfast.drivers.transport_requests import (
    HOLD,
    LIST_QUEUES,
    RELEASE,
    REMOVE,
    SHOW_MESSAGE,
    QueueStates,
    Remove,
    TransportRequests,
)
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.node.administration import QueueTarget
from holdfast.node.ports import CommitQueue
from holdfast.node.transport import TransportNode
from holdfast.transport.queue import FinishRecipients, HoldQueue, QueuedMessage, QueueWrite, RecoveredQueue
from holdfast.transport.queue_operations import Done


def made() -> TransportRequests:
    """A node with an empty queue whose driver does nothing."""
    node = TransportNode(Organisation(), "", RecoveredQueue((), 1, {}), random.Random(1))
    return TransportRequests(node, node.outputs.clear)


def ask_role(role: str, verb: str, body: bytes) -> bytes:
    assert role == "transport"
    return asyncio.run(made().answer(verb, body))


def test_an_answer_is_read_back_as_its_type() -> None:
    assert LIST_QUEUES.ask(ask_role, Nothing()) == QueueStates(())


def test_what_the_role_refuses_is_a_refusal_of_the_verb() -> None:
    with pytest.raises(Refusal, match='there is no queue "dns:x"'):
        HOLD.ask(ask_role, QueueTarget("dns:x"))


def test_requests_of_another_version_are_refused_in_words() -> None:
    with pytest.raises(Refusal, match=r"does not know the request .queue\.paint"):
        ask_role("transport", "queue.paint", b"")
    with pytest.raises(Refusal, match=r"not a request .message\.show"):
        ask_role("transport", SHOW_MESSAGE.name, msgspec.msgpack.encode({"name": 5}))
    with pytest.raises(Refusal, match="runs another version: restart"):
        LIST_QUEUES.ask(lambda *_: msgspec.msgpack.encode({"rows": 1}), Nothing())


@given(
    st.sampled_from([LIST_QUEUES.name, SHOW_MESSAGE.name, HOLD.name, REMOVE.name]),
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=5)), st.lists, max_leaves=5
        ).map(msgspec.msgpack.encode),
    ),
)
@settings(max_examples=100)
def test_any_bytes_are_answered_or_refused(verb: str, body: bytes) -> None:
    with suppress(Refusal):
        assert ask_role("transport", verb, body)


class Disk:
    """A transport node, and whether what it wants written down is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, recovered: RecoveredQueue) -> None:
        monkeypatch.setattr(transport_requests, "DURABLE_TIMEOUT_S", 0.02)
        organisation = demonstration_organisation(
            server_name="demo",
            fqdn="demo.example.test",
            alice=MailboxId("a" * 32),
            bob=MailboxId("b" * 32),
            ports=DemonstrationPorts(),
        )
        self.node = TransportNode(organisation, "demo", recovered, random.Random(1))
        self.commits: list[list[QueueWrite]] = []
        self.works = False
        self._requests = TransportRequests(self.node, self.drain)

    def drain(self) -> None:
        outputs, self.node.outputs = self.node.outputs, []
        for output in outputs:
            if isinstance(output, CommitQueue):
                self.commits.append(output.writes)
                if self.works:
                    self.node.queue_committed(0.0, output.writes)

    def ask(self, role: str, verb: str, body: bytes) -> bytes:
        assert role == "transport"
        return asyncio.run(self._requests.answer(verb, body))


def test_what_is_held_is_durable_before_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, RecoveredQueue((), 1, {}))
    disk.node.store_connected(0.0, "DB01")
    with pytest.raises(Unavailable, match="not yet written down"):
        HOLD.ask(disk.ask, QueueTarget("mailbox:DB01"))
    assert disk.commits == [[HoldQueue("mailbox:DB01", held=True)]]
    disk.works = True
    assert RELEASE.ask(disk.ask, QueueTarget("mailbox:DB01")) == Done(0)


def test_what_is_removed_is_durable_before_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, RecoveredQueue((queued(1), queued(2)), 3, {}))
    disk.works = True
    disk.node.started(0.0)
    disk.drain()
    disk.works = False
    disk.commits.clear()
    with pytest.raises(Unavailable, match="not yet written down"):
        REMOVE.ask(disk.ask, Remove(QueueTarget(numbers=(1,)), with_bounce=False))
    (writes,) = disk.commits
    assert [type(each) for each in writes] == [FinishRecipients]
    disk.works = True
    disk.node.queue_committed(0.0, writes)
    assert REMOVE.ask(disk.ask, Remove(QueueTarget(numbers=(2,)), with_bounce=False)) == Done(1)
    assert disk.node.queued_message_count == 0


def queued(number: int) -> QueuedMessage:
    """A message for somebody elsewhere."""
    return QueuedMessage(
        number=number,
        network_message_id=NetworkMessageId(f"00000000-0000-4000-8000-{number:012d}"),
        received_at=0.0,
        reverse_path="alice@example.test",
        recipients=("a@example.org",),
        size_bytes=9,
        data=None,
        message_id="<m>",
        subject="s",
        fingerprint=b"",
    )
