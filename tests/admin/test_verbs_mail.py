"""Verbs about mail on its way, on a real queue database and tracking log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.drivers.queue_writer import QueueWriter
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.queue import AddMessage, FinishRecipients, QueuedMessage, QueueWrite
from holdfast.transport.tracking import EventId, MessageFacts, TrackingWriter

NOW = 1_800_000_000.0
Call = Callable[..., Any]


def _message(number: int, recipients: tuple[str, ...]) -> QueuedMessage:
    return QueuedMessage(
        number=number,
        network_message_id=NetworkMessageId(f"00000000-0000-4000-8000-{number:012d}"),
        received_at=NOW - 60 * number,
        reverse_path="sender@elsewhere.test",
        recipients=recipients,
        size_bytes=4,
        data=b"x\r\n\n",
        message_id=f"<{number}@elsewhere.test>",
        subject=f"subject {number}",
        fingerprint=bytes([number]),
    )


def _line(message: QueuedMessage, event: EventId, source: str) -> str:
    facts = MessageFacts(
        message.number,
        message.message_id,
        message.network_message_id,
        message.size_bytes,
        message.subject,
        message.reverse_path,
    )
    return TrackingWriter("demo", with_subject=True).line(
        message.received_at, event, source, facts, message.recipients
    )


def _write(home: Path, writes: list[QueueWrite]) -> None:
    async def write() -> None:
        writer, _ = QueueWriter.open(home / "queue.sqlite", home / "tracking")
        committed = asyncio.Event()
        writer.submit(writes, lambda *_: committed.set())
        await asyncio.wait_for(committed.wait(), 30)
        await asyncio.to_thread(writer.close, True)

    asyncio.run(write())


@pytest.fixture
def traffic(tmp_path: Path) -> None:
    """One message was delivered to two recipients, one waits."""
    done = _message(1, ("alice@example.test", "bob@example.test"))
    waiting = _message(2, ("alice@example.test",))
    _write(
        tmp_path,
        [
            AddMessage(done, _line(done, EventId.RECEIVE, "SMTP")),
            AddMessage(waiting, _line(waiting, EventId.RECEIVE, "SMTP")),
            FinishRecipients(1, (), _line(done, EventId.DELIVER, "STOREDRIVER")),
        ],
    )


@pytest.mark.usefixtures("traffic")
def test_the_ledger_accounts_for_every_recipient(call: Call, world: Any) -> None:
    ledger = call("ledger")
    assert (ledger.accepted, ledger.delivered, ledger.queued, ledger.bounced, ledger.dropped) == (
        3,
        2,
        1,
        0,
        0,
    )
    assert (ledger.unaccounted, ledger.missing, world.warnings) == (0, [], [])


def test_a_recipient_that_is_nowhere_is_named(call: Call, world: Any, tmp_path: Path) -> None:
    lost = _message(1, ("alice@example.test", "bob@example.test"))
    _write(
        tmp_path,
        [
            AddMessage(lost, _line(lost, EventId.RECEIVE, "SMTP")),
            FinishRecipients(1, ("bob@example.test",), ""),
        ],
    )
    ledger = call("ledger")
    assert ledger.unaccounted == 1
    assert ledger.missing[0].recipient == "alice@example.test"
    assert "must not be" in world.warnings[0]


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("name", ["2", "00000000-0000-4000-8000-000000000002"])
def test_a_message_that_waits_is_exported_as_it_is(call: Call, name: str) -> None:
    assert call("message export", message=name).data == b"x\r\n\n"


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("name", ["1", "3", "9" * 30, "00000000-0000-4000-8000-000000000001", "x'; --"])
def test_a_message_that_waits_no_more_is_not_exported(call: Call, name: str) -> None:
    with pytest.raises(Refusal, match="waits here; where it went: holdfast message track"):
        call("message export", message=name)


@pytest.mark.usefixtures("traffic")
def test_tracking_is_searched_by_everything(call: Call, world: Any) -> None:
    everything = call("message track")
    assert [row.event for row in everything.rows] == ["RECEIVE", "RECEIVE", "DELIVER"]
    assert everything.complete
    assert world.progress
    assert len(call("message track", recipient="bob@example.test").rows) == 2
    assert len(call("message track", subject="subject 2").rows) == 1
    assert len(call("message track", sender="elsewhere").rows) == 3
    assert len(call("message track", id="00000000-0000-4000-8000-000000000002").rows) == 1
    assert len(call("message track", message_id="<1@elsewhere.test>").rows) == 2
    assert len(call("message track", since="90s").rows) == 2
    assert len(call("message track", until="90s").rows) == 1
    cut = call("message track", limit=1)
    assert (len(cut.rows), cut.complete) == (1, False)
    assert "the newest 1 are shown" in world.warnings[0]
    assert cut.rows[0] == everything.rows[-1]


def test_without_any_mail_everything_is_empty(call: Call) -> None:
    with pytest.raises(Refusal, match="waits here"):
        call("message export", message="1")
    assert call("message track").rows == []
    assert call("ledger").accepted == 0
    with pytest.raises(Refusal, match="not a date"):
        call("message track", since="once")
