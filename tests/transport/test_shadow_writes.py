from __future__ import annotations

import msgspec
import pytest

from holdfast.transport.shadow_writes import (
    Copied,
    DropCopies,
    ForgetCopies,
    ForgetTakeOver,
    NarrowCopy,
    PurgeKept,
    Resubmit,
    TableWrite,
    TakeOver,
)

WRITES = [
    Copied(1, "mail2", 2.0), ForgetCopies((1, 2)), DropCopies((1,), (2,), 3.0), TakeOver((1,), 2.0, "line"),
    ForgetTakeOver("mail1", "aa", (3,)), Resubmit(1, ("a@x",), "line"), PurgeKept(5.0),
    NarrowCopy(1, ("a@x",)),
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
def test_they_travel_to_the_writer_as_they_are(write: TableWrite) -> None:
    encoded = msgspec.msgpack.encode(write)
    assert msgspec.msgpack.decode(encoded, type=TableWrite) == write
    assert isinstance(write.tracking, str)
