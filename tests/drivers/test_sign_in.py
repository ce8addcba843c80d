"""Passwords are verified beside the event loop, against a real directory database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from holdfast.daemons.first_start import CREDENTIALS_FILE, prepare
from holdfast.directory.model import Mailbox, Organisation
from holdfast.drivers.sign_in import SignIn
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.ids import MailboxId

ALICE = "alice@example.test"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sign-in") / "home"
    prepare(made, demonstration=True)
    return made


def organisation_of(home: Path) -> Organisation:
    store = DirectoryStore.open(home / "directory.sqlite", writable=False)
    try:
        return store.read()
    finally:
        store.close()


def check(home: Path, organisation: Organisation, user: str, password: str) -> MailboxId | None:
    async def main() -> MailboxId | None:
        answer = asyncio.get_running_loop().create_future()
        sign_in = SignIn(home / "directory.sqlite", lambda: organisation)
        sign_in.check(user, password, answer.set_result)
        try:
            return await answer
        finally:
            sign_in.close()

    return asyncio.run(main())


def test_the_right_password_gives_the_mailbox(home: Path) -> None:
    organisation = organisation_of(home)
    password = json.loads((home / CREDENTIALS_FILE).read_text())[ALICE]
    alice = organisation.recipients[ALICE]
    assert isinstance(alice, Mailbox)
    assert check(home, organisation, ALICE, password) == alice.mailbox_id
    assert check(home, organisation, ALICE.upper(), password) == alice.mailbox_id
    assert check(home, organisation, ALICE, password + "x") is None
    assert check(home, organisation, "nobody@example.test", password) is None


def test_a_disabled_mailbox_lets_nobody_in(home: Path) -> None:
    from dataclasses import replace

    organisation = organisation_of(home)
    password = json.loads((home / CREDENTIALS_FILE).read_text())[ALICE]
    disabled = replace(
        organisation, mailboxes=tuple(replace(each, enabled=False) for each in organisation.mailboxes)
    )
    assert check(home, disabled, ALICE, password) is None


def test_a_directory_that_cannot_be_read_lets_nobody_in(home: Path, tmp_path: Path) -> None:
    assert check(tmp_path, organisation_of(home), ALICE, "anything") is None


def test_a_directory_that_is_not_ours_lets_nobody_in_and_keeps_nobody_waiting(
    home: Path, tmp_path: Path
) -> None:
    connection = sqlite3.connect(tmp_path / "directory.sqlite")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert check(tmp_path, organisation_of(home), ALICE, "anything") is None
