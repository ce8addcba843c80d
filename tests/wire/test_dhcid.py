"""The record by which a client's name is known to be its own."""

from __future__ import annotations

import base64

import pytest

from holdfast.wire.dhcid import DHCID_BYTES, make_dhcid

DUID = bytes.fromhex("00010006412df166010203040506")
MAC = bytes.fromhex("01010203040506")


@pytest.mark.parametrize(
    ("hardware", "client_id", "name", "data"),
    [  # RFC 4701 section 3.6
        (MAC, b"\xff\0\0\0\1" + DUID, "chi6.example.com", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="),
        (
            MAC,
            bytes.fromhex("010708090a0b0c"),
            "chi.example.com",
            "AAEBOSD+XR3Os/0LozeXVqcNc7FwCfQdWL3b/NaiUDlW2No=",
        ),
        (MAC, b"", "client.example.com", "AAABxLmlskllE0MVjd57zHcWmEH3pCQ6VytcKD//7es/deY="),
    ],
)
def test_examples_of_the_standard(hardware: bytes, client_id: bytes, name: str, data: str) -> None:
    made = make_dhcid(hardware, client_id, name)
    assert (base64.b64encode(made).decode(), len(made)) == (data, DHCID_BYTES)


def test_another_name_or_another_client_is_another_record() -> None:
    made = {make_dhcid(MAC, one, name) for one in (b"", b"\0a", b"\0b") for name in ("a.test", "b.test")}
    assert len(made) == 6
