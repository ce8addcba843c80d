"""``holdfast simulate``."""

from __future__ import annotations

import json

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
        ([], "--seed"),
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
