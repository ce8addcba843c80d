"""Messages being received share one memory; <Postmaster> is always somebody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

MakeWorld = Callable[..., Any]  # makes the World of conftest.py
PIECE = b"x" * 70 + b"\r\n"


def begin(world: Any, number: int) -> None:
    world.connect(number)
    world.say(b"EHLO c.test\r\nMAIL FROM:<x@other.test>\r\n", number)
    world.say(b"RCPT TO:<alice@example.test>\r\nDATA\r\n", number)


def test_messages_that_take_too_much_together_are_put_off(make_world: MakeWorld) -> None:
    # It happened: the limit of each message alone let one host ask for gigabytes.
    world = make_world()
    organisation = replace(world.organisation, receive_memory_bytes=20_000)
    world.do(world.node.organisation_changed, organisation)
    for number in (1, 2, 3):
        begin(world, number)
        world.say(b"Subject: large\r\n\r\n" + PIECE * 100, number)  # 7 KB each
    assert world.log == ["TRN-0206"]
    for number in (1, 2, 3):
        world.say(PIECE + b".\r\n", number)
    assert world.said[3].startswith(b"452 4.3.1 too much mail")
    world.commit()
    assert world.said[1].startswith(b"250 ")
    assert world.said[2].startswith(b"250 ")
    world.lose(1)
    world.lose(2)
    # What was answered or lost takes nothing any more: the third comes through now.
    world.say(b"MAIL FROM:<x@other.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n", 3)
    world.say(b"Subject: large\r\n\r\n" + PIECE * 250, 3)
    world.say(b".\r\n", 3)
    world.commit()
    assert world.said[3].startswith(b"250 ")
    assert world.log == ["TRN-0206"]


def test_a_message_that_waits_for_its_commit_counts_too(make_world: MakeWorld) -> None:
    world = make_world()
    world.do(world.node.organisation_changed, replace(world.organisation, receive_memory_bytes=10_000))
    begin(world, 1)
    world.say(b"Subject: large\r\n\r\n" + PIECE * 100 + b".\r\n", 1)
    begin(world, 2)
    world.say(b"Subject: large\r\n\r\n" + PIECE * 100, 2)
    assert world.log == ["TRN-0206"]


def test_postmaster_without_a_domain_is_delivered(make_world: MakeWorld) -> None:
    # RFC 5321 section 4.5.1; it happened: it was taken for an address of the host's own name.
    world = make_world()
    world.connect_stores()
    world.connect()
    world.say(b"EHLO c.test\r\nMAIL FROM:<x@other.test>\r\n")
    assert world.say(b"RCPT TO:<Postmaster>\r\n").startswith(b"250 ")
    world.say(b"DATA\r\n")
    world.say(b"Subject: to whom it may concern\r\n\r\n.\r\n")
    world.settle()
    assert not world.disk
    assert "DELIVER" in world.event_ids()
