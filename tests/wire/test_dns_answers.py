"""The words for DNS compare and sort as the rooms that use them expect."""

from __future__ import annotations

from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType


def test_the_preferred_exchanger_sorts_first() -> None:
    records = [MxRecord(20, "a.example.org"), MxRecord(10, "b.example.org"), MxRecord(10, "a.example.org")]
    assert sorted(records) == [records[2], records[1], records[0]]


def test_an_equal_question_is_the_same_question() -> None:
    asked = {Question("example.org", RecordType.MX): 1}
    assert asked[Question("example.org", RecordType("MX"))] == 1
    assert Question("example.org", RecordType.A) not in asked


def test_what_is_not_said_is_not_proven() -> None:
    answer = Answer(Question("example.org", RecordType.MX), Outcome.FAILED)
    assert (answer.records, answer.validated, answer.ttl_s, answer.reason) == ((), False, 0.0, "")
