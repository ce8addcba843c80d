"""``holdfast up`` with real processes: ready, restart, reload, clean stop, refused states."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from holdfast.daemons.supervisor import RESTART, ROLES, STOP_ORDER, _how_it_ended

pytestmark = pytest.mark.process


class Server(Protocol):
    home: Path
    smtp: int
    imap: int
    process: subprocess.Popen[str]
    log: list[str]

    def start(self) -> None: ...
    def stop(self) -> int: ...
    def kill(self, role: str) -> None: ...
    def role_pids(self, role: str) -> list[int]: ...
    def json(self, *words: str) -> object: ...
    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]: ...


def until(fact: Callable[[], bool], process: subprocess.Popen[str], log: list[str]) -> None:
    """Look until something is so; each look takes a command's time, so it does not spin."""
    for _ in range(300):
        if fact():
            return
        assert process.poll() is None, "\n".join(log)
        subprocess.run(["sleep", "0.05"], check=True)
    raise AssertionError("\n".join(log))


def test_every_role_is_stopped_exactly_once() -> None:
    assert sorted(name for names in STOP_ORDER for name in names) == sorted(ROLES)
    assert RESTART.first_s < 1


def test_the_end_of_a_role_is_told_in_words() -> None:
    assert _how_it_ended(-signal.SIGKILL) == "killed by SIGKILL"
    assert _how_it_ended(1) == "exit code 1"


def test_a_killed_role_comes_back_and_the_others_go_on(server: Server) -> None:
    before = {role: server.role_pids(role) for role in ROLES}
    assert all(len(pids) == 1 for pids in before.values()), before
    server.kill("transport")
    until(lambda: server.role_pids("transport") not in ([], before["transport"]), server.process, server.log)
    for role in ("management", "mailbox", "access"):
        assert server.role_pids(role) == before[role]
    until(lambda: port_answers(server.smtp), server.process, server.log)
    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        assert client.noop()[0] == 250
    assert any("DRV-0103" in line and "SIGKILL" in line for line in server.log)


def port_answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_clean_stop_ends_every_process_and_the_second_start_finds_its_state(server: Server) -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        client.sendmail("a@outside.example", "alice@example.test", "Subject: kept\r\n\r\n")
    assert server.stop() == 0
    assert all(not server.role_pids(role) for role in ROLES)
    server.start()
    ledger = server.json("ledger")
    assert isinstance(ledger, dict)
    assert ledger["accepted"] == 1
    assert ledger["unaccounted"] in (0, [])


def test_when_the_supervisor_is_killed_the_roles_stop_and_the_next_start_works(server: Server) -> None:
    server.kill("supervisor")
    server.start()
    until(lambda: all(len(server.role_pids(role)) == 1 for role in ROLES), server.process, server.log)


def test_sighup_takes_a_replaced_certificate(server: Server) -> None:
    def certificate() -> bytes:
        import ssl

        with smtplib.SMTP("127.0.0.1", server.smtp) as client:
            client.starttls(context=ssl._create_unverified_context())
            return client.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]  # TLS is on

    from holdfast.drivers.tls import ensure_certificate

    before = certificate()
    for name in ("certificate.pem", "key.pem"):
        (server.home / "tls" / name).unlink()
    ensure_certificate(server.home / "tls", ("new.example.test",))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: certificate() != before, server.process, server.log)


def test_a_mailbox_that_is_added_takes_mail_at_once(server: Server, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse battery staple\n")
    added = server.holdfast("mailbox", "add", "carol@example.test", "--password-file", str(password))
    assert added.returncode == 0, added.stderr
    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        client.sendmail("a@outside.example", "carol@example.test", "Subject: welcome\r\n\r\n")


def test_a_port_in_use_is_named_and_the_others_are_served(make_server: Callable[[], Server]) -> None:
    server = make_server()
    with socket.create_server(("127.0.0.1", server.imap)):
        server.start()
        # Filtered by a word: where stderr is a terminal the line looks different.
        named = [line for line in server.log if "DRV-0001" in line and str(server.imap) in line]
        assert named
        assert f"process {os.getpid()} (" in named[0]
        assert port_answers(server.smtp)


def test_the_state_is_closed_to_other_users(server: Server) -> None:
    assert stat.S_IMODE(server.home.stat().st_mode) & 0o077 == 0
    for path in server.home.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("name", ["directory.sqlite", "queue.sqlite", "mailbox/DB01.sqlite"])
def test_a_state_of_a_newer_version_is_refused_and_left_alone(
    make_server: Callable[[], Server], name: str
) -> None:
    server = make_server()
    server.start()
    server.stop()
    with sqlite3.connect(server.home / name) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    words = ["up"]
    import sys

    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli.main", "--home", str(server.home), *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    seen: list[str] = []
    try:
        for line in process.stdout:
            seen.append(line)
            if "999" in line:
                break
        else:
            raise AssertionError(seen)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert "Traceback" not in "".join(seen)
    with sqlite3.connect(server.home / name) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (999,)
    database.close()


def test_passwords_of_the_demonstration_are_kept_private(make_server: Callable[[], Server]) -> None:
    server = make_server()
    path = server.home / "demo-credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(json.loads(path.read_text())) == {"alice@example.test", "bob@example.test"}
