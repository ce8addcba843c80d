"""Frames between the transport process and its queue writer: however they are cut."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.drivers.queue_frames import (
    Batch,
    BatchBuilder,
    Broken,
    CannotOpen,
    Close,
    Closed,
    Done,
    FrameReader,
    Opened,
    pack,
    read_from_writer,
    read_to_writer,
)
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.envelope import EnvelopeOptions
from holdfast.transport.queue import (
    AddMessage,
    FinishRecipients,
    HoldQueue,
    MarkMessage,
    Marks,
    QueuedMessage,
    QueueWrite,
    SettleAnswers,
    TrackOnly,
)


def message(number: int, data: bytes, options: EnvelopeOptions | None = None) -> QueuedMessage:
    return QueuedMessage(
        number=number,
        network_message_id=NetworkMessageId(f"message-{number}"),
        received_at=1000.5,
        reverse_path="x@y",
        recipients=("a@example.test", "\udcff@example.test"),
        size_bytes=len(data),
        data=data,
        message_id="<\udcff@y>",
        subject="S",
        fingerprint=b"f" * 16,
        **({} if options is None else {"options": options}),
    )


WRITES: list[QueueWrite] = [
    AddMessage(message(1, b"first"), "one\n"),
    FinishRecipients(2, (), "two\n"),
    AddMessage(message(3, b"", EnvelopeOptions(eight_bit=True)), "\udcff\n"),
    FinishRecipients(4, ("a@example.test", "b@example.test"), ""),
    MarkMessage(5, Marks(held=True)),
    HoldQueue("smart-host:out", held=True),
    SettleAnswers((b"\x00" * 16, b"\xff" * 16)),
    TrackOnly("last\n"),
]


def built(number: int, writes: list[QueueWrite]) -> Batch:
    builder = BatchBuilder()
    builder.add(writes)
    assert builder.write_count == len(writes)
    return builder.finish(number)


def test_a_batch_holds_its_writes_by_kind() -> None:
    batch = built(7, WRITES)
    assert (batch.number, batch.lines) == (7, b"one\ntwo\n?\nlast\n")
    assert [row[0] for row in batch.adds] == [1, 3]
    assert batch.data == [b"first", b""]
    assert [row[0] for row in batch.options] == [3]
    assert batch.finished == [2]
    assert batch.progress == [(4, b"a@example.test\nb@example.test")]
    assert [number for number, _ in batch.marked] == [5]
    assert batch.held == [("smart-host:out", True)]
    assert batch.settled == [b"\x00" * 16, b"\xff" * 16]


@given(st.lists(st.binary(max_size=3000), max_size=4), st.lists(st.integers(1, 5000), max_size=20))
def test_frames_come_out_as_they_went_in_however_they_are_cut(data: list[bytes], cuts: list[int]) -> None:
    sent = [
        built(number, [*WRITES, *(AddMessage(message(9, each), "") for each in data)]) for number in (1, 2)
    ]
    close = Close(True, {b"\x01": "one"})
    wire = b"".join(b"".join(pack(each)) for each in (*sent, close))
    reader = FrameReader()
    found = []
    for cut in [*cuts, len(wire)]:
        found += read_to_writer(reader, wire[:cut])
        wire = wire[cut:]
    expected = [
        built(number, [*WRITES, *(AddMessage(message(9, each), "") for each in data)]) for number in (1, 2)
    ]
    assert found == [*expected, close]


def test_answers_come_out_as_they_went_in() -> None:
    answers = [
        Opened(),
        CannotOpen("why", True),
        Done(3, None, 2),
        Done(4, "full", 3),
        Broken("trace"),
        Closed(),
    ]
    wire = b"".join(b"".join(pack(each)) for each in answers)
    assert read_from_writer(FrameReader(), wire) == answers


def test_what_is_no_frame_of_ours_is_an_error() -> None:
    with pytest.raises(msgspec.MsgspecError):
        read_to_writer(FrameReader(), b"\x01\x00\x00\x00" + bytes(8) + b"\xc1")
    with pytest.raises(msgspec.MsgspecError):
        read_from_writer(FrameReader(), b"".join(pack(Close(False, {}))))
