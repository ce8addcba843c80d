"""A lease as a row, and as people read it."""

from __future__ import annotations

from holdfast.dhcp.lease import ACTIVE, Lease, address_text, hardware_text


def test_who_the_client_is() -> None:
    lease = Lease(1, ACTIVE, 0, b"\x01\x02\0\0\0\0\x01", b"", 0, 0, 0, 0)
    assert lease.key == b"\x01\x02\0\0\0\0\x01"
    assert lease._replace(client_id=b"\xff\1\2").key == b"\xff\1\2"


def test_texts() -> None:
    assert address_text(0x0A000001) == "10.0.0.1"
    assert hardware_text(b"\x01\x02\0\0\0\0\x01") == "02:00:00:00:00:01"
    assert hardware_text(b"\x20\xab\xcd") == "32/ab:cd"
    assert hardware_text(b"") == ""
