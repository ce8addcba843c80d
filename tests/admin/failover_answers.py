"""A dhcp role for the tests of the failover verbs: it has one relationship and takes orders."""

from __future__ import annotations

import msgspec

from holdfast.drivers.failover_requests import (
    ORDER_FAILOVER,
    REREAD_SECRETS,
    SHOW_FAILOVER,
    FailoverOrder,
    FailoverState,
    FailoverStates,
    SharedScope,
)
from holdfast.drivers.role_requests import Nothing
from holdfast.kernel.errors import Refusal


def state(**changes: object) -> FailoverState:
    """The relationship "pair" as the primary sees it; ``changes`` are fields of it."""
    usual: dict[str, object] = {
        "relationship": "pair",
        "primary": True,
        "state": "NORMAL",
        "since_at": 1000.0,
        "partner_state": "NORMAL",
        "partner_since_at": 1001.0,
        "connected": True,
        "spoken_at": 2000.0,
        "clock_difference_s": 0.5,
        "untold_count": 3,
        "oldest_untold_s": 1.5,
        "serves": "its share of new clients, and everybody who renews",
        "waits_until_at": None,
        "scopes": (SharedScope("office", 50, 51, 50),),
        "trouble": "",
    }
    return FailoverState(**(usual | changes))  # type: ignore[arg-type]  # as drawn


class PairRole:
    """Answers as the role would, by the rules of ``drivers.failover_requests``."""

    def __init__(self, now: FailoverState, after: FailoverState | None = None) -> None:
        self.now = now
        self.after = after
        self.ordered: list[FailoverOrder] = []
        self.reread_count = 0

    def __call__(self, verb: str, body: bytes) -> bytes:
        if verb == SHOW_FAILOVER.name:
            return msgspec.msgpack.encode(FailoverStates((self.now,)))
        if verb == ORDER_FAILOVER.name:
            self.ordered.append(ORDER_FAILOVER.read(body))
            return msgspec.msgpack.encode(self.after or self.now)
        if verb == REREAD_SECRETS.name:
            self.reread_count += 1
            return msgspec.msgpack.encode(Nothing())
        raise Refusal(f"no request {verb}")
