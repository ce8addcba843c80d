from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.smtp_reply import (
    LINE_BYTES_MAX,
    LINE_COUNT_MAX,
    TEXT_CHARS_MAX,
    Extensions,
    ReplyReader,
    ServerReply,
    parse_ehlo,
)


def read(*pieces: bytes) -> tuple[list[ServerReply], str]:
    """All replies in a stream, and why it ended badly (empty when it did not)."""
    reader = ReplyReader()
    replies: list[ServerReply] = []
    for piece in pieces:
        reader.feed(piece)
        try:
            while (reply := reader.take()) is not None:
                replies.append(reply)
        except Refusal as refusal:
            with pytest.raises(Refusal):
                reader.take()
            return replies, refusal.text
    return replies, ""


@pytest.mark.parametrize(
    ("stream", "replies"),
    [
        (b"220 mx.example ESMTP\r\n", [(220, (b"mx.example ESMTP",))]),
        (b"250-mx\r\n250-SIZE\r\n250 DSN\r\n", [(250, (b"mx", b"SIZE", b"DSN"))]),
        (b"250 a\r\n354 b\r\n", [(250, (b"a",)), (354, (b"b",))]),
        (b"250\r\n", [(250, (b"",))]),
        (b"250-\r\n250\r\n", [(250, (b"", b""))]),
        (b"250 bare LF\n", [(250, (b"bare LF",))]),
        (
            b"250-one\r\n550 other code, the last counts\r\n",
            [(550, (b"one", b"other code, the last counts"))],
        ),
        (b"250 unfinished", []),
        (b"250-unfinished\r\n", []),
    ],
)
def test_replies(stream: bytes, replies: list[tuple[int, tuple[bytes, ...]]]) -> None:
    assert read(stream) == ([ServerReply(*each) for each in replies], "")


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "speaks HTTP"),
        (b"* OK IMAP4rev1\r\n", "speaks IMAP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "speaks SSH"),
        (b"\x15\x03\x01\x00\x02\x02\x0a\n", "speaks TLS"),
        (b"hello\r\n", '"hello"'),
        (b"\r\n", "no reply"),
        (b"\n", "no reply"),
        (b"150 not in SMTP\r\n", "no reply"),
        (b"650 nor this\r\n", "no reply"),
        (b"2500 four digits\r\n", "no reply"),
        (b"25", ""),
        (b"250 " + b"x" * LINE_BYTES_MAX + b"\r\n", "more than 4096 bytes"),
        (b"x" * (LINE_BYTES_MAX + 2), "more than 4096 bytes"),
        (b"250-x\r\n" * (LINE_COUNT_MAX + 1), "more than 256 lines"),
        ((b"250-" + b"x" * 4000 + b"\r\n") * 20, "32768 bytes"),
    ],
)
def test_what_is_no_reply_is_refused(stream: bytes, why: str) -> None:
    replies, reason = read(stream)
    assert replies == []
    assert (why in reason) if why else reason == ""


def test_replies_before_garbage_are_read() -> None:
    replies, reason = read(b"250 ok\r\nGET / HTTP/1.0\r\n")
    assert [reply.code for reply in replies] == [250]
    assert "no reply" in reason


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"550 5.1.1 no such user", "5.1.1"),
        (b"550 no such user", "5.0.0"),
        (b"450 4.2.0", "4.2.0"),
        (b"450 5.2.0 the digits contradict each other", "4.0.0"),
        (b"250 2.0.0x not a status", "2.0.0"),
        (b"550 5.1.1111 too long", "5.0.0"),
    ],
)
def test_status(line: bytes, status: str) -> None:
    (reply,), _ = read(line + b"\r\n")
    assert reply.status == status


def test_text_is_printable_and_bounded() -> None:
    (reply,), _ = read(b"550-5.1.1 a\x00\x1b[2Jb\r\n550 5.1.1 \xc3\xa9\r\n")
    assert reply.text == "5.1.1 a?[2Jb 5.1.1 ?"
    assert len(ServerReply(250, (b"x" * 5000,)).text) == TEXT_CHARS_MAX


def test_reader_says_what_is_left() -> None:
    reader = ReplyReader()
    assert reader.empty
    reader.feed(b"220 go\r\n250 in")
    assert reader.take() == ServerReply(220, (b"go",))
    assert reader.take() is None
    assert reader.pending == b"250 in"
    reader.feed(b"jected\r\n")
    assert reader.take() == ServerReply(250, (b"injected",))
    assert reader.pending == b""


@pytest.mark.parametrize("rest", [b"25", b"250-x\r\n", b"250 x\r\n"])
def test_reader_is_not_empty_while_something_is_left(rest: bytes) -> None:
    reader = ReplyReader()
    reader.feed(b"220 go\r\n" + rest)
    assert reader.take() == ServerReply(220, (b"go",))
    assert not reader.empty
    reader.take()
    assert reader.empty == (rest == b"250 x\r\n")


def ehlo(*lines: bytes) -> Extensions:
    return parse_ehlo(ServerReply(250, (b"mx.example at your service", *lines)))


def test_everything_that_is_offered() -> None:
    found = ehlo(
        b"PIPELINING", b"8bitmime", b"SIZE 35882577", b"CHUNKING", b"SMTPUTF8", b"DSN", b"STARTTLS",
        b"AUTH PLAIN login", b"AUTH=LOGIN CRAM-MD5", b"ENHANCEDSTATUSCODES", b"REQUIRETLS", b"",
    )  # fmt: skip
    assert found == Extensions(
        name="mx.example",
        pipelining=True,
        eight_bit=True,
        chunking=True,
        smtputf8=True,
        dsn=True,
        starttls=True,
        enhanced_status_codes=True,
        size_bytes_max=35882577,
        sign_in=frozenset({"PLAIN", "LOGIN", "CRAM-MD5"}),
    )


@pytest.mark.parametrize(
    ("line", "size_bytes_max"),
    [
        (b"SIZE", 0),
        (b"SIZE 0", 0),
        (b"SIZE big", 0),
        (b"SIZE " + b"9" * 30, 0),
        (b"SIZE 100", 100),
        (b"X", None),
    ],
)
def test_size(line: bytes, size_bytes_max: int | None) -> None:
    assert ehlo(line).size_bytes_max == size_bytes_max


def test_nothing_is_offered() -> None:
    assert parse_ehlo(ServerReply(250, (b"",))) == Extensions()


STREAMS = st.lists(
    st.one_of(
        st.sampled_from(
            [b"250 ok\r\n", b"250-a\r\n", b"354\r\n", b"\r", b"\n", b"25", b"421 4.3.2 bye\n", b"HTTP/"]
        ),
        st.binary(max_size=40),
    ),
    max_size=12,
).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_are_read_or_refused_however_they_are_cut(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert read(*pieces) == read(stream)
    for reply in read(stream)[0]:
        assert reply.text.isprintable()
        assert reply.status[0] == str(reply.code)[0] or reply.code // 100 == 3
        parse_ehlo(reply)
