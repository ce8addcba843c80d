"""What every role process does alike, shown with real processes of the mailbox role."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from holdfast.daemons import role
from holdfast.kernel.errors import Unavailable

pytestmark = pytest.mark.process


class Role(Protocol):
    process: subprocess.Popen[str]

    def wait_ready(self) -> dict[str, object]: ...
    def close(self) -> str: ...


Make = Callable[..., Role]


def test_ready_is_told_with_role_and_process(make_role: Make) -> None:
    role = make_role()
    told = role.wait_ready()
    assert told["role"] == "mailbox"
    assert told["pid"] == role.process.pid


def test_sigterm_ends_it_cleanly(make_role: Make) -> None:
    role = make_role()
    role.wait_ready()
    role.process.send_signal(signal.SIGTERM)
    assert role.process.wait(60) == 0


def test_it_ends_cleanly_when_its_supervisor_is_gone(make_role: Make) -> None:
    role = make_role()
    role.wait_ready()
    assert role.process.stdin is not None
    role.process.stdin.close()
    assert role.process.wait(60) == 0


def test_a_second_one_waits_for_the_first(make_role: Make) -> None:
    first = make_role()
    first.wait_ready()
    second = make_role()
    first.process.send_signal(signal.SIGTERM)
    assert second.wait_ready()["pid"] == second.process.pid


def test_a_second_one_is_refused_when_the_first_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "LOCK_TIMEOUT_S", -1.0)
    (tmp_path / "run").mkdir()

    async def take_twice() -> None:
        await role.RoleProcess("mailbox", tmp_path, "", None).take_lock()
        await role.RoleProcess("transport", tmp_path, "", None).take_lock()
        with pytest.raises(Unavailable, match="another mailbox process works on"):
            await role.RoleProcess("mailbox", tmp_path, "", None).take_lock()

    asyncio.run(take_twice())


def test_a_home_without_a_directory_is_told_without_a_traceback(make_role: Make, tmp_path: Path) -> None:
    role = make_role("mailbox", tmp_path / "nothing")
    assert role.process.wait(60) == 1
    text = role.close()
    assert "DRV-0104" in text
    assert "Traceback" not in text
