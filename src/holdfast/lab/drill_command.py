"""``holdfast drill run``: bring up a lab where none is up, drill, write the report, and say how it ended.

Exit code 0 when every promise was kept, 1 when one was broken.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab.command import Value, read_text, table
from holdfast.lab.drill import Drill
from holdfast.lab.drill_plan import PAST_WORDS, Blow, Orders, parse_minutes, parse_rate
from holdfast.lab.laboratory import Lab
from holdfast.lab.live import LiveStage, ask
from holdfast.lab.outcome import Outcome, as_json
from holdfast.lab.report import page
from holdfast.lab.stage import LabStage
from holdfast.lab.timeline import draw

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

PASSED, BROKEN = 0, 1
STATE = Path(".holdfast-drill")
STATE_OF_LAB = Path(".holdfast-lab")  # where ``holdfast lab up`` keeps itself
LAB_LOAD, LIVE_LOAD = "100/s", "5/s"
_BLOWS = (("kill", Blow.KILL), ("freeze", Blow.FREEZE), ("cut", Blow.CUT))


def main(given: Mapping[str, Value], home: Path, *, as_json_text: bool) -> int:
    """Run one drill.

    Args:
        given: the arguments of the verb, checked.
        home: the state directory of this server, for a drill on it.
        as_json_text: print the outcome as JSON.

    Returns:
        The exit code.

    Raises:
        Refusal: the drill is not done; the text says why.
        Unavailable: the lab failed.
    """
    orders = read_orders(given)
    run = f"{orders.seed:x}-{int(time.time()):x}"
    state = state_directory(given)
    outcome = _live(orders, given, home, run) if given["live"] is True else _in_lab(orders, given, state, run)
    folder = Path(str(given["report"])) if given["report"] else state / "reports" / run
    write_report(outcome, folder)
    if as_json_text:
        sys.stdout.write(as_json(outcome))
    else:
        sys.stdout.write(summary(outcome, folder))
    return PASSED if outcome.passed else BROKEN


def state_directory(given: Mapping[str, Value]) -> Path:
    """Where a drill keeps its lab: servers on loopback and those of each sheet have places of their own."""
    if given["state"]:
        return Path(str(given["state"]))
    if given["lab"]:
        return STATE / Path(str(given["lab"])).stem
    if given["loopback"] is True:
        return STATE / "loopback"
    return STATE if given["live"] is True else STATE_OF_LAB


def _in_lab(orders: Orders, given: Mapping[str, Value], state: Path, run: str) -> Outcome:
    lab = Lab(state)
    with lab.alone(), _Shown() as shown, _lab_up(lab, given, shown):
        if not lab.kept.loopback:
            lab.enter_outside()
        return asyncio.run(Drill(LabStage(lab), orders, run, shown.update).run())


def _live(orders: Orders, given: Mapping[str, Value], home: Path, run: str) -> Outcome:
    words = f"{orders.rate:g} letters a second go to a mailbox of the drill's own for {orders.load_s:g} s"
    if orders.blow is not Blow.NONE:
        if given["yes"] is not True:
            raise Refusal(
                f"--{orders.blow.value} hits a server that is in use; say --yes as well if that is meant"
            )
        words += f", and {orders.server or 'a server'} is {PAST_WORDS[orders.blow]}"
    ask(words, yes=given["yes"] is True)
    stage = LiveStage(home, run)
    try:
        with _Shown() as shown:
            outcome = asyncio.run(Drill(stage, orders, run, shown.update).run())
    finally:
        stage.close()
    # Nobody but this server can be asked from here; what it says of itself is all there is.
    own = tuple(each.server for each in outcome.ledgers)
    return replace(outcome, silent=() if own else outcome.silent, notes=(*outcome.notes, *stage.notes))


def read_orders(given: Mapping[str, Value]) -> Orders:
    """Read what the administrator asked for.

    Raises:
        Refusal: a value is malformed, or two contradict each other.
    """
    blows = [(name, blow) for name, blow in _BLOWS if given[name] is not None]
    if len(blows) + (given["no-blow"] is True) > 1:
        raise Refusal("a drill hits one server in one way: give one of --kill, --freeze, --cut and --no-blow")
    live = given["live"] is True
    if live and (given["loopback"] is True or given["lab"] is not None):
        raise Refusal("--live is about the server that runs here; give it without --lab and --loopback")
    blow, server, other = Blow.KILL, "", ""
    # In a lab a blow is what a drill is for; to a server that is in use it has to be ordered.
    if given["no-blow"] is True or (live and not blows):
        blow = Blow.NONE
    for name, chosen in blows:
        blow, server = chosen, str(given[name])
        if chosen is Blow.CUT:
            server, _, other = server.partition(":")
    if server == "any":
        server = ""
    if given["loopback"] is True and blow is Blow.CUT:
        raise Refusal("on loopback there is no cable to cut; use --freeze, or --lab as root")
    if given["no-return"] is True and given["back-after"] is not None:
        raise Refusal("--no-return and --back-after contradict each other; give one of them")
    lose_queue = given["lose-queue"] is True
    if given["both"] is True and (blow is Blow.NONE or live or given["no-return"] is True):
        raise Refusal("--both needs a lab, a blow, and a server that returns; leave it or the others out")
    if lose_queue and (blow is not Blow.KILL or live):
        raise Refusal("--lose-queue is about a killed server of a lab; give it with --kill, without --live")
    seed = given["seed"]
    return Orders(
        rate=parse_rate(str(given["load"] or (LIVE_LOAD if live else LAB_LOAD))),
        load_s=parse_minutes(str(given["minutes"])),
        seed=random.SystemRandom().getrandbits(31) if seed is None else int(_seconds(seed)),
        blow=blow,
        server=server,
        other=other,
        one_way=given["one-way"] is True,
        back_after_s=_optional(given["back-after"]),
        no_return=given["no-return"] is True,
        lose_queue=lose_queue,
        both=given["both"] is True,
        declare_lost_after_s=_optional(given["declare-lost-after"]),
        patience_s=_seconds(given["patience"]),
    )


def _seconds(value: Value) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _optional(value: Value) -> float | None:
    return None if value is None else _seconds(value)


@contextmanager
def _lab_up(lab: Lab, given: Mapping[str, Value], shown: _Shown) -> Iterator[None]:
    """A lab that is up: the one that is, else one for this drill alone."""
    file = given["lab"]
    if (lab.state / "lab.json").exists() and any(each.process_count for each in lab.status()):
        if file is not None or given["loopback"] is True:
            raise Refusal(
                f"the lab in {lab.state} is up already; drill it without --lab and --loopback, "
                "or take it down with: holdfast lab down --state"
            )
        yield
        return
    if file is None and given["loopback"] is not True:
        raise Refusal("say where: --loopback (no root), or --lab LAB.csv (as root)")
    text = None if file is None else read_text(str(file))
    lab.up(text, str(file or "the sheet"), loopback=given["loopback"] is True, say=shown.step)
    try:
        yield
    except BaseException:
        lab.destroy()
        raise
    if given["keep"] is not True:
        shown.step("lab down")
        lab.down()


def write_report(outcome: Outcome, folder: Path) -> None:
    """Write ``report.html``, ``report.json`` and ``timeline.svg`` into a folder.

    Raises:
        Unavailable: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.html").write_text(page(outcome), encoding="utf-8")
        (folder / "report.json").write_text(as_json(outcome), encoding="utf-8")
        (folder / "timeline.svg").write_text(draw(outcome), encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"cannot write the report to {folder}: {error.strerror}") from None


def summary(outcome: Outcome, folder: Path) -> str:
    """The outcome for a terminal."""
    tally = outcome.tally
    numbers = [
        ("sent", tally.sent_count),
        ("acknowledged", tally.acknowledged_count),
        ("delivered", tally.delivered_count),
        ("queued", tally.queued_count),
        ("bounced", tally.bounced_count),
        ("lost", tally.lost_count),
        ("duplicated", tally.doubled_count),
        ("unaccounted", outcome.unaccounted_count),
    ]
    service = [
        (protocol, *(f"{spans.get(name, 0.0):.1f} s" for name in ("any", *outcome.servers)))
        for protocol, spans in outcome.without_service_s.items()
    ]
    marks = "; ".join(f"{each.at_s:.1f} s {each.server} {each.what}" for each in outcome.marks)
    return "".join(
        (
            table(("copies", ""), [(name, f"{value:,}") for name, value in numbers]),
            "\n",
            table(("longest without service", "at both", *outcome.servers), service),
            f"longest without a 250: {outcome.without_250_s:.1f} s\n",
            f"what happened: {marks or 'nothing'}\n",
            f"seed: {outcome.orders.seed}\n",
            *(f"note: {each}\n" for each in outcome.notes),
            f"report: {folder / 'report.html'}\n\n",
            f"{outcome.headline}\n",
        )
    )


class _Shown:
    """A progress bar on standard error where somebody watches; else a line per step."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> _Shown:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as NewBar

            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = NewBar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("drill", total=1.0)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, text: str) -> None:
        """Something is being done of which nobody knows how long it takes."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text)
        else:
            sys.stderr.write(f"  {text}\n")
            sys.stderr.flush()

    def update(self, share: float, text: str) -> None:
        """How far the drill is, from 0 to 1."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=share, description=text)
