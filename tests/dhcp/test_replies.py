"""Answers as bytes: the quick way and the long way say the same."""

from __future__ import annotations

import pytest

from dhcp.conversations import Client, World, option, organisation, packed, scope
from holdfast.dhcp.replies import size_max
from holdfast.wire.dhcp4 import BOOTP_BYTES, read_message

LONG = organisation(
    scope(
        options=(
            option(3, "10.0.0.254"), option(15, "d" * 200), option(43, "ab" * 200), option(17, "r" * 200),
            option(121, *(f"10.{at}.0.0/16 10.0.0.254" for at in range(60))),
        )
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("told", "limit"),
    [
        (None, 548),
        (b"\x02\x40", 548),
        (b"\x00\x10", 548),
        (b"\x04\x00", 996),
        (b"\xff\xff", 1472),
        (b"\x05", 548),
    ],
)
def test_how_long_an_answer_may_be(told: bytes | None, limit: int) -> None:
    assert size_max(Client(1).discover({} if told is None else {57: told})) == limit


@pytest.mark.parametrize("told", [b"\x02\x40", b"\x03\x20", b"\x05\xdc"])
def test_a_long_answer_is_cut_to_what_its_client_takes(told: bytes) -> None:
    asked = Client(1, giaddr="10.0.0.3").discover(
        {57: told, 55: b"\x03\x79\x0f\x2b\x11", 82: b"\x01\x04port", 61: b"\0id"}
    )
    (offer,) = World(LONG).say(asked)
    assert BOOTP_BYTES <= len(offer.reply.data) <= size_max(asked)
    options = offer.message.options
    # What makes it an offer is never left out, nor what the relay wants back.
    assert {53, 54, 51, 61, 82, 1, 3} <= options.keys()
    assert list(read_message(offer.reply.data).options)[-1] == 82 or options[82] == b"\x01\x04port"
    if told == b"\x05\xdc":
        assert {121, 15, 43, 17} <= options.keys()
        assert len(options[121]) == 60 * 7


def test_fields_that_hold_options_and_fields_that_hold_names() -> None:
    asked = Client(1).discover({57: b"\x02\x40", 55: b"\x03\x0f\x2b\x11"})
    (offer,) = World(LONG).say(asked)
    assert offer.message.options.keys() >= {3, 15}
    with_file = organisation(scope(boot_file="boot", options=LONG.scopes[0].options))
    (offer,) = World(with_file).say(asked)
    assert offer.message.file == b"boot"


def test_a_short_answer_is_as_long_as_bootp_wants() -> None:
    (offer,) = World().say(Client(1).discover({55: b""}))
    assert len(offer.reply.data) == BOOTP_BYTES
    assert offer.message.xid
    assert offer.message.yiaddr == packed("10.0.0.10")
