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
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from holdfast.daemons.supervisor import DECLARED_ROLES, RESTART, ROLES, STOP_ORDER, _how_it_ended

pytestmark = pytest.mark.process


Until = Callable[[Callable[[], bool]], None]


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


def test_every_role_is_stopped_exactly_once() -> None:
    assert sorted(name for names in STOP_ORDER for name in names) == sorted((*ROLES, *DECLARED_ROLES))
    assert RESTART.first_s < 1


def test_the_end_of_a_role_is_told_in_words() -> None:
    assert _how_it_ended(-signal.SIGKILL) == "killed by SIGKILL"
    assert _how_it_ended(1) == "exit code 1"


def test_roles_may_open_as_many_files_as_the_system_lets_them() -> None:
    # A connector may have 5,000 connections, and a process 1,024 files where nobody asks for more.
    words = (
        "import resource as r;"
        "hard = r.getrlimit(r.RLIMIT_NOFILE)[1]; r.setrlimit(r.RLIMIT_NOFILE, (128, hard));"
        "from holdfast.daemons.supervisor import FILE_COUNT_WANTED as wanted, raise_file_limit;"
        "raise_file_limit(); soft, after = r.getrlimit(r.RLIMIT_NOFILE);"
        "print(after == hard and soft == (wanted if hard == r.RLIM_INFINITY else min(wanted, hard)))"
    )
    result = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=False)
    assert result.stdout == "True\n", result.stderr


def test_a_killed_role_comes_back_and_the_others_go_on(server: Server, until: Until) -> None:
    before = {role: server.role_pids(role) for role in ROLES}
    assert all(len(pids) == 1 for pids in before.values()), before
    server.kill("transport")
    until(lambda: server.role_pids("transport") not in ([], before["transport"]))
    for role in ("management", "mailbox", "access"):
        assert server.role_pids(role) == before[role]
    until(lambda: port_answers(server.smtp))
    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        assert client.noop()[0] == 250
    assert any("DRV-0103" in line and "SIGKILL" in line for line in server.log)


def test_when_the_queue_writer_is_killed_its_role_comes_back_and_mail_goes_on(
    server: Server, until: Until
) -> None:
    before, writer = server.role_pids("transport"), server.role_pids("queue_writer")
    assert len(writer) == 1
    server.kill("queue_writer")
    until(lambda: server.role_pids("transport") not in ([], before))
    until(lambda: port_answers(server.smtp))
    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        client.sendmail("a@outside.example", "alice@example.test", "Subject: after\r\n\r\n")
    assert server.role_pids("queue_writer") not in ([], writer)
    assert any("DRV-0106" in line and "signal 9" in line for line in server.log)
    assert not any("DRV-0105" in line for line in server.log)
    assert server.stop() == 0
    assert server.role_pids("queue_writer") == []


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


def test_when_the_supervisor_is_killed_the_roles_stop_and_the_next_start_works(
    server: Server, until: Until
) -> None:
    server.kill("supervisor")
    server.start()
    until(lambda: all(len(server.role_pids(role)) == 1 for role in ROLES))


def test_sighup_takes_a_replaced_certificate(server: Server, until: Until) -> None:
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
    until(lambda: certificate() != before)


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


def run_up(home: Path) -> subprocess.CompletedProcess[str]:
    """Start a server that must not come up; it has to end by itself."""
    words = [sys.executable, "-m", "holdfast.cli.main", "--home", str(home), "up"]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


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
    refused = run_up(server.home)
    assert refused.returncode == 1
    assert "999" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "is ready" not in refused.stdout
    assert all(not server.role_pids(role) for role in ROLES)
    with sqlite3.connect(server.home / name) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (999,)
    database.close()


def test_a_second_server_on_the_same_home_is_refused_at_once(server: Server) -> None:
    before = {role: server.role_pids(role) for role in ROLES}
    refused = run_up(server.home)
    assert refused.returncode == 1
    assert f"Holdfast (process {server.process.pid}) runs on {server.home} already" in refused.stderr
    assert {role: server.role_pids(role) for role in ROLES} == before


def test_a_damaged_mailbox_database_does_not_stop_mail_from_being_taken(
    make_server: Callable[[], Server],
    until: Until,
) -> None:
    server = make_server()
    damaged = server.home / "mailbox" / "DB01.sqlite"
    damaged.parent.mkdir()
    damaged.write_bytes(b"this is no database" * 1000)
    server.start()
    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        client.sendmail("a@outside.example", "alice@example.test", "Subject: waits\r\n\r\n")
    assert any("DRV-0301" in line for line in server.log)
    damaged.unlink()
    until(lambda: server.json("ledger")["delivered"] == 1)  # type: ignore[index]  # JSON


def test_a_server_that_is_declared_after_an_empty_start_serves(
    make_server: Callable[[], Server], tmp_path: Path, until: Until
) -> None:
    # It happened: transport had asked who it was before anybody had said so.
    declared = make_server()
    declared.start()
    path = tmp_path / "organisation.toml"
    exported = declared.holdfast("organisation", "export")
    declared.stop()
    lines = [line for line in exported.stdout.splitlines() if not line.startswith("mailbox_id")]
    path.write_text("\n".join(lines))
    home = tmp_path / "empty"
    words = [sys.executable, "-m", "holdfast.cli.main", "--home", str(home), "up", "--empty"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Holdfast is ready")
        command = [sys.executable, "-m", "holdfast.cli.main", "--home", str(home)]
        imported = subprocess.run(
            [*command, "organisation", "import", str(path)], capture_output=True, text=True, check=False
        )
        assert imported.returncode == 0, imported.stderr
        until(lambda: port_answers(declared.smtp))
        with smtplib.SMTP("127.0.0.1", declared.smtp) as client:
            assert client.ehlo()[1].startswith(b"demo.example.test")
            client.sendmail("a@outside.example", "alice@example.test", "Subject: declared\r\n\r\n")
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_passwords_of_the_demonstration_are_kept_private(make_server: Callable[[], Server]) -> None:
    server = make_server()
    path = server.home / "demo-credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(json.loads(path.read_text())) == {"alice@example.test", "bob@example.test"}


def test_the_dhcp_role_runs_exactly_while_it_is_declared(
    server: Server, tmp_path: Path, until: Until
) -> None:
    from dataclasses import replace

    from dhcp_service import free_udp_port
    from holdfast.directory.dhcp import DhcpServer
    from holdfast.directory.model import Role
    from holdfast.directory.toml_format import write_organisation
    from holdfast.drivers.role_link import read_organisation

    def declare(roles: tuple[Role, ...], *settings: DhcpServer) -> None:
        organisation = read_organisation(server.home)
        ours = replace(organisation.servers[0], roles=roles)
        changed = replace(organisation, servers=(ours,), dhcp_servers=settings)
        path = tmp_path / "organisation.toml"
        path.write_text(write_organisation(changed), encoding="utf-8")
        imported = server.holdfast("organisation", "import", str(path), "--yes")
        assert imported.returncode == 0, imported.stderr

    before = read_organisation(server.home).servers[0].roles
    assert server.role_pids("dhcp") == []
    name = read_organisation(server.home).servers[0].name
    declare((*before, Role.DHCP), DhcpServer(name, interfaces=("lo",), port=free_udp_port()))
    until((server.home / "leases.sqlite").exists)
    (pid,) = server.role_pids("dhcp")
    os.kill(pid, signal.SIGKILL)
    until(lambda: server.role_pids("dhcp") not in ([], [pid]))
    declare(before)
    until(lambda: server.role_pids("dhcp") == [])
    assert all(len(server.role_pids(role)) == 1 for role in ROLES)
