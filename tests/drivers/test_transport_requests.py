"""Requests of management: what is not understood is refused, on both sides."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import DistributionGroup, Mailbox, Organisation
from holdfast.drivers.transport_requests import (
    HOLD,
    LIST_QUEUES,
    REMOVE,
    SHOW_MESSAGE,
    Nothing,
    QueueStates,
    TransportRequests,
)
from holdfast.kernel.errors import Refusal
from holdfast.node.administration import Administration, QueueTarget
from holdfast.transport.delivery import Delivery
from holdfast.transport.queue import Failure, NextHopKey, Queue, RecoveredQueue
from holdfast.transport.route import HopProfile, Unreachable
from holdfast.transport.tracking import TrackingWriter


class Routes:
    """Nothing leads anywhere."""

    def route(
        self, recipient: str, size_bytes: int, redirect: str = ""
    ) -> Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable:
        return Unreachable("no connector")

    def profile(self, key: NextHopKey) -> HopProfile | None:
        return None


def made() -> TransportRequests:
    queue = Queue(RecoveredQueue((), 1, {}))
    tracking = TrackingWriter("s", with_subject=True)
    delivery = Delivery(queue, Organisation(), Routes(), tracking, random.Random(1))
    return TransportRequests(Administration(queue, delivery, tracking), lambda: None)


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
