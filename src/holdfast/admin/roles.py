"""The roles that are connected to management: telling them about changes, asking them for reports and work.

Invariant: ``told_all`` returns when every role that was connected when it began
has said that it works with the revision, has said why not, is gone, or did not
answer in time; each of the last two kinds is a warning, for a role that is gone
reads the organisation when it comes back.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.admin.context import RoleState
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
    StateValue,
)
from holdfast.kernel.errors import Refusal, Unavailable

APPLY_TIMEOUT_S = 2.0
REPORT_TIMEOUT_S = 5.0  # a busy role is late, not gone; Prometheus itself waits 10 s for a page
REQUEST_TIMEOUT_S = 30.0  # of one request; a verb that has much to do makes many

Send = Callable[[Message], None]


@dataclass
class ConnectedRole:
    """One role process on the other end of a connection."""

    role: str
    pid: int
    revision: int
    send: Send
    # Who waits for a revision (or a later one), and who for a numbered report.
    waiting: list[tuple[int, asyncio.Future[str | None]]] = field(default_factory=list)
    reports: dict[int, asyncio.Future[RoleReport]] = field(default_factory=dict)
    requests: dict[int, asyncio.Future[RoleAnswer | RoleRefused]] = field(default_factory=dict)


class Roles:
    """All roles that are connected now."""

    def __init__(self, *, apply_timeout_s: float = APPLY_TIMEOUT_S) -> None:
        self._apply_timeout_s = apply_timeout_s
        self._connected: list[ConnectedRole] = []
        self._report_numbers = itertools.count(1)
        self._request_numbers = itertools.count(1)

    @property
    def connected(self) -> tuple[ConnectedRole, ...]:
        """The roles that are connected, in the order they came."""
        return tuple(self._connected)

    def arrived(self, hello: RoleHello, send: Send, revision: int) -> ConnectedRole:
        """A role said who it is; it is told the revision at once, so that it can catch up."""
        role = ConnectedRole(hello.role, hello.pid, hello.revision, send)
        self._connected.append(role)
        send(OrganisationChanged(revision))
        return role

    def heard(
        self, role: ConnectedRole, message: Applied | NotApplied | RoleReport | RoleAnswer | RoleRefused
    ) -> None:
        """A role answered."""
        match message:
            case Applied(revision):
                role.revision = revision
                self._settle(role, revision, None)
            case NotApplied(revision, reason):
                self._settle(role, revision, f"role {role.role} could not read the change: {reason}")
            case RoleReport(number):
                future = role.reports.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(message)
            case RoleAnswer(number) | RoleRefused(number):
                asked = role.requests.pop(number, None)
                if asked is not None and not asked.done():
                    asked.set_result(message)

    def left(self, role: ConnectedRole) -> None:
        """A role's connection is gone."""
        self._connected.remove(role)
        self._settle(role, None, f"role {role.role} went away; it takes the change when it starts again")
        for future in role.reports.values():
            future.cancel()
        for number, asked in role.requests.items():
            if not asked.done():
                asked.set_result(
                    RoleRefused(
                        number,
                        f"role {role.role} went away before it answered; what was asked may have been done, "
                        "look before you ask again",
                        unavailable=True,
                    )
                )

    def _settle(self, role: ConnectedRole, revision: int | None, outcome: str | None) -> None:
        still_waiting = []
        for wanted, future in role.waiting:
            if revision is not None and wanted > revision:
                still_waiting.append((wanted, future))
            elif not future.done():
                future.set_result(outcome)
        role.waiting = still_waiting

    async def told_all(self, revision: int) -> list[str]:
        """Tell every role about a revision and wait until they work with it; the warnings."""
        waits = [self._tell(role, revision) for role in self._connected]
        return [warning for warning in await asyncio.gather(*waits) if warning]

    async def _tell(self, role: ConnectedRole, revision: int) -> str | None:
        future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        role.waiting.append((revision, future))
        role.send(OrganisationChanged(revision))
        try:
            return await asyncio.wait_for(future, self._apply_timeout_s)
        except TimeoutError:
            return (
                f"role {role.role} (process {role.pid}) did not take revision {revision} within "
                f"{self._apply_timeout_s:g} s; it goes on with revision {role.revision}, see: holdfast status"
            )

    async def reported(self) -> list[tuple[ConnectedRole, RoleReport | None]]:
        """Ask every role for a report; None for one that did not answer in time."""
        roles = self.connected
        return list(zip(roles, await asyncio.gather(*(self._ask(role) for role in roles)), strict=True))

    async def _ask(self, role: ConnectedRole) -> RoleReport | None:
        number = next(self._report_numbers)
        future: asyncio.Future[RoleReport] = asyncio.get_running_loop().create_future()
        role.reports[number] = future
        role.send(ReportWanted(number))
        done, _ = await asyncio.wait([future], timeout=REPORT_TIMEOUT_S)
        role.reports.pop(number, None)
        return future.result() if done and not future.cancelled() else None

    async def states(self) -> list[RoleState]:
        """What every role says of itself; one that does not answer is shown so."""
        states = []
        for role, report in await self.reported():
            state: dict[str, StateValue] = report.state if report else {"state": "does not answer"}
            states.append(RoleState(role.role, role.pid, role.revision, state))
        return states

    async def ask(
        self, role_name: str, verb: str, body: bytes, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> bytes:
        """Ask a role to do or tell something, and wait for its answer.

        Args:
            role_name: for example ``transport``; of several processes the one that came last is asked.
            verb: the request, as ``drivers.role_requests`` has it.
            body: what goes with it.
            timeout_s: how long it may take.

        Raises:
            Refusal: what was asked is wrong; the role says why.
            Unavailable: the role is not there, went away, did not answer in time, or cannot do it now.
        """
        role = next((each for each in reversed(self._connected) if each.role == role_name), None)
        if role is None:
            raise Unavailable(f"the {role_name} role is not running; see: holdfast status")
        number = next(self._request_numbers)
        future: asyncio.Future[RoleAnswer | RoleRefused] = asyncio.get_running_loop().create_future()
        role.requests[number] = future
        try:
            role.send(RoleRequest(number, verb, body))
            answer = await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise Unavailable(
                f"the {role_name} role (process {role.pid}) did not answer within {timeout_s:g} s; what was "
                "asked may still be done; see: holdfast status"
            ) from None
        finally:
            role.requests.pop(number, None)
        if isinstance(answer, RoleAnswer):
            return answer.body
        if answer.unavailable:
            raise Unavailable(answer.text)
        raise Refusal(answer.text)
