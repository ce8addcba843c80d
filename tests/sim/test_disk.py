"""What survives a crash, and when a process is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.kernel.ids import NetworkMessageId
from holdfast.sim.disk import Job, QueueDisk, Weather, Writer, queue_writer_rates, store_writer_rates
from holdfast.sim.scenario import Rates
from holdfast.sim.world import Violation, World
from holdfast.transport.queue import AddMessage, FinishRecipients, QueuedMessage, SettleAnswers, TrackOnly


def message(number: int, *recipients: str, received_at: float = 100.0) -> QueuedMessage:
    return QueuedMessage(
        number=number,
        network_message_id=NetworkMessageId(f"id-{number}"),
        received_at=received_at,
        reverse_path="",
        recipients=recipients or ("a@example.test",),
        size_bytes=4,
        data=b"data",
        message_id="",
        subject="",
        fingerprint=b"fingerprint-%d" % number,
    )


class Bench:
    """A writer, what it has written, and what was told."""

    def __init__(self, seed: int = 1, durable_untold_rate: float = 0.5, batch_max: int = 2) -> None:
        self.world = World(seed)
        self.weather = Weather()
        rates = Rates(commit_s=0.01, commit_batch_max=batch_max, durable_untold_rate=durable_untold_rate)
        self.alive = True
        self.writer = Writer(
            self.world, self.weather, queue_writer_rates(self.world, rates), self.later, self.batch_told
        )
        self.written: list[int] = []
        self.told: list[str] = []
        self.batches: list[int] = []

    def later(self, delay_s: float, what: str, action: Callable[[], None]) -> None:
        self.world.after(delay_s, what, lambda: action() if self.alive else None)

    def batch_told(self) -> None:
        self.batches.append(len(self.told))

    def put(self, number: int) -> None:
        self.writer.put(
            Job(
                lambda: self.written.append(number),
                lambda: self.told.append(f"done {number}"),
                lambda: self.told.append(f"failed {number}"),
            )
        )

    def run(self) -> None:
        while self.world.step(self.world.now + 10):
            pass


def test_what_waits_is_written_in_batches_and_told_afterwards() -> None:
    bench = Bench()
    for number in range(5):
        bench.put(number)
    assert bench.writer.busy
    bench.run()
    assert bench.written == [0, 1, 2, 3, 4]
    assert bench.told == [f"done {number}" for number in range(5)]
    assert bench.batches == [1, 3, 5]
    assert not bench.writer.busy
    commits = [line.split()[-1] for line in bench.world.last_lines if "commit of" in line]
    assert commits == ["1", "2", "2"]


def test_a_full_disk_writes_nothing_and_says_so() -> None:
    bench = Bench()
    bench.weather.full_until = bench.world.now + 1
    bench.put(1)
    bench.run()
    bench.put(2)
    bench.run()
    assert (bench.written, bench.told) == ([2], ["failed 1", "done 2"])


def test_a_slow_disk_takes_longer() -> None:
    spans = []
    for slow in (False, True):
        bench = Bench()
        bench.weather.slow_until = bench.world.now + slow
        bench.put(1)
        started_at = bench.world.now
        while not bench.written:
            bench.world.step(started_at + 100)
        spans.append(bench.world.now - started_at)
    assert spans[1] == pytest.approx(spans[0] * Rates().slow_factor, rel=1e-3)


@pytest.mark.parametrize(("durable_untold_rate", "written"), [(0.0, []), (1.0, [1])])
def test_a_crash_in_a_commit_leaves_it_done_or_undone_and_tells_nobody(
    durable_untold_rate: float, written: list[int]
) -> None:
    bench = Bench(durable_untold_rate=durable_untold_rate)
    bench.put(1)
    bench.put(2)
    bench.alive = False
    bench.writer.crash()
    bench.run()
    assert (bench.written, bench.told) == (written, [])
    assert not bench.writer.busy


def test_a_crash_on_a_full_disk_leaves_nothing() -> None:
    bench = Bench(durable_untold_rate=1.0)
    bench.weather.full_until = bench.world.now + 1
    bench.put(1)
    bench.writer.crash()
    assert bench.written == []


def test_the_store_writer_ends_its_transaction() -> None:
    commits: list[None] = []
    rates = store_writer_rates(World(1), Rates(store_batch_max=0), lambda: commits.append(None))
    rates.commit()
    assert (rates.name, rates.batch_max, len(commits)) == ("store disk", 1, 1)


def test_messages_wait_until_their_last_recipient_is_finished() -> None:
    disk = QueueDisk(1000.0)
    disk.apply([AddMessage(message(1, "a", "b"), "line 1\r\n"), TrackOnly("line 2\r\n")])
    disk.apply([FinishRecipients(1, ("b",), "line 3\r\n")])
    assert disk.messages[1].recipients == ("b",)
    assert disk.read(1) == b"data"
    disk.apply([FinishRecipients(1, (), "line 4\r\n")])
    assert disk.messages == {}
    assert disk.read(1) is None
    assert disk.tracking == [f"line {number}\r\n" for number in (1, 2, 3, 4)]


def test_recovery_finds_the_messages_without_their_data() -> None:
    disk = QueueDisk(1000.0)
    disk.apply([AddMessage(message(3), ""), AddMessage(message(7), "")])
    recovered = disk.recover(200.0)
    assert [(each.number, each.data) for each in recovered.messages] == [(3, None), (7, None)]
    assert recovered.next_number == 8


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (AddMessage(message(1), ""), "second time"),
        (AddMessage(replace(message(2), data=None), ""), "without its data"),
        (FinishRecipients(9, (), ""), "does not wait"),
    ],
)
def test_writes_that_cannot_be_right_are_found(write: AddMessage | FinishRecipients, words: str) -> None:
    disk = QueueDisk(1000.0)
    disk.apply([AddMessage(message(1), "")])
    with pytest.raises(Violation, match=words):
        disk.apply([write])


def test_uncertain_is_what_a_crash_or_a_goodbye_leaves_and_not_for_ever() -> None:
    disk = QueueDisk(1000.0)
    assert disk.recover(100.0).uncertain == {}
    disk.apply([AddMessage(message(1), ""), AddMessage(message(2), "")])
    both = {b"fingerprint-1": "id-1", b"fingerprint-2": "id-2"}
    assert disk.recover(200.0).uncertain == both  # a crash
    disk.say_goodbye(250.0, {b"fingerprint-2": NetworkMessageId("id-2")})
    assert disk.recover(300.0).uncertain == {b"fingerprint-2": "id-2"}
    disk.say_goodbye(350.0, {})
    assert disk.recover(400.0).uncertain == {}
    disk.apply([AddMessage(message(3, received_at=1400.0), "")])
    assert disk.recover(1500.0).uncertain == {b"fingerprint-3": "id-3"}


def test_what_was_read_is_certain_after_a_crash() -> None:
    disk = QueueDisk(memory_s=1000.0)
    disk.apply([AddMessage(message(1), "r1"), AddMessage(message(2), "r2")])
    disk.apply([SettleAnswers((b"fingerprint-1", b"unknown"))])
    assert disk.recover(200.0).uncertain == {b"fingerprint-2": "id-2"}
