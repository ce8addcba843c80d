"""A short drill on loopback with real processes: a server is killed under load, and all is there, once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab.drill import Drill
from holdfast.lab.drill_plan import Blow, Orders
from holdfast.lab.laboratory import Lab
from holdfast.lab.load import Place
from holdfast.lab.reading import MailboxAccess, read_mailbox
from holdfast.lab.stage import LabStage

pytestmark = pytest.mark.process

SHEET = "name,site,mailboxes\nmail1,North,2\nmail2,South,2\n"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab")
    made.up(SHEET, "lab.csv", loopback=True, say=lambda _: None)
    yield made
    made.destroy()


def drill(lab: Lab, orders: Orders, run: str = "test") -> Drill:
    return Drill(LabStage(lab), orders, run, lambda share, text: None)


def test_a_killed_server_comes_back_and_everything_promised_is_there(lab: Lab) -> None:
    orders = Orders(
        rate=30.0, load_s=6.0, seed=random.SystemRandom().getrandbits(31), back_after_s=1.0, patience_s=90.0
    )
    outcome = asyncio.run(drill(lab, orders).run())
    assert outcome.passed, (orders, outcome)
    assert outcome.drained, outcome
    assert [mark.what for mark in outcome.marks] == ["killed", "back"]
    tally = outcome.tally
    assert tally.acknowledged_count == tally.delivered_count == tally.sent_count
    # The blow was felt: a drill in which nothing happened shows nothing.
    assert outcome.without_service_s["SMTP"][outcome.schedule.server] > 0
    assert outcome.down[0][0] == outcome.schedule.server
    assert sum(map(sum, outcome.letters_per_s.values())) == 180

    machine = lab.sheet.machine("mail1")
    place = Place("mail1", machine.address, machine.ports.imap_tls)
    with pytest.raises(Unavailable, match="cannot read"):
        read_mailbox(MailboxAccess("mail1.user1@lab.test", place, "a wrong password"), "test")


def test_a_drill_of_what_is_not_there_is_refused(
    lab: Lab, until: Callable[[Callable[[], bool]], None]
) -> None:
    with pytest.raises(Refusal, match='no server "mail9"'):
        drill(lab, Orders(rate=1.0, load_s=1.0, seed=1, server="mail9"))
    with pytest.raises(Refusal, match='no server "mail8"'):
        drill(lab, Orders(rate=1.0, load_s=1.0, seed=1, blow=Blow.CUT, other="mail8"))
