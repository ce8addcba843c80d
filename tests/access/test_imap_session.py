"""The session: states, pipelining, limits, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.access.imap_conversation import SessionSettings
from holdfast.access.imap_session import COMMANDS, State
from holdfast.wire import store

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_in_a_wrong_state(name: str, world) -> None:
    clients = {State.NOT_SIGNED_IN: world.connect(), State.SIGNED_IN: world.sign_in()}
    clients[State.SELECTED] = world.sign_in()
    clients[State.SELECTED].do("t SELECT INBOX")
    for state, client in clients.items():
        client.read()
        if state not in COMMANDS[name].states:
            assert client.do(f"t {name}") == [f"t NO {name} failed. Command not valid in this state."]


@pytest.mark.parametrize("line", ["", " ", "t", "t ", "(((", "GET / HTTP/1.1", "t BOGUS", "t UID LOGIN a b"])
def test_nonsense_before_sign_in_ends_the_session(line: str, world) -> None:
    client = world.connect()
    client.lines()
    assert client.do(line)[0] == "* BYE Unknown command."
    assert client.closed
    client.world.node.bytes_received(world.now, client.connection_id, b"t NOOP\r\n")


def test_nonsense_after_sign_in_is_answered_some_times(make_world) -> None:
    client = make_world(SessionSettings(bad_command_count_max=3)).sign_in()
    assert client.do("t BOGUS") == ["t BAD Unknown command."]
    assert client.do("t UID NOOP") == ["t BAD Unknown command."]
    assert client.do("t NOOP") == ["t OK NOOP completed."]
    assert client.do("(((")[0].startswith("* BAD ")
    assert client.do("t")[0].startswith("t BAD ")
    assert client.do("t LIST")[1:] == ["* BYE Too many bad commands."]
    assert client.closed


def test_pipelined_commands_are_answered_in_order_in_one_piece(world) -> None:
    client = world.sign_in()
    client.sends.clear()
    client.send(b"a SELECT INBOX\r\nb NOOP\r\nc FETCH 1:* FLAGS\r\nd CLOSE\r\ne LOGOUT\r\nf NOOP\r\n")
    tagged = [line for line in client.lines() if not line.startswith("*")]
    assert [line[:4] for line in tagged] == ["a OK", "b OK", "c OK", "d OK", "e OK"]
    assert client.closed


def test_bytes_one_by_one(world) -> None:
    client = world.sign_in()
    for byte in b"a APPEND INBOX {3}\r\nabc\r\nb SEARCH SUBJECT {1+}\r\nx NOT SEEN\r\nc SELECT INBOX\r\n":
        client.send(bytes([byte]))
    lines = client.lines()
    assert lines[:2] == ["+ Ok", "a OK [APPENDUID 1000000000 1] APPEND completed."]
    assert lines[-1] == "c OK [READ-WRITE] SELECT completed."


def test_reading_pauses_while_much_waits(make_world) -> None:
    world = make_world(SessionSettings(pipelined_bytes_max=100))
    client = world.sign_in()
    world.hold_store = True
    client.send(b'a LIST "" *\r\n' + b"n NOOP\r\n" * 30)
    assert client.paused
    world.release()
    assert not client.paused
    assert client.lines().count("n OK NOOP completed.") == 30


def test_literals_have_limits(make_world) -> None:
    world = make_world(SessionSettings(message_bytes_max=10_000))
    client = world.connect()
    client.lines()
    assert client.do("t APPEND INBOX {5}") == ["t NO APPEND failed. Command not valid in this state."]
    assert client.do("t LOGIN {9000}")[0].startswith("* BYE")
    client = world.sign_in()
    assert client.do("t APPEND INBOX {10001}")[0].startswith("t NO [TOOBIG]")
    assert client.append("INBOX", b"x" * 10_001)[0].startswith("a NO [TOOBIG]")
    assert client.append("INBOX", b"x" * 10_000)[0].startswith("a OK")
    assert client.do("t " + "x" * 70_000)[-1].startswith("t BAD")
    assert client.do("t APPEND INBOX {999999999999+}")[-1].startswith("* BYE")


def test_half_closed_connection_is_answered_and_closed(world) -> None:
    client = world.sign_in()
    world.hold_store = True
    client.send(b'a LIST "" INBOX\r\nb NOOP\r\nc NOO')
    world.node.connection_ended(world.now, client.connection_id)
    world.pump()
    assert not client.closed
    world.release()
    assert client.lines()[1:] == ["a OK LIST completed.", "b OK NOOP completed."]
    assert client.closed
    idling = world.sign_in()
    idling.do("i IDLE")
    world.node.connection_ended(world.now, idling.connection_id)
    world.pump()
    assert idling.closed


def test_goodbye_waits_for_the_running_command(world) -> None:
    client, idling = world.sign_in(), world.sign_in()
    idling.do("i IDLE")
    world.hold_store = True
    client.send(b'a LIST "" INBOX\r\nb NOOP\r\n')
    world.node.stopping(world.now)
    world.pump()
    assert idling.lines() == ["* BYE The server is stopping; connect again."]
    assert not client.closed
    world.release()
    assert client.lines()[1:] == ["a OK LIST completed.", "* BYE The server is stopping; connect again."]
    assert world.node.idle()


WORDS = [
    *b'a \r\n {3} {3+} ( ) " \\Seen * 1:* \x00 \xff ~ FETCH UID STORE SEARCH LIST SELECT INBOX'.split(b" "),
    *b"BODY[ ] APPEND LOGIN NOT IDLE DONE COPY MOVE OR FLAGS RETURN STATUS RENAME EXPUNGE".split(b" "),
    b" ",
    b"\n",
]


@settings(max_examples=80, deadline=None)
@given(
    st.booleans(),
    st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=6)), max_size=40),
    st.integers(1, 50),
)
def test_any_bytes_are_answered(make_world, signed_in: bool, words: list[bytes], piece: int) -> None:
    world = make_world(SessionSettings(message_bytes_max=1000))
    client = world.sign_in() if signed_in else world.connect()
    if signed_in:
        client.append("INBOX", MESSAGE)
        client.do("t SELECT INBOX")
    client.read()
    data = b"".join(words) + b"\r\n"
    for start in range(0, len(data), piece):
        if client.closed:
            break
        client.send(data[start : start + piece])
    assert client.closed or all(line.isascii() for line in client.lines())


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), max_size=8))
def test_lines_of_words_are_answered(make_world, lines: list[list[bytes]]) -> None:
    world = make_world(SessionSettings(message_bytes_max=1000))
    client = world.sign_in()
    client.append("INBOX", MESSAGE)
    client.do("t SELECT INBOX")
    for line in lines:
        if not client.closed:
            client.send(b"t " + b" ".join(word for word in line if b"\n" not in word) + b"\r\n")


def test_lost_database_fails_the_command_and_not_the_session(world) -> None:
    client = world.sign_in()
    client.do("t SELECT INBOX")
    world.hold_store = True
    client.send(b"a APPEND INBOX {3+}\r\nabc\r\n")
    world.node.store_lost(world.now, "db1")
    world.pump()
    assert client.lines()[0].startswith("a NO [UNAVAILABLE] APPEND failed.")
    assert client.do("b SEARCH ALL")[0] == "* SEARCH"
    assert client.do("c FETCH 1:* BODY[]")[-1].startswith("c OK")
    world.held.clear()
    world.hold_store = False
    world.node.store_connected(world.now, "db1")
    world.pump()
    assert client.append("INBOX", MESSAGE)[-1].startswith("a OK")
    assert world.operations[-1] == store.ReadChanges("id-alice@example.test", 1, 0, True)
