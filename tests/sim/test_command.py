"""``holdfast simulate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.sim import command
from holdfast.sim.command import main
from holdfast.sim.run import Result


def run(*argv: str) -> tuple[int, str]:
    printed: list[str] = []
    code = main(list(argv), printed.append)
    return code, "".join(printed)


def test_each_seed_is_a_line_after_its_rates() -> None:
    code, printed = run("--seed", "3", "--seeds", "2", "--scenario", "steady", "--commit", "abc123")
    lines = printed.splitlines()
    assert code == 0
    assert lines[0].startswith("seed 3 scenario steady version ")
    assert "commit abc123" in lines[0]
    assert "commit_batch_max=" in lines[0]
    assert lines[1].startswith("seed 3: ok, ")
    assert lines[3].startswith("seed 4: ok, ")
    assert len(lines) == 4


def test_json_is_one_object_per_run() -> None:
    code, printed = run("--seed", "3", "--seeds", "2", "--json", "--trace")
    results = [json.loads(line) for line in printed.splitlines()]
    assert code == 0
    assert [result["seed"] for result in results] == [3, 4]
    assert results[0]["scenario"] == "plug-pull"
    assert results[0]["failure"] is None


def test_a_trace_is_every_event() -> None:
    _, printed = run("--seed", "1", "--scenario", "tiny", "--trace")
    assert "transport starts, incarnation 1" in printed
    assert "queue disk commit of 1" in printed


def test_everywhere_tells_how_many_runs_there_were() -> None:
    code, printed = run("--seed", "4", "--scenario", "tiny", "--everywhere")
    assert code == 0
    assert "runs, killed before each event: ok" in printed


def test_the_standard_output_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1", "--scenario", "tiny"]) == 0
    assert "seed 1: ok" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--seed", "1", "--scenario", "storm"], 'there is no scenario "storm"; there are: clock-steps'),
        (["--seed", "-1"], "0 or more"),
        (["--seed", "x"], "invalid"),
        ([], "which seed?"),
        (["--seeds", "5-3"], "no range of seeds"),
        (["--seeds", "-3"], "no range of seeds"),
        (["--seeds", "3-x"], "no range of seeds"),
        (["--seed", "1", "--seeds", "0-3"], "say the same"),
        (["--seed", "1", "--seeds", "many"], "neither a number of seeds nor a range"),
        (
            ["--seed", "1", "--scenario", "tiny", "--timeline", "/no/such/folder/run.svg"],
            "/no/such/folder/run.svg cannot be written",
        ),
    ],
)
def test_wrong_arguments_are_refused(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert words in capsys.readouterr().err


def test_help_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "example: holdfast simulate" in capsys.readouterr().out


FAILED = Result(7, "plug-pull", "L1-0 is lost", "aa", 10, 1, 1, 0, 2, 5.0, ("the last line",))


def test_a_failure_says_what_broke_and_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "crash_everywhere", lambda seed, scenario: iter([FAILED]))
    code, printed = run("--seed", "7", "--everywhere")
    assert code == 1
    assert "seed 7: FAILED" in printed
    assert "  the last line\n" in printed
    assert "seed 7: L1-0 is lost\n" in printed
    assert "see it again: holdfast simulate --seed 7 --scenario plug-pull --trace" in printed


def test_the_first_failed_seed_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sim.run.EVENT_COUNT_MAX", 5)
    code, printed = run("--seed", "7", "--seeds", "5")
    assert code == 1
    assert printed.count("FAILED") == 1


def test_a_tree_that_was_never_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> str:
        raise command.PackageNotFoundError(name)

    monkeypatch.setattr(command, "version", not_installed)
    assert "version unknown" in run("--seed", "1", "--scenario", "tiny")[1]


def test_a_range_of_seeds_is_run_on_several_processors_in_order() -> None:
    code, printed = run("--seeds", "3-17", "--scenario", "tiny", "--processes", "2", "--json")
    results = [json.loads(line) for line in printed.splitlines()]
    assert code == 0
    assert [result["seed"] for result in results] == list(range(3, 18))
    alone = run("--seed", "17", "--scenario", "tiny", "--json")[1]
    assert json.loads(alone) == results[-1]


def test_of_very_many_seeds_only_the_sums_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LISTED_SEED_COUNT_MAX", 3)
    code, printed = run("--seeds", "0-4", "--scenario", "tiny", "--processes", "1")
    assert code == 0
    assert len(printed.splitlines()) == 1
    assert printed.startswith("seeds 0-4 scenario tiny: all ok, 20 letters, ")


def test_the_first_seed_that_fails_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sim.run.EVENT_COUNT_MAX", 20)
    code, printed = run("--seeds", "0-9", "--scenario", "tiny")
    assert code == 1
    assert "seed 0: FAILED" in printed
    assert "seed 1:" not in printed
    assert "holdfast simulate --seed 0 --scenario tiny --shrink" in printed


def test_a_failing_seed_is_shrunk_to_what_a_test_can_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sim.run.EVENT_COUNT_MAX", 60)
    code, printed = run("--seed", "3", "--scenario", "plug-pull", "--shrink")
    assert code == 1
    assert 'simulate(3, load_scenario("plug-pull"), schedule=Schedule(letters=frozenset(' in printed
    assert "the end is not in sight" in printed
    assert run("--seed", "3", "--scenario", "plug-pull", "--shrink", "--json")[0] == 1


def test_what_does_not_fail_is_not_shrunk() -> None:
    assert run("--seed", "1", "--scenario", "tiny", "--shrink") == (
        0,
        "seed 1 scenario tiny: ok, there is nothing to shrink\n",
    )


def test_a_run_is_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "run.svg"
    code, printed = run("--seed", "3", "--scenario", "plug-pull-pair", "--timeline", str(picture))
    assert code == 0
    assert f"the picture is in {picture}" in printed
    assert "transport hub2" in picture.read_text("utf-8")


def test_a_bar_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--seeds", "0-2", "--scenario", "tiny")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run("--seeds", "0-2", "--scenario", "tiny")
    assert "3/3 seeds" in capsys.readouterr().err
