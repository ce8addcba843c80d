"""Gather a message that comes in chunks, and find what is wrong with it.

How long a chunk is says its command, so nothing in it can end the message and
no dot is quoted. All else is as after DATA (``session_data``): the same limit,
the same faults, and from the moment that the message can no longer be accepted
nothing of it is kept. A bare CR or LF is refused here too: the message travels
on with DATA to others, where that line end could be taken for the end of the
message, and a repaired one is what smuggling needs. Since the length of the
chunk is known the session may go on. Only the CRLF that DATA puts after the
last line is added where it is missing.

Source: RFC 3030 section 2; docs/decisions/0003.
"""

from __future__ import annotations

from holdfast.kernel.errors import Refusal
from holdfast.transport.session_data import DataFault, DataReader, refusal_of


class ChunkReader(DataReader):
    """Takes the chunks of one message."""

    __slots__ = ()

    def __init__(self, bytes_max: int) -> None:
        super().__init__(bytes_max)
        self._dot_line_count = -2  # there is no final dot line whose CRLF would count

    def add(self, chunk: bytes) -> None:
        """Take bytes of the message, cut anywhere."""
        if not chunk:
            return
        self._check(chunk, self._tail)
        self._tail = chunk[-1:]
        if self.fault is not None:
            self._kept = bytearray()
        else:
            self._kept += chunk

    def end(self) -> None:
        """The message is complete: a CR at its end gets no LF any more."""
        self._bare = self._bare or self._tail == b"\r"

    def message(self) -> bytes:
        """Return the message once it ended without fault, its last line with CRLF."""
        assert self.fault is None
        if self._kept and self._tail != b"\n":
            self._kept += b"\r\n"
        return bytes(self._kept)


def refusal_of_chunk(fault: DataFault) -> Refusal:
    """Make the refusal that answers a chunk with a fault."""
    if fault is DataFault.BARE_LINE_END:
        return Refusal("message has a bare CR or LF", code=554, status="5.6.0")
    return refusal_of(fault)
