"""A message is read from the queue database while its role may be writing, or not running."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast.drivers.queue_reader import read_message
from holdfast.drivers.queue_writer import QueueWriter
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.queue import AddMessage, QueuedMessage

NAME = "00000000-0000-4000-8000-000000000007"


def test_a_message_is_read_by_either_name_while_the_role_writes(tmp_path: Path) -> None:
    message = QueuedMessage(
        number=7,
        network_message_id=NetworkMessageId(NAME),
        received_at=0.0,
        reverse_path="",
        recipients=("a@example.test",),
        size_bytes=3,
        data=b"\xff\r\n",
        message_id="",
        subject="",
        fingerprint=b"7",
    )

    async def scenario() -> None:
        writer, _ = QueueWriter.open(tmp_path / "queue.sqlite", tmp_path / "tracking")
        committed = asyncio.Event()
        writer.submit([AddMessage(message, "")], lambda *_: committed.set())
        await asyncio.wait_for(committed.wait(), 30)
        assert read_message(tmp_path, "7") == b"\xff\r\n"
        assert read_message(tmp_path, f" {NAME.upper()} ") == b"\xff\r\n"
        for name in ("8", "", "9" * 40, "seven", "-7"):
            assert read_message(tmp_path, name) is None
        await asyncio.to_thread(writer.close, True)

    asyncio.run(scenario())


def test_without_a_queue_nothing_waits(tmp_path: Path) -> None:
    assert read_message(tmp_path, "1") is None


def test_a_file_that_is_no_queue_is_said(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises((Refusal, Unavailable), match="queue"):
        read_message(tmp_path, "1")
