"""The deliberate verbs of connectors: who may relay through us, and how we sign in to a smart host.

Source: exchange-behaviour RC-5, SC-6; docs/decisions/0008.
"""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.results import ConnectorPasswordSet, RelayAllowed
from holdfast.directory.dangers_connectors import (
    RELAY_BITS_MIN,
    ranges_in_words,
    relay_in_words,
    relays_for_anybody,
    wider_than,
)
from holdfast.directory.edit import find_object, with_object
from holdfast.directory.model import (
    Organisation,
    PermissionGroup,
    ReceiveConnector,
    SendConnector,
    SmartHostAuth,
    Usage,
)
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange, parse_ip_range


def the_server(organisation: Organisation, name: str | None) -> str:
    """The server that a new receive connector is for: the one that was named, else the only one.

    Raises:
        Refusal: none was named and there is not exactly one.
    """
    if name is not None:
        return name
    if len(organisation.servers) != 1:
        raise Refusal(f"there are {len(organisation.servers)} servers; say which one with --server")
    return organisation.servers[0].name


def _allow_relay(context: Context, arguments: Arguments) -> RelayAllowed:
    organisation, name = context.organisation, arguments.text("name")
    ranges = tuple(parse_ip_range(each) for each in arguments.texts("remote-range"))
    existing = next(
        (each for each in organisation.receive_connectors if each.name.casefold() == name.casefold()), None
    )
    if existing is None:
        connector = _new_relay(organisation, arguments, ranges)
    else:
        connector = _widened(existing, arguments, ranges)
    changed = context.change(arguments, with_object(organisation, connector))
    return RelayAllowed(
        applied=changed.applied,
        revision=changed.revision,
        # All that it lets in, not only what is new: that is what was asked.
        opens=relay_in_words(connector, connector.remote_ranges),
        changes=changed.changes,
        dangers=changed.dangers,
    )


def _new_relay(
    organisation: Organisation, arguments: Arguments, ranges: tuple[IPRange, ...]
) -> ReceiveConnector:
    server = the_server(organisation, arguments.optional_text("server"))
    bindings = arguments.texts("binding")
    beside = next(
        (
            each
            for each in organisation.receive_connectors
            if each.server == server and each.usage is Usage.INTERNET and each.enabled
        ),
        None,
    )
    if not bindings:
        if beside is None:
            raise Refusal(
                f'server "{server}" has no receive connector of usage internet to share the port of; '
                "say where to listen with --binding 192.0.2.1:25"
            )
        bindings = beside.bindings
    connector = ReceiveConnector(
        arguments.text("name"),
        server,
        bindings,
        ranges,
        Usage.RELAY,
        permission_groups=(PermissionGroup.ANONYMOUS,),
        anonymous_relay=True,
    )
    if beside is None:
        return connector
    # The one that it shares a port with says how TLS begins there.
    return replace(connector, tls=beside.tls, fqdn=beside.fqdn)


def _widened(
    connector: ReceiveConnector, arguments: Arguments, ranges: tuple[IPRange, ...]
) -> ReceiveConnector:
    """Let further hosts relay through a connector that is for known hosts already."""
    if arguments.given("binding") or arguments.given("server"):
        raise Refusal(
            f'receive connector "{connector.name}" is there already; change where it listens with: '
            f"holdfast connector set {connector.name}"
        )
    wide = wider_than(connector.remote_ranges, RELAY_BITS_MIN)
    if wide and not relays_for_anybody(connector):
        raise Refusal(
            f'receive connector "{connector.name}" serves {ranges_in_words(wide[0])}, and all of it '
            "could relay; choose a new name: a connector for the given ranges alone is made"
        )
    groups = connector.permission_groups
    if groups and PermissionGroup.ANONYMOUS not in groups:
        groups = (*groups, PermissionGroup.ANONYMOUS)
    elif connector.usage is Usage.CLIENT and not groups:
        groups = (PermissionGroup.USERS, PermissionGroup.ANONYMOUS)
    new = tuple(each for each in ranges if each not in connector.remote_ranges)
    return replace(
        connector,
        remote_ranges=(*connector.remote_ranges, *new),
        anonymous_relay=True,
        permission_groups=groups,
        enabled=True,
    )


def _set_password(context: Context, arguments: Arguments) -> ConnectorPasswordSet:
    connector = find_object(context.organisation, SendConnector, arguments.text("name"))
    forget, password = arguments.flag("forget"), arguments.optional_text("password")
    if forget == (password is not None):
        raise Refusal(
            "give the password with --password-file FILE or --ask-password"
            + (", or --forget, not both" if forget else ", or --forget to have none")
        )
    context.store.set_connector_password(connector.name, password)
    context.applied.append(
        f'password of send connector "{connector.name}" {"forgotten" if forget else "set"}'
    )
    if not forget and connector.auth is SmartHostAuth.NONE:
        context.warnings.append(
            f'send connector "{connector.name}" does not sign in yet; let it with: holdfast connector set '
            f"{connector.name} --auth {SmartHostAuth.BASIC_REQUIRE_TLS.value} --user NAME"
        )
    return ConnectorPasswordSet(connector.name, not forget)


_NAME = Argument("name", Kind.TEXT, "name of the connector", required=True, positional=True)

VERBS = (
    Verb(
        "connector",
        "allow-relay",
        "Let known hosts send mail anywhere without a password.",
        "holdfast connector allow-relay scanners --remote-range 192.0.2.64/28",
        RelayAllowed,
        (
            replace(_NAME, help="name of the relay connector; it is made when it is not there"),
            Argument("remote-range", Kind.RANGE, "the hosts that may relay", required=True, many=True),
            Argument(
                "binding",
                Kind.BINDING,
                "where a new one listens; if not given, where the server takes mail from the internet",
                many=True,
            ),
            Argument("server", Kind.TEXT, "the server that opens a new one", completes="server.servers.name"),
            *CHANGE_ARGUMENTS,
        ),
        detail="The result says exactly what it opens; look at --plan first. Ranges are added to those of a "
        "relay connector that is there. On a port that is shared the most specific range decides, so other "
        "clients are served as before. More addresses in all than a /8 has (IPv6: a /32) need --yes.",
        changes=True,
        perform=_allow_relay,
    ),
    Verb(
        "connector",
        "set-password",
        "Set the password that a send connector signs in to its smart hosts with.",
        "holdfast connector set-password out --ask-password",
        ConnectorPasswordSet,
        (
            replace(_NAME, completes="connector.connectors.name"),
            Argument("password", Kind.PASSWORD, "the password of the user at the smart host"),
            Argument("forget", Kind.FLAG, "have no password any more"),
        ),
        detail="It is kept as it is, since it must be sent to the smart host, readable for the server's own "
        "user alone; no export has it. It goes with its connector.",
        changes=True,
        perform=_set_password,
    ),
)
