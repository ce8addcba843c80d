"""The record of a relationship."""

from __future__ import annotations

from holdfast.dhcp.failover_record import VERSION, Record


def test_a_new_record_has_never_heard_the_partner() -> None:
    record = Record("office", VERSION, 6, 1000, 6)
    assert (record.partner_state, record.spoken_at, record.connect_time) == (0, 0, 0)
