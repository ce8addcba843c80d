"""Find the end of a message that is being received, and what is wrong with it.

Only CRLF.CRLF ends a message. A message that has a bare CR or a bare LF
anywhere is refused when its real end comes: two servers that disagree about
where a message ends let a sender smuggle a second one past the first server's
checks. From the moment that a message can no longer be accepted it is only
scanned, and nothing of it is kept.

Invariant: what is kept never exceeds the limit.

Source: RFC 5321 sections 2.3.8, 4.1.1.4, 4.5.2.
"""

from __future__ import annotations

import enum

from holdfast.kernel.errors import Refusal
from holdfast.wire.line_ends import find_dot_line, only_crlf

_END = b"\r\n.\r\n"
_DOT_LINE = b"\r\n."


class DataFault(enum.Enum):
    """Why a message cannot be accepted, the worst first."""

    BARE_LINE_END = "bare CR or LF"
    NUL = "NUL"
    TOO_LARGE = "too large"
    CROWDED_OUT = "no memory left for it"


_ANSWERS = {
    DataFault.BARE_LINE_END: ("message has a bare CR or LF", 521, "5.5.2"),
    DataFault.NUL: ("message has a NUL", 554, "5.6.0"),
    DataFault.TOO_LARGE: ("message is too large", 552, "5.3.4"),
    DataFault.CROWDED_OUT: ("too much mail comes at once, try again later", 452, "4.3.1"),
}


def refusal_of(fault: DataFault) -> Refusal:
    """Make the refusal that answers a message with a fault.

    A new one each time: an exception that is kept keeps the frames that it was
    raised through, and their message.
    """
    text, code, status = _ANSWERS[fault]
    return Refusal(text, code=code, status=status)


class DataReader:
    """Takes the bytes after 354 until the end of the message.

    The bytes are searched, never split into lines: 50 KB cost some 20 µs.
    """

    __slots__ = (
        "_bare",
        "_crowded_out",
        "_dot_line_count",
        "_dotted",
        "_kept",
        "_nul",
        "_seen_bytes",
        "_tail",
        "_whole",
        "bytes_max",
    )

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._whole = b""  # a message that came in one piece is not copied together
        self._kept = bytearray()
        self._tail = b"\r\n"  # the CRLF of the DATA command also begins CRLF.CRLF
        self._seen_bytes = 0
        self._dot_line_count = 0
        self._bare = False
        self._crowded_out = False
        self._nul = False
        self._dotted = False

    def feed(self, data: bytes, start: int) -> int:
        """Take ``data[start:]``; return where the message ends in it, or -1 when all of it belongs to it."""
        assert start < len(data)
        tail = self._tail
        # An end that began in what came before ends within the next four bytes.
        found = (tail + data[start : start + 4]).find(_END)
        if found >= 0:
            end = start + found + len(_END) - len(tail)
        else:
            end = self._find_end(data, start)
        region = data[start:end] if end >= 0 else data[start:]
        if self._dotted:
            self._dot_line_count += (tail[-2:] + region).count(_DOT_LINE)
        else:  # then there is none but across the cut, and the last one
            self._dot_line_count += (tail[-2:] + region[:2]).count(_DOT_LINE) + (end >= 0 and found < 0)
        self._check(region, tail)
        self._tail = (tail + region)[-4:] if len(region) < 4 else region[-4:]
        if self.fault is not None:
            self._kept = bytearray()
        elif end >= 0 and not self._kept:
            self._whole = region
        else:
            self._kept += region
        return end

    def _find_end(self, data: bytes, start: int) -> int:
        # In most messages no line but the last begins with a dot: then one
        # search finds the end and that there is nothing to unstuff.
        found = -1 if self._dotted else find_dot_line(data, start)
        if self._dotted or (found >= 0 and data[found + 3 : found + 5] != b"\r\n"):
            self._dotted = True
            found = data.find(_END, start)
        return found + len(_END) if found >= 0 else -1

    def _check(self, region: bytes, tail: bytes) -> None:
        self._seen_bytes += len(region)
        checked = region
        if tail[-1:] == b"\r":  # a CRLF that was cut in two is judged as a whole
            self._bare = self._bare or region[:1] != b"\n"
            checked = b"\r" + region
        if checked[-1:] == b"\r":
            checked = checked[:-1]  # its line feed may be in the next input
        self._nul = self._nul or b"\0" in checked
        self._bare = self._bare or not only_crlf(checked)

    @property
    def fault(self) -> DataFault | None:
        """What is wrong so far; the size counts without the dots that only quote (RFC 1870 section 3)."""
        if self._bare:
            return DataFault.BARE_LINE_END
        if self._nul:
            return DataFault.NUL
        # The final dot line counts as one too, of which its CRLF remains.
        if self._seen_bytes - self._dot_line_count > self.bytes_max + 2:
            return DataFault.TOO_LARGE
        return DataFault.CROWDED_OUT if self._crowded_out else None

    def crowd_out(self) -> None:
        """Keep nothing of this message any more; its sender is asked to try again later."""
        self._crowded_out = True
        self._kept = bytearray()
        self._whole = b""

    @property
    def kept_bytes(self) -> int:
        """How much memory the message takes now."""
        return len(self._kept) + len(self._whole)

    def message(self) -> bytes:
        """Return the message once its end came without fault: dots unstuffed, the last dot line gone."""
        assert self.fault is None
        if self._whole:
            message = self._whole[:-3]
            dotted = self._dotted
        else:
            message = bytes(memoryview(self._kept)[:-3])
            dotted = b"\r\n." in message
        # RFC 5321 section 4.5.2: one leading dot of every line goes.
        if message[:1] == b".":
            message = message[1:]
        return message.replace(b"\r\n.", b"\r\n") if dotted else message
