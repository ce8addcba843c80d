"""The verbs about receive and send connectors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context, not_found
from holdfast.admin.results import Changed, ConnectorList, ConnectorRow, ConnectorShown, SettingRow
from holdfast.directory.kinds import settings_of
from holdfast.directory.model import ReceiveConnector, SendConnector, TlsMode, Usage
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range

_NAME = Argument(
    "name",
    Kind.TEXT,
    "name of the connector",
    required=True,
    positional=True,
    completes="connector.connectors.name",
)
_BINDINGS = Argument("binding", Kind.BINDING, "an address and port that it listens on", many=True)
_RANGES = Argument("remote-range", Kind.RANGE, "a range of clients that may use it", many=True)

# Argument -> the field of ReceiveConnector that it sets.
_LIMITS = {
    "message-size-max": (Kind.SIZE, "message_bytes_max", "the largest message taken"),
    "recipient-count-max": (Kind.COUNT, "recipient_count_max", "recipients of one message"),
    "header-size-max": (Kind.SIZE, "header_bytes_max", "size of all headers of one message"),
    "connection-count-max": (Kind.COUNT, "connection_count_max", "connections in all"),
    "connection-count-per-source-max": (
        Kind.COUNT,
        "connection_count_per_source_max",
        "connections from one address",
    ),
    "protocol-error-count-max": (Kind.COUNT, "protocol_error_count_max", "errors after which a session ends"),
    "tarpit": (Kind.SPAN, "tarpit_s", "wait before an answer to an error"),
    "inactivity": (Kind.SPAN, "inactivity_s", "silence after which a session ends"),
    "session": (Kind.SPAN, "session_s", "length after which a session ends"),
    "hop-count-max": (Kind.COUNT, "hop_count_max", "Received lines after which a message loops"),
}
_SETTINGS = (
    Argument("usage", Kind.CHOICE, "whom it is for", choices=tuple(each.value for each in Usage)),
    Argument("tls", Kind.CHOICE, "how TLS is offered", choices=tuple(each.value for each in TlsMode)),
    Argument("fqdn", Kind.DOMAIN, "the name in banner and trace header; the server's if not given"),
    *(Argument(name, kind, text) for name, (kind, _, text) in _LIMITS.items()),
)


def _with_settings(connector: ReceiveConnector, arguments: Arguments) -> ReceiveConnector:
    values: dict[
        str, Any
    ] = {}  # keyed by field name; replace() and the checks of the directory see to the types
    for name, (kind, field_name, _) in _LIMITS.items():
        if arguments.given(name):
            read = arguments.optional_span_s if kind is Kind.SPAN else arguments.optional_count
            values[field_name] = read(name)
    if arguments.given("usage"):
        values["usage"] = Usage(arguments.text("usage"))
    if arguments.given("tls"):
        values["tls"] = TlsMode(arguments.text("tls"))
    if arguments.given("fqdn"):
        values["fqdn"] = arguments.text("fqdn")
    if arguments.given("binding"):
        values["bindings"] = arguments.texts("binding")
    if arguments.given("remote-range"):
        values["remote_ranges"] = tuple(parse_ip_range(each) for each in arguments.texts("remote-range"))
    return replace(connector, **values)


def _add_receive(context: Context, arguments: Arguments) -> Changed:
    organisation, name = context.organisation, arguments.text("name")
    if any(each.name == name for each in organisation.receive_connectors):
        raise Refusal(
            f'receive connector "{name}" is there already; change it with: holdfast connector set {name}'
        )
    server = arguments.optional_text("server")
    if server is None:
        if len(organisation.servers) != 1:
            raise Refusal(f"there are {len(organisation.servers)} servers; say which one with --server")
        server = organisation.servers[0].name
    everybody = (parse_ip_range("0.0.0.0/0"), parse_ip_range("::/0"))
    connector = ReceiveConnector(name, server, arguments.texts("binding"), everybody)
    connectors = (*organisation.receive_connectors, _with_settings(connector, arguments))
    return context.change(arguments, replace(organisation, receive_connectors=connectors))


def _list(context: Context, arguments: Arguments) -> ConnectorList:
    organisation = context.organisation
    rows = [
        ConnectorRow(each.name, "receive", each.server, list(each.bindings), each.usage.value, each.tls.value)
        for each in organisation.receive_connectors
    ]
    rows += [
        ConnectorRow(each.name, "send", ", ".join(each.source_servers), list(each.address_spaces), "", "")
        for each in organisation.send_connectors
    ]
    return ConnectorList(rows)


def _find(context: Context, name: str) -> ReceiveConnector | SendConnector:
    organisation = context.organisation
    connectors: list[ReceiveConnector | SendConnector] = [*organisation.receive_connectors]
    connectors += organisation.send_connectors
    for connector in connectors:
        if connector.name == name:
            return connector
    raise not_found("connector", name, (each.name for each in connectors))


def _show(context: Context, arguments: Arguments) -> ConnectorShown:
    connector = _find(context, arguments.text("name"))
    settings = [
        SettingRow(each.key, write_text(getattr(connector, each.attribute), each.unit))
        for each in settings_of(type(connector))
    ]
    direction = "receive" if isinstance(connector, ReceiveConnector) else "send"
    return ConnectorShown(connector.name, direction, settings)


def _set(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    before = _find(context, arguments.text("name"))
    if isinstance(before, SendConnector):
        raise Refusal(
            f'"{before.name}" is a send connector; change it with: holdfast organisation export, import'
        )
    connectors = tuple(
        _with_settings(each, arguments) if each is before else each
        for each in organisation.receive_connectors
    )
    return context.change(arguments, replace(organisation, receive_connectors=connectors))


def _remove(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    found = _find(context, arguments.text("name"))
    return context.change(
        arguments,
        replace(
            organisation,
            receive_connectors=tuple(each for each in organisation.receive_connectors if each is not found),
            send_connectors=tuple(each for each in organisation.send_connectors if each is not found),
        ),
    )


VERBS = (
    Verb(
        "connector",
        "list",
        "List receive and send connectors.",
        "holdfast connector list",
        ConnectorList,
        perform=_list,
    ),
    Verb(
        "connector",
        "show",
        "Show all settings of one connector.",
        "holdfast connector show internet",
        ConnectorShown,
        (_NAME,),
        perform=_show,
    ),
    Verb(
        "connector",
        "add-receive",
        "Open another door for mail.",
        "holdfast connector add-receive scanner --binding 192.0.2.1:26 --remote-range 192.0.2.64/28",
        Changed,
        (
            replace(_NAME, completes=""),
            replace(_BINDINGS, required=True),
            replace(_RANGES, help="a range of clients that may use it; everybody if not given"),
            Argument("server", Kind.TEXT, "the server that opens it", completes="server.servers.name"),
            *_SETTINGS,
            *CHANGE_ARGUMENTS,
        ),
        detail="It is open as soon as the command returns; nothing is restarted.",
        changes=True,
        perform=_add_receive,
    ),
    Verb(
        "connector",
        "set",
        "Change a receive connector.",
        "holdfast connector set internet --message-size-max 50MB",
        Changed,
        (_NAME, _BINDINGS, _RANGES, *_SETTINGS, *CHANGE_ARGUMENTS),
        detail="Bindings and ranges that are given take the place of all that were there. "
        "Open sessions keep the limits that they began with.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "connector",
        "remove",
        "Close a door.",
        "holdfast connector remove scanner --yes",
        Changed,
        (_NAME, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
)
