"""``holdfast drill run``: what it reads, refuses and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.admin.catalogue import find_verb, read_arguments
from holdfast.cli.main import REFUSED, run
from holdfast.kernel.errors import Refusal
from holdfast.lab.command import Value
from holdfast.lab.drill_command import read_orders, state_directory, summary, write_report
from holdfast.lab.drill_plan import Blow
from lab.outcomes import BROKEN, PASSED


def given(**values: Value) -> dict[str, Value]:
    verb = find_verb("drill", "run")
    assert verb is not None
    return dict(
        read_arguments(verb, {name.replace("_", "-"): value for name, value in values.items()}).values()
    )


def test_without_more_words_any_server_is_killed() -> None:
    orders = read_orders(given(seed=7))
    assert (orders.blow, orders.server, orders.rate, orders.load_s) == (Blow.KILL, "", 100.0, 60.0)
    assert read_orders(given()).seed != read_orders(given()).seed


def test_the_blow_is_read() -> None:
    assert read_orders(given(kill="mail1")).server == "mail1"
    assert read_orders(given(freeze="any")).server == ""
    cut = read_orders(given(cut="mail1:mail2", one_way=True))
    assert (cut.blow, cut.server, cut.other, cut.one_way) == (Blow.CUT, "mail1", "mail2", True)
    assert read_orders(given(kill="any", lose_queue=True)).lose_queue
    assert read_orders(given(live=True)).blow is Blow.NONE
    assert read_orders(given(live=True)).rate == 5.0
    assert read_orders(given(no_blow=True)).blow is Blow.NONE
    spans = read_orders(given(back_after="3s", declare_lost_after="1s", patience="2m"))
    assert (spans.back_after_s, spans.declare_lost_after_s, spans.patience_s) == (3.0, 1.0, 120.0)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"kill": "mail1", "freeze": "mail2"}, "one of --kill"),
        ({"kill": "mail1", "no_blow": True}, "one of --kill"),
        ({"cut": "mail1", "loopback": True}, "no cable to cut"),
        ({"freeze": "mail1", "lose_queue": True}, "about a killed server"),
        ({"live": True, "kill": "mail1", "lose_queue": True}, "about a killed server"),
        ({"both": True, "no_return": True}, "--both needs"),
        ({"both": True, "no_blow": True}, "--both needs"),
        ({"live": True, "loopback": True}, "without --lab and --loopback"),
        ({"no_return": True, "back_after": "3s"}, "contradict"),
        ({"load": "fast"}, "load"),
        ({"minutes": "soon"}, "minutes"),
    ],
)
def test_contradictions_are_refused(values: dict[str, Value], what: str) -> None:
    with pytest.raises(Refusal, match=what):
        read_orders(given(**values))


def test_where_has_to_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["drill", "run", "--state", str(tmp_path / "drill")]) == REFUSED
    assert "--loopback" in capsys.readouterr().err


def test_the_report_is_three_files(tmp_path: Path) -> None:
    write_report(BROKEN, tmp_path / "report")
    assert (tmp_path / "report" / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "report" / "timeline.svg").read_text().startswith("<svg")
    assert not json.loads((tmp_path / "report" / "report.json").read_text())["passed"]


def test_the_summary_ends_with_the_verdict(tmp_path: Path) -> None:
    lines = summary(PASSED, tmp_path).splitlines()
    assert lines[-1] == PASSED.headline
    assert "lost          0" in lines
    assert f"report: {tmp_path}/report.html" in lines
    assert "30" in summary(BROKEN, tmp_path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"loopback": True}, ".holdfast-drill/loopback"),
        ({"lab": "examples/two-sites.csv"}, ".holdfast-drill/two-sites"),
        ({"live": True}, ".holdfast-drill"),
        ({}, ".holdfast-lab"),
        ({"state": "x", "loopback": True}, "x"),
    ],
)
def test_each_lab_has_a_place_of_its_own(given: dict[str, str | bool], expected: str) -> None:
    nothing: dict[str, str | bool] = {"state": "", "lab": "", "loopback": False, "live": False}
    assert state_directory({**nothing, **given}) == Path(expected)
