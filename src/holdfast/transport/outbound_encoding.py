"""Encode large messages for next hops without 8BITMIME step by step, so that other mail goes on meanwhile.

One message is under way, the others wait: so no more than one is there twice
while nothing of it can be sent yet. A message that has been encoded goes to its
connection, unless that has ended; then the message waits as it was.

Source: RFC 6152 section 3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

from holdfast.kernel.errors import Refusal
from holdfast.transport.outbound import Outbound
from holdfast.transport.outbound_envelope import steps_for_seven_bits
from holdfast.transport.outbound_queue import OutboundConnection
from holdfast.transport.outbound_words import Transaction, TransactionDone, refused_by_us

_Steps = Generator[None, None, Transaction]


class Encodings:
    """The large messages of one server that are to be encoded."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._waiting: deque[tuple[OutboundConnection, Transaction, _Steps]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, connection: OutboundConnection, transaction: Transaction) -> None:
        """Encode a message for a connection, which is given nothing else until that is done."""
        connection.encoding = True
        self._waiting.append((connection, transaction, steps_for_seven_bits(transaction)))

    def step(self) -> tuple[OutboundConnection, Transaction | TransactionDone] | None:
        """Do one step; returns a message that is ready to be sent, or the refusal of one that cannot be."""
        while self._waiting:
            connection, transaction, steps = self._waiting[0]
            if not self._outbound.at_work(connection, transaction.number):
                self._waiting.popleft()
                continue
            try:
                next(steps)
            except StopIteration as end:
                made: Transaction | TransactionDone = end.value
            except Refusal as refusal:
                made = refused_by_us(transaction, refusal)
            else:
                return None
            self._waiting.popleft()
            connection.encoding = False
            return connection, made
        return None
