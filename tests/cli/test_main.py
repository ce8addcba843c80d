"""The command line from words to output and exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.admin.catalogue import find_verb
from holdfast.cli.main import DONE, REFUSED, UNREACHABLE, USAGE, complete, run
from holdfast.drivers import management_socket as protocol

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def holdfast(home: Path) -> Callable[..., int]:
    return lambda *words: run(["--home", str(home), *words])


def test_a_mailbox_is_added_listed_and_refused_twice(holdfast: Callable[..., int], capsys: Capture) -> None:
    assert holdfast("mailbox", "add", "carol@example.test", "--quota", "2GB", "--json") == DONE
    added = json.loads(capsys.readouterr().out)
    assert (added["applied"], added["address"]) == (True, "carol@example.test")
    assert len(added["password"]) >= 12
    assert holdfast("mailbox", "list") == DONE
    said = capsys.readouterr()
    assert "carol@example.test" in said.out
    assert "2.00 GB" in said.out
    assert "warning: sizes of database" in said.err
    assert holdfast("mailbox", "add", "carol@example.test") == REFUSED
    assert "there already" in capsys.readouterr().err


def test_a_refusal_lists_every_problem_also_as_json(holdfast: Callable[..., int], capsys: Capture) -> None:
    words = ("mailbox", "add", "x@elsewhere.test", "--alias", "bob@example.test")
    assert holdfast(*words) == REFUSED
    assert capsys.readouterr().err.count("\n  - ") == 2
    assert holdfast(*words, "--json") == REFUSED
    said = json.loads(capsys.readouterr().err)
    assert "nothing was changed" in said["error"]
    assert len(said["problems"]) == 2


def test_export_edit_plan_import(holdfast: Callable[..., int], tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "organisation.toml"
    assert holdfast("organisation", "export", str(file)) == DONE
    assert capsys.readouterr().out == ""
    assert holdfast("organisation", "export") == DONE
    assert capsys.readouterr().out == file.read_text()
    file.write_text(file.read_text().replace('"Example"', '"Changed"'))
    assert holdfast("organisation", "import", str(file), "--plan") == DONE
    assert "name Example -> Changed" in capsys.readouterr().out
    assert holdfast("organisation", "import", str(file), "--why", "a test") == DONE
    assert holdfast("organisation", "history", "--limit", "1") == DONE
    assert "a test" in capsys.readouterr().out
    file.write_text("colour = 1\n")
    assert holdfast("organisation", "import", str(file)) == REFUSED
    assert "organisation.toml" in capsys.readouterr().err
    assert holdfast("organisation", "export", str(tmp_path / "no" / "where.toml")) == REFUSED


@pytest.mark.parametrize(
    "words",
    [
        ("mailbox", "add", "nobody"),
        ("mailbox", "add", "a@example.test", "--quota", "big"),
        ("mailbox", "explode"),
        ("teapot",),
        ("mailbox", "add"),
        ("organisation", "import", "/no/such/file.toml"),
        ("organisation", "import", "/dev/null/x"),
        ("connector", "set", "internet", "--tls", "maybe"),
        (),
    ],
)
def test_usage(words: tuple[str, ...], capsys: Capture) -> None:
    assert run(list(words)) == USAGE
    assert "Traceback" not in capsys.readouterr().err


def test_nobody_there(tmp_path: Path, capsys: Capture) -> None:
    assert run(["status", "--home", str(tmp_path)]) == UNREACHABLE
    assert f"start it with: holdfast up --home {tmp_path}" in capsys.readouterr().err


def test_a_server_that_speaks_another_version(tmp_path: Path, capsys: Capture) -> None:
    import threading

    listener = protocol.open_listener(tmp_path)
    listener.setblocking(True)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(protocol.encode_message(protocol.Finished(b"\x90", [])))
            connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve)
    thread.start()
    assert run(["status", "--home", str(tmp_path)]) == REFUSED
    thread.join()
    listener.close()
    assert "another version" in capsys.readouterr().err


def test_passwords_come_from_a_file_or_a_pipe_never_from_the_command_line(
    holdfast: Callable[..., int], tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse\nsecond line\n")
    words = ("mailbox", "set-password", "alice@example.test")
    assert holdfast(*words, "--password-file", str(file), "--json") == DONE
    assert json.loads(capsys.readouterr().out)["password"] is None
    file.write_text("short\n")
    assert holdfast(*words, "--password-file", str(file)) == USAGE
    file.write_bytes(b"\xff\xfe\xff\xff\n")
    assert holdfast(*words, "--password-file", str(file)) == USAGE
    assert holdfast(*words, "--password", "correct horse") == USAGE


def test_local_verbs_need_no_server(capsys: Capture) -> None:
    assert run(["explain", "DRV-0001"]) == DONE
    assert "ss -ltnp" in capsys.readouterr().out
    assert run(["explain", "NOPE-1"]) == REFUSED
    assert run(["version", "--json"]) == DONE
    assert run(["completion", "zsh"]) == DONE
    assert "_HOLDFAST_COMPLETE" in capsys.readouterr().out
    assert run(["mailbox", "add", "--help"]) == DONE
    assert "holdfast mailbox add alice@example.test" in capsys.readouterr().out


def test_completion_asks_the_server_and_is_silent_without(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = find_verb("mailbox", "show")
    tls = find_verb("connector", "set")
    assert show is not None
    assert tls is not None
    address, choice, quota = show.argument("address"), tls.argument("tls"), tls.argument("tarpit")
    assert address is not None
    assert choice is not None
    assert quota is not None
    monkeypatch.setenv("HOLDFAST_HOME", str(home))
    assert complete(address, "al") == ["alice@example.test"]
    assert complete(choice, "st") == ["starttls"]
    assert complete(quota, "") == []
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "nobody"))
    assert complete(address, "al") == []


def _process(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "holdfast.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]  # passed on as they are
    )


def test_as_a_process(home: Path) -> None:
    done = _process("--home", str(home), "mailbox", "list", "--json")
    assert done.returncode == DONE
    assert [row["address"] for row in json.loads(done.stdout)["mailboxes"]] == [
        "alice@example.test",
        "bob@example.test",
    ]
    piped = _process(
        "mailbox",
        "set-password",
        "alice@example.test",
        "--ask-password",
        "--home",
        str(home),
        input="correct horse\n",
    )
    assert (piped.returncode, piped.stderr) == (DONE, "")


def test_a_reader_that_has_enough_is_no_error(home: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.cli.main", "version"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (DONE, b"")
