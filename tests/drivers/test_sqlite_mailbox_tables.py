"""What is special to SQLite's tables; what they keep is tested with the mailbox room."""

from __future__ import annotations

import sqlite3

import pytest

from holdfast.drivers import sqlite_mailbox_tables
from holdfast.drivers.sqlite_mailbox_tables import MIGRATIONS, SqliteTables
from holdfast.kernel.ids import MailboxId
from holdfast.mailbox.tables import MailboxRow


def test_the_cache_does_not_grow_without_end_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_mailbox_tables, "CACHED_COUNT_MAX", 2)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    tables = SqliteTables(connection)
    rows = [MailboxRow(MailboxId(f"m{number}"), 0, number, 0, 0) for number in range(4)]
    for row in rows:
        tables.put_mailbox(row)
        tables.flush()
        tables.committed()
    assert [tables.mailbox(row.mailbox_id) for row in rows] == rows
    assert tables.mailbox(rows[0].mailbox_id) is not rows[0]
    connection.close()
