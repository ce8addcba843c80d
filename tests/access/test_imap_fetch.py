"""FETCH: items, order, and answers in bounded pieces."""

from __future__ import annotations

import pytest

from holdfast.access import imap_fetch, imap_reading
from holdfast.access.imap_conversation import SessionSettings
from holdfast.wire import store

MESSAGE = (
    b"From: Ann <ann@example.test>\r\nSubject: Hello\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\n\r\nfirst part\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n"
)
ANN = '(("Ann" NIL "ann" "example.test"))'


@pytest.fixture
def client(world):
    client = world.sign_in()
    client.append("INBOX", MESSAGE)
    client.do("t SELECT INBOX")
    return client


CASES = {
    "flags and UID need no store": ("FETCH 1 (UID FLAGS)", "* 1 FETCH (FLAGS (\\Recent) UID 1)"),
    "UID variant names the UID": ("UID FETCH 1 FLAGS", "* 1 FETCH (FLAGS (\\Recent) UID 1)"),
    "size and date": (
        "FETCH 1 (RFC822.SIZE INTERNALDATE)",
        f'* 1 FETCH (INTERNALDATE "09-Sep-2001 01:46:40 +0000" RFC822.SIZE {len(MESSAGE)})',
    ),
    "envelope": (
        "FETCH 1 ENVELOPE",
        f'* 1 FETCH (ENVELOPE (NIL "Hello" {ANN} {ANN} {ANN} NIL NIL NIL NIL NIL))',
    ),
    "structure": (
        "FETCH 1 BODY",
        '* 1 FETCH (BODY (("TEXT" "PLAIN" ("charset" "US-ASCII") NIL NIL "7BIT" 10 0)'
        '("TEXT" "HTML" ("charset" "US-ASCII") NIL NIL "7BIT" 3 0) "MIXED"))',
    ),
    "part": ("FETCH 1 BODY.PEEK[1]", "* 1 FETCH (BODY[1] {10}\r\nfirst part)"),
    "part's header": (
        "FETCH 1 BODY.PEEK[2.MIME]",
        "* 1 FETCH (BODY[2.MIME] {27}\r\nContent-Type: text/html\r\n\r\n)",
    ),
    "no such part": ("FETCH 1 BODY.PEEK[7]", "* 1 FETCH (BODY[7] {0}\r\n)"),
    "partial": ("FETCH 1 BODY.PEEK[]<6.3>", "* 1 FETCH (BODY[]<6> {3}\r\nAnn)"),
    "partial beyond the end": ("FETCH 1 BODY.PEEK[1]<90.3>", "* 1 FETCH (BODY[1]<90> {0}\r\n)"),
    "fields": (
        "FETCH 1 BODY.PEEK[HEADER.FIELDS (subject)]",
        "* 1 FETCH (BODY[HEADER.FIELDS (subject)] {18}\r\nSubject: Hello\r\n\r\n)",
    ),
    "reading sets the flag": (
        "FETCH 1 BODY[1]",
        "* 1 FETCH (FLAGS (\\Recent \\Seen) BODY[1] {10}\r\nfirst part)",
    ),
    "nothing": ("FETCH 1 ()", "* 1 FETCH ()"),
}


@pytest.mark.parametrize("name", CASES)
def test_items(name: str, client) -> None:
    command, wanted = CASES[name]
    client.send(f"t {command}\r\n".encode())
    assert client.read().decode() == f"{wanted}\r\nt OK FETCH completed.\r\n"


@pytest.mark.parametrize(
    "command",
    ["FETCH", "FETCH 1", "FETCH 2 FLAGS", "FETCH 1 WEATHER", "FETCH 1 BODY[1]<0.0>", "FETCH 0 FLAGS"],
)
def test_malformed(command: str, client) -> None:
    assert client.do(f"t {command}")[-1].startswith("t BAD FETCH failed.")


def test_reading_twice_tells_flags_once(client) -> None:
    client.do("t FETCH 1 RFC822")
    assert client.do("t FETCH 1 RFC822.TEXT")[0].startswith("* 1 FETCH (RFC822.TEXT {")


def test_examined_folder_is_not_marked(client) -> None:
    client.do("t EXAMINE INBOX")
    assert client.do("t FETCH 1 BODY[1]")[0].startswith("* 1 FETCH (BODY[1]")
    assert client.do("t FETCH 1 FLAGS")[0] == "* 1 FETCH (FLAGS (\\Recent))"


def test_flags_of_other_sessions_are_fresh(client, world) -> None:
    other = world.sign_in()
    other.do("t SELECT INBOX")
    other.do("t STORE 1 FLAGS (\\Flagged)")
    assert client.do("t FETCH 1 FLAGS") == [
        "* 1 FETCH (FLAGS (\\Flagged \\Recent))",
        "t OK FETCH completed.",
    ]


def test_message_that_is_gone_is_left_out(client, world) -> None:
    other = world.sign_in()
    other.do("t SELECT INBOX")
    other.do("t STORE 1 FLAGS.SILENT (\\Deleted)")
    other.do("t CLOSE")
    assert client.do("t FETCH 1 BODY[]") == ["t OK [EXPUNGEISSUED] FETCH completed."]
    assert client.do("t NOOP")[:2] == ["* 1 EXPUNGE", "* 0 RECENT"]


def test_slices_and_answers_that_were_cut(client, world, monkeypatch) -> None:
    for _ in range(6):
        client.append("INBOX", MESSAGE)
    monkeypatch.setitem(imap_reading.SLICES, store.Part.ALL, 5)
    world.cut_messages_to = 2
    lines = client.do("t FETCH 1:* BODY.PEEK[1]")
    assert [line for line in lines if line.startswith("* ")] == [
        f"* {number} FETCH (BODY[1] {{10}}" for number in range(1, 8)
    ]
    asked = [len(op.uids) for op in world.operations if isinstance(op, store.FetchMessages)]
    assert asked == [5, 5, 3, 1]


def test_disk_that_cannot_set_the_flag_does_not_stop_reading(client, world) -> None:
    refused = store.Refused(store.RefusalReason.UNAVAILABLE, "the disk is full")
    world.refusals[store.StoreFlags] = refused
    assert client.do("t FETCH 1 BODY[1]")[:1] == ["* 1 FETCH (BODY[1] {10}"]


def test_big_answer_waits_for_the_reader(make_world) -> None:
    world = make_world(SessionSettings(send_bytes_max=1000))
    client = world.sign_in()
    for _ in range(30):
        client.append("INBOX", b"Subject: x\r\n\r\n" + b"y" * 400)
    client.do("t SELECT INBOX")
    client.sends.clear()
    world.hold_drain = True
    client.send(b"t FETCH 1:* BODY.PEEK[]\r\nu NOOP\r\n")
    assert len(client.sends) == 1, "nothing more until the first piece has left"
    rounds = 0
    while world.held:
        rounds += 1
        world.drain_one()
    assert rounds > 10
    assert max(client.sends) <= 1000
    text = client.read()
    assert text.count(b"y" * 400) == 30
    assert text.endswith(b"t OK FETCH completed.\r\nu OK NOOP completed.\r\n")


def test_one_big_message_goes_in_pieces(make_world) -> None:
    world = make_world(SessionSettings(send_bytes_max=1000))
    client = world.sign_in()
    client.append("INBOX", b"z" * 5500)
    client.do("t SELECT INBOX")
    client.sends.clear()
    client.send(b"t FETCH 1 BODY.PEEK[]\r\n")
    assert max(client.sends) <= 1000
    assert b"z" * 5500 in client.read()


BIG = MESSAGE.replace(b"first part", b"0123456789" * 200)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(imap_reading, "PIECE_BYTES", 300)
    monkeypatch.setattr(imap_fetch, "PIECE_BYTES", 300)


@pytest.mark.parametrize(
    "items",
    [
        "BODY.PEEK[]",
        "RFC822",
        "(UID FLAGS BODY.PEEK[]<7.900> RFC822.SIZE)",
        "BODY.PEEK[]<99999.5>",
        "(BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1]<10.500> BODY.PEEK[2.MIME] BODY.PEEK[9])",
        "(ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (subject)] BODY.PEEK[1.HEADER])",
        "(ENVELOPE INTERNALDATE)",
        "(BODY.PEEK[HEADER.FIELDS (subject)] BODY.PEEK[TEXT])",
    ],
)
def test_a_large_message_is_answered_as_a_small_one(items: str, make_world, monkeypatch) -> None:
    answers = []
    for piece_bytes in (1 << 20, 300):
        monkeypatch.setattr(imap_reading, "PIECE_BYTES", piece_bytes)
        monkeypatch.setattr(imap_fetch, "PIECE_BYTES", piece_bytes)
        client = make_world().sign_in()
        for message in (MESSAGE, BIG, MESSAGE, b"S: y" * 500, b"Subject: " + b"y " * 500 + b"\r\n\r\n" + BIG):
            client.append("INBOX", message)
        client.do("t SELECT INBOX")
        client.send(f"t FETCH 1:* {items}\r\n".encode())
        answers.append(client.read())
    assert answers[0] == answers[1]


def test_a_large_message_is_sent_piece_by_piece_as_the_client_reads(world, small_pieces) -> None:
    client = world.sign_in()
    client.append("INBOX", BIG)
    client.do("t SELECT INBOX")
    world.operations.clear()
    client.sends.clear()
    world.hold_drain = True
    client.send(b"t FETCH 1 BODY.PEEK[]\r\n")
    for count in range(1, len(BIG) // 300 + 2):
        slices = [each for each in world.operations if isinstance(each, store.FetchSlice)]
        assert len(slices) == count, "each is read when the one before has left"
        assert max(client.sends) < 400
        world.drain_one()
    world.release()
    answer = client.read()
    assert answer.startswith(b"* 1 FETCH (BODY[] {%d}\r\n" % len(BIG))
    assert BIG + b")\r\nt OK FETCH completed.\r\n" in answer


@pytest.mark.parametrize("what", ["gone", "down"])
def test_a_literal_that_cannot_be_ended_closes_the_connection(what: str, world, small_pieces) -> None:
    client, other = world.sign_in(), world.sign_in()
    client.append("INBOX", BIG)
    client.do("t SELECT INBOX")
    other.do("t SELECT INBOX")
    world.hold_drain = True
    client.send(b"t FETCH 1 BODY.PEEK[]\r\n")
    held, world.held = world.held, type(world.held)()
    world.hold_drain = False
    if what == "gone":
        other.do("t STORE 1 FLAGS.SILENT (\\Deleted)")
        other.do("t EXPUNGE")
    else:
        world.refusals[store.FetchSlice] = store.Refused(store.RefusalReason.UNAVAILABLE, "away")
    world.held = held
    world.drain_one()
    assert client.closed
    answer = client.read()
    assert b"BYE" not in answer, "it would be read as a part of the message"
    assert BIG.startswith(answer.split(b"}\r\n", 1)[1])


@pytest.mark.parametrize(
    ("reason", "answer"),
    [
        (store.RefusalReason.NONEXISTENT, ["t OK [EXPUNGEISSUED] FETCH completed."]),
        (store.RefusalReason.UNAVAILABLE, ["t NO [UNAVAILABLE] FETCH failed. away"]),
    ],
)
def test_nothing_is_promised_of_a_large_message_that_cannot_be_read(
    reason: store.RefusalReason, answer: list[str], world, small_pieces
) -> None:
    client = world.sign_in()
    client.append("INBOX", BIG)
    client.do("t SELECT INBOX")
    world.refusals[store.FetchSlice] = store.Refused(reason, "away")
    assert client.do("t FETCH 1 BODY.PEEK[]") == answer
    assert client.do("t NOOP") == ["t OK NOOP completed."]
