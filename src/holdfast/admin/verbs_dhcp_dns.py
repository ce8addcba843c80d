"""The verbs about names in DNS: how they are registered, how they stand, the secret that signs updates.

The secret is no part of the organisation (docs/decisions/0008).

Source: RFC 2136; RFC 4702; RFC 4703; RFC 8945.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import SERVER, the_dhcp_server
from holdfast.admin.results import Changed, SettingRow
from holdfast.admin.results_dhcp_dns import (
    DnsNameRow,
    DnsRetried,
    DnsScopeRow,
    DnsShown,
    DnsStatus,
    DnsZoneRow,
    TsigSecretSet,
)
from holdfast.admin.setting_arguments import default_argument, given_settings, setting_arguments
from holdfast.directory.dhcp import DhcpServer, DnsUpdates, Scope
from holdfast.directory.edit import find_object, with_object
from holdfast.directory.kinds import settings_of
from holdfast.directory.model import Organisation
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Refusal

DOMAIN_NAME = 15
NAME_COUNT = 100
SECRET_BYTES_MIN = (
    16  # half of what the shortest digest in use has; RFC 8945 section 6 asks for as long as it
)
_QUOTED = re.compile(r'secret:?\s*"?([A-Za-z0-9+/=]+)"?')


def _others(record_type: type) -> tuple[str, ...]:
    """The settings of a kind that are not about DNS."""
    return tuple(each.attribute for each in settings_of(record_type) if not each.attribute.startswith("dns_"))


_SERVER_SETTINGS = setting_arguments(DhcpServer, leave_out=_others(DhcpServer))
_SCOPE_SETTINGS = setting_arguments(Scope, leave_out=_others(Scope))


def _show(context: Context, arguments: Arguments) -> DnsShown:
    organisation = context.organisation
    entry = organisation.dhcp_server(the_dhcp_server(organisation, arguments.optional_text("server")))
    return DnsShown(
        server=entry.server,
        registers=bool(entry.dns_servers),
        secret=bool(entry.dns_key) and context.store.tsig_secret(entry.dns_key) is not None,
        settings=[
            SettingRow(each.key, write_text(getattr(entry, each.attribute), each.unit))
            for each in settings_of(DhcpServer)
            if each.attribute.startswith("dns_")
        ],
        scopes=[
            DnsScopeRow(
                each.name,
                each.dns_updates.value,
                _domain(each, entry),
                each.dns_reverse,
                each.dns_without_request,
                each.dns_remove,
                each.dns_protect,
            )
            for each in organisation.scopes_of(entry.server)
        ],
    )


def _domain(scope: Scope, server: DhcpServer) -> str:
    """The domain of names without one; policies and reservations may say another."""
    options = (*scope.options, *server.options)
    told = (each.values[0] for each in options if each.code == DOMAIN_NAME and each.values)
    return scope.dns_suffix or next(told, "")


def _set(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    name = the_dhcp_server(organisation, arguments.optional_text("server"))
    after = organisation
    if values := given_settings(arguments, DhcpServer, skip=_others(DhcpServer)):
        after = with_object(after, replace(organisation.dhcp_server(name), **values))
    if values := given_settings(arguments, Scope, skip=_others(Scope)):
        for scope in _scopes(organisation, name, arguments):
            after = with_object(after, replace(scope, **values))
    elif arguments.given("scope"):
        raise Refusal("say what is to change in these scopes")
    entry = after.dhcp_server(name)
    if entry.dns_servers:
        _warn(context, after, entry)
    return context.change(arguments, after)


def _scopes(organisation: Organisation, server: str, arguments: Arguments) -> list[Scope]:
    wanted = arguments.texts("scope")
    found = (
        [find_object(organisation, Scope, each) for each in wanted]
        if wanted
        else list(organisation.scopes_of(server))
    )
    if not found:
        raise Refusal(f'server "{server}" has no scopes to change')
    return found


def _warn(context: Context, after: Organisation, entry: DhcpServer) -> None:
    """What keeps names from being registered although it is no mistake."""
    scopes = [each for each in after.scopes_of(entry.server) if each.dns_updates is not DnsUpdates.NEVER]
    homeless = [each.name for each in scopes if not _domain(each, entry)]
    if homeless:
        more = f" and {len(homeless) - 1} others" if len(homeless) > 1 else ""
        context.warnings.append(
            f'scope "{homeless[0]}"{more} has no domain: its names are registered only where clients say a '
            "whole name of a declared zone; give --dns-suffix, or option 15"
        )
    if entry.dns_key and context.store.tsig_secret(entry.dns_key) is None:
        context.warnings.append(
            f'the key "{entry.dns_key}" has no secret yet; set it with: holdfast dhcp dns set-secret '
            f"{entry.dns_key} --secret-file FILE"
        )


def _set_secret(context: Context, arguments: Arguments) -> TsigSecretSet:
    key = arguments.text("key")
    forget, text = arguments.flag("forget"), arguments.optional_text("secret")
    if forget == (text is not None):
        raise Refusal(
            "give the secret with --secret-file FILE or --ask-secret"
            + (", or --forget, not both" if forget else ", or --forget to have none")
        )
    secret = None if text is None else read_secret(text)
    context.store.set_tsig_secret(key, secret)
    context.applied.append(f'secret of TSIG key "{key}" {"forgotten" if forget else "set"}')
    return TsigSecretSet(key, not forget)


def read_secret(text: str) -> str:
    """Take the base64 of a secret out of a line: alone, or as ``secret "…";`` of a key file.

    Raises:
        Refusal: it is none, or so short that it could be guessed. The text does not show it.
    """
    match = _QUOTED.search(text)
    found = match[1] if match else text.strip()
    try:
        data = base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(
            "this is no secret in base64; put the line of the secret alone into the file, as `tsig-keygen` "
            "or `keymgr -t` write it"
        ) from None
    if len(data) < SECRET_BYTES_MIN:
        raise Refusal(f"the secret has {len(data)} bytes; {SECRET_BYTES_MIN} are the least")
    return found


def _status(context: Context, arguments: Arguments) -> DnsStatus:
    from holdfast.drivers.dhcp_requests import SHOW_DNS, DnsQuestion

    limit = arguments.count("limit")
    state = SHOW_DNS.ask(context.surroundings.ask, DnsQuestion(limit))
    if not state.is_on:
        context.warnings.append("names are not registered; begin with: holdfast dhcp dns set --dns-server")
    if len(state.names) == limit:
        context.warnings.append(f"the first {limit} names are listed; raise --limit")
    return DnsStatus(
        registers=state.is_on,
        registered_count=state.registered_count,
        waiting_count=state.waiting_count,
        refused_count=state.refused_count,
        removal_count=state.removal_count,
        in_flight_count=state.in_flight_count,
        zones=[
            DnsZoneRow(
                each.zone,
                "takes updates" if each.failing_since is None else "takes none",
                each.reason,
                each.failing_since,
                each.retry_at,
                each.waiting_count,
            )
            for each in state.zones
        ],
        names=[DnsNameRow(each.address, each.name, each.state, each.client) for each in state.names],
    )


def _retry(context: Context, arguments: Arguments) -> DnsRetried:
    from holdfast.drivers.dhcp_requests import RETRY_DNS
    from holdfast.drivers.role_requests import Nothing

    return DnsRetried(RETRY_DNS.ask(context.surroundings.ask, Nothing()).zone_count)


VERBS = (
    Verb(
        "dhcp dns",
        "show",
        "Show how a server registers names in DNS.",
        "holdfast dhcp dns show --server demo",
        DnsShown,
        (SERVER,),
        perform=_show,
    ),
    Verb(
        "dhcp dns",
        "set",
        "Change how names are registered in DNS.",
        "holdfast dhcp dns set --dns-server 192.0.2.53 --dns-key dhcp-key --dns-zone example.test",
        Changed,
        (
            SERVER,
            Argument(
                "scope",
                Kind.TEXT,
                "what is set for scopes is set for these; for all of the server if not given",
                many=True,
                completes="dhcp scope.scopes.name",
            ),
            *_SERVER_SETTINGS,
            *_SCOPE_SETTINGS,
            default_argument((*_SERVER_SETTINGS, *_SCOPE_SETTINGS)),
            *CHANGE_ARGUMENTS,
        ),
        detail="Nothing is registered until there is a --dns-server. What may be given several times takes "
        "the place of all that was there.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "dhcp dns",
        "set-secret",
        "Set the secret of the key that updates are signed with.",
        "holdfast dhcp dns set-secret dhcp-key --ask-secret",
        TsigSecretSet,
        (
            Argument("key", Kind.TEXT, "the name of the key", required=True, positional=True),
            Argument("secret", Kind.PASSWORD, "the secret in base64, or the line of a key file that has it"),
            Argument("forget", Kind.FLAG, "have no secret any more"),
        ),
        detail="It is kept readable for the server's own user alone; no export has it, and nothing shows it. "
        "It goes with the last server that signs with this key.",
        changes=True,
        perform=_set_secret,
    ),
    Verb(
        "dhcp dns",
        "status",
        "Show how names in DNS stand: what waits, what is refused, which zone takes no updates.",
        "holdfast dhcp dns status",
        DnsStatus,
        (Argument("limit", Kind.COUNT, "how many names at most", default=NAME_COUNT),),
        perform=_status,
    ),
    Verb(
        "dhcp dns",
        "retry",
        "Ask zones again at once that took no updates.",
        "holdfast dhcp dns retry",
        DnsRetried,
        perform=_retry,
    ),
)
