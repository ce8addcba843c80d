"""A short drill on loopback with real processes: a server is killed under load, and all is there, once."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab.drill import LEDGER_NAMES, Drill
from holdfast.lab.drill_plan import Blow, Orders
from holdfast.lab.laboratory import Lab
from holdfast.lab.load import Place
from holdfast.lab.reading import MailboxAccess, read_mailbox
from holdfast.lab.sheet import TWO_SERVERS
from holdfast.lab.stage import LabStage

SHEET = "name,site,mailboxes\nmail1,North,2\nmail2,South,2\n"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab")
    made.up(SHEET, "lab.csv", loopback=True, say=lambda _: None)
    yield made
    made.destroy()


def drill(lab: Lab, orders: Orders, run: str = "test") -> Drill:
    return Drill(LabStage(lab), orders, run, lambda share, text: None)


@pytest.mark.process
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


@pytest.mark.process
def test_a_drill_of_what_is_not_there_is_refused(
    lab: Lab, until: Callable[[Callable[[], bool]], None]
) -> None:
    with pytest.raises(Refusal, match='no server "mail9"'):
        drill(lab, Orders(rate=1.0, load_s=1.0, seed=1, server="mail9"))
    with pytest.raises(Refusal, match='no server "mail8"'):
        drill(lab, Orders(rate=1.0, load_s=1.0, seed=1, blow=Blow.CUT, other="mail8"))


class Told:
    """A stage of two servers that say what they are told to say; ``missing`` may grow."""

    machines = TWO_SERVERS.machines

    def __init__(self, missing: dict[str, list[str]]) -> None:
        self.mailboxes = {"a@lab.test": TWO_SERVERS.machines[0]}
        self.missing = missing

    def passwords(self) -> dict[str, str]:
        return {}

    def check(self, orders: Orders) -> None:
        return

    def hit(self, name: str, orders: Orders) -> None:
        return

    def undo(self, name: str, orders: Orders) -> None:
        return

    def serves(self, name: str) -> bool:
        return True

    def where_to_look(self, name: str) -> str:
        return ""

    def manage(self, name: str, *words: str) -> str:
        missing = [{"network_message_id": each, "recipient": "a@lab.test"} for each in self.missing[name]]
        sums = dict.fromkeys(LEDGER_NAMES, 0)
        row = {"event": "DELIVER", "network_message_id": "seen", "recipients": ["a@lab.test"]}
        rows = [row] if name == "mail2" else []
        # To hand it to the server that misses it now is no account.
        rows += [row | {"event": event, "network_message_id": "gone"} for event in ("RECEIVE", "SEND")]
        return json.dumps({**sums, "unaccounted": len(missing), "missing": missing, "rows": rows})


def test_only_what_no_ledger_accounts_for_and_what_is_new_is_unaccounted() -> None:
    stage = Told({"mail1": ["old"], "mail2": []})
    made = Drill(stage, Orders(rate=1.0, load_s=1.0, seed=1), "run", lambda share, text: None)
    asyncio.run(made._look_before())
    assert made._notes == ["unaccounted for before this drill, and not counted: 1"]
    stage.missing["mail1"] += ["seen", "gone", "named"]
    made._blows.named_entries.add(("named", "a@lab.test"))
    assert asyncio.run(made._join()) == (("gone", "a@lab.test"),)
