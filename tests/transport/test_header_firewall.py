"""Fields that a client may not hand on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.transport.header_firewall import strip_forbidden
from holdfast.transport.rights import NO_RIGHTS, Rights
from holdfast.wire.headers import HeaderBlock, read_header_block

ALL = Rights(*[True] * 8)
ROUTING = Rights(routing_headers=True)


def stripped(
    header: bytes, rights: Rights, body: bytes = b"\r\nX-Holdfast-Organization-A: body\r\n"
) -> bytes:
    block, data = strip_forbidden(HeaderBlock(header), header + body, rights)
    assert data.endswith(body)
    assert data.startswith(block.raw)
    return data[: len(data) - len(body)]


KEPT = (
    b"From: a@x\r\nX-Holdfast: Resent-To: received:\r\n X-Holdfast-Organization-A: folded\r\n"
    b"X-MS-Exchange-Foo: 1\r\n"
)
OURS = (
    b"x-holdfast-ORGANIZATION-scl: -1\r\n folded\r\n\tagain\r\n",
    b"X-MS-Exchange-Organization-AuthAs: Internal\r\n",
    b"X-MS-Exchange-Forest-Rules :1\r\n",
)
ROUTES = (
    b"Received: from x\r\n by y\r\n",
    b"RECEIVED : x\r\n",
    b"Resent-From: a@x\r\n",
    b"resent-whatever: x\r\n",
)


@pytest.mark.parametrize("field", OURS)
def test_fields_of_the_organisation_need_a_right(field: bytes) -> None:
    for header in (field + KEPT, KEPT + field, field + KEPT + field + field):
        assert stripped(header, ROUTING) == KEPT
        assert stripped(header, ALL) == header


@pytest.mark.parametrize("field", ROUTES)
def test_routing_fields_need_a_right(field: bytes) -> None:
    for header in (field + KEPT, KEPT + field, field + KEPT + field + field):
        assert stripped(header, NO_RIGHTS) == KEPT
        assert stripped(header, ROUTING) == header


def test_a_message_without_such_fields_is_not_copied() -> None:
    header = HeaderBlock(KEPT)
    data = KEPT + b"\r\nbody\r\n"
    assert strip_forbidden(header, data, NO_RIGHTS) == (header, data)
    assert strip_forbidden(header, data, NO_RIGHTS)[1] is data


def test_a_header_that_is_nothing_else_leaves_an_empty_line() -> None:
    assert strip_forbidden(HeaderBlock(OURS[0]), OURS[0], NO_RIGHTS)[1] == b"\r\n"
    assert strip_forbidden(HeaderBlock(OURS[0]), OURS[0] + b"\r\nx\r\n", NO_RIGHTS)[1] == b"\r\nx\r\n"


@given(st.lists(st.sampled_from([*OURS, *ROUTES, KEPT, b"a: b\r\n", b"c:\r\n d\r\n"])).map(b"".join))
def test_what_is_left_is_a_header_without_them(header: bytes) -> None:
    left = stripped(header, NO_RIGHTS)
    block = read_header_block(left + b"\r\n")
    assert block is not None
    assert block.received_count == 0
    assert not block.holds(b"\r\nx-holdfast-organization-")
    assert not block.holds(b"\r\nresent-")
