"""What management asks of the dhcp role travels and reaches it; an answer of another version is said."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.drivers.dhcp_requests import (
    COUNT_SCOPES,
    LIST_LEASES,
    REMOVE_LEASES,
    SHOW_POOL,
    AllScopeCounts,
    LeaseQuestion,
    Leases,
    LeasesRemoved,
    LeaseState,
    PoolQuestion,
    PoolRun,
    PoolState,
    RemoveLeases,
    ScopeCounts,
)
from holdfast.drivers.role_requests import Nothing
from holdfast.kernel.errors import Refusal

LEASE = LeaseState("192.0.2.7", "office", "active", "00:1a:2b:3c:4d:5e", "", "desk", 1.0, None, 2.0)
CASES = [
    (LIST_LEASES, LeaseQuestion(scopes=("office",), count_max=2), Leases((LEASE,), more=False)),
    (SHOW_POOL, PoolQuestion("office"), PoolState((PoolRun(1, 2, "active"),))),
    (COUNT_SCOPES, Nothing(), AllScopeCounts((ScopeCounts("office", 1, 0, 0, 9),))),
    (REMOVE_LEASES, RemoveLeases(("192.0.2.7",)), LeasesRemoved(("192.0.2.7",), ())),
]


@pytest.mark.parametrize(("kind", "question", "answer"), CASES)
def test_question_and_answer_travel(kind, question, answer) -> None:  # type: ignore[no-untyped-def] # of four kinds
    def ask_role(role: str, name: str, body: bytes) -> bytes:
        assert (role, name) == ("dhcp", kind.name)
        assert kind.read(body) == question
        return msgspec.msgpack.encode(answer)

    assert kind.ask(ask_role, question) == answer


def test_answer_of_another_version_is_refused() -> None:
    with pytest.raises(Refusal, match="the dhcp role answers in a way that management does not know"):
        SHOW_POOL.ask(lambda role, name, body: b"\xc0", PoolQuestion("office"))
