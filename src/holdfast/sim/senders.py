"""Senders: what a real mail server does to hand its messages to us, as a machine.

A sender keeps each letter until every recipient was answered for good: 250
after the final dot, or 5xx. It sends a letter again after a lost connection or
4xx, never after 250, and always with the same bytes. Some pipeline, some lose
patience, some break off in the middle of DATA or right after the final dot
without waiting for the answer.

Source: RFC 5321 sections 4.5.4.1 and 4.2.5; RFC 2920.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

REPLY_BYTES_MAX = 64 << 10
BURST_COUNT = 2  # messages beyond the first


class Habit(enum.Enum):
    """What a sender does with one try of one letter."""

    PROPER = "proper"
    DROP_IN_DATA = "drop in data"  # breaks the connection in the middle of the message
    DROP_AFTER_DOT = "drop after dot"  # breaks it after the final dot, before the answer
    END_AFTER_DOT = "end after dot"  # writes no more after the final dot, still reads
    BURST = "burst"  # writes the same message again and again, whole, before it reads an answer
    END_IN_DATA = "end in data"  # writes no more in the middle of the message


@dataclass(slots=True)
class Letter:
    """One message that a sender must hand over, and what became of it so far.

    Attributes:
        marker: the unique word in its header; finds it again in any store.
        pending: recipients without a final answer.
        tried: the recipients of every try whose final dot was sent, without repetitions but
            those that are messages of their own.
        strays: tries that had gone to another server of ours before: their recipients, and where they went.
        try_count: how often a final dot was sent.
        acknowledged: the recipients of each try that got 250, in order.
        confirmed: those of them after which the server answered something else, so that it knows
            that the 250 was read.
        refused: recipients that got 5xx, with the reply.
    """

    marker: str
    reverse_path: str
    recipients: tuple[str, ...]
    data: bytes
    pending: list[str] = field(default_factory=list)
    tried: list[tuple[str, ...]] = field(default_factory=list)
    strays: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    try_count: int = 0
    acknowledged: list[tuple[str, ...]] = field(default_factory=list)
    confirmed: list[tuple[str, ...]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    _servers: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pending = list(self.recipients)

    def dot_sent(self, recipients: tuple[str, ...], server: str) -> None:
        """Record that the final dot of a try was sent to a server of ours."""
        self.try_count += 1
        servers = self._servers.setdefault(recipients, [])
        if not servers:
            self.tried.append(recipients)
        elif server not in servers:
            self.strays.append((recipients, server))
        if server not in servers:
            servers.append(server)

    @property
    def finished(self) -> bool:
        """Whether every recipient has its final answer."""
        return not self.pending


class _Stage(enum.Enum):
    GREETING = "greeting"
    HELLO = "EHLO"
    ENVELOPE = "envelope"
    FINAL = "final dot"
    BURST = "burst"
    RESET = "RSET"
    QUIT = "QUIT"
    DONE = "done"


def stuff_dots(data: bytes) -> bytes:
    """The message as it travels in DATA, with the line that ends it (RFC 5321 section 4.5.2)."""
    stuffed = data.replace(b"\r\n.", b"\r\n..")
    return (b"." if data.startswith(b".") else b"") + stuffed + b".\r\n"


class SmtpClient:
    """One session of a sender. ``receive`` returns what to write; then look at ``wish``.

    Args:
        next_letter: gives the letter to send next with the habit of this try, or None to QUIT.
        acknowledged: called with the letter and its recipients the moment that 250 was read.
        pipelining: whether to use PIPELINING where it is offered.
        server: which server of ours it speaks with.
    """

    def __init__(
        self,
        next_letter: Callable[[], tuple[Letter, Habit] | None],
        acknowledged: Callable[[Letter, tuple[str, ...]], None],
        *,
        pipelining: bool,
        server: str = "",
    ) -> None:
        self._server = server
        self._next_letter = next_letter
        self._acknowledged = acknowledged
        self._pipelining = pipelining
        self._buffer = b""
        self._lines: list[bytes] = []
        self._stage = _Stage.GREETING
        self._letter: Letter | None = None
        self._habit = Habit.PROPER
        self._to_write: deque[bytes] = deque()
        self._expected: deque[str] = deque()
        self._taken: list[str] = []
        self._mail_taken = False
        self._burst: deque[int] = deque()  # the codes that the rest of a burst should get
        self._unconfirmed: tuple[Letter, tuple[str, ...]] | None = None
        self._offers: set[str] = set()
        # What to do with the connection after what was returned is written.
        self.wish: str = ""  # "", "end" (write no more), "abort", "close"

    @property
    def done(self) -> bool:
        """Whether the session is over."""
        return self._stage is _Stage.DONE

    def receive(self, data: bytes) -> bytes:
        """Read replies; return what to write."""
        self._buffer += data
        assert len(self._buffer) <= REPLY_BYTES_MAX
        written = b""
        while self._stage is not _Stage.DONE and not self.wish and b"\r\n" in self._buffer:
            line, self._buffer = self._buffer.split(b"\r\n", 1)
            self._lines.append(line)
            if line[3:4] != b"-":
                lines, self._lines = self._lines, []
                written += self._reply(int(line[:3]), lines)
        return written

    def _reply(self, code: int, lines: list[bytes]) -> bytes:
        if self._unconfirmed is not None and code != 421:
            letter, taken = self._unconfirmed
            letter.confirmed.append(taken)
            self._unconfirmed = None
        if code == 421:
            self._stage, self.wish = _Stage.DONE, "close"
            return b""
        match self._stage:
            case _Stage.GREETING:
                if code != 220:
                    return self._quit()
                self._stage = _Stage.HELLO
                return b"EHLO sender.example\r\n"
            case _Stage.HELLO:
                self._offers = {
                    line[4:].decode("ascii", "replace").split(" ")[0].upper() for line in lines[1:]
                }
                return self._begin_letter() if code == 250 else self._quit()
            case _Stage.ENVELOPE:
                return self._envelope_reply(code, lines)
            case _Stage.FINAL:
                return self._final_reply(code, lines)
            case _Stage.BURST:
                return self._burst_reply(code)
            case _Stage.RESET:
                return self._begin_letter() if code == 250 else self._quit()
            case _:
                self._stage, self.wish = _Stage.DONE, "close"
                return b""

    def _quit(self) -> bytes:
        self._stage = _Stage.QUIT
        return b"QUIT\r\n"

    def _begin_letter(self) -> bytes:
        following = self._next_letter()
        if following is None:
            return self._quit()
        self._letter, self._habit = following
        letter = self._letter
        self._stage, self._taken, self._mail_taken = _Stage.ENVELOPE, [], False
        size = f" SIZE={len(letter.data)}" if "SIZE" in self._offers else ""
        body = " BODY=8BITMIME" if "8BITMIME" in self._offers else ""
        self._to_write = deque([f"MAIL FROM:<{letter.reverse_path}>{size}{body}\r\n".encode()])
        self._to_write += [f"RCPT TO:<{recipient}>\r\n".encode() for recipient in letter.pending]
        self._to_write.append(b"DATA\r\n")
        self._expected = deque(["MAIL", *letter.pending, "DATA"])
        if self._pipelining and "PIPELINING" in self._offers:
            written = b"".join(self._to_write)
            self._to_write.clear()
            return written
        return self._to_write.popleft()

    def _envelope_reply(self, code: int, lines: list[bytes]) -> bytes:
        letter = self._letter
        assert letter is not None
        asked = self._expected.popleft()
        if asked == "MAIL":
            self._mail_taken = code == 250
            if code >= 500:
                self._refuse(list(letter.pending), lines)
        elif asked == "DATA":
            return self._data_reply(code, lines)
        elif self._mail_taken:
            if code in (250, 251):
                self._taken.append(asked)
            elif code >= 500:
                self._refuse([asked], lines)
        if not self._to_write:
            return b""
        if not self._mail_taken or (self._expected[0] == "DATA" and not self._taken):
            self._stage = _Stage.RESET
            return b"RSET\r\n"
        return self._to_write.popleft()

    def _data_reply(self, code: int, lines: list[bytes]) -> bytes:
        letter = self._letter
        assert letter is not None
        if code != 354:
            if code >= 500 and self._taken:
                self._refuse(self._taken, lines)
            self._stage = _Stage.RESET
            return b"RSET\r\n"
        self._stage = _Stage.FINAL
        if not self._taken:
            return b".\r\n"  # RFC 2920 section 3.1: DATA was pipelined and nobody was taken
        stuffed = stuff_dots(letter.data)
        if self._habit in (Habit.DROP_IN_DATA, Habit.END_IN_DATA):
            self._stage = _Stage.FINAL if self._habit is Habit.END_IN_DATA else _Stage.DONE
            self.wish = "end" if self._habit is Habit.END_IN_DATA else "abort"
            # Leaving out just the CRLF after the dot is the sharpest place to break off.
            return stuffed[:-2] if len(stuffed) % 2 else stuffed[: len(stuffed) // 2]
        letter.dot_sent(tuple(self._taken), self._server)
        if self._habit is Habit.DROP_AFTER_DOT:
            self._stage, self.wish = _Stage.DONE, "abort"
        elif self._habit is Habit.END_AFTER_DOT:
            self.wish = "end"
        elif self._habit is Habit.BURST:
            return stuffed + self._rest_of_burst(letter, stuffed)
        return stuffed

    def _rest_of_burst(self, letter: Letter, stuffed: bytes) -> bytes:
        """The same message some more times; each is one that the server may deliver."""
        commands = [f"MAIL FROM:<{letter.reverse_path}>", *(f"RCPT TO:<{each}>" for each in self._taken)]
        whole = "".join(f"{command}\r\n" for command in (*commands, "DATA")).encode() + stuffed
        letter.tried += [tuple(self._taken)] * BURST_COUNT
        letter.try_count += BURST_COUNT
        self._burst = deque([*[250] * len(commands), 354, 250] * BURST_COUNT)
        return whole * BURST_COUNT

    def _burst_reply(self, code: int) -> bytes:
        if code != self._burst.popleft():
            # What follows would be taken for commands.
            self._stage, self.wish = _Stage.DONE, "abort"
            return b""
        return b"" if self._burst else self._begin_letter()

    def _final_reply(self, code: int, lines: list[bytes]) -> bytes:
        letter = self._letter
        assert letter is not None
        taken = tuple(self._taken)
        if code == 250 and taken:
            letter.acknowledged.append(taken)
            letter.pending = [each for each in letter.pending if each not in taken]
            self._acknowledged(letter, taken)
            if self._habit is not Habit.BURST:  # the next answer is to what was written before
                self._unconfirmed = (letter, taken)
        elif code >= 500 and taken:
            self._refuse(list(taken), lines)
        if self._burst and code == 250:
            self._stage = _Stage.BURST
            return b""
        if self._habit is not Habit.PROPER:
            self._stage, self.wish = _Stage.DONE, "close"
            return b""
        return self._begin_letter()

    def _refuse(self, recipients: list[str], lines: list[bytes]) -> None:
        letter = self._letter
        assert letter is not None
        for recipient in recipients:
            letter.refused[recipient] = lines[-1].decode("utf-8", "replace")
        letter.pending = [each for each in letter.pending if each not in recipients]
