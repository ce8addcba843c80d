"""The lease database: what is committed is there, what is not is not."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from holdfast.dhcp.failover_record import VERSION, Agreed, Departed, Record, write_spans
from holdfast.dhcp.lease import ACTIVE, FREE, NEVER, Lease
from holdfast.dhcp.lease_time import Mark
from holdfast.drivers.sqlite_leases import SCHEMA, LeaseStore, read_leases
from holdfast.kernel.errors import Refusal, Unavailable

LEASE = Lease(
    0xFFFFFFFE, ACTIVE, 3, b"\x01\xff", b"\0id", 1, NEVER, 2, 3, b"host\xff", b"relay", b"dns", 4, 5, 6
)  # fmt: skip


def test_a_lease_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = LeaseStore.open(tmp_path / "leases.sqlite")
    assert (store.read(), store.read_mark()) == ([], None)
    store.commit([LEASE, LEASE._replace(address=1), LEASE._replace(status=FREE)], Mark(1.5, 2.5, 3.5, "boot"))
    # Another process sees what is committed.
    assert read_leases(tmp_path / "leases.sqlite") == [LEASE._replace(address=1), LEASE._replace(status=FREE)]
    store.close()
    store = LeaseStore.open(tmp_path / "leases.sqlite")
    assert store.read_mark() == Mark(1.5, 2.5, 3.5, "boot")
    store.close()


def test_a_record_of_failover_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = LeaseStore.open(tmp_path / "leases.sqlite")
    record = Record("office", VERSION, 2, 1000, 2, 3, 900, 1100, 60, b"\xff" * 32, 1234, 1, 0)
    store.commit([], None, [record])
    store.commit([], None, [record._replace(state=3)])
    store.close()
    again = LeaseStore.open(tmp_path / "leases.sqlite")
    assert again.read_failover() == [record._replace(state=3)]
    again.close()


def test_a_file_of_before_failover_is_brought_to_our_version(tmp_path: Path) -> None:
    path = tmp_path / "leases.sqlite"
    store = LeaseStore.open(path)
    store.commit([LEASE])
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table in ("failover", "departed", "agreed"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 1")
    again = LeaseStore.open(path)
    assert again.read() == [LEASE]
    assert again.read_failover() == []
    again.close()


def test_a_record_of_before_scopes_were_remembered_is_brought_to_our_version(tmp_path: Path) -> None:
    path = tmp_path / "leases.sqlite"
    LeaseStore.open(path).close()
    old = ("office", 1, 2, 1000, 2, 3, 900, 1100, 60, b"\xff" * 32, 1234, 1, 0)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE departed")
        connection.execute("DROP TABLE agreed")
        for column in ("is_primary", "shared", "wanted"):
            connection.execute(f"ALTER TABLE failover DROP COLUMN {column}")
        connection.execute(f"INSERT INTO failover VALUES ({', '.join('?' * len(old))})", old)
        connection.execute("PRAGMA user_version = 2")
        connection.commit()
    again = LeaseStore.open(path)
    assert again.read_failover() == [Record(*old)]
    again.close()


def test_scopes_that_left_are_read_as_they_were_written(tmp_path: Path) -> None:
    store = LeaseStore.open(tmp_path / "leases.sqlite")
    record = Record("office", VERSION, 2, 1000, 2, primary=1, shared=write_spans([(1, 9)]))
    departed = [Departed(1, 9, VERSION, 1000, 60, 1), Departed(0xFFFFFF00, 0xFFFFFFFF, VERSION, 1, 60, 0)]
    store.commit([], None, [record, *departed])
    assert store.read_failover() == [record, *departed]
    store.commit([], None, [record._replace(state=0), departed[0]._replace(since=0)])
    assert store.read_failover() == departed[1:]
    store.close()


def test_which_reservations_both_had_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = LeaseStore.open(tmp_path / "leases.sqlite")
    agreed = [Agreed("pair", 1, b"\x00one"), Agreed("back", 1, b"")]
    store.commit([], None, agreed)
    assert store.read_failover() == agreed
    store.commit([], None, [agreed[0]._replace(data=b"two"), agreed[1]._replace(version=0)])
    assert store.read_failover() == [agreed[0]._replace(data=b"two")]
    store.close()


def test_a_file_of_before_reservations_were_remembered_is_brought_to_our_version(tmp_path: Path) -> None:
    path = tmp_path / "leases.sqlite"
    record = Record("office", VERSION, 2, 1000, 2)
    store = LeaseStore.open(path)
    store.commit([LEASE], None, [record])
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE agreed")
        connection.execute("PRAGMA user_version = 3")
    again = LeaseStore.open(path)
    assert (again.read(), again.read_failover()) == ([LEASE], [record])
    again.close()


def test_the_file_is_ours_alone_and_synced(tmp_path: Path) -> None:
    path = tmp_path / "leases.sqlite"
    store = LeaseStore.open(path)
    assert path.stat().st_mode & 0o777 == 0o600
    connection = store._connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_a_log_that_was_made_ready_holds_leases_as_any_other(tmp_path: Path) -> None:
    path, log = tmp_path / "leases.sqlite", tmp_path / "leases.sqlite-wal"
    store = LeaseStore.open(path)
    store.commit([LEASE])
    store.make_log_ready()
    ready = log.stat().st_size
    assert ready >= 16 << 20
    expected = [LEASE]
    for number in range(2):
        store.commit([LEASE._replace(address=number)])
        expected.insert(number, LEASE._replace(address=number))
        # What a kill leaves behind: both files as they are now.
        copy = tmp_path / f"copy{number}"
        copy.mkdir()
        for file in (path, log):
            shutil.copy(file, copy / file.name)
        left = LeaseStore.open(copy / path.name)
        left.make_log_ready()
        assert left.read() == expected
        left.close()
    assert (store.read(), read_leases(path)) == (expected, expected)
    # Some 500 pages a commit; the log begins again and again, and does not grow.
    for _ in range(20):
        store.commit([LEASE._replace(address=number, host_name=b"x" * 200) for number in range(6000)])
    assert log.stat().st_size == ready
    store.close()
    assert not log.exists()


def test_a_log_that_cannot_be_made_ready_is_used_as_it_is(tmp_path: Path) -> None:
    store = LeaseStore.open(tmp_path / "leases.sqlite")
    (tmp_path / "leases.sqlite-wal").unlink()  # stands for whatever the file system does not let us do
    store.make_log_ready()
    store.close()


def test_a_full_disk_changes_nothing_and_recovers(tmp_path: Path) -> None:
    store = LeaseStore.open(tmp_path / "leases.sqlite")
    store.commit([LEASE])
    # SQLite's own bound on the file stands for the disk's.
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    many = [LEASE._replace(address=number, host_name=b"x" * 200) for number in range(1000)]
    with pytest.raises(Unavailable, match="full"):
        store.commit(many)
    assert store.read() == [LEASE]
    store._connection.execute("PRAGMA max_page_count = 100000")
    store.commit(many)
    assert len(store.read()) == 1001
    store.close()


def test_a_file_of_a_newer_version_or_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "leases.sqlite"
    LeaseStore.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(SCHEMA.migrations) + 1}")
    connection.close()
    with pytest.raises(Refusal, match="newer Holdfast"):
        LeaseStore.open(path)
    with pytest.raises(Unavailable, match="there is no lease database"):
        read_leases(tmp_path / "none.sqlite")


def test_a_row_that_is_no_lease_is_damage(tmp_path: Path) -> None:
    store = LeaseStore.open(tmp_path / "leases.sqlite")
    store.commit([LEASE])
    store._connection.execute("UPDATE lease SET hardware = 'text'")
    with pytest.raises(Unavailable, match="damaged"):
        store.read()
    store.close()
