"""APPEND, STORE, COPY, MOVE and EXPUNGE."""

from __future__ import annotations

import pytest

from holdfast.access import imap_messages
from holdfast.wire import store

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


@pytest.fixture
def client(world):
    client = world.sign_in()
    for _ in range(4):
        client.append("INBOX", MESSAGE)
    client.do("t CREATE other")
    client.do("t SELECT INBOX")
    return client


def test_append_keeps_bytes_date_and_flags(client) -> None:
    client.append("other", b"\x01\xff no header", '(\\Seen k) "17-Jul-1996 02:44:25 -0700"')
    client.do("t SELECT other")
    client.send(b"t FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])\r\n")
    assert client.read() == (
        b'* 1 FETCH (FLAGS (\\Recent \\Seen k) INTERNALDATE "17-Jul-1996 09:44:25 +0000" '
        b"BODY[] {12}\r\n\x01\xff no header)\r\nt OK FETCH completed.\r\n"
    )


def test_append_answers(client, world) -> None:
    assert client.append("nowhere", MESSAGE) == ["a NO [TRYCREATE] APPEND failed. No such mailbox."]
    assert client.append("other", b"")[-1].startswith("a NO APPEND failed. An empty message")
    assert client.append("other", b"a\0b\r\n")[-1].startswith(
        "a NO [CANNOT] APPEND failed. A message with a NUL"
    )
    assert client.append("other", MESSAGE) == ["a OK [APPENDUID 1000000007 1] APPEND completed."]
    assert client.do("a APPEND")[-1].startswith("a BAD")


def test_synchronising_literal(client) -> None:
    client.send(b"t APPEND other {4}\r\n")
    assert client.read() == b"+ Ok\r\n"
    client.send(b"ab")
    client.send(b"cd\r\n")
    assert client.lines()[-1].startswith("t OK [APPENDUID")


def test_quota(make_world) -> None:
    client = make_world(quota_bytes=30).sign_in()
    assert client.append("INBOX", MESSAGE)[-1].startswith("a OK")
    assert client.append("INBOX", MESSAGE)[-1].startswith("a NO [OVERQUOTA]")
    client.do("t SELECT INBOX")
    assert client.do("t COPY 1 Drafts")[-1].startswith("t NO [OVERQUOTA]")
    assert client.do("t MOVE 1 Drafts")[-1].startswith("t OK [COPYUID")


def test_store(client, monkeypatch) -> None:
    assert client.do("t STORE 1:2 +FLAGS (\\seen work)")[2:] == [
        "* 1 FETCH (FLAGS (\\Recent \\Seen work))",
        "* 2 FETCH (FLAGS (\\Recent \\Seen work))",
        "t OK STORE completed.",
    ]
    assert client.do("t STORE 1 -FLAGS.SILENT WORK") == ["t OK STORE completed."]
    assert client.do("t UID STORE 1,2 FLAGS (\\Draft)") == [
        "* 1 FETCH (FLAGS (\\Draft \\Recent) UID 1)",
        "* 2 FETCH (FLAGS (\\Draft \\Recent) UID 2)",
        "t OK STORE completed.",
    ]
    assert client.do("t STORE 1 FLAGS (\\Recent)")[-1].startswith("t BAD")
    assert client.do("t STORE 9 FLAGS ()") == ["t BAD STORE failed. Invalid messageset."]
    assert client.do("t UID STORE 90 FLAGS ()") == ["t OK STORE completed."]


def test_store_goes_in_slices(client, world, monkeypatch) -> None:
    monkeypatch.setattr(imap_messages, "STORE_SLICE", 3)
    world.operations.clear()
    assert len(client.do("t STORE 1:* +FLAGS (\\Flagged)")) == 5
    assert [operation.uids for operation in world.operations if isinstance(operation, store.StoreFlags)] == [
        [1, 2, 3],
        [4],
    ]


def test_copy_and_move(client) -> None:
    assert client.do("t COPY 1,3 other") == ["t OK [COPYUID 1000000007 1,3 1:2] COPY completed."]
    assert client.do("t UID MOVE 2:3 other") == [
        "* 2 EXPUNGE",
        "* 2 EXPUNGE",
        "t OK [COPYUID 1000000007 2:3 3:4] MOVE completed.",
    ]
    assert client.do("t UID COPY 99 other") == ["t OK COPY completed."]
    assert client.do("t COPY 1 nowhere") == ["t NO [TRYCREATE] COPY failed. No such mailbox."]
    assert client.do("t COPY 7 other")[-1].startswith("t BAD")
    assert client.do("t COPY 1")[-1].startswith("t BAD")
    client.do("t SELECT Drafts")
    assert client.do("t UID MOVE 1 other")[-1].startswith("t BAD MOVE failed. Invalid messageset.")
    assert client.do("t UID COPY 5 INBOX") == ["t OK COPY completed."], "RFC 3501 section 6.4.8"
    assert client.do("t COPY 5 INBOX")[-1].startswith("t BAD")


def test_nothing_is_changed_in_an_examined_folder(client) -> None:
    client.do("t EXAMINE INBOX")
    for command in ("STORE 1 FLAGS ()", "MOVE 1 other", "EXPUNGE", "UID EXPUNGE 1"):
        assert client.do(f"t {command}")[-1].endswith("Mailbox is read only.")
    assert client.do("t COPY 1 other")[-1].startswith("t OK [COPYUID")


def test_expunge(client) -> None:
    client.do("t STORE 1,2,4 +FLAGS.SILENT (\\Deleted)")
    assert client.do("t UID EXPUNGE 2:3") == ["* 2 EXPUNGE", "* 3 RECENT", "t OK EXPUNGE completed."]
    assert client.do("t EXPUNGE") == [
        "* 1 EXPUNGE",
        "* 2 EXPUNGE",
        "* 1 RECENT",
        "t OK EXPUNGE completed.",
    ]
    assert client.do("t EXPUNGE 1")[-1].startswith("t BAD")
    assert client.do("t UID EXPUNGE")[-1].startswith("t BAD")


def test_messages_that_another_session_removed(client, world) -> None:
    other = world.sign_in()
    other.do("t SELECT INBOX")
    other.do("t STORE 2 +FLAGS.SILENT (\\Deleted)")
    other.do("t EXPUNGE")
    assert client.do("t STORE 1:3 +FLAGS.SILENT (\\Seen)") == ["t OK [EXPUNGEISSUED] STORE completed."]
    assert client.do("t COPY 2 other") == ["* 2 EXPUNGE", "* 3 RECENT", "t OK COPY completed."]
