"""The management role as a real process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.admin.catalogue import Verb, find_verb
from holdfast.admin.results import MailboxAdded, Status
from holdfast.cli.ask import ask
from holdfast.daemons.management import metrics_binding
from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.model import Organisation
from holdfast.directory.plan import plan_change
from holdfast.drivers.listeners import Binding
from holdfast.drivers.management_socket import management_socket
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.ids import MailboxId
from ports import free_ports

pytestmark = pytest.mark.process


def _organisation(metrics: int) -> Organisation:
    return demonstration_organisation(
        server_name="demo",
        fqdn="demo.example.test",
        alice=MailboxId("a" * 32),
        bob=MailboxId("b" * 32),
        ports=DemonstrationPorts(metrics=metrics),
    )


def _prepare(home: Path, metrics: int) -> None:
    store = DirectoryStore.open(home / "directory.sqlite", writable=True)
    store.apply(plan_change(store.read(), _organisation(metrics)), who="test", why="", at=0.0)
    store.close()


@contextmanager
def _management(home: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the role, wait until it says that it is ready, and stop it."""
    read_end, write_end = os.pipe()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "holdfast.daemons.management",
                "--home",
                str(home),
                "--ready-fd",
                str(write_end),
            ],
            stdin=subprocess.PIPE,
            stderr=stream,
            pass_fds=(write_end,),
        )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as ready:
            assert ready.readline(), log.read_text()
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def _verb(noun: str, name: str) -> Verb:
    verb = find_verb(noun, name)
    assert verb is not None
    return verb


def _ids(log: Path) -> list[str]:
    return [json.loads(line)["id"] for line in log.read_text().splitlines()]


def test_verbs_metrics_and_a_clean_stop(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    _prepare(tmp_path, port)
    log = tmp_path / "log"
    with _management(tmp_path, log) as process:
        added, _ = ask(tmp_path, _verb("mailbox", "add"), {"address": "carol@example.test"})
        assert isinstance(added, MailboxAdded)
        status, _ = ask(tmp_path, _verb("status", ""), {})
        assert isinstance(status, Status)
        assert status.roles[0].pid == process.pid
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            page = answer.read().decode()
        assert "holdfast_organisation_revision 2.0" in page
        process.send_signal(signal.SIGHUP)
        assert ask(tmp_path, _verb("status", ""), {})
    assert not management_socket(tmp_path).exists()
    assert {"DRV-0201", "DRV-0203", "DRV-0204"} <= set(_ids(log))


def test_a_port_in_use_is_said_and_stops_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        _prepare(tmp_path, port)
        log = tmp_path / "log"
        with _management(tmp_path, log):
            assert ask(tmp_path, _verb("status", ""), {})
    (event,) = [line for line in map(json.loads, log.read_text().splitlines()) if line["id"] == "DRV-0001"]
    assert event["fields"]["port"] == port
    assert f"process {os.getpid()}" in event["message"]


def test_metrics_are_where_the_organisation_says() -> None:
    organisation = _organisation(2090)
    assert metrics_binding(organisation, "demo") == {Binding("127.0.0.1", 2090, False): None}
    off = replace(organisation, servers=tuple(replace(each, metrics="") for each in organisation.servers))
    assert metrics_binding(off, "demo") == {}
    assert metrics_binding(Organisation(), "") == {}
