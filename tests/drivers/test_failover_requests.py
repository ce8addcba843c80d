"""What management asks about failover travels and reaches the dhcp role."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.drivers.failover_requests import (
    ASK_PARTNER,
    ORDER_FAILOVER,
    REREAD_SECRETS,
    SHOW_FAILOVER,
    FailoverOrder,
    FailoverState,
    FailoverStates,
    SharedQuestion,
    SharedScope,
    SharedTold,
)
from holdfast.drivers.role_requests import Nothing

STATE = FailoverState(
    "pair", True, "NORMAL", 1.0, "", None, False, None, None, 0, 0.0, "everybody", None,
    (SharedScope("office", 50, 50, 50),), "nobody listens there",
)  # fmt: skip
CASES = [
    (SHOW_FAILOVER, Nothing(), FailoverStates((STATE,))),
    (ORDER_FAILOVER, FailoverOrder("pair", "partner-down", force=True), STATE),
    (ASK_PARTNER, SharedQuestion("pair"), SharedTold("[[scope]]")),
    (REREAD_SECRETS, Nothing(), Nothing()),
]


@pytest.mark.parametrize(("kind", "question", "answer"), CASES)
def test_question_and_answer_travel(kind, question, answer) -> None:  # type: ignore[no-untyped-def] # of several kinds
    def ask_role(role: str, name: str, body: bytes) -> bytes:
        assert (role, name) == ("dhcp", kind.name)
        assert kind.read(body) == question
        return msgspec.msgpack.encode(answer)

    assert kind.ask(ask_role, question) == answer
