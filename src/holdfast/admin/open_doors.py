"""Say which bindings of receive connectors are open on this server, and why others are not.

What is declared is one thing, what the transport role could open another: an
address may not be on this machine, a port in use. The role tells both in its
report (``ports``, and one ``not_open_`` for each that is tried again).
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.admin.context import RoleState
from holdfast.admin.results import BindingRow
from holdfast.directory.kinds import subject_of
from holdfast.directory.model import Organisation, ReceiveConnector, Role
from holdfast.drivers.listeners import parse_binding
from holdfast.drivers.management_socket import NOT_OPEN

YES, NO, NOT_KNOWN = "yes", "no", "not known"
_TRANSPORT = Role.TRANSPORT.value


def binding_rows(
    connector: ReceiveConnector, organisation: Organisation, server_name: str, roles: Sequence[RoleState]
) -> list[BindingRow]:
    """Each binding of a connector: whether it is open here, and why not.

    Args:
        connector: the one that is asked about.
        organisation: as it is now.
        server_name: our own name where it was told.
        roles: what the connected roles say of themselves.
    """
    own = organisation.own_server(server_name)
    if own is None or connector.server != own.name:
        return _all(connector, NOT_KNOWN, f'server "{connector.server}" opens it: ask there')
    if not connector.enabled:
        return _all(connector, NO, "the connector is disabled")
    transport = _transport(roles)
    if transport is None:
        return _all(connector, NO, "the transport role is not running; see: holdfast status")
    if "ports" not in transport.state:
        return _all(connector, NOT_KNOWN, "the transport role does not answer; see: holdfast status")
    listening = str(transport.state["ports"]).split(", ")
    rows = []
    for binding in connector.bindings:
        known_as = str(parse_binding(binding, implicit_tls=False))
        reason = "" if known_as in listening else str(transport.state.get(f"{NOT_OPEN}{known_as}", "not yet"))
        rows.append(BindingRow(binding, NO if reason else YES, reason))
    return rows


def changed_connectors(before: Organisation, after: Organisation, server_name: str) -> list[ReceiveConnector]:
    """The receive connectors of this server that are new, or not as they were, and in use."""
    own = after.own_server(server_name)
    known = frozenset(before.receive_connectors)
    return [
        each
        for each in after.receive_connectors
        if own is not None and each.server == own.name and each.enabled and each not in known
    ]


def not_open(
    connectors: Sequence[ReceiveConnector],
    organisation: Organisation,
    server_name: str,
    roles: Sequence[RoleState],
) -> list[str]:
    """What to tell whoever changed these connectors of the bindings that are not open."""
    if _transport(roles) is None:
        # Once for all of them: a file may declare many before the role is started at all.
        return ["no connector is open yet: the transport role is not running; see: holdfast status"]
    return [
        f"{subject_of(connector)} is not open at {row.binding}: {row.reason}; it is tried again until it is, "
        f"see: holdfast connector show {connector.name}"
        for connector in connectors
        for row in binding_rows(connector, organisation, server_name, roles)
        if row.open == NO
    ]


def _transport(roles: Sequence[RoleState]) -> RoleState | None:
    # Of several processes the one that came last, as questions to the role go.
    return next((each for each in reversed(roles) if each.role == _TRANSPORT), None)


def _all(connector: ReceiveConnector, state: str, reason: str) -> list[BindingRow]:
    return [BindingRow(each, state, reason) for each in connector.bindings]
