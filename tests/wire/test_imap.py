"""Cutting a stream of bytes into IMAP commands."""

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.wire import imap
from holdfast.wire.imap import BadCommand, Command, CommandReader, LiteralWanted


def read_all(reader: CommandReader) -> list[object]:
    """What the reader says; a command as a tuple of tag, name, uid and its words."""
    said: list[object] = []
    while (item := reader.next()) is not None:
        if isinstance(item, Command):
            words: list[bytes] = []
            while not item.arguments.at_end():
                words.append(item.arguments.astring())
                item.arguments.skip_space()
            said.append((item.tag, item.name, item.uid, *words))
        else:
            said.append(item)
    return said


def read(data: bytes, literal_bytes_max: int = 1000) -> list[object]:
    reader = CommandReader(literal_bytes_max)
    reader.feed(data)
    return read_all(reader)


def test_commands_are_read_one_after_another() -> None:
    assert read(b'a1 noop\r\na2 LOGIN alice "pass word"\r\na3 uid copy 1:2 x\na4 ') == [
        ("a1", "NOOP", False),
        ("a2", "LOGIN", False, b"alice", b"pass word"),
        ("a3", "COPY", True, b"1:2", b"x"),
    ]


def test_a_synchronising_literal_is_asked_for_first() -> None:
    reader = CommandReader(1000)
    reader.feed(b"a1 LOGIN {5}\r\n")
    assert read_all(reader) == [LiteralWanted(5, "a1", "LOGIN")]
    reader.feed(b"al")
    assert read_all(reader) == []
    reader.feed(b"ice {6}\r\n")
    assert read_all(reader) == [LiteralWanted(6, "a1", "LOGIN")]
    reader.feed(b"se\r\net\r\n")
    assert read_all(reader) == [("a1", "LOGIN", False, b"alice", b"se\r\net")]
    assert reader.buffered_bytes == 0


def test_a_literal_that_does_not_wait_is_taken() -> None:
    assert read(b"a1 STATUS {3+}\r\nfoo {0+}\r\n\r\na2 NOOP\r\n") == [
        ("a1", "STATUS", False, b"foo", b""),
        ("a2", "NOOP", False),
    ]


def test_what_is_no_command_is_bad_and_the_next_one_is_read() -> None:
    assert read(b"(((\r\n\r\n+++\r\nA1 \r\nA2\r\nA3 *\r\nA4 UID\r\nA5 UID 7\r\nA6 NOOP\r\n") == [
        BadCommand("*", "a command starts with a tag"),
        BadCommand("*", "a command starts with a tag"),
        BadCommand("*", "a command starts with a tag"),
        BadCommand("A1", "the name of a command is missing"),
        BadCommand("A2", "the name of a command is missing"),
        BadCommand("A3", "the name of a command is missing"),
        BadCommand("A4", "the name of a command is missing behind UID"),
        BadCommand("A5", "the name of a command is missing behind UID"),
        ("A6", "NOOP", False),
    ]


def test_a_literal_behind_no_command_is_not_asked_for() -> None:
    assert read(b"((( {5}\r\na2 NOOP\r\n") == [
        BadCommand("*", "a command starts with a tag"),
        ("a2", "NOOP", False),
    ]


def test_a_literal_that_is_too_large_is_refused_before_it_is_sent() -> None:
    text = "a literal of 1001 bytes is too large; at most 1000 are taken here"
    assert read(b"a1 APPEND x {1001}\r\na2 NOOP\r\n") == [
        BadCommand("a1", text, too_large=True),
        ("a2", "NOOP", False),
    ]


def test_a_literal_that_is_too_large_and_does_not_wait_is_skipped_with_its_command() -> None:
    text = "a literal of 1001 bytes is too large; at most 1000 are taken here"
    data = b"a1 APPEND x {1001+}\r\n" + b"\n" * 1001 + b" {2+}\r\n\r\n tail\r\na2 NOOP\r\n"
    assert read(data) == [BadCommand("a1", text, too_large=True), ("a2", "NOOP", False)]


def test_all_literals_of_a_command_together_are_bounded() -> None:
    assert read(b"a1 x {6+}\r\n123456 {6+}\r\n123456\r\na2 NOOP\r\n", 10) == [
        BadCommand("a1", "a literal of 6 bytes is too large; at most 10 are taken here", too_large=True),
        ("a2", "NOOP", False),
    ]
    many = b"a1 x" + b" {0+}\r\n" * (imap.LITERAL_COUNT_MAX + 1) + b"\r\na2 NOOP\r\n"
    assert read(many) == [
        BadCommand("a1", f"a command has more than {imap.LITERAL_COUNT_MAX} literals"),
        ("a2", "NOOP", False),
    ]


def test_a_literal_beyond_all_bounds_ends_the_stream() -> None:
    reader = CommandReader(1000)
    reader.feed(b"a1 APPEND x {99999999999999999999999+}\r\nxx")
    (bad,) = read_all(reader)
    assert isinstance(bad, BadCommand)
    assert (bad.tag, bad.fatal) == ("a1", True)
    reader.feed(b"a2 NOOP\r\n")
    assert read_all(reader) == []
    assert reader.next_line() is None
    assert reader.buffered_bytes == 0


def test_a_line_that_is_too_long_is_thrown_away_while_it_comes() -> None:
    reader = CommandReader(1000)
    reader.feed(b"a1 ")
    for _ in range(20):
        reader.feed(b"x" * 10_000)
        assert read_all(reader) == []
        assert reader.buffered_bytes <= imap.LINE_BYTES_MAX + 10_000
    reader.feed(b"x\r\na2 NOOP\r\n")
    text = f"a command line is longer than {imap.LINE_BYTES_MAX} bytes"
    assert read_all(reader) == [BadCommand("a1", text), ("a2", "NOOP", False)]
    assert read(b"a3 " + b"x" * imap.LINE_BYTES_MAX + b"\r\n") == [BadCommand("a3", text)]


def test_a_line_without_end_ends_the_stream() -> None:
    reader = CommandReader(1000)
    said: list[object] = []
    block = b"x" * (32 << 20)
    while not said:
        reader.feed(block)
        said = read_all(reader)
    assert isinstance(said[0], BadCommand)
    assert said[0].fatal


def test_lines_that_are_no_commands_are_read_as_they_are() -> None:
    reader = CommandReader(1000)
    reader.feed(b"a1 AUTHENTICATE PLAIN\r\nAGEAYg==\r\nDO")
    assert isinstance(reader.next(), Command)
    assert reader.next_line() == b"AGEAYg=="
    assert reader.next_line() is None
    reader.feed(b"NE\r\n")
    assert reader.next_line() == b"DONE"
    reader.feed(b"y" * (imap.LINE_BYTES_MAX + 1))
    assert reader.next_line() is None
    reader.feed(b"\r\n")
    assert isinstance(reader.next_line(), BadCommand)


def test_a_command_is_abandoned_when_its_literal_is_not_wanted() -> None:
    reader = CommandReader(1000)
    reader.feed(b"a1 APPEND nowhere {10}\r\n")
    assert reader.next() == LiteralWanted(10, "a1", "APPEND")
    reader.abandon()
    reader.feed(b"a2 NOOP\r\n")
    assert read_all(reader) == [("a2", "NOOP", False)]


def test_what_was_sent_ahead_of_tls_is_forgotten() -> None:
    reader = CommandReader(1000)
    reader.feed(b"a1 STARTTLS\r\na2 LOGIN eve x\r\n")
    assert isinstance(reader.next(), Command)
    assert reader.clear() == 16
    assert reader.next() is None


COMMANDS = (
    b'a1 LOGIN {3+}\r\nabc "x y"\r\nbad\r\na2 UID FETCH 1:9 {4}\r\nFAST\r\n(\r\na3 x {99+}\r\n'
    + b"z" * 99
    + b"\r\n"
)


@settings(max_examples=100)
@given(st.lists(st.integers(0, len(COMMANDS))))
def test_how_the_bytes_are_cut_changes_nothing(cuts: list[int]) -> None:
    reader = CommandReader(50)
    said: list[object] = []
    start = 0
    for end in [*sorted(cuts), len(COMMANDS)]:
        reader.feed(COMMANDS[start:end])
        said += read_all(reader)
        start = end
    assert said == read(COMMANDS, 50)


@settings(max_examples=150)
@given(
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from([b"a ", b"NOOP", b"\r\n", b"{3}\r\n", b"{3+}\r\n", b'"', b"("])
    )
)
def test_any_bytes_are_commands_or_bad(pieces: list[bytes]) -> None:
    reader = CommandReader(10)
    for piece in pieces:
        reader.feed(piece)
        while (item := reader.next()) is not None:
            assert isinstance(item, Command | LiteralWanted | BadCommand)


def test_a_literal_that_is_too_large_is_said_by_a_field_and_not_by_the_text() -> None:
    reader = CommandReader(10)
    reader.feed(b"a APPEND x {11}\r\nb NOOP {a\r\n")
    refused = reader.next()
    assert isinstance(refused, BadCommand)
    assert refused.too_large
    reader.feed(b"* no tag\r\n")
    while (item := reader.next()) is not None:
        assert not isinstance(item, BadCommand) or not item.too_large
