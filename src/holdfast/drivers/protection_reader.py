"""Read from the queue database who else has a message: copies at partners, copies held here, the Safety Net.

All of it is durable, so it is right also while the transport role does not run; only links and counts
since the start are known to that role alone.

Source: docs/decisions/0016; ``drivers.sqlite_shadows`` writes these tables.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.drivers.queue_schema import names_of, text_of
from holdfast.drivers.queue_snapshot import queue_snapshot
from holdfast.drivers.unwritten import Unwritten
from holdfast.transport.ledger import CopyCounts

STEP_COUNT = 5000  # rows of the Safety Net that are added up between two words of progress


@dataclass(frozen=True, slots=True)
class StoredPartner:
    """What a partner holds for us, as it is written down.

    Attributes:
        held_count: messages in our queue whose copy it holds.
        discard_count: finished messages that it has not heard of durably.
    """

    name: str
    held_count: int
    discard_count: int


@dataclass(frozen=True, slots=True)
class StoredShadowQueue:
    """What is held here for another server.

    Attributes:
        oldest_at: when the oldest of them was taken in, by its primary's wall clock; None without any.
        untold_count: messages that were taken over and it does not know yet.
    """

    primary: str
    message_count: int = 0
    size_bytes: int = 0
    oldest_at: float | None = None
    untold_count: int = 0


@dataclass(frozen=True, slots=True)
class StoredProtection:
    """All of it, of one instant."""

    counts: CopyCounts
    partners: tuple[StoredPartner, ...]
    queues: tuple[StoredShadowQueue, ...]


@dataclass(frozen=True, slots=True)
class UnprotectedMessage:
    """A message in our queue that nobody else has; ``since`` an instant, on the clock that wrote it down."""

    number: int
    network_message_id: str
    sender: str
    recipients: tuple[str, ...]
    size_bytes: int
    since: float


@dataclass(frozen=True, slots=True)
class KeptTotal:
    """The Safety Net: how much is in it, and since when the oldest is; None when it is empty."""

    message_count: int
    size_bytes: int
    oldest_at: float | None


EMPTY = StoredProtection(CopyCounts(), (), ())
NOTHING_KEPT = KeptTotal(0, 0, None)


def count_copies(connection: sqlite3.Connection, unwritten: Unwritten) -> CopyCounts:
    """How many messages in the queue have a copy, have none, and are of a time without partners."""
    gone = unwritten.gone()
    found = {
        state: (count, since)
        for state, count, since in connection.execute(
            "SELECT CASE WHEN holder IS NULL THEN 'alone' WHEN holder = '' THEN 'none' ELSE 'held' END, "
            "count(*), min(since) FROM queue_entry "
            "WHERE number NOT IN (SELECT value FROM json_each(?)) GROUP BY 1",
            (json.dumps(list(gone)),),
        )
    }
    none_count, none_since = found.get("none", (0, None))
    alone_count, alone_since = found.get("alone", (0, None))
    # What the commit log takes has no holder.
    since = [row[2] for number, (row, _) in unwritten.adds.items() if number not in gone]
    alone_since = min(since if alone_since is None else [alone_since, *since], default=None)
    return CopyCounts(
        found.get("held", (0, None))[0], none_count, none_since, alone_count + len(since), alone_since
    )


def read_protection(home: Path) -> StoredProtection:
    """Read who holds what for whom.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    with queue_snapshot(home) as snapshot:
        if snapshot is None:
            return EMPTY
        connection, unwritten = snapshot
        held = dict(
            connection.execute("SELECT holder, count(*) FROM queue_entry WHERE holder > '' GROUP BY holder")
        )
        discards = dict(connection.execute("SELECT holder, count(*) FROM discard GROUP BY holder"))
        copies = {
            row[0]: StoredShadowQueue(*row)
            for row in connection.execute(
                "SELECT primary_server, count(*), sum(size_bytes), min(received_at) "
                "FROM shadow JOIN message USING (number) GROUP BY primary_server"
            )
        }
        untold = dict(
            connection.execute("SELECT primary_server, count(*) FROM taken_over GROUP BY primary_server")
        )
        return StoredProtection(
            count_copies(connection, unwritten),
            tuple(
                StoredPartner(name, held.get(name, 0), discards.get(name, 0))
                for name in sorted({*held, *discards})
            ),
            tuple(
                replace(copies.get(name, StoredShadowQueue(name)), untold_count=untold.get(name, 0))
                for name in sorted({*copies, *untold})
            ),
        )


def read_unprotected(home: Path, *, with_alone: bool, limit: int) -> list[UnprotectedMessage]:
    """Read which messages nobody else has, those that have waited longest first.

    Args:
        home: the state directory.
        with_alone: also those of a time when this server had no partner.
        limit: how many at most.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    with queue_snapshot(home) as snapshot:
        if snapshot is None:
            return []
        connection, unwritten = snapshot
        gone = unwritten.gone()
        rows = connection.execute(
            "SELECT number, network_message_id, reverse_path, "
            "coalesce(extra.recipients, message.recipients), size_bytes, since FROM "
            "(SELECT number, since FROM queue_entry WHERE (holder = '' OR (holder IS NULL AND ?)) "
            "AND number NOT IN (SELECT value FROM json_each(?)) ORDER BY since, number LIMIT ?) "
            "JOIN message USING (number) LEFT JOIN extra USING (number)",
            (with_alone, json.dumps(list(gone)), limit),
        ).fetchall()
        if with_alone:
            rows += [
                (number, row[1], row[3], row[4], row[5], row[2])
                for number, (row, _) in unwritten.adds.items()
                if number not in gone
            ]
        rows.sort(key=lambda row: (row[5], row[0]))
        return [
            UnprotectedMessage(
                row[0],
                row[1],
                text_of(row[2]),
                names_of(unwritten.progress.get(row[0], row[3])),
                row[4],
                row[5],
            )
            for row in rows[:limit]
        ]


def read_kept_total(home: Path, progress: Callable[[int, int], None]) -> KeptTotal:
    """Add up the Safety Net, some at a time: each message is looked at, and there may be very many.

    Args:
        home: the state directory.
        progress: is told how many of how many were looked at.

    Raises:
        Refusal: the database is of a newer version, or another program's.
        Unavailable: it cannot be read.
    """
    with queue_snapshot(home) as snapshot:
        if snapshot is None:
            return NOTHING_KEPT
        connection, unwritten = snapshot
        total, oldest_at = connection.execute("SELECT count(*), min(at) FROM kept").fetchone()
        seen_count = size_bytes = last_number = 0
        while seen_count < total:
            progress(seen_count, total)
            numbers = connection.execute(
                "SELECT max(number), count(*), coalesce(sum(size_bytes), 0) FROM "
                "(SELECT kept.number AS number, size_bytes FROM kept LEFT JOIN message USING (number) "
                "WHERE kept.number > ? ORDER BY kept.number LIMIT ?)",
                (last_number, STEP_COUNT),
            ).fetchone()
            last_number = numbers[0]
            seen_count += numbers[1]
            size_bytes += numbers[2]
        kept = unwritten.kept
        size_bytes += sum(unwritten.adds[number][0][5] for number in kept if number in unwritten.adds)
        (more_bytes,) = connection.execute(
            "SELECT coalesce(sum(size_bytes), 0) FROM message "
            "WHERE number IN (SELECT value FROM json_each(?))",
            (json.dumps(list(kept)),),
        ).fetchone()
        times = [*kept.values(), *([] if oldest_at is None else [oldest_at])]
        return KeptTotal(total + len(kept), size_bytes + more_bytes, min(times, default=None))
