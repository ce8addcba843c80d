"""What partners say: every reject reason has words, and a blank binding says nothing."""

from __future__ import annotations

from holdfast.wire import failover_messages
from holdfast.wire.failover_messages import OTHER_REASON, REASON_TEXTS, Answer, Binding, ConnectAnswer


def test_every_reason_of_the_draft_has_words() -> None:
    assert set(REASON_TEXTS) == {*range(1, 22), OTHER_REASON}
    assert len(set(REASON_TEXTS.values())) == len(REASON_TEXTS)
    assert REASON_TEXTS[failover_messages.NO_TRAFFIC] == "nothing was heard for too long"


def test_what_is_not_said_is_none() -> None:
    assert Binding(1, 2)[2:8] == (None,) * 6
    assert Answer(1).reason == 0
    assert ConnectAnswer(b"office", 10, 8, b"", 1, None).reason == 0
