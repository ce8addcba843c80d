"""Read IMAP commands from a stream of bytes.

``CommandReader`` cuts the stream into commands, literals included, with
bounded memory; ``Arguments`` (in ``imap_arguments``) reads the words of one; the
``parse_…`` functions (in ``imap_commands``) read the longer lists. What a
server writes is in ``imap_format``. The names of all three are found here.

Source: RFC 3501 sections 2.2 and 9; RFC 7888 (LITERAL+).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.wire.imap_arguments import Arguments, SequenceSet
from holdfast.wire.imap_commands import (
    AppendCommand,
    FetchItem,
    ListCommand,
    StoreCommand,
    parse_append,
    parse_fetch,
    parse_list,
    parse_status_items,
    parse_store,
)
from holdfast.wire.imap_format import (
    format_astring,
    format_flags,
    format_internal_date,
    format_literal,
    format_mailbox,
    format_uid_set,
    imap_string,
)

__all__ = [
    "AppendCommand",
    "Arguments",
    "BadCommand",
    "Command",
    "CommandReader",
    "FetchItem",
    "ListCommand",
    "LiteralWanted",
    "SequenceSet",
    "StoreCommand",
    "format_astring",
    "format_flags",
    "format_internal_date",
    "format_literal",
    "format_mailbox",
    "format_uid_set",
    "imap_string",
    "parse_append",
    "parse_fetch",
    "parse_list",
    "parse_status_items",
    "parse_store",
]

LINE_BYTES_MAX = 64 << 10  # all of a command but its literals; RFC 7162 section 4 asks for 8192 at least
LITERAL_COUNT_MAX = 100  # a search may carry some, a list of header fields too
DISCARD_BYTES_MAX = 256 << 20  # what is read and thrown away before we rather hang up

_TAG = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\+]{1,256}")
_NAME = re.compile(rb" +([A-Za-z][A-Za-z0-9.-]*)(?: +|$)")
_UID_NAME = re.compile(rb"([A-Za-z]+)(?: +|$)")
_LITERAL_AT_END = re.compile(rb"\{([0-9]+)(\+?)\}\r?\n\Z")


@dataclass(frozen=True, slots=True)
class Command:
    """One command; ``uid`` says that ``UID`` stood before the name. ``arguments`` starts at the first one."""

    tag: str
    name: str
    uid: bool
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class LiteralWanted:
    """The client waits for ``+`` before it sends ``size`` bytes; it may also be refused by ``abandon``."""

    size: int
    tag: str
    name: str


@dataclass(frozen=True, slots=True)
class BadCommand:
    """Something that is no command.

    Attributes:
        tag: for the BAD answer; ``*`` when none could be read.
        text: what is wrong.
        fatal: the stream cannot be followed any more: answer BYE and close.
        too_large: it would be a command if its literals were smaller.
    """

    tag: str
    text: str
    fatal: bool = False
    too_large: bool = False


class CommandReader:
    """Cuts a client's bytes into commands.

    Call ``next`` after each ``feed`` until it returns None. How the bytes are
    cut into pieces changes nothing.

    Attributes:
        literal_bytes_max: the most that the literals of one command may hold
            together; may be changed between commands (small before sign-in).
    """

    def __init__(self, literal_bytes_max: int) -> None:
        self.literal_bytes_max = literal_bytes_max
        self._buffer = bytearray()
        self._scanned = 0  # no line feed before this offset of the buffer
        self._text = bytearray()  # lines of the command that is being read
        self._literals: dict[int, bytes] = {}
        self._literal_left: int | None = None  # size of the literal that is being read
        self._bad = ""  # why the command that is being read is thrown away
        self._too_large = False  # whether that is so because of a literal's size
        self._discarded = 0
        self._dead = False

    @property
    def buffered_bytes(self) -> int:
        """How much is held for commands that are not complete or not taken yet."""
        return len(self._buffer) + len(self._text) + sum(map(len, self._literals.values()))

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        if not self._dead:
            self._buffer += data

    def next(self) -> Command | LiteralWanted | BadCommand | None:
        """Return what comes next, or None when more bytes are needed."""
        while not self._dead:
            if self._literal_left is not None:
                if not self._take_literal():
                    return self._die_of_excess()
                continue
            line = self._take_line()
            if line is None:
                return self._die_of_excess()
            outcome = self._take_command_line(line)
            if outcome is not None:
                return outcome
        return None

    def next_line(self) -> bytes | BadCommand | None:
        """Return one line that is no command, without its end: the answer to ``+``, or DONE.

        None when more bytes are needed; BadCommand when the line is too long.
        """
        assert self._bad or not self._text, "a command is half read"
        while not self._dead:
            line = self._take_line()
            if line is None:
                return self._die_of_excess()
            if not self._bad:
                return _without_line_end(line)
            return self._finish_bad(line)
        return None

    def abandon(self) -> None:
        """Forget the command whose literal was announced: the session answered NO in place of ``+``."""
        self._forget_command()

    def clear(self) -> int:
        """Forget all that was not read, as STARTTLS demands (RFC 3501 section 6.2.1); return how much."""
        byte_count = self.buffered_bytes
        self._buffer.clear()
        self._scanned = 0
        self._forget_command()
        return byte_count

    def _take_line(self) -> bytes | None:
        """Cut one line with its end off the buffer; None when it is not complete."""
        end = self._buffer.find(b"\n", self._scanned) + 1
        if end == 0:
            self._scanned = len(self._buffer)
            if len(self._text) + self._scanned > LINE_BYTES_MAX:
                self._bad = self._bad or f"a command line is longer than {LINE_BYTES_MAX} bytes"
            if self._bad:
                self._keep_start_for_tag(bytes(self._buffer))
                self._drop(self._scanned)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._scanned = 0
        if not self._bad and len(self._text) + len(line) > LINE_BYTES_MAX:
            self._bad = f"a command line is longer than {LINE_BYTES_MAX} bytes"
        return line

    def _take_literal(self) -> bool:
        """Move the literal that is being read out of the buffer; False when it is not complete."""
        assert self._literal_left is not None
        if self._bad:
            taken = min(self._literal_left, len(self._buffer))
            self._drop(taken)
            self._literal_left -= taken
            if self._literal_left:
                return False
        else:
            if len(self._buffer) < self._literal_left:
                return False
            position = self._text.rindex(b"{")
            with memoryview(self._buffer) as view:
                self._literals[position] = bytes(view[: self._literal_left])
            del self._buffer[: self._literal_left]
        self._scanned = 0
        self._literal_left = None
        return True

    def _take_command_line(self, line: bytes) -> Command | LiteralWanted | BadCommand | None:
        """Add a line to the command; None when a literal follows that the client sends by itself."""
        announced = _LITERAL_AT_END.search(line, max(0, len(line) - 64))
        if announced is None:
            return self._finish_bad(line) if self._bad else self._finish(line)
        digits, plus = announced.groups()
        size = int(digits) if len(digits) <= 18 else 10**18
        self._check_literal(size)
        if self._bad:
            self._keep_start_for_tag(line)
            if not plus:  # the client waits, so our refusal ends the command
                return self._finish_bad(b"")
            self._literal_left = size
            if size > DISCARD_BYTES_MAX:
                self._discarded = size
                return self._die_of_excess()
            return None
        self._text += line
        self._literal_left = size
        if plus:
            return None
        head = _read_head(bytes(self._text))
        if isinstance(head, BadCommand):
            self._forget_command()
            return head
        return LiteralWanted(size, head.tag, head.name)

    def _check_literal(self, size: int) -> None:
        if self._bad:
            return
        if size + sum(map(len, self._literals.values())) > self.literal_bytes_max:
            self._too_large = True
            self._bad = (
                f"a literal of {size} bytes is too large; at most {self.literal_bytes_max} are taken here"
            )
        elif len(self._literals) >= LITERAL_COUNT_MAX:
            self._bad = f"a command has more than {LITERAL_COUNT_MAX} literals"

    def _finish(self, line: bytes) -> Command | BadCommand:
        self._text += line
        text = _without_line_end(bytes(self._text))
        literals = self._literals
        self._forget_command()
        head = _read_head(text)
        if isinstance(head, BadCommand):
            return head
        return Command(head.tag, head.name, head.uid, Arguments(text, literals, head.arguments_start))

    def _finish_bad(self, line: bytes) -> BadCommand:
        self._keep_start_for_tag(line)
        tag = _TAG.match(self._text)
        bad = BadCommand(tag[0].decode("ascii") if tag else "*", self._bad, too_large=self._too_large)
        self._forget_command()
        return bad

    def _keep_start_for_tag(self, line: bytes) -> None:
        """Of a command that is thrown away only the start of its first line is worth keeping."""
        if not self._text:
            self._text += line[:300]
        self._literals = {}

    def _drop(self, byte_count: int) -> None:
        del self._buffer[:byte_count]
        self._scanned = 0
        self._discarded += byte_count

    def _die_of_excess(self) -> BadCommand | None:
        """None while what is thrown away is bounded; then the last word."""
        if self._discarded <= DISCARD_BYTES_MAX:
            return None
        bad = self._finish_bad(b"")
        self._buffer.clear()
        self._dead = True
        return BadCommand(bad.tag, bad.text, fatal=True)

    def _forget_command(self) -> None:
        self._text.clear()
        self._literals = {}
        self._literal_left = None
        self._bad = ""
        self._too_large = False
        self._discarded = 0


def _without_line_end(line: bytes) -> bytes:
    """Take off one CRLF or LF, and no more: a literal's announcement may stand before it."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


@dataclass(frozen=True, slots=True)
class _Head:
    tag: str
    name: str
    uid: bool
    arguments_start: int


def _read_head(text: bytes) -> _Head | BadCommand:
    """Read tag and name, the start of every command."""
    tag_match = _TAG.match(text)
    if tag_match is None:
        return BadCommand("*", "a command starts with a tag")
    tag = tag_match[0].decode("ascii")
    line = _without_line_end(text[tag_match.end() :])
    name_match = _NAME.match(line)
    if name_match is None:
        return BadCommand(tag, "the name of a command is missing")
    name = name_match[1].decode("ascii").upper()
    end = name_match.end()
    if name != "UID":
        return _Head(tag, name, False, tag_match.end() + end)
    uid_match = _UID_NAME.match(line, end)
    if uid_match is None:
        return BadCommand(tag, "the name of a command is missing behind UID")
    return _Head(tag, uid_match[1].decode("ascii").upper(), True, tag_match.end() + uid_match.end())
