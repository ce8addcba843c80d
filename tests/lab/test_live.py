"""A drill on a server that is in use: a mailbox of its own, gone afterwards, and no blow by accident."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from holdfast.cli.main import REFUSED, run
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab.drill_plan import Blow, Orders
from holdfast.lab.live import LiveStage, ask


class Server(Protocol):
    home: Path
    smtp: int

    def start(self) -> None: ...
    def json(self, *words: str) -> dict[str, object]: ...
    def kill(self, role: str) -> None: ...
    def role_pids(self, role: str) -> list[int]: ...


def live(server: Server, *words: str) -> int:
    """A short drill on a server, with its report beside its home."""
    state = str(server.home.parent / "drill")
    every = ("--live", "--state", state, "--minutes", "0.05", "--json")
    return run(["--home", str(server.home), "drill", "run", *every, *words])


def addresses(server: Server) -> list[str]:
    rows = server.json("mailbox", "list")["mailboxes"]
    assert isinstance(rows, list)
    return [each["address"] for each in rows]


@pytest.mark.process
def test_a_server_in_use_is_drilled_and_left_as_it_was(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    before = addresses(server)
    assert live(server) == REFUSED
    assert "mailbox of the drill's own" in capsys.readouterr().err
    assert live(server, "--kill", "demo") == REFUSED
    assert "say --yes as well" in capsys.readouterr().err
    assert live(server, "--cut", "demo", "--yes") == REFUSED
    assert "cuts no cable" in capsys.readouterr().err
    assert live(server, "--freeze", "other", "--yes") == REFUSED
    assert "no server" in capsys.readouterr().err
    assert addresses(server) == before

    assert live(server, "--yes", "--load", "10/s") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["sent"], said["delivered"], said["blow"]) == (30, 30, "none")
    assert addresses(server) == before


@pytest.mark.process
def test_a_server_in_use_is_frozen_when_that_is_said_twice(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live(server, "--yes", "--load", "10/s", "--freeze", "any", "--back-after", "1s") == REFUSED
    assert "only this server can be hit" in capsys.readouterr().err
    words = ("--yes", "--load", "10/s", "--freeze", "demo", "--back-after", "1s", "--patience", "20s")
    assert live(server, *words) == 0
    said = json.loads(capsys.readouterr().out)
    assert [each["what"] for each in said["marks"]] == ["frozen", "back"]
    assert said["delivered"] == said["acknowledged"] == 30


@pytest.mark.process
def test_a_killed_server_is_one_that_its_keeper_starts_again(
    server: Server, until: Callable[[Callable[[], bool]], None]
) -> None:
    stage = LiveStage(server.home, "run")
    assert stage.serves("demo")
    stage.hit("demo", Orders(rate=1.0, load_s=1.0, seed=1, blow=Blow.KILL, server="demo"))
    until(
        lambda: not any(server.role_pids(each) for each in ("transport", "mailbox", "access", "management"))
    )
    assert not stage.serves("demo")
    assert "nobody started it again" in stage.where_to_look("demo")
    with pytest.raises(Unavailable, match="no answer from the server"):
        stage.manage("demo", "status")
    stage.close()
    assert any("is left over" in each for each in stage.notes)
    server.kill("supervisor")  # it is dead; this waits for it
    server.start()
    until(lambda: stage.serves("demo"))
    stage.close()
    assert stage.address not in addresses(server)


def test_nobody_to_ask_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    ask("letters go", yes=True)
    with pytest.raises(Refusal, match="letters go; say --yes"):
        ask("letters go", yes=False)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    ask("letters go", yes=False)
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    with pytest.raises(Refusal, match="nothing was done"):
        ask("letters go", yes=False)


def test_a_server_that_does_not_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        LiveStage(tmp_path, "run")
