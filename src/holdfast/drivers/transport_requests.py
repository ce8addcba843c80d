"""The requests that management makes of the transport role, typed on both sides.

Each is a ``RequestKind`` (``drivers.role_requests``). ``TransportRequests`` does
them in the transport process; a verb of the catalogue asks with ``RequestKind.ask``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from holdfast.drivers import clock
from holdfast.drivers.role_requests import Nothing, RequestKind
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.node.administration import QueueTarget, ShownQueue
from holdfast.node.hop_description import HopDescription
from holdfast.node.resubmission import ResubmissionState
from holdfast.node.shadow_report import ProtectionState
from holdfast.transport.back_pressure import Pressure, ResourceState
from holdfast.transport.queue import DeliveryType, Entry, HoldQueue, MarkMessage, NextHopKey
from holdfast.transport.queue_operations import Done
from holdfast.transport.queue_report import QueueState, WaitingMessage

if TYPE_CHECKING:
    from holdfast.node.transport import TransportNode  # management asks without having a node

DURABLE_TIMEOUT_S = 10.0
DURABLE_POLL_S = 0.01
FOLLOW_S = 1.0
FOLLOW_POLL_S = 0.05
HOP_TIMEOUT_S = 15.0  # a resolver that does not answer is given up before
HOP_POLL_S = 0.02


class Hop(msgspec.Struct, frozen=True):
    """A queue to a next hop, by the parts of its key; ``wait_s`` is for DNS and policies."""

    delivery_type: DeliveryType
    domain: str
    connector: str
    wait_s: float = HOP_TIMEOUT_S


class HopAnswer(msgspec.Struct, frozen=True):
    """Where its mail would go now; None when nothing leads there."""

    hop: HopDescription | None


class Name(msgspec.Struct, frozen=True):
    """A message by number or network message id."""

    name: str


class Names(msgspec.Struct, frozen=True):
    """Messages by number or network message id."""

    names: tuple[str, ...]


class Numbers(msgspec.Struct, frozen=True):
    """Messages by number."""

    numbers: tuple[int, ...]


class QueueStates(msgspec.Struct, frozen=True):
    """One row per queue."""

    states: tuple[QueueState, ...]


class Remove(msgspec.Struct, frozen=True):
    """Give up messages."""

    target: QueueTarget
    with_bounce: bool


class Redirect(msgspec.Struct, frozen=True):
    """Send messages to another host."""

    target: QueueTarget
    host: str


class PressureState(msgspec.Struct, frozen=True):
    """Back pressure as it is; spans of each resource's level in seconds."""

    pressure: Pressure
    resources: tuple[ResourceState, ...]
    level_spans_s: tuple[float, ...]


class TakenOver(msgspec.Struct, frozen=True):
    """How many messages of a server that was declared lost are delivered from here."""

    message_count: int


class Span(msgspec.Struct, frozen=True):
    """What got into the Safety Net in a span, by the wall clock, for a mailbox database."""

    database: str
    since: float
    until: float


class Resubmissions(msgspec.Struct, frozen=True):
    """The latest resubmissions from the Safety Net."""

    states: tuple[ResubmissionState, ...]


LIST_QUEUES = RequestKind("queue.list", Nothing, QueueStates)
SHOW_QUEUE = RequestKind("queue.show", QueueTarget, ShownQueue)
SHOW_MESSAGE = RequestKind("message.show", Name, WaitingMessage)
FIND_MESSAGES = RequestKind("message.find", Names, Numbers)
HOLD = RequestKind("queue.hold", QueueTarget, Done)
RELEASE = RequestKind("queue.release", QueueTarget, Done)
RETRY = RequestKind("queue.retry", QueueTarget, Done)
REMOVE = RequestKind("queue.remove", Remove, Done)
REDIRECT = RequestKind("queue.redirect", Redirect, Done)
DESCRIBE_HOP = RequestKind("hop.describe", Hop, HopAnswer)
SHOW_PRESSURE = RequestKind("pressure.show", Nothing, PressureState)
SHOW_PROTECTION = RequestKind("protection.show", Nothing, ProtectionState)
DECLARE_LOST = RequestKind("server.declare_lost", Name, TakenOver)
LIST_RESUBMISSIONS = RequestKind("safety_net.list", Nothing, Resubmissions)
RESUBMIT = RequestKind("safety_net.resubmit", Span, ResubmissionState)
FOLLOW_RESUBMISSION = RequestKind("safety_net.follow", ResubmissionState, ResubmissionState)


class TransportRequests:
    """Does the requests in the transport process."""

    def __init__(self, node: TransportNode, drain: Callable[[], None]) -> None:
        """Serve requests.

        Args:
            node: what decides.
            drain: does what the node wants done.
        """
        self._node = node
        self._drain = drain
        asked = self._administration = node.administration
        self._kinds: dict[str, Callable[[float, bytes], object]] = {
            LIST_QUEUES.name: lambda now, _: QueueStates(tuple(asked.queue_states(now))),
            SHOW_QUEUE.name: lambda now, body: asked.show_queue(now, SHOW_QUEUE.read(body)),
            SHOW_MESSAGE.name: lambda now, body: asked.show_message(now, SHOW_MESSAGE.read(body).name),
            FIND_MESSAGES.name: lambda _, body: Numbers(asked.numbers(FIND_MESSAGES.read(body).names)),
            HOLD.name: lambda now, body: asked.hold(now, HOLD.read(body)),
            RELEASE.name: lambda now, body: asked.release(now, RELEASE.read(body)),
            RETRY.name: lambda now, body: asked.retry(now, RETRY.read(body)),
            REMOVE.name: self._remove,
            REDIRECT.name: self._redirect,
            SHOW_PRESSURE.name: self._show_pressure,
            SHOW_PROTECTION.name: lambda now, _: node.shadow_report.state(now),
            LIST_RESUBMISSIONS.name: lambda *_: Resubmissions(node.shadow_report.resubmissions()),
            RESUBMIT.name: self._resubmit,
        }

    async def answer(self, verb: str, body: bytes) -> bytes:
        """Do one request.

        Raises:
            Refusal: it is not known, not well formed, or what is asked is wrong.
            Unavailable: it is done, but could not be written down.
        """
        if verb == DESCRIBE_HOP.name:
            return msgspec.msgpack.encode(await self._describe_hop(DESCRIBE_HOP.read(body)))
        if verb == DECLARE_LOST.name:
            return msgspec.msgpack.encode(await self._declare_lost(DECLARE_LOST.read(body).name))
        if verb == FOLLOW_RESUBMISSION.name:
            return msgspec.msgpack.encode(await self._follow_resubmission(FOLLOW_RESUBMISSION.read(body)))
        perform = self._kinds.get(verb)
        if perform is None:
            raise Refusal(f'the transport role does not know the request "{verb}"; it runs another version')
        answer = perform(clock.steady(), body)
        writes = self._node.administered(clock.steady())
        removed = self._administration.take_removed()
        self._drain()
        await self._until_durable(writes, removed)
        return msgspec.msgpack.encode(answer)

    async def _describe_hop(self, asked: Hop) -> HopAnswer:
        """Describe a next hop; waits for DNS and policies, and says what did not come in time."""
        key = NextHopKey(asked.delivery_type, asked.domain, asked.connector)
        give_up_at = clock.steady() + asked.wait_s
        while True:
            hop = self._administration.describe_hop(clock.steady(), key)
            self._node.administered(clock.steady())  # have it ask for what is not known
            self._drain()
            if hop is None or not hop.pending or clock.steady() >= give_up_at:
                return HopAnswer(hop)
            await asyncio.sleep(HOP_POLL_S)

    async def _declare_lost(self, name: str) -> TakenOver:
        """Take over from a server; returns when its first messages are ours whatever happens to us now."""
        report = self._node.shadow_report
        before = report.taken_over_count
        count = report.declare_lost(clock.steady(), name)
        self._node.administered(clock.steady())
        self._drain()
        for _ in range(int(DURABLE_TIMEOUT_S / DURABLE_POLL_S)):
            if not count or report.taken_over_count > before:
                return TakenOver(count)
            await asyncio.sleep(DURABLE_POLL_S)
        raise _not_written()

    def _resubmit(self, now: float, body: bytes) -> ResubmissionState:
        asked = RESUBMIT.read(body)
        number = self._node.shadow_report.resubmit(now, asked.database, asked.since, asked.until)
        return self._resubmission(number)

    def _resubmission(self, number: int) -> ResubmissionState:
        found = next(
            (each for each in self._node.shadow_report.resubmissions() if each.number == number), None
        )
        if found is None:
            raise Refusal(f"resubmission {number} is not known (any more); see: holdfast safety-net show")
        return found

    async def _follow_resubmission(self, known: ResubmissionState) -> ResubmissionState:
        """How far a resubmission is; waits a little for something to be new."""
        for _ in range(int(FOLLOW_S / FOLLOW_POLL_S)):
            state = self._resubmission(known.number)
            if state != known:
                return state
            await asyncio.sleep(FOLLOW_POLL_S)
        return known

    async def _until_durable(self, writes: list[MarkMessage | HoldQueue], removed: list[Entry]) -> None:
        """Wait until a crash would change nothing of what was done.

        It also keeps an administrator who removes a long queue in steps from having so much wait for the disk
        that senders wait, too (back pressure).
        """
        for _ in range(int(DURABLE_TIMEOUT_S / DURABLE_POLL_S)):
            removed = [each for each in removed if each.outcomes or each.writing is not None]
            if not removed and self._node.is_written_down(writes):
                return
            await asyncio.sleep(DURABLE_POLL_S)
        raise _not_written()

    def _remove(self, now: float, body: bytes) -> Done:
        asked = REMOVE.read(body)
        return self._administration.remove(now, asked.target, with_bounce=asked.with_bounce)

    def _redirect(self, now: float, body: bytes) -> Done:
        asked = REDIRECT.read(body)
        return self._administration.redirect(now, asked.target, asked.host)

    def _show_pressure(self, now: float, _: bytes) -> PressureState:
        states = self._administration.resource_states()
        return PressureState(
            self._administration.pressure,
            states,
            tuple(now - each.since if each.value is not None else 0.0 for each in states),
        )


def _not_written() -> Unavailable:
    return Unavailable(
        "it is done, but not yet written down: the queue database takes no writes now; see the log"
    )
