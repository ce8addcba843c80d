"""IDLE: news at once."""

from __future__ import annotations

import pytest

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


def test_news_come_by_themselves(world) -> None:
    client, other = world.sign_in(), world.sign_in()
    client.do("t SELECT INBOX")
    other.do("t SELECT INBOX")
    assert client.do("i IDLE") == ["+ idling"]
    other.append("INBOX", MESSAGE)
    assert client.lines() == ["* 1 EXISTS", "* 1 RECENT"]
    other.do("t STORE 1 +FLAGS (\\Deleted)")
    assert client.lines() == ["* 1 FETCH (FLAGS (\\Deleted \\Recent))"]
    other.do("t EXPUNGE")
    assert client.lines() == ["* 1 EXPUNGE", "* 0 RECENT"]
    assert client.do("DONE") == ["i OK IDLE completed."]
    assert world.watches == set()
    other.append("INBOX", MESSAGE)
    assert client.lines() == []
    assert client.do("t NOOP")[:1] == ["* 1 EXISTS"]


def test_two_idle_on_one_folder(world) -> None:
    clients = [world.sign_in(), world.sign_in()]
    for client in clients:
        client.do("t SELECT INBOX")
        client.do("i IDLE")
    clients[0].drop()
    world.sign_in().append("INBOX", MESSAGE)
    assert clients[1].lines() == ["* 1 EXISTS", "* 1 RECENT"]
    clients[1].drop()
    assert world.watches == set()


@pytest.mark.parametrize("line", ["NONSENSE", "t NOOP", ""])
def test_only_done_ends_it(line: str, world) -> None:
    client = world.sign_in()
    client.do("t SELECT INBOX")
    client.do("i IDLE")
    assert client.do(line) == ["i BAD IDLE failed. IDLE ends with DONE."]


def test_idle_without_a_folder_and_pipelined_done(world) -> None:
    client = world.sign_in()
    client.send(b"i IDLE\r\ndone\r\nt NOOP\r\n")
    assert client.lines() == ["+ idling", "i OK IDLE completed.", "t OK NOOP completed."]
    assert client.do("i IDLE now")[-1].startswith("i BAD")


def test_change_while_the_answer_is_on_its_way_is_not_lost(world) -> None:
    client, other = world.sign_in(), world.sign_in()
    client.do("t SELECT INBOX")
    client.do("i IDLE")
    world.hold_drain = True
    other.append("INBOX", MESSAGE)
    other.append("INBOX", MESSAGE)
    world.release()
    assert client.lines()[-2:] == ["* 2 EXISTS", "* 2 RECENT"]


def test_deleted_folder_ends_the_session(world) -> None:
    client, other = world.sign_in(), world.sign_in()
    other.do("t CREATE a")
    client.do("t SELECT a")
    client.do("i IDLE")
    other.do("t DELETE a")
    assert client.lines() == ["* BYE Selected mailbox has been deleted"]
    assert client.closed


def test_line_that_is_too_long_ends_idle(world) -> None:
    client = world.sign_in()
    client.do("i IDLE")
    assert client.do("x" * 70_000)[-1].split()[1] == "BAD"
    assert client.do("t NOOP") == ["t OK NOOP completed."]
