"""What the tables say of copies, read beside the writer or without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.test_sqlite_shadows import hold, message
from holdfast.drivers.protection_reader import (
    EMPTY,
    NOTHING_KEPT,
    StoredPartner,
    StoredShadowQueue,
    UnprotectedMessage,
    read_kept_total,
    read_protection,
    read_unprotected,
)
from holdfast.drivers.queue_frames import BatchBuilder
from holdfast.drivers.queue_reader import read_ledger
from holdfast.drivers.sqlite_queue import QueueDatabase
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.transport.ledger import CopyCounts
from holdfast.transport.queue import AddMessage, FinishRecipients, QueueWrite
from holdfast.transport.shadow_writes import Copied, DropCopies, TakeOver


def write(home: Path, *writes: QueueWrite) -> None:
    database = QueueDatabase.open(home / "queue.sqlite", home / "tracking")
    for each in writes:
        builder = BatchBuilder()
        builder.add([each])
        assert database.commit(builder.finish(1)) is None
    database.close(clean=True, uncertain={})


def add(number: int, holder: str | None) -> AddMessage:
    return AddMessage(message(number), "", holder=holder)


def test_without_a_database_there_is_nothing(tmp_path: Path) -> None:
    assert read_protection(tmp_path) == EMPTY
    assert read_unprotected(tmp_path, with_alone=True, limit=9) == []
    assert read_kept_total(tmp_path, lambda *_: None) == NOTHING_KEPT


def test_who_holds_what_for_whom(tmp_path: Path) -> None:
    write(
        tmp_path,
        add(1, "mail2"),
        add(2, ""),
        add(3, None),
        add(4, "mail2"),
        FinishRecipients(4, (), "", kept=5000.0),
        hold(5, 50),
        hold(6, 60),
        hold(7, 70),
        TakeOver((7,), 4000.0, ""),
    )
    stored = read_protection(tmp_path)
    assert stored.counts == CopyCounts(1, 2, 1002.0, 1, 1003.0)
    assert stored.counts.with_partner() == CopyCounts(1, 3, 1002.0)
    assert stored.partners == (StoredPartner("mail2", held_count=1, discard_count=1),)
    assert stored.queues == (StoredShadowQueue("mail1", 2, 8, 1005.0, untold_count=1),)
    assert read_ledger(tmp_path).copies == stored.counts


def test_unprotected_messages_are_listed_oldest_first(tmp_path: Path) -> None:
    write(tmp_path, add(1, ""), add(2, "mail2"), add(3, ""), add(4, None), Copied(1, "", 9000.0))
    found = read_unprotected(tmp_path, with_alone=False, limit=9)
    assert [(each.number, each.since) for each in found] == [(3, 1003.0), (1, 9000.0)]
    assert found[0] == UnprotectedMessage(3, "id-3", "s@x", ("a@x", "b@x"), 4, 1003.0)
    assert [each.number for each in read_unprotected(tmp_path, with_alone=True, limit=2)] == [3, 4]


def test_the_safety_net_is_added_up_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.drivers.protection_reader.STEP_COUNT", 2)
    write(
        tmp_path,
        *(add(number, None) for number in range(1, 4)),
        *(FinishRecipients(number, (), "", kept=5000.0 - number) for number in range(1, 4)),
        hold(9, 90),
        DropCopies((9,), (), 6000.0),
    )
    told: list[tuple[int, int]] = []
    total = read_kept_total(tmp_path, lambda done, of: told.append((done, of)))
    assert (total.message_count, total.size_bytes, total.oldest_at) == (4, 16, 4997.0)
    assert told == [(0, 4), (2, 4)]


def test_a_file_that_is_no_queue_is_said(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises((Refusal, Unavailable), match="queue"):
        read_protection(tmp_path)
