"""An outcome to make reports of."""

from __future__ import annotations

from dataclasses import replace

from holdfast.lab.accounts import Gap, Tally
from holdfast.lab.drill_plan import Orders, Schedule
from holdfast.lab.outcome import DoorLane, LedgerSums, Mark, Outcome, Protection

TALLY = Tally(
    sent_count=1500,
    acknowledged_count=1490,
    refused_count=0,
    unanswered_count=10,
    delivered_count=1490,
    queued_count=0,
    bounced_count=0,
    unread_count=0,
    unpromised_count=3,
    doubled_uncertain_count=0,
    risked_count=0,
    lost=(),
    doubled=(),
    foreign=(),
)
PASSED = Outcome(
    run="7-abc",
    began_at=1_780_000_000.0,
    orders=Orders(rate=50.0, load_s=30.0, seed=7),
    schedule=Schedule("mail1", 10.0, 18.0, None),
    servers=("mail1", "mail2"),
    tally=TALLY,
    ended_s=34.0,
    marks=(Mark(10.1, "mail1", "killed"), Mark(18.4, "mail1", "back")),
    down=(("mail1", Gap(10.1, 18.4)),),
    letters_per_s={"mail1": (25,) * 10 + (0,) * 25, "mail2": (25,) * 10 + (50,) * 20 + (0,) * 5},
    doors=(DoorLane("SMTP", "mail1", (Gap(10.5, 18.6),)), DoorLane("IMAP", "mail2", ())),
    without_service_s={"SMTP": {"mail1": 8.1, "mail2": 0.0, "any": 0.0}, "IMAP": {"mail2": 0.0, "any": 0.0}},
    without_250_s=0.4,
    drained=True,
    put_off={"451 4.4.0": 12, "cannot connect: <refused>": 3},
    ledgers=(
        LedgerSums("mail1", 700, 600, 0, 100, 0, 0, 0, 0),
        LedgerSums("mail2", 900, 800, 0, 100, 0, 0, 0, 0),
    ),
    protections=(Protection("mail1", 0, 0, 0, 0), Protection("mail2", 3, 1, 1200, None)),
    silent=(),
    unaccounted=(),
    notes=("mail2 & friends <said> something",),
)
BROKEN = replace(
    PASSED,
    tally=replace(
        TALLY,
        delivered_count=1460,
        lost=tuple((number, "a@lab.test") for number in range(1, 31)),
        doubled=((40, "b@lab.test"),),
        doubled_uncertain_count=1,
    ),
    ledgers=(LedgerSums("mail1", 700, 600, 0, 98, 0, 0, 0, 2),),
    silent=("mail2",),
    unaccounted=(("id-1", "a@lab.test"), ("id-2", "b@lab.test")),
)
