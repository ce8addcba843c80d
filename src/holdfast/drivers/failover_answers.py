"""Does in the dhcp role what management asks of it about failover (``failover_requests``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from holdfast.dhcp.lease import address_text
from holdfast.drivers.failover_requests import (
    ASK_PARTNER,
    ORDER_FAILOVER,
    REREAD_SECRETS,
    SHOW_FAILOVER,
    FailoverOrder,
    FailoverState,
    FailoverStates,
    SharedScope,
    SharedTold,
)
from holdfast.drivers.role_requests import Nothing
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.node.dhcp import DhcpNode
from holdfast.node.failover import Command
from holdfast.node.failover_status import Status

IN_DOUBT_SHOWN_MAX = 20
REQUESTS = frozenset(each.name for each in (SHOW_FAILOVER, ORDER_FAILOVER, ASK_PARTNER, REREAD_SECRETS))


class FailoverAnswers:
    """Answers management."""

    def __init__(self, node: DhcpNode, drain: Callable[[], None], now: Callable[[], float]) -> None:
        """Answer for a node; see ``DhcpAnswers``."""
        self._node = node
        self._drain = drain
        self._now = now
        # Reads the relationships and their secrets again; set by the runner.
        self.reread: Callable[[], None] = lambda: None
        # Ask a partner for what it shares, and say whether it is the same; set by the runner likewise.
        self.fetch: Callable[[str], Awaitable[str]] = _nobody
        self.compared: Callable[[str], str] = lambda relationship: ""
        # In what a partner differs; set by the runner likewise.
        self.differences: Callable[[str], list[str]] = lambda relationship: []

    async def answer(self, verb: str, body: bytes) -> bytes:
        """Do one request of ``REQUESTS``.

        Raises:
            Refusal: it is not well formed, or makes no sense now.
            Unavailable: it could not be made durable, or the partner does not answer.
        """
        match verb:
            case SHOW_FAILOVER.name:
                return msgspec.msgpack.encode(FailoverStates(tuple(self.states())))
            case ORDER_FAILOVER.name:
                return msgspec.msgpack.encode(self._order(ORDER_FAILOVER.read(body)))
            case ASK_PARTNER.name:
                told = SharedTold(await self.fetch(ASK_PARTNER.read(body).relationship))
                return msgspec.msgpack.encode(told)
            case _:
                self.reread()
                self._drain()
                return msgspec.msgpack.encode(Nothing())

    def states(self) -> list[FailoverState]:
        """How every relationship is."""
        offset_s = self._node.failover.clock_offset_s
        return [
            _state(
                each,
                offset_s,
                self.compared(each.relationship),
                (*self.differences(each.relationship), *each.refused),
            )
            for each in self._node.failover.status(self._now())
        ]

    def _order(self, order: FailoverOrder) -> FailoverState:
        try:
            command = Command(order.command)
        except ValueError:
            known = ", ".join(each.value for each in Command)
            raise Refusal(f'"{order.command}" is none of {known}') from None
        if not self._node.durable:
            raise Unavailable("the state cannot be written now; nothing was done: see the log")
        self._node.failover.command(self._now(), order.relationship, command, force=order.force)
        self._drain()
        if not self._node.durable:
            raise Unavailable("the state could not be written: see the log")
        return next(each for each in self.states() if each.relationship == order.relationship)


async def _nobody(relationship: str) -> str:
    raise Unavailable("the partner cannot be asked here")


def _state(
    status: Status, offset_s: float, configuration: str, differences: tuple[str, ...]
) -> FailoverState:
    return FailoverState(
        relationship=status.relationship,
        primary=status.primary,
        state=status.state,
        since_at=status.since + offset_s,
        partner_state=status.partner_state,
        partner_since_at=status.partner_since + offset_s if status.partner_state else None,
        connected=status.connected,
        spoken_at=status.spoken_at + offset_s if status.spoken_at else None,
        clock_difference_s=status.clock_difference_s,
        untold_count=status.untold_count,
        oldest_untold_s=status.oldest_untold_s,
        serves=status.serves,
        waits_until_at=None if status.waits_until is None else status.waits_until + offset_s,
        scopes=tuple(SharedScope(*each) for each in status.free_counts),
        trouble=status.trouble,
        configuration=configuration,
        differences=differences,
        in_doubt=_in_words(status.in_doubt),
    )


def _in_words(addresses: tuple[int, ...]) -> tuple[str, ...]:
    shown = tuple(map(address_text, addresses[:IN_DOUBT_SHOWN_MAX]))
    more = len(addresses) - len(shown)
    return (*shown, f"and {more} more") if more else shown
