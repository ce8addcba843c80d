"""Out and in again: what of an organisation is the same after it went through another server's format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace

from dhcp.moving_samples import EMPTY, ISC, KEA, WINDOWS
from holdfast.dhcp.departing import Departure
from holdfast.dhcp.export_isc import isc_configuration, isc_lease_entries
from holdfast.dhcp.export_kea import kea_configuration, kea_lease_rows
from holdfast.dhcp.export_windows import windows_export
from holdfast.dhcp.migrate_isc import arrive_from_isc
from holdfast.dhcp.migrate_kea import arrive_from_kea
from holdfast.dhcp.migrate_leases import add_isc_leases, add_kea_leases
from holdfast.dhcp.migrate_plan import plan_arrival
from holdfast.dhcp.migrate_windows import arrive_from_windows
from holdfast.dhcp.moving import Arrival, MovedLease, Note
from holdfast.directory.dhcp import Scope
from holdfast.directory.dhcp_ranges import leased_ranges
from holdfast.directory.model import Organisation
from holdfast.wire import isc_conf, isc_leases, kea_config, kea_leases, windows_dhcp_export

NOW = 1_795_000_000.0


def from_isc(data: bytes, leases: bytes = b"") -> Arrival:
    arrival = arrive_from_isc(isc_conf.read_configuration(data), server="dhcp1")
    add_isc_leases(arrival, isc_leases.read_leases(leases), name="dhcpd.leases")
    return arrival


def from_kea(data: bytes, leases: bytes = b"") -> Arrival:
    arrival, _ = arrive_from_kea(kea_config.read_configuration(data), name="kea-dhcp4.conf", server="dhcp1")
    if leases:
        add_kea_leases(arrival, kea_leases.read_leases(leases), name="kea-leases4.csv")
    return arrival


def from_windows(data: bytes, leases: bytes = b"") -> Arrival:
    return arrive_from_windows(windows_dhcp_export.read_export(data), name="export.xml", server="dhcp1")


def to_isc(departure: Departure, leases: Iterable[MovedLease]) -> tuple[bytes, bytes]:
    text = "".join(isc_configuration(departure))
    return text.encode(), "".join(isc_leases.write_leases(isc_lease_entries(leases, NOW))).encode()


def to_kea(departure: Departure, leases: Iterable[MovedLease]) -> tuple[bytes, bytes]:
    text = "".join(kea_config.write_configuration(kea_configuration(departure)))
    rows = kea_lease_rows(departure, leases, NOW)
    return text.encode(), "".join(kea_leases.write_leases(rows)).encode()


def to_windows(departure: Departure, leases: Iterable[MovedLease]) -> tuple[bytes, bytes]:
    root = windows_export(departure, leases, NOW)
    return "".join(windows_dhcp_export.write_export(root)).encode(), b""


READERS: dict[str, Callable[..., Arrival]] = {"isc": from_isc, "kea": from_kea, "windows": from_windows}
WRITERS = {"isc": to_isc, "kea": to_kea, "windows": to_windows}
SAMPLES = {"isc": ISC, "kea": KEA, "windows": WINDOWS}


@dataclass(frozen=True, slots=True)
class Trip:
    """One way out and in again.

    Attributes:
        before, after: the organisation.
        out, back: notes of the writer and of the reader.
        leases: those that came back.
        files: what was written.
    """

    before: Organisation
    after: Organisation
    out: list[Note]
    back: list[Note]
    leases: list[MovedLease]
    files: tuple[bytes, bytes]


def arrived(name: str) -> Organisation:
    """An organisation that one of the samples moved into."""
    return plan_arrival(EMPTY, READERS[name](SAMPLES[name]), NOW).after


def trip(organisation: Organisation, name: str, leases: Iterable[MovedLease] = ()) -> Trip:
    """Write a server's part of an organisation in a format and read it into an empty organisation."""
    departure = Departure(organisation, organisation.dhcp_server("dhcp1"), organisation.scopes)
    files = WRITERS[name](departure, list(leases))
    arrival = READERS[name](*files)
    plan = plan_arrival(EMPTY, arrival, NOW)
    assert plan.conflicts == []
    return Trip(organisation, plan.after, departure.notes, arrival.notes, plan.leases, files)


def differences(before: Organisation, after: Organisation) -> list[str]:
    """What is not the same: a line for each object and field; scopes are found by their subnets."""
    found: list[str] = []
    names = {each.subnet: each.name for each in before.scopes}
    new_names = {each.name: names.get(each.subnet, each.name) for each in after.scopes}
    scopes = {each.subnet: replace(each, name=new_names[each.name]) for each in after.scopes}
    for scope in before.scopes:
        found += _fields(f"scope {scope.subnet}", scope, scopes.get(scope.subnet))
        if (
            scope.subnet in scopes
            and {each.subnet: each.name for each in after.scopes}[scope.subnet] != scope.name
        ):
            found.append(f"scope {scope.subnet}: name")
    reservations = {each.address: replace(each, scope=new_names[each.scope]) for each in after.reservations}
    for one in before.reservations:
        found += _fields(f"reservation {one.address}", one, reservations.get(one.address))
    found += _fields("server", before.dhcp_server("dhcp1"), after.dhcp_server("dhcp1"))
    for what, mine, theirs in (
        ("option definition", before.option_definitions, after.option_definitions),
        ("class", before.dhcp_classes, after.dhcp_classes),
        ("filter", before.mac_filters, after.mac_filters),
    ):
        found += [f"{what} {_name(each)}" for each in mine if each not in theirs]
        found += [f"{what} {_name(each)}, which is new" for each in theirs if each not in mine]
    return found


def _name(each: object) -> str:
    return str(getattr(each, "code", None) or getattr(each, "name", None) or getattr(each, "pattern", ""))


def _fields(what: str, mine: object, theirs: object) -> list[str]:
    if theirs is None:
        return [f"{what}: all of it"]
    names = [each.name for each in fields(mine)]  # type: ignore[arg-type]  # a dataclass of the model
    return [f"{what}: {name}" for name in names if _value(mine, name) != _value(theirs, name)]


def _value(holder: object, name: str) -> object:
    value = getattr(holder, name)
    if name == "options":
        return sorted(value, key=lambda each: (each.code, each.vendor_class, each.user_class))
    if name in ("pool", "exclusions") and isinstance(holder, Scope):
        return leased_ranges(holder)  # an excluded end of a pool is no part of it
    return value
