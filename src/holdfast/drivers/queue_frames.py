"""What the transport process and its queue writer say to each other over a socket pair.

A frame is a head in MessagePack and, of a batch, the messages' data behind it. Eight bytes before it
say how long both are. The data is not part of the head so that it is copied by the kernel alone.

Both ends are of one installation, and the writer lives no longer than the transport process that
started it. A frame that cannot be read is therefore a fault of ours and ends both.

Source: docs/decisions/0013.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from holdfast.drivers.queue_schema import marks_bytes, names_bytes, options_bytes, text_bytes
from holdfast.transport.envelope import PLAIN_ENVELOPE
from holdfast.transport.queue import (
    NO_MARKS,
    AddMessage,
    FinishRecipients,
    HoldQueue,
    MarkMessage,
    QueuedMessage,
    QueueWrite,
    SettleAnswers,
    TrackOnly,
)
from holdfast.transport.shadow_writes import Copied, DropCopies, HoldCopy, Resubmit, TableWrite, TakeOver

LENGTHS = struct.Struct("<IQ")  # of the head, and of the data behind it

# A row of table ``message`` but for its data, of which only the length is said.
AddRow = tuple[int, str, float, bytes, bytes, int, bytes, bytes, bytes, int]
OptionsRow = tuple[int, bytes | None, bytes | None]
CopyRow = tuple[int, str, str, int]


class Batch(msgspec.Struct, tag=1, array_like=True):
    """Writes that are made durable in one transaction, by kind.

    It also is what the commit log holds (``drivers.commit_log``): fields may be added at its end, and nothing
    else may change without another ``FORMAT`` there.

    Attributes:
        number: counts the batches of one life.
        lines: for the tracking log.
        adds: rows of table ``message``.
        options: rows of table ``extra`` of those few that have one: number, marks, options.
        finished: numbers of messages that leave the queue.
        progress: numbers of messages with the recipients that remain.
        settled: fingerprints that are no longer uncertain.
        marked: numbers of messages with their marks.
        held: queues by name, and whether they are held from now on.
        holders: who holds the copies of messages that are added, where that matters; empty for nobody.
        copies: which of the messages that are added are held for another server: rows of table ``shadow``.
        shadows: changes to the tables about copies, in order.
        kept: numbers of messages that leave the queue for the Safety Net, and when.
        data: of the messages that are added, in order; travels behind the head.
    """

    number: int
    lines: bytes = b""
    adds: list[AddRow] = []
    options: list[OptionsRow] = []
    finished: list[int] = []
    progress: list[tuple[int, bytes]] = []
    settled: list[bytes] = []
    marked: list[tuple[int, bytes | None]] = []
    held: list[tuple[str, bool]] = []
    holders: dict[int, str] = {}
    copies: list[CopyRow] = []
    shadows: list[TableWrite] = []
    kept: list[tuple[int, float]] = []
    data: list[bytes] = []


class Close(msgspec.Struct, tag=2, array_like=True):
    """The last frame to the writer.

    Attributes:
        clean: nothing was left unfinished: no fingerprint is uncertain at the next start ...
        uncertain: ... but these, with their network message ids.
    """

    clean: bool
    uncertain: dict[bytes, str]


class Opened(msgspec.Struct, tag=3, array_like=True):
    """The database is open, brought to our version, and its tracking log complete."""


class CannotOpen(msgspec.Struct, tag=4, array_like=True):
    """It is not; ``for_good`` when trying again is useless."""

    text: str
    for_good: bool


class Done(msgspec.Struct, tag=5, array_like=True):
    """All batches up to ``number`` that were not answered yet are durable; with an error none of them is.

    Those up to ``in_tables`` can be read from the database.
    """

    number: int
    error: str | None
    in_tables: int


class Broken(msgspec.Struct, tag=6, array_like=True):
    """A fault of our own ends the writer; ``text`` says where."""

    text: str


class Closed(msgspec.Struct, tag=7, array_like=True):
    """The answer to ``Close``: all is written, and nobody has the database open any more."""


class WriteOut(msgspec.Struct, tag=8, array_like=True):
    """Somebody wants to read from the database what is not in its tables yet; answered by ``Written``."""


class Written(msgspec.Struct, tag=9, array_like=True):
    """What was committed is in the tables, up to a batch; an earlier one than the last when that failed."""

    in_tables: int


class Expect(msgspec.Struct, tag=10, array_like=True):
    """Another batch will come in a moment, so the writer should be awake by then; it is not answered."""


ToWriter = Batch | Close | WriteOut | Expect
FromWriter = Opened | CannotOpen | Done | Broken | Closed | Written

_encoder = msgspec.msgpack.Encoder()
to_writer = msgspec.msgpack.Decoder(ToWriter)
from_writer = msgspec.msgpack.Decoder(FromWriter)


class BatchBuilder:
    """Gathers writes of the room into one batch.

    Public attributes: ``write_count``; ``data_bytes`` of the messages that are added.
    """

    def __init__(self) -> None:
        self.write_count = 0
        self.data_bytes = 0
        self._tracking: list[str] = []
        self._batch = Batch(0)

    def add(self, writes: list[QueueWrite]) -> None:
        """Take writes that belong together: all or none of them become durable."""
        batch, tracking = self._batch, self._tracking
        self.write_count += len(writes)
        for write in writes:
            tracking.append(write.tracking)
            if isinstance(write, AddMessage):
                self._add_message(write.message)
                if write.holder is not None:
                    batch.holders[write.message.number] = write.holder
            elif isinstance(write, FinishRecipients):
                if write.remaining:
                    batch.progress.append((write.number, names_bytes(write.remaining)))
                elif write.kept:
                    batch.kept.append((write.number, write.kept))
                else:
                    batch.finished.append(write.number)
            elif isinstance(write, HoldCopy):
                self._add_message(write.message)
                row = (write.message.number, write.primary, write.identity, write.primary_number)
                batch.copies.append(row)
            elif isinstance(write, TableWrite):
                batch.shadows.append(without_tracking(write))
            elif isinstance(write, MarkMessage):
                batch.marked.append((write.number, marks_bytes(write.marks)))
            elif isinstance(write, HoldQueue):
                batch.held.append((write.key, write.held))
            elif isinstance(write, SettleAnswers):
                batch.settled += write.fingerprints
            else:
                assert isinstance(write, TrackOnly)

    def _add_message(self, message: QueuedMessage) -> None:
        data = message.data
        assert data is not None
        self.data_bytes += len(data)
        self._batch.data.append(data)
        self._batch.adds.append(
            (
                message.number,
                message.network_message_id,
                message.received_at,
                text_bytes(message.reverse_path),
                names_bytes(message.recipients),
                message.size_bytes,
                text_bytes(message.message_id),
                text_bytes(message.subject),
                message.fingerprint,
                len(data),
            )
        )
        if message.options is not PLAIN_ENVELOPE or message.marks is not NO_MARKS:
            row = (message.number, marks_bytes(message.marks), options_bytes(message.options))
            self._batch.options.append(row)

    def finish(self, number: int) -> Batch:
        """Return the batch."""
        self._batch.number = number
        self._batch.lines = "".join(self._tracking).encode("utf-8", "replace")
        return self._batch


def without_tracking(write: TableWrite) -> TableWrite:
    """The lines travel once, with those of all other writes."""
    if isinstance(write, Copied | DropCopies | TakeOver | Resubmit) and write.tracking:
        return msgspec.structs.replace(write, tracking="")
    return write


def pack(frame: ToWriter | FromWriter) -> list[bytes]:
    """Write a frame, as the pieces that are sent one behind the other."""
    data: list[bytes] = []
    if isinstance(frame, Batch):
        data, frame.data = frame.data, []
    head = _encoder.encode(frame)
    return [LENGTHS.pack(len(head), sum(map(len, data))) + head, *data]


class FrameReader:
    """Cuts what comes from the other end into frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[tuple[bytes, memoryview]]:
        """Take bytes; yield head and data of each frame that is whole. The data is valid until the next."""
        pending = self._pending
        pending += data
        at = 0
        try:
            while len(pending) - at >= LENGTHS.size:
                head_bytes, data_bytes = LENGTHS.unpack_from(pending, at)
                begin = at + LENGTHS.size
                middle, end = begin + head_bytes, begin + head_bytes + data_bytes
                if len(pending) < end:
                    return
                at = end
                with memoryview(pending) as view, view[middle:end] as behind:
                    yield bytes(view[begin:middle]), behind
        finally:
            del pending[:at]


def read_to_writer(reader: FrameReader, data: bytes | memoryview) -> list[ToWriter]:
    """Take bytes that came to the writer; return the frames that are whole now.

    Raises:
        msgspec.MsgspecError: it is no frame of ours.
    """
    frames: list[ToWriter] = []
    for head, behind in reader.feed(data):
        frame = to_writer.decode(head)
        if isinstance(frame, Batch):
            at = 0
            for row in frame.adds:
                frame.data.append(bytes(behind[at : at + row[-1]]))
                at += row[-1]
        frames.append(frame)
    return frames


def read_from_writer(reader: FrameReader, data: bytes) -> list[FromWriter]:
    """Take bytes that came from the writer; return the frames that are whole now.

    Raises:
        msgspec.MsgspecError: it is no frame of ours.
    """
    return [from_writer.decode(head) for head, _ in reader.feed(data)]
