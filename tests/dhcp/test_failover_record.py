"""The record of a relationship."""

from __future__ import annotations

from holdfast.dhcp.failover_record import VERSION, Record, read_spans, write_spans


def test_a_new_record_has_never_heard_the_partner() -> None:
    record = Record("office", VERSION, 6, 1000, 6)
    assert (record.partner_state, record.spoken_at, record.connect_time) == (0, 0, 0)


def test_spans_are_read_as_they_were_written() -> None:
    spans = [(0xC0000200, 0xC00002FF), (0, 9)]
    assert read_spans(write_spans(spans)) == [(0, 9), (0xC0000200, 0xC00002FF)]
    assert read_spans(write_spans([])) == []
