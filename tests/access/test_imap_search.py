"""SEARCH: every key, from the cheapest evidence on."""

from __future__ import annotations

import pytest

from holdfast.access import imap_search
from holdfast.wire import store

MESSAGES = [
    (
        b"From: Ann <a@x.test>\r\nDate: Mon, 5 Feb 2024 10:00:00 +0000\r\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nred\r\n",
        '(\\Seen) "05-Feb-2024 10:00:00 +0000"',
    ),
    (
        b"From: Bob <b@x.test>\r\nTo: ann@x.test\r\n\r\ngreen ann\r\n" + b"x" * 500,
        '"06-Feb-2024 10:00:00 +0000"',
    ),
    (
        b"Subject: outer\r\nContent-Type: message/rfc822\r\n\r\n"
        b"From: carl@x.test\r\nSubject: inner\r\n\r\nblue\r\n",
        '(\\Flagged work) "07-Feb-2024 10:00:00 +0000"',
    ),
]


@pytest.fixture
def client(world):
    client = world.sign_in()
    for message, rest in MESSAGES:
        client.append("INBOX", message, rest)
    client.do("t SELECT INBOX")
    world.operations.clear()
    return client


CASES = {
    "ALL": "1 2 3",
    "SEEN": "1",
    "UNSEEN": "2 3",
    "KEYWORD WORK": "3",
    "UNKEYWORD work": "1 2",
    "RECENT": "1 2 3",
    "NEW": "2 3",
    "OLD": "",
    "2:*": "2 3",
    "UID 1,3": "1 3",
    "NOT 1": "2 3",
    "OR 1 3": "1 3",
    "OR FROM ann FROM bob": "1 2",
    "NOT OR FROM ann FROM bob": "3",
    "(1 SEEN) ALL": "1",
    "LARGER 400": "2",
    "SMALLER 400": "1 3",
    "BEFORE 6-Feb-2024": "1",
    "ON 6-Feb-2024": "2",
    "SINCE 6-Feb-2024": "2 3",
    "SENTBEFORE 6-Feb-2024": "1",
    "SENTON 5-Feb-2024": "1",
    "SENTSINCE 6-Feb-2024": "",
    "SUBJECT gr": "1",
    "FROM ANN": "1",
    "TO ann": "2",
    'HEADER Date ""': "1",
    "BODY red": "1",
    "BODY inner": "3",
    "BODY carl": "",
    "TEXT ann": "1 2",
    "TEXT outer": "3",
    "NOT TEXT ann": "3",
    "UNSEEN BODY blue": "3",
    "FLAGGED BODY nothing": "",
}


@pytest.mark.parametrize("key", CASES)
def test_key(key: str, client) -> None:
    found = f" {CASES[key]}" if CASES[key] else ""
    assert client.do(f"t SEARCH {key}") == [f"* SEARCH{found}", "t OK SEARCH completed."]


def test_utf8_literal_in_a_search(client) -> None:
    client.send("t SEARCH CHARSET UTF-8 SUBJECT {6+}\r\ngrüße\r\n".encode().replace(b"{6+}", b"{7+}"))
    assert client.lines()[0] == "* SEARCH 1"


def test_as_little_is_read_as_possible(client, world) -> None:
    client.do("t SEARCH SEEN FROM ann")
    asked = [op for op in world.operations if isinstance(op, store.FetchMessages)]
    assert [(op.part, op.uids) for op in asked] == [
        (store.Part.METADATA, [1]),
        (store.Part.HEADER, [1]),
    ]


def test_uid_search_and_extended_answers(client) -> None:
    client.do("t STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.do("t EXPUNGE")
    assert client.do("t UID SEARCH ALL")[0] == "* SEARCH 2 3"
    assert client.do("t SEARCH RETURN (MIN MAX COUNT ALL) ALL")[0] == (
        '* ESEARCH (TAG "t") MIN 1 MAX 2 ALL 1:2 COUNT 2'
    )
    assert client.do("t UID SEARCH RETURN () ALL")[0] == '* ESEARCH (TAG "t") UID ALL 2:3'
    assert client.do("t SEARCH RETURN (MIN COUNT) ANSWERED")[0] == '* ESEARCH (TAG "t") COUNT 0'


def test_charset_and_nonsense(client) -> None:
    assert client.do("t SEARCH CHARSET KOI8-R ALL") == [
        "t NO [BADCHARSET (US-ASCII UTF-8)] SEARCH failed. searches are read in US-ASCII and UTF-8 only."
    ]
    for command in ("SEARCH", "SEARCH WEATHER", "SEARCH (ALL", "SEARCH SENTON yesterday"):
        assert client.do(f"t {command}")[-1].startswith("t BAD")


def test_answers_that_were_cut_and_messages_that_are_gone(client, world, monkeypatch) -> None:
    world.cut_messages_to = 1
    assert client.do("t SEARCH BODY e")[0] == "* SEARCH 1 2 3"
    other = world.sign_in()
    other.do("t SELECT INBOX")
    other.do("t STORE 2 FLAGS.SILENT (\\Deleted)")
    other.do("t EXPUNGE")
    assert client.do("t SEARCH ALL") == ["* SEARCH 1 3", "t OK SEARCH completed."]
    monkeypatch.setattr(imap_search, "NUMBERS_PER_CHUNK", 1)
    assert client.do("t SEARCH ALL")[:2] == ["* SEARCH 1 3", "t OK SEARCH completed."]
    assert client.do("t UID SEARCH ALL")[:2] == ["* SEARCH 1 3", "* 2 EXPUNGE"]


def test_other_sessions_go_on_while_a_search_reads_every_body(world) -> None:
    searcher, other = world.sign_in(), world.sign_in("bob@example.test")
    for number in range(200):
        searcher.append("INBOX", b"Subject: %d\r\n\r\nhay" % number)
    searcher.do("t SELECT INBOX")
    world.hold_store = True
    searcher.send(b"t SEARCH BODY needle\r\n")
    rounds = 0
    while world.held:
        assert other.do("o NOOP") == ["o OK NOOP completed."]
        assert searcher.inbox == b""
        call = world.held.popleft()
        world._call(call)
        world.pump()
        rounds += 1
    assert rounds > 4, "no answer of the store makes the search judge more than some messages"
    assert searcher.lines() == ["* SEARCH", "t OK SEARCH completed."]
