"""What the first start makes, and what every start tells."""

from __future__ import annotations

import json
import shlex
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.daemons.first_start import CREDENTIALS_FILE, prepare, welcome
from holdfast.directory.checks import check_organisation
from holdfast.directory.model import ImapListener, Mailbox
from holdfast.directory.plan import plan_change
from holdfast.drivers.passwords import verify_password
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal, Unavailable


def test_the_demonstration_is_made_once_and_its_passwords_work(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert prepare(home, demonstration=True)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    passwords = json.loads((home / CREDENTIALS_FILE).read_text())
    store = DirectoryStore.open(home / "directory.sqlite", writable=False)
    organisation = store.read()
    assert check_organisation(organisation) == ()
    for address, password in passwords.items():
        mailbox = organisation.recipients[address]
        assert isinstance(mailbox, Mailbox)
        assert verify_password(store.secret(mailbox.mailbox_id), password)
    store.close()
    assert not prepare(home, demonstration=True)
    assert json.loads((home / CREDENTIALS_FILE).read_text()) == passwords


def test_a_start_that_was_cut_off_before_the_organisation_is_made_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / CREDENTIALS_FILE).write_text("{")
    assert prepare(home, demonstration=True)
    assert len(json.loads((home / CREDENTIALS_FILE).read_text())) == 2


def test_without_demonstration_the_organisation_is_empty_and_the_next_step_is_told(tmp_path: Path) -> None:
    assert not prepare(tmp_path / "home", demonstration=False)
    assert "holdfast organisation import" in welcome(tmp_path / "home", new=False, open_bindings=frozenset())


def test_the_welcome_tells_where_what_listens_and_gives_lines_that_parse(tmp_path: Path) -> None:
    home = tmp_path / "it's a home"
    prepare(home, demonstration=True)
    bindings = frozenset(f"127.0.0.1:{port}" for port in (2525, 2587, 2465, 2143, 2993, 2090))
    text = welcome(home, new=True, open_bindings=bindings)
    assert "NOT OPEN" not in text
    for port in ("2525", "2587", "2143", "2090"):
        assert f"127.0.0.1:{port}" in text
    lines = [line for line in text.splitlines() if line.strip().startswith("python3 -c")]
    assert len(lines) == 2
    for line in lines:
        compile(shlex.split(line)[2], "welcome", "exec")


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot make the state directory"):
        prepare(tmp_path / "file" / "home", demonstration=True)


def test_a_directory_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare(home, demonstration=True)
    with sqlite3.connect(home / "directory.sqlite") as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    with pytest.raises((Refusal, Unavailable), match="999"):
        prepare(home, demonstration=True)


def test_a_port_that_another_process_holds_is_not_claimed_as_ours(tmp_path: Path) -> None:
    # It happened: the line to send a first message led to somebody else's server.
    home = tmp_path / "home"
    prepare(home, demonstration=True)
    text = welcome(home, new=False, open_bindings=frozenset({"127.0.0.1:2143"}))
    line = next(line for line in text.splitlines() if "127.0.0.1:2525" in line)
    assert "NOT OPEN" in line
    assert "smtplib" not in text


def test_the_doors_of_other_servers_are_not_told_as_ours(tmp_path: Path) -> None:
    # It happened: with two servers declared, each start said that the other's doors are not open.
    home = tmp_path / "home"
    prepare(home, demonstration=True)
    store = DirectoryStore.open(home / "directory.sqlite", writable=True)
    before = store.read()
    other = replace(
        before.servers[0], name="other", fqdn="other.example.test", metrics="127.0.0.2:2090",
        imap=(ImapListener("127.0.0.2:2143"),),
    )  # fmt: skip
    plan = plan_change(before, replace(before, servers=(*before.servers, other)))
    assert not plan.problems
    store.apply(plan, who="test", why="", at=0.0)
    store.close()

    def text(server_name: str) -> str:
        return welcome(home, new=False, open_bindings=frozenset(), server_name=server_name)

    assert "127.0.0.2" not in text("demo")
    assert "127.0.0.2:2143" in text("other")
    assert "127.0.0.1:2143" not in text("other")
    assert "say which server this is with --server; there are demo, other" in text("")


def test_a_path_too_long_for_the_databases_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="longer than 400 bytes"):
        prepare(tmp_path.joinpath(*["d" * 100] * 4), demonstration=True)
