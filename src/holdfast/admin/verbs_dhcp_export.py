"""The verbs that write what another DHCP server reads: the way back, and the way on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from holdfast.admin.catalogue import Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import SERVER, the_dhcp_server
from holdfast.admin.lease_handover import all_leases
from holdfast.admin.results import Text
from holdfast.dhcp.departing import Departure
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.edit import find_object
from holdfast.directory.model import Scope
from holdfast.drivers.dhcp_requests import LeaseState as ShownLease

_STATES = {"active": LeaseState.ACTIVE, "declined": LeaseState.DECLINED}


def _departure(context: Context, arguments: Arguments) -> Departure:
    organisation = context.organisation
    name = the_dhcp_server(organisation, arguments.optional_text("server"))
    scopes = organisation.scopes_of(name)
    if arguments.given("scope"):
        wanted = {find_object(organisation, Scope, each).name for each in arguments.texts("scope")}
        scopes = tuple(each for each in scopes if each.name in wanted)
    return Departure(organisation, organisation.dhcp_server(name), scopes)


def _leases(context: Context, departure: Departure) -> Iterator[MovedLease]:
    return map(moved_lease, all_leases(context, [each.name for each in departure.scopes]))


def moved_lease(lease: ShownLease) -> MovedLease:
    """A lease as the role tells it, as one that leaves."""
    from ipaddress import IPv4Address

    return MovedLease(
        int(IPv4Address(lease.address)),
        _STATES.get(lease.state, LeaseState.REMEMBERED),
        lease.hardware_type,
        bytes.fromhex(lease.mac.replace(":", "")),
        bytes.fromhex(lease.client_id.replace(":", "")),
        lease.started_at,
        math.inf if lease.ends_at is None else lease.ends_at,
        lease.host_name.encode(),
    )


def _told(context: Context, departure: Departure, text: str) -> Text:
    for each in departure.notes:
        context.warnings.append(f"{each.place}: {each.what} ({each.fate.value}): {each.reason}")
    return Text(text)


def _kea(context: Context, arguments: Arguments) -> Text:
    from holdfast.dhcp.export_kea import kea_configuration, kea_lease_rows
    from holdfast.wire.kea_config import write_configuration
    from holdfast.wire.kea_leases import write_leases

    departure = _departure(context, arguments)
    if arguments.flag("leases"):
        rows = kea_lease_rows(departure, _leases(context, departure), context.now)
        return Text("".join(write_leases(rows)))
    return _told(context, departure, "".join(write_configuration(kea_configuration(departure))))


def _isc(context: Context, arguments: Arguments) -> Text:
    from holdfast.dhcp.export_isc import isc_configuration, isc_lease_entries
    from holdfast.wire.isc_leases import write_leases

    departure = _departure(context, arguments)
    if arguments.flag("leases"):
        return Text("".join(write_leases(isc_lease_entries(_leases(context, departure), context.now))))
    return _told(context, departure, "".join(isc_configuration(departure)))


def _windows(context: Context, arguments: Arguments) -> Text:
    from holdfast.dhcp.export_windows import windows_export
    from holdfast.wire.windows_dhcp_export import write_export

    departure = _departure(context, arguments)
    leases = iter(()) if arguments.flag("without-leases") else _leases(context, departure)
    root = windows_export(departure, leases, context.now)
    return _told(context, departure, "".join(write_export(root)))


_FILE = Argument("file", Kind.OUTPUT, "where to write; the terminal if not given", positional=True)
_ONLY = Argument("scope", Kind.TEXT, "only this scope", many=True, completes="dhcp scope.scopes.name")
_LEASES = Argument("leases", Kind.FLAG, "write the lease file in place of the configuration")
_DETAIL = "What the other server has no word for is said as a warning. Leases are those of this server."

VERBS = (
    Verb(
        "dhcp export",
        "kea",
        "Write a configuration for Kea, or its lease file.",
        "holdfast dhcp export kea kea-dhcp4.conf",
        Text,
        (_FILE, _LEASES, SERVER, _ONLY),
        detail=_DETAIL,
        perform=_kea,
    ),
    Verb(
        "dhcp export",
        "isc",
        "Write a configuration for ISC dhcpd, or its lease file.",
        "holdfast dhcp export isc dhcpd.leases --leases",
        Text,
        (_FILE, _LEASES, SERVER, _ONLY),
        detail=_DETAIL,
        perform=_isc,
    ),
    Verb(
        "dhcp export",
        "windows",
        "Write what Import-DhcpServer reads on Windows, with the leases.",
        "holdfast dhcp export windows export.xml",
        Text,
        (_FILE, Argument("without-leases", Kind.FLAG, "leave the leases out"), SERVER, _ONLY),
        detail=_DETAIL,
        perform=_windows,
    ),
)
