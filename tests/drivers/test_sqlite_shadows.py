"""The tables about copies, against what the made-up disk of the simulator does with the same writes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.drivers import sqlite_shadows
from holdfast.drivers.queue_frames import BatchBuilder
from holdfast.drivers.queue_schema import SCHEMA
from holdfast.drivers.sqlite_queue import QueueDatabase, read_recovered
from holdfast.drivers.sqlite_schema import connect
from holdfast.drivers.sqlite_shadows import read_kept
from holdfast.kernel.ids import NetworkMessageId
from holdfast.sim.disk import QueueDisk
from holdfast.transport.queue import (
    NO_MARKS,
    AddMessage,
    FinishRecipients,
    MarkMessage,
    Marks,
    QueuedMessage,
    QueueWrite,
    RecoveredQueue,
)
from holdfast.transport.shadow_writes import (
    Copied,
    DropCopies,
    ForgetCopies,
    ForgetTakeOver,
    HoldCopy,
    KeptBatch,
    NarrowCopy,
    PurgeKept,
    Resubmit,
    TakeOver,
)


def message(number: int, *recipients: str) -> QueuedMessage:
    return QueuedMessage(
        number, NetworkMessageId(f"id-{number}"), 1000.0 + number, "s@x", recipients or ("a@x", "b@x"), 4,
        b"data", "<m>", "subject", f"{number:016d}".encode(),
    )  # fmt: skip


def hold(number: int, primary_number: int, identity: str = "aa") -> HoldCopy:
    return HoldCopy(message(number), "mail1", identity, primary_number, f"hold {number}\n")


class Both:
    """One queue database on SQLite, and one of the simulator."""

    def __init__(self, home: Path) -> None:
        self.path = home / "queue.sqlite"
        self.tracking = home / "tracking"
        self.sim = QueueDisk(1e9)
        self.database = QueueDatabase.open(self.path, self.tracking)

    def write(self, *writes: QueueWrite) -> None:
        builder = BatchBuilder()
        builder.add(list(writes))
        assert self.database.commit(builder.finish(1)) is None
        self.sim.apply(list(writes))

    def found(self) -> tuple[RecoveredQueue, RecoveredQueue]:
        """What a new life would find, in both, with what is told apart by neither made equal."""
        self.database.rest()
        connection = connect(self.path, SCHEMA)
        real = read_recovered(connection)
        connection.close()
        return _plain(real), _plain(self.sim.recover(0.0))

    def same(self) -> RecoveredQueue:
        real, made_up = self.found()
        assert real == made_up
        return real

    def close(self) -> None:
        self.database.close(False, {})


def _plain(found: RecoveredQueue) -> RecoveredQueue:
    shadows = found.shadows
    return RecoveredQueue(
        tuple(replace(each, fingerprint=b"") for each in found.messages),
        0,
        dict(sorted(found.uncertain.items())),
        shadows=replace(
            shadows,
            identity="",
            holders={number: (holder, 0.0) for number, (holder, _) in sorted(shadows.holders.items())},
            discards=tuple(sorted(shadows.discards)),
            copies=tuple(sorted(shadows.copies, key=lambda each: each.message.number)),
            taken_over=tuple(sorted(shadows.taken_over)),
        ),
    )


def everything_kept(both: Both, since: float = 0.0, until: float = 1e9) -> list[tuple[QueuedMessage, float]]:
    """The Safety Net on SQLite, read as transport does."""
    both.database.rest()
    connection = connect(both.path, SCHEMA)
    found: list[tuple[QueuedMessage, float]] = []
    batch = KeptBatch((), 0, at_end=False)
    while not batch.at_end:
        batch = read_kept(connection, since, until, batch.last_number)
        found += batch.messages
    connection.close()
    return found


def made_up_kept(both: Both) -> list[tuple[QueuedMessage, float]]:
    found: list[tuple[QueuedMessage, float]] = []
    batch = KeptBatch((), 0, at_end=False)
    while not batch.at_end:
        batch = both.sim.shadows.read_kept(0.0, 1e9, batch.last_number)
        found += batch.messages
    return found


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


def test_a_discard_stays_until_it_was_fetched(both: Both) -> None:
    both.write(
        AddMessage(message(1), "", "mail2"), AddMessage(message(2), "", ""), AddMessage(message(3), "")
    )
    assert both.same().shadows.holders == {1: ("mail2", 0.0), 2: ("", 0.0)}
    both.write(*(FinishRecipients(number, (), "") for number in (1, 2, 3)))
    found = both.same()
    assert found.messages == ()
    assert found.shadows.discards == ((1, "mail2", False),)
    both.write(ForgetCopies((1,)))
    assert both.same().shadows.discards == ()
    both.close()


def test_the_safety_net_keeps_the_message_and_not_what_became_of_it(both: Both) -> None:
    both.write(AddMessage(message(1), "", "mail2"))
    both.write(FinishRecipients(1, ("b@x",), ""), MarkMessage(1, Marks(delay_told=True)))
    both.write(FinishRecipients(1, (), "", 500.0))
    assert both.same().shadows.discards == ((1, "mail2", True),)
    assert both.same().shadows.something_kept
    both.write(Resubmit(1, ("a@x",), ""))
    (again,) = both.same().messages
    assert (again.recipients, again.marks) == (("a@x",), Marks(resubmitted=True))
    both.write(FinishRecipients(1, (), "", 600.0), PurgeKept(550.0))
    assert both.same().shadows.something_kept
    both.write(PurgeKept(650.0))
    assert not both.same().shadows.something_kept
    both.close()


def test_the_safety_net_is_read_in_steps_with_the_original_recipients(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_shadows, "LOOK_COUNT", 5)
    monkeypatch.setattr(sqlite_shadows, "KEPT_COUNT", 2)
    assert everything_kept(both) == []
    both.write(*(AddMessage(message(number), "") for number in range(1, 12)))
    both.write(FinishRecipients(7, ("b@x",), ""), MarkMessage(7, Marks(delay_told=True)))
    both.write(*(FinishRecipients(number, (), "", 500.0 + number) for number in range(11, 0, -1)))
    found = everything_kept(both)
    assert [each.number for each, _ in found] == list(range(1, 12))
    assert found == made_up_kept(both)
    again = found[6][0]
    assert (again.recipients, again.marks, again.data, again.reverse_path) == (
        ("a@x", "b@x"),
        NO_MARKS,
        None,
        "s@x",
    )
    assert [at for _, at in everything_kept(both, 503.0, 505.0)] == [503.0, 504.0, 505.0]
    both.close()


def test_a_copy_is_held_discarded_and_taken_over(both: Both) -> None:
    both.write(hold(1, 11), hold(2, 12), hold(3, 13))
    assert [each.primary_number for each in both.same().shadows.copies] == [11, 12, 13]
    assert both.same().uncertain == {}  # nobody asked us for these
    both.write(DropCopies((1,), (2,), 700.0))
    assert both.same().shadows.something_kept
    both.write(TakeOver((3,), 800.0, "over\n"))
    found = both.same()
    assert [each.number for each in found.messages] == [3]
    assert found.messages[0].marks == NO_MARKS
    assert found.shadows.taken_over == (("mail1", "aa", 13),)
    both.write(ForgetTakeOver("mail1", "aa", (13,)))
    assert both.same().shadows.taken_over == ()
    both.close()


def test_a_message_whose_copy_is_nobodys_stays_in_the_queue(both: Both) -> None:
    both.write(AddMessage(message(1), "", "mail2"))
    both.write(Copied(1, "", 5.0))
    both.write(ForgetCopies((1,)))
    real, _ = both.found()
    assert [each.number for each in real.messages] == [1]
    both.close()


def test_a_copy_that_never_became_durable_may_be_let_go(both: Both) -> None:
    both.write(DropCopies((5,), (6,), 1.0))
    assert both.same() == _plain(RecoveredQueue((), 1, {}))
    both.close()


@pytest.mark.parametrize("seed", range(8))
def test_any_sequence_of_writes_leaves_both_alike(tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    both = Both(tmp_path)
    number = 0
    for _ in range(60):
        writes: list[QueueWrite] = []
        waiting = list(both.sim.messages)
        held = list(both.sim.shadows.copies)
        match luck.randrange(9):
            case 0 | 1:
                for _ in range(luck.randrange(1, 40)):
                    number += 1
                    writes.append(AddMessage(message(number), "", luck.choice([None, "", "mail2"])))
            case 2:
                for _ in range(luck.randrange(1, 40)):
                    number += 1
                    writes.append(hold(number, 1000 + number, luck.choice(["aa", "bb"])))
            case 3 if waiting:
                some = luck.sample(waiting, luck.randrange(1, len(waiting) + 1))
                writes += [FinishRecipients(each, (), "", luck.choice([0.0, 900.0])) for each in some]
            case 4 if waiting:
                writes.append(Copied(luck.choice(waiting), luck.choice(["", "mail3"]), 1.0))
            case 5 if held:
                some = luck.sample(held, luck.randrange(1, len(held) + 1))
                cut = luck.randrange(len(some) + 1)
                writes.append(DropCopies(tuple(some[:cut]), tuple(some[cut:]), 900.0))
            case 6 if held:
                some = luck.sample(held, luck.randrange(1, len(held) + 1))
                writes.append(TakeOver(tuple(some), 1.0, ""))
            case 8 if held:
                writes.append(NarrowCopy(luck.choice(held), ("b@x",)))
            case 7 if both.sim.shadows.kept:
                writes.append(Resubmit(luck.choice(list(both.sim.shadows.kept)), ("a@x",), ""))
            case _:
                continue
        both.write(*writes)
        assert everything_kept(both) == made_up_kept(both)
        # A holder is only known where one was ever said: the queue database says '' after a Copied.
        real, made_up = both.found()
        assert real == made_up
    both.close()
