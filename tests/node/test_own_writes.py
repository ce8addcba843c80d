from __future__ import annotations

import random

from holdfast.kernel.ids import NetworkMessageId
from holdfast.node.own_writes import OwnWrites
from holdfast.transport.queue import AddMessage, QueuedMessage, TrackOnly
from holdfast.transport.shadow_writes import ForgetCopies


def own_writes() -> OwnWrites:
    return OwnWrites(random.Random(1))


def test_what_is_kept_is_made_again_until_it_is_durable() -> None:
    own = own_writes()
    line = TrackOnly("line")
    own.keep((line,))
    assert own.take() == [line]
    assert not own.are_durable((line,))
    own.failure_count = 1
    assert own.failed(line)
    assert own.wait(10.0)
    assert own.rewrite_at is not None
    assert own.retry(10.0) == []
    assert own.take() == []
    own.retry(own.rewrite_at)
    assert own.take() == [line]
    own.committed(line)
    assert own.are_durable((line,))
    assert own.under_way_count == 0


def test_notes_of_the_journal_are_needless_with_the_line_that_counts_them() -> None:
    own = own_writes()
    own.track("may come twice", [7])
    (line,) = own.take()
    assert own.committed(line) == [7]


def test_what_changes_copies_is_made_again_too() -> None:
    own = own_writes()
    write = ForgetCopies((1,))
    own.add((write,))
    own.take()
    assert not own.failed(write)
    own.again(write)
    own.failure_count = 1
    assert own.wait(10.0)
    own.retry(1000.0)
    assert own.take() == [write]


def test_what_we_make_ourselves_is_unprotected_where_there_is_a_partner() -> None:
    own = own_writes()
    report = AddMessage(QueuedMessage(1, NetworkMessageId("i"), 0.0, "", ("a@x",), 1, b"d", "", "", b""), "")
    own.add((report,))
    assert report.holder is None
    own.copied_later = True
    own.add((report,))
    assert report.holder == ""
