"""The verbs about receive and send connectors."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin import verbs_relay
from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context, not_found
from holdfast.admin.open_doors import binding_rows
from holdfast.admin.results import Changed, ConnectorList, ConnectorRow, ConnectorShown, SettingRow
from holdfast.admin.setting_arguments import (
    DEFAULT,
    argument_name,
    default_argument,
    given_settings,
    merged_arguments,
    setting_arguments,
)
from holdfast.admin.verbs_certificate import certificate_of, warn_of_pin
from holdfast.admin.verbs_relay import the_server
from holdfast.directory.edit import with_object, without_object
from holdfast.directory.kinds import settings_of, subject_of
from holdfast.directory.model import ReceiveConnector, SendConnector
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range

AnyConnector = ReceiveConnector | SendConnector
_EVERYBODY = (parse_ip_range("0.0.0.0/0"), parse_ip_range("::/0"))


def _add_receive(context: Context, arguments: Arguments) -> Changed:
    name = arguments.text("name")
    _refuse_taken(context, name)
    server = the_server(context.organisation, arguments.optional_text("server"))
    given = given_settings(arguments, ReceiveConnector) | {"name": name, "server": server}
    return _put(context, arguments, replace(ReceiveConnector(name, server, (), _EVERYBODY), **given))


def _add_send(context: Context, arguments: Arguments) -> Changed:
    name = arguments.text("name")
    _refuse_taken(context, name)
    given = given_settings(arguments, SendConnector) | {"name": name}
    return _put(context, arguments, replace(SendConnector(name, ()), **given))


def _put(context: Context, arguments: Arguments, connector: AnyConnector) -> Changed:
    """Make a connector be as it shall be, and say what it cannot do yet."""
    after = with_object(context.organisation, connector)
    changed = context.change(arguments, after)
    if isinstance(connector, ReceiveConnector) and connector.enabled:
        warn_of_pin(context, after, connector)
    return changed


def _refuse_taken(context: Context, name: str) -> None:
    # One name for one door, whatever its direction: that is what the other verbs ask for.
    for each in _connectors(context):
        if each.name.casefold() == name.casefold():
            raise Refusal(
                f"{subject_of(each)} is there already; change it with: holdfast connector set {each.name}"
            )


def _connectors(context: Context) -> list[AnyConnector]:
    organisation = context.organisation
    return [*organisation.receive_connectors, *organisation.send_connectors]


def _list(context: Context, arguments: Arguments) -> ConnectorList:
    organisation = context.organisation
    rows = [
        ConnectorRow(
            each.name,
            "receive",
            each.enabled,
            each.server,
            list(each.bindings),
            [str(one) for one in each.remote_ranges],
            each.usage.value,
            each.tls.value,
        )
        for each in organisation.receive_connectors
    ]
    rows += [
        ConnectorRow(
            each.name,
            "send",
            each.enabled,
            ", ".join(each.source_servers),
            list(each.address_spaces),
            list(each.smart_hosts),
            "",
            each.tls.value,
        )
        for each in organisation.send_connectors
    ]
    return ConnectorList(rows)


def _find(context: Context, arguments: Arguments) -> AnyConnector:
    name, direction = arguments.text("name"), arguments.optional_text("direction")
    organisation = context.organisation
    connectors: list[AnyConnector] = []
    if direction != "send":
        connectors += organisation.receive_connectors
    if direction != "receive":
        connectors += organisation.send_connectors
    found = [each for each in connectors if each.name.casefold() == name.casefold()]
    if not found:
        raise not_found("connector", name, (each.name for each in connectors))
    if len(found) > 1:
        raise Refusal(
            f'a receive and a send connector are called "{name}"; say which with --direction receive or send'
        )
    return found[0]


def _show(context: Context, arguments: Arguments) -> ConnectorShown:
    connector = _find(context, arguments)
    settings = [
        SettingRow(each.key, write_text(getattr(connector, each.attribute), each.unit))
        for each in settings_of(type(connector))
    ]
    if isinstance(connector, ReceiveConnector):
        certificate = certificate_of(context, connector.name)
        around = context.surroundings
        rows = binding_rows(connector, context.organisation, around.server_name, around.roles())
        return ConnectorShown(connector.name, "receive", certificate, settings, rows)
    has_password = context.store.connector_password(connector.name) is not None
    settings.append(SettingRow("password", "set" if has_password else "not set"))
    return ConnectorShown(connector.name, "send", "", settings)


def _set(context: Context, arguments: Arguments) -> Changed:
    before = _find(context, arguments)
    own = {argument_name(setting) for setting in settings_of(type(before))}
    others = [each.name for each in _ALL_SETTINGS if each.name not in own]
    reset = arguments.texts(DEFAULT)
    foreign = [name for name in others if arguments.given(name) or name in reset]
    if foreign:
        raise Refusal(f"{subject_of(before)} has no setting {foreign[0]}; see: holdfast connector show")
    after = replace(before, **given_settings(arguments, type(before)) | {"name": before.name})
    return _put(context, arguments, after)


def _enable(context: Context, arguments: Arguments) -> Changed:
    return _switch(context, arguments, enabled=True)


def _disable(context: Context, arguments: Arguments) -> Changed:
    return _switch(context, arguments, enabled=False)


def _switch(context: Context, arguments: Arguments, *, enabled: bool) -> Changed:
    before = _find(context, arguments)
    if before.enabled is enabled:
        context.warnings.append(f"{subject_of(before)} is {'enabled' if enabled else 'disabled'} already")
    return _put(context, arguments, replace(before, enabled=enabled))


def _remove(context: Context, arguments: Arguments) -> Changed:
    found = _find(context, arguments)
    return context.change(arguments, without_object(context.organisation, type(found), found.name))


_NAME = Argument(
    "name",
    Kind.TEXT,
    "name of the connector",
    required=True,
    positional=True,
    completes="connector.connectors.name",
)
_DIRECTION = Argument(
    "direction",
    Kind.CHOICE,
    "which one, where a receive and a send connector have one name",
    choices=("receive", "send"),
)
_RECEIVE = setting_arguments(ReceiveConnector, leave_out=("name",))
_SEND = setting_arguments(SendConnector, leave_out=("name",))
_ALL_SETTINGS = merged_arguments(("receive connectors", _RECEIVE), ("send connectors", _SEND))


def _receive_arguments() -> tuple[Argument, ...]:
    helps = {
        "server": "the server that opens it; the only one if not given",
        "remote-range": "a range of clients that may use it; everybody if not given",
    }
    return tuple(
        replace(each, required=each.name == "binding", help=helps.get(each.name, each.help))
        for each in _RECEIVE
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
        "Show all settings of one connector, and which of its bindings are open on this server.",
        "holdfast connector show internet",
        ConnectorShown,
        (_NAME, _DIRECTION),
        perform=_show,
    ),
    Verb(
        "connector",
        "add-receive",
        "Open another door for mail.",
        "holdfast connector add-receive scanner --binding 192.0.2.1:26 --remote-range 192.0.2.64/28",
        Changed,
        (replace(_NAME, completes=""), *_receive_arguments(), *CHANGE_ARGUMENTS),
        detail="It is open when the command returns; nothing is restarted. Where a binding cannot be opened "
        "a warning says why, and it is tried again until it can be.",
        changes=True,
        perform=_add_receive,
    ),
    Verb(
        "connector",
        "add-send",
        "Make a way out for mail.",
        'holdfast connector add-send out --address-space "*" --smart-host smart.example.com --port 587',
        Changed,
        (
            replace(_NAME, completes=""),
            *(replace(each, required=each.name == "address-space") for each in _SEND),
            *CHANGE_ARGUMENTS,
        ),
        detail="Without smart hosts DNS is asked. A password is set with: holdfast connector set-password.",
        changes=True,
        perform=_add_send,
    ),
    Verb(
        "connector",
        "set",
        "Change a receive or send connector.",
        "holdfast connector set internet --message-size-max 50MB",
        Changed,
        (_NAME, _DIRECTION, *_ALL_SETTINGS, default_argument(_ALL_SETTINGS), *CHANGE_ARGUMENTS),
        detail="What may be given several times takes the place of all that was there. "
        "Open sessions keep the limits that they began with. Where more hosts may relay than before, the "
        "result says which.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "connector",
        "enable",
        "Use a connector again.",
        "holdfast connector enable scanner",
        Changed,
        (_NAME, _DIRECTION, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_enable,
    ),
    Verb(
        "connector",
        "disable",
        "Keep a connector, but do not use it.",
        "holdfast connector disable scanner --yes",
        Changed,
        (_NAME, _DIRECTION, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_disable,
    ),
    Verb(
        "connector",
        "remove",
        "Close a door.",
        "holdfast connector remove scanner --yes",
        Changed,
        (_NAME, _DIRECTION, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
    *verbs_relay.VERBS,
)
