"""Telling roles about changes, and what is said when one does not follow."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.admin.roles import Roles
from holdfast.drivers.management_socket import (
    Applied,
    Message,
    NotApplied,
    OrganisationChanged,
    ReportWanted,
    RoleAnswer,
    RoleHello,
    RoleRefused,
    RoleReport,
    RoleRequest,
)
from holdfast.kernel.errors import Refusal, Unavailable


def test_told_all_waits_for_each_role() -> None:
    async def scenario() -> None:
        roles = Roles(apply_timeout_s=0.05)
        said: dict[str, list[Message]] = {name: [] for name in ("good", "unwilling", "silent", "gone")}
        connected = {
            name: roles.arrived(RoleHello(name, 1, 1), messages.append, 1) for name, messages in said.items()
        }
        assert all(messages == [OrganisationChanged(1)] for messages in said.values())
        telling = asyncio.create_task(roles.told_all(3))
        while len(said["gone"]) < 2:  # noqa: ASYNC110  # nothing tells a test
            await asyncio.sleep(0)
        roles.heard(connected["good"], Applied(2))  # an earlier revision is not yet what is waited for
        roles.heard(connected["good"], Applied(3))
        roles.heard(connected["unwilling"], NotApplied(3, "the disk is gone"))
        roles.left(connected["gone"])
        warnings = await telling
        assert len(warnings) == 3
        text = "\n".join(warnings)
        assert "the disk is gone" in text
        assert "silent" in text
        assert "gone went away" in text
        assert connected["good"].revision == 3
        assert [each.role for each in roles.connected] == ["good", "unwilling", "silent"]
        assert await Roles().told_all(3) == []

    asyncio.run(scenario())


def test_reports_come_from_those_that_answer() -> None:
    async def scenario() -> None:
        roles = Roles()

        def answer(message: Message) -> None:
            if isinstance(message, ReportWanted):
                roles.heard(good, RoleReport(message.number, b"", {"n": 1}))
                roles.heard(good, RoleReport(message.number + 50, b"", {}))  # nobody asked

        def leave(message: Message) -> None:
            if isinstance(message, ReportWanted):
                asyncio.get_running_loop().call_soon(roles.left, gone)

        good = roles.arrived(RoleHello("good", 1, 1), answer, 1)
        gone = roles.arrived(RoleHello("gone", 2, 1), leave, 1)
        states = {each.role: each.state for each in await roles.states()}
        assert states == {"good": {"n": 1}, "gone": {"state": "does not answer"}}

    asyncio.run(scenario())


def test_a_role_is_asked_and_its_answer_or_its_refusal_comes_back() -> None:
    async def scenario() -> None:
        roles = Roles()

        def earlier(message: Message) -> None:
            raise AssertionError(message)

        def answer(message: Message) -> None:
            match message:
                case RoleRequest(number, "echo", body):
                    roles.heard(role, RoleAnswer(number + 50, b""))  # nobody asked
                    roles.heard(role, RoleAnswer(number, body))
                case RoleRequest(number, "wrong"):
                    roles.heard(role, RoleRefused(number, "there is no such queue", unavailable=False))
                case RoleRequest(number, "later"):
                    roles.heard(role, RoleRefused(number, "not now", unavailable=True))
                case RoleRequest(_, "die"):
                    asyncio.get_running_loop().call_soon(roles.left, role)

        with pytest.raises(Unavailable, match="the transport role is not running; see: holdfast status"):
            await roles.ask("transport", "echo", b"")
        roles.arrived(RoleHello("transport", 6, 1), lambda _: None, 1).send = earlier
        role = roles.arrived(RoleHello("transport", 7, 1), answer, 1)
        assert await roles.ask("transport", "echo", b"abc") == b"abc"
        with pytest.raises(Refusal, match="no such queue"):
            await roles.ask("transport", "wrong", b"")
        with pytest.raises(Unavailable, match="not now"):
            await roles.ask("transport", "later", b"")
        with pytest.raises(Unavailable, match=r"process 7\) did not answer within 0.01 s"):
            await roles.ask("transport", "silence", b"", timeout_s=0.01)
        assert role.requests == {}
        with pytest.raises(Unavailable, match="went away before it answered"):
            await roles.ask("transport", "die", b"")

    asyncio.run(scenario())
