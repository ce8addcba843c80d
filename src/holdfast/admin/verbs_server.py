"""The verb about this server's roles."""

from __future__ import annotations

from holdfast.admin.catalogue import Arguments, Verb
from holdfast.admin.context import Context, RoleState
from holdfast.admin.results import RoleRow, Status
from holdfast.admin.verbs_local import program_version
from holdfast.directory.model import Organisation, Role, Server
from holdfast.drivers.management_socket import NOT_OPEN
from holdfast.kernel.errors import Refusal, Unavailable

# Roles of the model that have a process of their own today.
_WITH_PROCESS = (Role.TRANSPORT, Role.MAILBOX, Role.ACCESS, Role.DHCP)
# The supervisor counts how often each role was started again, and says so under this name.
_RESTARTS = "restart_count_"
DOES_NOT_ANSWER = "does not answer"  # as admin.roles says it
WAITING_WORDS = ("retry", "suspended")
_COLUMNS = frozenset({"state", "ports", "started_at", "pid"})


def _ports(organisation: Organisation, server: Server | None, role: str) -> str:
    """Where a role should listen, from what is declared."""
    if server is None:
        return ""
    if role == Role.TRANSPORT.value:
        connectors = [each for each in organisation.receive_connectors if each.server == server.name]
        return ", ".join(binding for connector in connectors for binding in connector.bindings)
    if role == Role.ACCESS.value:
        return ", ".join(each.bind for each in server.imap)
    return server.metrics if role == "management" else ""


def _row(context: Context, server: Server | None, role: RoleState, restarts: dict[str, int]) -> RoleRow:
    started_at = role.state.get("started_at")
    reported = role.state.get("ports")
    ports = _ports(context.organisation, server, role.role) if reported is None else str(reported)
    details = [
        # Why a port is not open says which one.
        str(value) if name.startswith(NOT_OPEN) else f"{name} {value}"
        for name, value in sorted(role.state.items())
        if name not in _COLUMNS and not name.startswith(_RESTARTS)
    ]
    return RoleRow(
        role=role.role,
        state=str(role.state.get("state", "serving")),
        pid=role.pid,
        uptime_s=context.now - started_at if isinstance(started_at, int | float) else None,
        restart_count=restarts.get(role.role),
        revision=role.revision,
        ports=ports,
        detail=", ".join(details),
    )


def _status(context: Context, arguments: Arguments) -> Status:
    organisation = context.organisation
    server = organisation.own_server(context.surroundings.server_name)
    roles = context.surroundings.roles()
    restarts = {
        name.removeprefix(_RESTARTS): int(value)
        for each in roles
        for name, value in each.state.items()
        if name.startswith(_RESTARTS) and not isinstance(value, str)
    }
    rows = [
        _row(context, server, each, restarts)
        for each in sorted(roles, key=lambda each: (each.role, each.pid))
    ]
    present = {each.role.partition("-")[0] for each in roles}
    for role in server.roles if server else ():
        if role in _WITH_PROCESS and role.value not in present:
            rows.append(
                RoleRow(
                    role=role.value,
                    state="not connected",
                    pid=None,
                    uptime_s=None,
                    restart_count=restarts.get(role.value),
                    revision=None,
                    ports=_ports(organisation, server, role.value),
                    detail="look at its log lines",
                )
            )
    message_count, waiting_count, pressure = _queues(context, roles)
    return Status(
        server=server.name if server else "",
        version=program_version(),
        home=str(context.surroundings.home),
        revision=organisation.revision,
        queued_message_count=message_count,
        waiting_queue_count=waiting_count,
        back_pressure=pressure,
        roles=rows,
    )


def _queues(context: Context, roles: list[RoleState]) -> tuple[int | None, int | None, str]:
    """What waits: messages, queues that cannot send now, and back pressure; unknown while nobody tells."""
    from holdfast.drivers.role_requests import TRANSPORT, Nothing
    from holdfast.drivers.transport_requests import LIST_QUEUES, SHOW_PRESSURE

    # Who did not answer a moment ago is not asked again: status is quick.
    if not any(each.role == TRANSPORT and each.state.get("state") != DOES_NOT_ANSWER for each in roles):
        return None, None, ""
    ask = context.surroundings.ask
    try:
        states = LIST_QUEUES.ask(ask, Nothing()).states
        pressure = SHOW_PRESSURE.ask(ask, Nothing()).pressure
    except (Refusal, Unavailable) as error:
        context.warnings.append(f"what waits in the queues is not known: {error.text}")
        return None, None, ""
    waiting = sum(each.status in WAITING_WORDS and each.message_count > 0 for each in states)
    return sum(each.message_count for each in states), waiting, pressure.level.word


VERBS = (
    Verb(
        "status",
        "",
        "Show the roles of this server: state, uptime, restarts, ports, revision; and what waits.",
        "holdfast status",
        Status,
        perform=_status,
    ),
)
