"""What the commit log holds back from the tables, against what the made-up disk does with the same writes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.queue_homes import crash, open_queue
from drivers.test_commit_log import add, batch, finish, home, line, message, small, write
from holdfast.drivers.protection_reader import read_kept_total
from holdfast.drivers.queue_reader import read_queue, read_tracking
from holdfast.drivers.unwritten import Unwritten
from holdfast.sim.disk import QueueDisk
from holdfast.transport.envelope import EnvelopeOptions
from holdfast.transport.queue import (
    AddMessage,
    FinishRecipients,
    HoldQueue,
    MarkMessage,
    Marks,
    QueueWrite,
    SettleAnswers,
    TrackOnly,
)
from holdfast.transport.tracking import EventId

__all__ = ["home", "small"]  # fixtures


def test_only_what_remains_is_left_to_do() -> None:
    unwritten = Unwritten()
    assert not unwritten
    options = AddMessage(replace(message(2), options=EnvelopeOptions(eight_bit=True)), "")
    unwritten.add(batch(add(1), options, finish(9, "b@example.test"), number=4))
    unwritten.add(batch(finish(1, "b@example.test"), finish(2), finish(9), finish(8), number=5))
    unwritten.add(batch(SettleAnswers((message(1).fingerprint,)), number=6))
    left = unwritten.batch()
    assert unwritten
    assert ([row[0] for row in left.adds], left.data) == ([1], [b"data"])
    assert (left.finished, left.progress, left.options) == ([9, 8], [(1, b"b@example.test")], [])
    assert unwritten.uncertain == {message(2).fingerprint: "message-2"}, (
        "its sender may not have read its 250"
    )
    assert (left.settled, left.number, len(unwritten.lines)) == ([message(1).fingerprint], 6, 2)


class Both:
    """A queue database, and one of the simulator, which is told the same."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.sim = QueueDisk(1e9)
        self.number = self.batch_number = 0
        self.database, _ = open_queue(home)

    def write(self, *writes: QueueWrite) -> None:
        self.batch_number += 1
        assert write(self.database, *writes, number=self.batch_number) is None
        self.sim.apply(list(writes))

    def look(self) -> None:
        """As somebody who reads beside the writer."""
        kept = self.sim.shadows.kept.values()
        total = read_kept_total(self.home, lambda *_: None)
        assert (total.message_count, total.oldest_at) == (
            len(kept),
            min((at for _, at in kept), default=None),
        )
        assert total.size_bytes == sum(each.size_bytes for each, _ in kept)
        waiting = sorted(self.sim.messages.values(), key=lambda each: each.number)
        assert read_queue(self.home) == [replace(each, data=None, fingerprint=b"") for each in waiting]
        lines = "".join(self.sim.tracking).splitlines()
        assert len(list(read_tracking(self.home))) == len(lines)

    def crash(self) -> None:
        self.home = crash(self.home, self.database)
        self.database, recovered = open_queue(self.home)
        made_up = self.sim.recover(0.0)
        assert recovered.uncertain == made_up.uncertain
        assert recovered.held_queues == tuple(sorted(made_up.held_queues))
        assert recovered.next_number > self.number
        assert recovered.shadows.something_kept == bool(self.sim.shadows.kept)
        assert [each.number for each in recovered.messages] == [each.number for each in made_up.messages]
        text = "".join(path.read_text() for path in sorted((self.home / "tracking").iterdir()))
        tracked = [each for each in text.splitlines() if not each.startswith("#")]
        assert tracked == "".join(self.sim.tracking).splitlines()


def some_writes(both: Both, luck: random.Random) -> list[QueueWrite]:
    writes: list[QueueWrite] = []
    waiting = list(both.sim.messages)
    match luck.randrange(10):
        case 0 | 1 | 2 | 3:
            for _ in range(luck.randrange(1, 4)):
                both.number += 1
                # Few fingerprints, so that they come again.
                new = message(both.number, bytes(luck.randrange(900)), luck.randrange(12).to_bytes(16, "big"))
                if not luck.randrange(4):
                    new = replace(new, options=EnvelopeOptions(eight_bit=True))
                writes.append(AddMessage(new, line(EventId.RECEIVE, both.number)))
        case 4 | 5 | 6 if waiting:
            for each in luck.sample(waiting, luck.randrange(1, min(4, len(waiting)) + 1)):
                whole = len(both.sim.messages[each].recipients) == 1 or luck.randrange(2)
                kept = luck.choice([0.0, 500.0 + luck.randrange(100)])
                writes.append(replace(finish(each), kept=kept) if whole else finish(each, "b@example.test"))
        case 7:
            few = luck.sample(range(12), luck.randrange(1, 4))
            writes.append(SettleAnswers(tuple(each.to_bytes(16, "big") for each in few)))
        case 8 if waiting:
            writes.append(MarkMessage(luck.choice(waiting), Marks(delay_told=True), line(EventId.DEFER, 1)))
        case 9:
            held = "dns:example.org" not in both.sim.held_queues
            writes.append(HoldQueue("dns:example.org", held))
        case _:
            writes.append(TrackOnly(line(EventId.DEFER, 3)))
    return writes


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_writes_rests_and_crashes_is_read_back_as_it_was(home: Path, seed: int) -> None:
    luck = random.Random(seed)
    both = Both(home)
    for _ in range(80):
        writes = [each for _ in range(luck.randrange(1, 3)) for each in some_writes(both, luck)]
        # One message is written once in a batch, as the room sees to.
        named = [each.number for each in writes if isinstance(each, FinishRecipients | MarkMessage)]
        if len(named) == len(set(named)):
            # An answer is settled later than its message is added, so before what is added with it.
            both.write(*sorted(writes, key=lambda each: not isinstance(each, SettleAnswers)))
        both.look()
        match luck.randrange(14):
            case 0:
                both.database.rest()
            case 1:
                both.crash()
    both.crash()
    both.database.close(False, {})
