"""The senders' SMTP client: what it says, and what it holds for answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.sim.senders import Habit, Letter, SmtpClient, stuff_dots

DATA = b"X-Letter: L1\r\n\r\n.dot\r\nend\r\n"
EHLO = b"250-hub\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000\r\n"


def letter(*recipients: str) -> Letter:
    return Letter("L1", "sender@example.org", recipients or ("a@example.test",), DATA)


class Session:
    """A client with some letters, and what it was told."""

    def __init__(self, *letters: Letter, habit: Habit = Habit.PROPER, pipelining: bool = False) -> None:
        self.waiting = list(letters)
        self.habit = habit
        self.told: list[tuple[str, ...]] = []
        self.client = SmtpClient(
            self.next, lambda letter, taken: self.told.append(taken), pipelining=pipelining
        )

    def next(self) -> tuple[Letter, Habit] | None:
        return (self.waiting.pop(0), self.habit) if self.waiting else None

    def talk(self, *replies: bytes) -> list[bytes]:
        return [self.client.receive(reply) for reply in replies]


def test_one_letter_step_by_step() -> None:
    one = letter("a@example.test", "b@example.test")
    session = Session(one)
    said = session.talk(
        b"220 hub\r\n", EHLO, b"250 ok\r\n", b"250 ok\r\n", b"550 5.1.1 no\r\n", b"354 go\r\n", b"250 ok\r\n"
    )
    assert said == [
        b"EHLO sender.example\r\n",
        b"MAIL FROM:<sender@example.org> SIZE=%d BODY=8BITMIME\r\n" % len(DATA),
        b"RCPT TO:<a@example.test>\r\n",
        b"RCPT TO:<b@example.test>\r\n",
        b"DATA\r\n",
        stuff_dots(DATA),
        b"QUIT\r\n",
    ]
    assert session.told == [("a@example.test",)] == one.acknowledged == one.tried
    assert one.refused == {"b@example.test": "550 5.1.1 no"}
    assert one.finished
    session.talk(b"221 bye\r\n")
    assert session.client.done
    assert session.client.wish == "close"


def test_pipelined_replies_are_read_in_order_however_they_are_cut() -> None:
    one = letter("a@example.test", "b@example.test")
    session = Session(one, pipelining=True)
    session.talk(b"220 hub\r\n")
    said = session.client.receive(EHLO)
    assert said.count(b"\r\n") == 4
    assert said.endswith(b"DATA\r\n")
    replies = b"250 ok\r\n250 ok\r\n452 4.5.3 later\r\n354 go\r\n"
    said = b"".join(session.client.receive(replies[at : at + 1]) for at in range(len(replies)))
    assert said == stuff_dots(DATA)
    session.talk(b"250 ok\r\n")
    assert one.pending == ["b@example.test"]
    assert one.refused == {}


def test_pipelined_data_after_nobody_was_taken_is_an_empty_message() -> None:
    one = letter()
    session = Session(one, pipelining=True)
    session.talk(b"220 hub\r\n", EHLO)
    assert session.talk(b"250 ok\r\n", b"550 no\r\n", b"354 go\r\n", b"554 no valid recipients\r\n")[2:] == [
        b".\r\n",
        b"QUIT\r\n",
    ]
    assert one.tried == []
    assert one.finished


@pytest.mark.parametrize(
    ("replies", "pending", "refused"),
    [
        ([b"452 4.3.1 full\r\n"], ["a@example.test"], {}),
        ([b"552 5.3.4 too big\r\n"], [], {"a@example.test": "552 5.3.4 too big"}),
        ([b"250 ok\r\n", b"451 later\r\n"], ["a@example.test"], {}),
        ([b"250 ok\r\n", b"250 ok\r\n", b"451 later\r\n"], ["a@example.test"], {}),
        ([b"250 ok\r\n", b"250 ok\r\n", b"554 no\r\n"], [], {"a@example.test": "554 no"}),
    ],
)
def test_refusals_before_the_message(
    replies: list[bytes], pending: list[str], refused: dict[str, str]
) -> None:
    one = letter()
    session = Session(one)
    session.talk(b"220 hub\r\n", EHLO)
    assert session.talk(*replies)[-1] == b"RSET\r\n"
    assert (one.pending, one.refused, one.tried) == (pending, refused, [])
    assert session.talk(b"250 ok\r\n") == [b"QUIT\r\n"]


@pytest.mark.parametrize(("reply", "pending"), [(b"452 full\r\n", ["a@example.test"]), (b"552 big\r\n", [])])
def test_refusals_after_the_message(reply: bytes, pending: list[str]) -> None:
    one = letter()
    session = Session(one)
    session.talk(b"220 hub\r\n", EHLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", reply)
    assert one.pending == pending
    assert one.acknowledged == []


def test_pipelined_replies_after_a_refused_mail_command_refuse_nobody() -> None:
    one = letter()
    session = Session(one, pipelining=True)
    session.talk(b"220 hub\r\n", EHLO, b"451 later\r\n503 mail first\r\n503 mail first\r\n")
    assert one.pending == ["a@example.test"]


@pytest.mark.parametrize("replies", [[b"554 no\r\n"], [b"220 hub\r\n", b"502 what\r\n"]])
def test_a_server_that_will_not_talk_is_left(replies: list[bytes]) -> None:
    session = Session(letter())
    assert session.talk(*replies)[-1] == b"QUIT\r\n"


def test_421_ends_the_session_anywhere() -> None:
    session = Session(letter())
    assert session.talk(b"220 hub\r\n", b"421 4.3.2 stopping\r\n")[-1] == b""
    assert session.client.done
    assert session.client.receive(b"250 ok\r\n") == b""


def test_a_failed_reset_ends_the_session() -> None:
    session = Session(letter(), letter())
    assert session.talk(b"220 hub\r\n", EHLO, b"451 no\r\n", b"500 what\r\n")[-1] == b"QUIT\r\n"


GO = (b"220 hub\r\n", EHLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n")


def test_breaking_off_in_the_data_is_no_try() -> None:
    one = letter()
    session = Session(one, habit=Habit.DROP_IN_DATA)
    assert not session.talk(*GO)[-1].endswith(b"\r\n.\r\n")
    assert session.client.wish == "abort"
    assert one.tried == []


def test_breaking_off_after_the_dot_is_a_try_without_an_answer() -> None:
    one = letter()
    session = Session(one, habit=Habit.DROP_AFTER_DOT)
    assert session.talk(*GO)[-1] == stuff_dots(DATA)
    assert session.client.wish == "abort"
    assert one.tried == [("a@example.test",)]
    assert not one.finished


def test_ending_the_stream_after_the_dot_still_reads_the_answer() -> None:
    one = letter()
    session = Session(one, letter(), habit=Habit.END_AFTER_DOT)
    session.talk(*GO)
    assert session.client.wish == "end"
    session.client.wish = ""
    session.talk(b"250 ok\r\n")
    assert one.finished
    assert session.client.wish == "close"


def test_ending_the_stream_in_the_data_may_not_be_acknowledged() -> None:
    one = letter()
    session = Session(one, habit=Habit.END_IN_DATA)
    session.talk(*GO)
    assert session.client.wish == "end"
    session.client.wish = ""
    session.talk(b"250 ok\r\n")
    # The checker sees the contradiction: acknowledged, but never tried.
    assert (session.told, one.tried) == ([("a@example.test",)], [])


@given(st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x"]), max_size=6))
def test_stuffed_data_holds_no_early_end(lines: list[bytes]) -> None:
    data = b"\r\n".join(lines) + b"\r\n"
    stuffed = stuff_dots(data)
    assert stuffed.endswith(b"\r\n.\r\n")
    assert b"\r\n.\r\n" not in stuffed[:-3]
    unstuffed = [line[1:] if line.startswith(b".") else line for line in stuffed[:-5].split(b"\r\n")]
    assert b"\r\n".join(unstuffed) + b"\r\n" == data


def test_the_same_try_at_another_server_may_be_a_second_message() -> None:
    one = letter("a@example.test")
    for server in ("mx1", "mx1", "mx2", "mx2"):
        one.dot_sent(("a@example.test",), server)
    assert one.try_count == 4
    assert one.tried == [("a@example.test",)]
    assert one.strays == [(("a@example.test",), "mx2")]
