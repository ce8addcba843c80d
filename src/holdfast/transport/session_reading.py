"""Cut what a client of SMTP sends into commands, message data and chunks, and gather what it is told.

What the commands mean is decided by the session that is built on this
(``session``). Here is what makes the answers the same however TCP cuts the
bytes, and what bounds the memory of a session.

Source: RFC 5321 sections 2.3.8 and 4.5.3.1; RFC 3030 section 2; docs/decisions/0003.
"""

from __future__ import annotations

import enum

from holdfast.kernel.errors import Refusal
from holdfast.transport.session_chunks import ChunkReader
from holdfast.transport.session_data import DataReader
from holdfast.transport.session_terms import SessionEnded, SessionEvent, Terms
from holdfast.wire import smtp


class State(enum.Enum):
    """What a session waits for."""

    COMMAND = "waits for a command"
    SIGN_IN = "waits for a line of a sign-in"
    DATA = "reads a message"
    CHUNK = "reads a chunk of a message"
    MESSAGE_JUDGED = "waits for accepted or refused"
    SIGN_IN_JUDGED = "waits for password_checked"
    TLS = "waits for tls_started"
    LINK_JUDGED = "waits for take_rest or link_refused"
    ENDED = "is over"


# By these names, since looking a member up in its class costs more than the comparison.
COMMAND, DATA, CHUNK = State.COMMAND, State.DATA, State.CHUNK
SIGN_IN, MESSAGE_JUDGED, SIGN_IN_JUDGED = State.SIGN_IN, State.MESSAGE_JUDGED, State.SIGN_IN_JUDGED
_WAITING = (MESSAGE_JUDGED, SIGN_IN_JUDGED, State.LINK_JUDGED)
_READING = (COMMAND, DATA, SIGN_IN, CHUNK)

NO_MESSAGE = DataReader(0)  # stands where no message is being read; never fed
_BARE_LINE_END = Refusal("lines end with CRLF, and have no other CR, LF or NUL", code=500, status="5.5.2")
# How a TLS client begins (RFC 8446 section 5.1). It waits for our handshake as
# long as we wait for its line, so it is told at once.
_TLS_HANDSHAKE = b"\x16\x03"
_SHORT_LINE_BYTES_MAX = smtp.COMMAND_BYTES_MAX - 2


class SessionReading:
    """The part of a session that reads and answers."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._connector = terms.connector
        self._state = COMMAND
        self._reply = bytearray()
        self._events: list[SessionEvent] = []
        # Received and not yet looked at; while reading, less than one line.
        self._pending = bytearray()
        self._skipping_line = False
        self._tarpitted = False
        self._held = False
        self._error_count = 0
        self._reader = NO_MESSAGE
        self._chunks: ChunkReader | None = None
        self._chunk_left = 0

    # --- what the session decides ----------------------------------------------------------

    def _command(self, line: bytes) -> None:
        """Do what a line says."""
        raise NotImplementedError

    def _sign_in_line(self, line: bytes) -> None:
        """Take a line of a sign-in."""
        raise NotImplementedError

    def _message_ended(self) -> None:
        """The message that ``_reader`` has read is complete."""
        raise NotImplementedError

    def _chunk_ended(self) -> None:
        """All bytes of a chunk came."""
        raise NotImplementedError

    def _forget_transaction(self) -> None:
        """Forget sender, recipients and message."""
        raise NotImplementedError

    # --- what the caller does --------------------------------------------------------------

    def receive(self, data: bytes) -> list[SessionEvent]:
        """Take bytes from the client."""
        end = len(data) - 2
        if (
            self._state is COMMAND
            and 0 < end <= _SHORT_LINE_BYTES_MAX
            and data.find(b"\n") == end + 1
            and data.find(b"\r") == end
            and not (self._pending or self._held or self._skipping_line)
            and data[0] != _TLS_HANDSHAKE[0]
            and b"\0" not in data
        ):
            # One command, whole and alone: what clients send that wait for each answer.
            self._command(data[:end])
        elif self._held:
            if self._state is not State.ENDED:
                self._pending += data
        elif self._state in _READING:
            if self._pending:
                data = bytes(self._pending + data)
                self._pending.clear()
            self._read(data)
        elif self._state in _WAITING:
            self._pending += data
        # Else the session is over, or these bytes came in the clear after
        # STARTTLS: obeying them under TLS would let somebody on the way put
        # commands into the client's mouth (RFC 3207 section 6).
        return self._take_events()

    def go_on(self) -> list[SessionEvent]:
        """The time of the tarpit is over and the reply was sent: go on with what was pipelined."""
        self._held = False
        return self._read_pending()

    def say_goodbye(self, code: int, status: str, text: str) -> list[SessionEvent]:
        """End the session from our side (421 for a stop or a time-out)."""
        if not self.ended:
            self._reply += smtp.format_reply(code, status, text)
            self._end()
        self._held = False
        return self._take_events()

    def take_reply(self) -> bytes:
        """Return what is to be written now, and forget it."""
        reply = bytes(self._reply)
        self._reply.clear()
        return reply

    @property
    def waiting(self) -> bool:
        """Whether the session waits for its caller: for ``accepted`` and the like, or for ``go_on``."""
        return self._held or self._state in _WAITING

    @property
    def calm(self) -> bool:
        """Whether it is reading, so that nothing is due but to write its reply."""
        return self._state in _READING and not self._held

    @property
    def held(self) -> bool:
        """Whether the reply is to be kept back for the tarpit's time, and then ``go_on`` called."""
        return self._held

    @property
    def receiving_data(self) -> bool:
        """Whether the client is in the middle of a message."""
        return self._state is DATA or self._chunks is not None

    @property
    def ended(self) -> bool:
        """Whether the session is over: nothing more is read."""
        return self._state is State.ENDED

    @property
    def buffered_bytes(self) -> int:
        """How much the session keeps in memory for its client."""
        kept_bytes = len(self._pending)
        if self._state is DATA:
            kept_bytes += self._reader.kept_bytes
        elif self._chunks is not None:
            kept_bytes += self._chunks.kept_bytes
        return kept_bytes

    def crowd_out(self) -> None:
        """Give up the message that is being received, since all messages together take too much memory."""
        assert self.receiving_data
        (self._chunks or self._reader).crowd_out()

    # --- reading -------------------------------------------------------------------------

    def _take_events(self) -> list[SessionEvent]:
        events = self._events
        if events:
            self._events = []
            return events
        return []

    def _read_pending(self) -> list[SessionEvent]:
        if self._pending and self._state in _READING:
            data = bytes(self._pending)
            self._pending.clear()
            self._read(data)
        return self._take_events()

    def _read(self, data: bytes) -> None:
        at = 0
        end = len(data)
        while at < end and self._state in _READING and not self._held:
            if self._state is DATA:
                after = self._reader.feed(data, at)
                if after < 0:
                    return
                self._message_ended()
            elif self._state is CHUNK:
                after = self._read_chunk(data, at)
            else:
                after = self._read_line(data, at)
                if after < 0:
                    break
            at = after
        if at < end and (self._state in _READING or self._state in _WAITING):
            self._pending += data[at:] if at else data

    def _read_chunk(self, data: bytes, at: int) -> int:
        after = min(len(data), at + self._chunk_left)
        if self._chunks is not None:
            self._chunks.add(data[at:after])
        self._chunk_left -= after - at
        if not self._chunk_left:
            self._chunk_ended()
        return after

    def _read_line(self, data: bytes, at: int) -> int:
        """Do what one line says; return where the next begins, or -1 when the line has not ended.

        Only CRLF ends a line. A line with a bare LF is refused as soon as that
        LF is seen, since a client that writes nothing else would wait for ever;
        the rest of the line up to its CRLF is not obeyed.
        """
        if self._skipping_line:
            end = data.find(b"\r\n", at)
            if end < 0:
                self._pending += b"\r" if data[-1:] == b"\r" else b""
                return len(data)
            self._skipping_line = False
            return end + 2
        if data.startswith(_TLS_HANDSHAKE, at):
            self._close_with(Refusal("begin without TLS here", code=554, status="5.5.2"))
            return len(data)
        end = data.find(b"\n", at)
        if (end if end >= 0 else len(data)) - at > smtp.AUTH_BYTES_MAX:
            self._close_with(Refusal("line is too long", code=554, status="5.5.2"))
            return len(data)
        if end < 0:
            return -1
        if end == at or data[end - 1] != 0x0D:
            self._skipping_line = True
            self._error(_BARE_LINE_END)
            return end + 1
        line = data[at : end - 1]
        if self._state is SIGN_IN:
            self._sign_in_line(line)
        elif b"\r" in line or b"\0" in line:
            self._error(_BARE_LINE_END)
        else:
            self._command(line)
        return end + 1

    # --- answering -----------------------------------------------------------------------

    def _answer(self, refusal: Refusal) -> None:
        self._reply += smtp.format_reply(refusal.code, refusal.status, refusal.text)
        if refusal.code >= 500 and self._tarpitted:
            self._held = True
        elif refusal.code == 421:  # RFC 5321 section 3.8: 421 ends the session
            self._end()

    def _error(self, refusal: Refusal) -> None:
        """Answer an error of the protocol; the last one that is allowed ends the session."""
        self._error_count += 1
        if self._error_count >= self._connector.protocol_error_count_max:
            refusal = Refusal("too many errors", code=421, status="4.5.0")
        self._answer(refusal)

    def _close_with(self, refusal: Refusal) -> None:
        self._answer(refusal)
        self._end()

    def _end(self) -> None:
        if self.ended:
            return
        self._state = State.ENDED
        self._pending.clear()
        self._forget_transaction()
        self._events.append(SessionEnded())
