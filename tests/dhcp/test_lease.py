"""A lease as a row, and as people read it."""

from __future__ import annotations

from holdfast.dhcp.lease import (
    ACTIVE,
    RESERVED,
    UNTOLD,
    Lease,
    address_text,
    as_acknowledged,
    flagged,
    hardware_text,
    promised,
)


def test_who_the_client_is() -> None:
    lease = Lease(1, ACTIVE, 0, b"\x01\x02\0\0\0\0\x01", b"", 0, 0, 0, 0)
    assert lease.key == b"\x01\x02\0\0\0\0\x01"
    assert lease._replace(client_id=b"\xff\1\2").key == b"\xff\1\2"


def test_a_lease_that_differs_in_one_thing() -> None:
    lease = Lease(1, ACTIVE, UNTOLD | RESERVED, b"\x01a", b"b", 2, 3, 4, 5, b"c", b"d", b"e", 6, 7, 8)
    assert flagged(lease, 0) == lease._replace(flags=0)
    assert promised(lease, 9) == lease._replace(potential_sent=9)
    assert as_acknowledged(lease, 9) == lease._replace(flags=RESERVED, potential_acked=9)
    assert isinstance(flagged(lease, 0), Lease)


def test_texts() -> None:
    assert address_text(0x0A000001) == "10.0.0.1"
    assert hardware_text(b"\x01\x02\0\0\0\0\x01") == "02:00:00:00:00:01"
    assert hardware_text(b"\x20\xab\xcd") == "32/ab:cd"
    assert hardware_text(b"") == ""
