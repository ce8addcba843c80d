"""What the commit log has and the tables of the queue database do not, without what came and went between.

Only what concerns messages of this server alone goes that way: additions, progress and ends, also into the
Safety Net. Everything else goes to the tables with what lies before it, in one transaction
(``drivers.sqlite_queue``).

Source: docs/decisions/0013.
"""

from __future__ import annotations

from holdfast.drivers.queue_frames import AddRow, Batch, OptionsRow


class Unwritten:
    """The sum of some batches, in their order.

    Attributes:
        adds: messages that are new and still wait, by number: the row without its data, and the data.
        options: what some of them have in table ``extra``.
        finished: messages of the tables that leave the queue.
        kept: messages of either that are in the Safety Net now, and since when.
        progress: recipients that remain, of either.
        settled: fingerprints that the tables may have, and are uncertain no more or anew.
        uncertain: fingerprints that are uncertain, with their network message ids.
        lines: of the tracking log, batch by batch.
        number: of the last batch.
    """

    def __init__(self) -> None:
        self.adds: dict[int, tuple[AddRow, bytes]] = {}
        self.options: dict[int, OptionsRow] = {}
        self.finished: list[int] = []
        self.kept: dict[int, float] = {}
        self.progress: dict[int, bytes] = {}
        self.settled: list[bytes] = []
        self.uncertain: dict[bytes, str] = {}
        self.lines: list[bytes] = []
        self.number = 0

    def __bool__(self) -> bool:
        return self.number > 0

    def add(self, batch: Batch) -> None:
        """Take a batch that is durable in the log."""
        for fingerprint in batch.settled:
            # Before the additions: those of this batch were not settled by an earlier answer.
            self.uncertain.pop(fingerprint, None)
        self.settled += batch.settled
        for row, data in zip(batch.adds, batch.data, strict=True):
            self.adds[row[0]] = (row, data)
            if row[8]:
                self.uncertain[row[8]] = row[1]
        for each in batch.options:
            self.options[each[0]] = each
        self.progress.update(batch.progress)
        for number in batch.finished:
            self.progress.pop(number, None)
            if self.adds.pop(number, None) is None:
                self.finished.append(number)
            else:
                self.options.pop(number, None)
        for number, at in batch.kept:
            self.progress.pop(number, None)
            self.kept[number] = at
        if batch.lines:
            self.lines.append(batch.lines)
        self.number = batch.number

    def gone(self) -> set[int]:
        """Messages that do not wait any more, of the tables or among the additions."""
        return {*self.finished, *self.kept}

    def batch(self) -> Batch:
        """What is to be done in the tables; not its lines and fingerprints that are uncertain."""
        return Batch(
            self.number,
            adds=[row for row, _ in self.adds.values()],
            data=[data for _, data in self.adds.values()],
            options=list(self.options.values()),
            finished=self.finished,
            progress=list(self.progress.items()),
            settled=self.settled,
            kept=list(self.kept.items()),
        )
