"""The verbs about reservations: addresses that one client always gets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import SCOPE, ScopeFinder, effective_rows, find_reservation, scope_of
from holdfast.admin.dhcp_role import lease_of, other_client
from holdfast.admin.results import Changed, SettingRow
from holdfast.admin.results_dhcp import ReservationList, ReservationRow, ReservationShown
from holdfast.admin.setting_arguments import default_argument, given_settings, setting_arguments
from holdfast.directory.dhcp import Reservation, Scope
from holdfast.directory.dhcp_keys import parse_client_id, parse_mac, write_mac
from holdfast.directory.edit import find_object, with_object
from holdfast.directory.kinds import settings_of
from holdfast.directory.model import Organisation
from holdfast.directory.values import shorten, write_text
from holdfast.kernel.errors import Problem, Refusal
from holdfast.kernel.iprange import parse_ipv4_address

LIST_COUNT = 1000
CSV_COLUMNS = ("address", "mac", "client_id", "name", "description", "scope")
_FAULT_COUNT_MAX = 100


def _add(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    address = IPv4Address(arguments.text("address"))
    scope = scope_of(organisation, address, arguments.optional_text("scope"))
    _refuse_reserved(organisation, scope, address)
    given = given_settings(arguments, Reservation) | {"scope": scope.name, "address": address}
    if arguments.flag("from-lease"):
        given = _of_lease(context, str(address)) | given
    made = _tidy(Reservation(**given))
    return context.change(
        arguments, with_object(organisation, made), more_dangers=other_client(context, made)
    )


def _refuse_reserved(organisation: Organisation, scope: Scope, address: IPv4Address) -> None:
    for each in organisation.reservations_by_scope.get(scope.name, ()):
        if each.address == address:
            raise Refusal(
                f"{address} is reserved already, for {_client(each)}; change it with: "
                f"holdfast dhcp reservation set {address}"
            )


def _client(reservation: Reservation) -> str:
    return " or ".join(filter(None, (reservation.mac, reservation.client_id))) or "nobody"


def _of_lease(context: Context, address: str) -> dict[str, str]:
    """The client that has the address now, as a reservation knows it.

    Raises:
        Refusal: nobody has it, or that is not known.
    """
    lease = lease_of(context, address)
    if lease is None:
        reason = context.warnings.pop() if context.warnings else f"{address} is leased to nobody"
        raise Refusal(f"{reason}; give the client's --mac or --client-id")
    known = {"mac": lease.mac} if lease.mac else {"client_id": lease.client_id}
    return known | ({"name": lease.host_name} if lease.host_name else {})


def _tidy(reservation: Reservation) -> Reservation:
    """The same with addresses of hardware in one form; what is malformed is left for the checks."""
    return replace(
        reservation,
        mac=_rewritten(parse_mac, reservation.mac),
        client_id=_rewritten(parse_client_id, reservation.client_id),
    )


def _rewritten(parse: Callable[[str], bytes], text: str) -> str:
    try:
        return write_mac(parse(text)) if text else ""
    except Refusal:
        return text


def _set(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    before = find_reservation(organisation, arguments.text("address"), arguments.optional_text("scope"))
    values = given_settings(arguments, Reservation) | {"scope": before.scope, "address": before.address}
    after = _tidy(replace(before, **values))
    moved = arguments.optional_text("to")
    if moved is None:
        return context.change(arguments, with_object(organisation, after))
    address = IPv4Address(moved)
    _refuse_reserved(organisation, organisation.scopes_by_name[before.scope], address)
    others = tuple(each for each in organisation.reservations if each is not before)
    moved_to = replace(after, address=address)
    changed = replace(organisation, reservations=(*others, moved_to))
    return context.change(arguments, changed, more_dangers=other_client(context, moved_to))


def _remove(context: Context, arguments: Arguments) -> Changed:
    organisation, scope = context.organisation, arguments.optional_text("scope")
    gone = {
        find_reservation(organisation, each, scope).key for each in dict.fromkeys(arguments.texts("address"))
    }
    left = tuple(each for each in organisation.reservations if each.key not in gone)
    return context.change(arguments, replace(organisation, reservations=left))


def _list(context: Context, arguments: Arguments) -> ReservationList:
    organisation, name = context.organisation, arguments.optional_text("scope")
    if name is not None:
        scope = find_object(organisation, Scope, name)
        found = list(organisation.reservations_by_scope.get(scope.name, ()))
    else:
        found = sorted(organisation.reservations, key=lambda each: int(each.address))
    match = arguments.optional_text("match")
    if match is not None:
        found = [each for each in found if _matches(each, match.casefold())]
    limit = arguments.count("limit")
    if len(found) > limit:
        context.warnings.append(f"{len(found)} reservations, the first {limit} are listed; raise --limit")
    return ReservationList(
        [
            ReservationRow(
                str(each.address),
                each.scope,
                each.mac,
                each.client_id,
                each.name,
                each.serves.value,
                each.description,
            )
            for each in found[:limit]
        ]
    )


def _matches(reservation: Reservation, text: str) -> bool:
    fields = (
        str(reservation.address),
        reservation.mac,
        reservation.client_id,
        reservation.name,
        reservation.description,
    )
    return any(text in each.casefold() for each in fields)


def _show(context: Context, arguments: Arguments) -> ReservationShown:
    organisation = context.organisation
    found = find_reservation(organisation, arguments.text("address"), arguments.optional_text("scope"))
    scope = organisation.scopes_by_name[found.scope]
    levels = (
        ("reservation", found.options),
        ("scope", scope.options),
        ("server", organisation.dhcp_server(scope.server).options),
    )
    lease = lease_of(context, str(found.address))
    return ReservationShown(
        address=str(found.address),
        scope=found.scope,
        inside_pool=scope.pool is not None and found.address in scope.pool,
        lease="" if lease is None else f"{lease.state}, {lease.mac or lease.client_id}",
        settings=[
            SettingRow(each.key, write_text(getattr(found, each.attribute), each.unit))
            for each in settings_of(Reservation)
            if each.attribute not in ("address", "scope", "options")
        ],
        options=effective_rows(organisation, levels),
    )


def _import(context: Context, arguments: Arguments) -> Changed:
    """All rows of a file or none: what is there already as it is in the file is left as it is."""
    organisation = context.organisation
    file_name, text = arguments.texts("file")
    scopes = ScopeFinder(organisation)
    faults: list[Problem] = []
    known = {each.key: each for each in organisation.reservations}
    rows = 0
    for line, row in _rows(file_name, text):
        rows += 1
        if rows % 5000 == 0:
            context.progress(0, 0, f"{rows} rows read")
        try:
            reservation = _tidy(_of_row(scopes, row))
        except Refusal as refusal:
            faults.append(Problem(f"{file_name} line {line}", refusal.text, "correct the line"))
            if len(faults) == _FAULT_COUNT_MAX:
                break
            continue
        before = known.get(reservation.key)
        # What a file does not say, options for example, stays.
        known[reservation.key] = reservation if before is None else _merged(before, reservation)
    if faults:
        raise Refusal(
            f"nothing was changed: {len(faults)} lines of {file_name} are wrong", problems=tuple(faults)
        )
    return context.change(arguments, replace(organisation, reservations=tuple(known.values())))


def _merged(before: Reservation, row: Reservation) -> Reservation:
    return replace(
        before,
        mac=row.mac,
        client_id=row.client_id,
        name=row.name or before.name,
        description=row.description or before.description,
    )


def _rows(file_name: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), skipinitialspace=True)
    try:
        names = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        unknown = [name for name in names if name not in CSV_COLUMNS]
        if "address" not in names or unknown:
            wrong = f'it has a column "{shorten(unknown[0])}"' if unknown else 'it has no column "address"'
            raise Refusal(
                f"{file_name} line 1: {wrong}; the first line names the columns, of {', '.join(CSV_COLUMNS)}"
            )
        for row in reader:
            if None in row:
                raise Refusal(
                    f"{file_name} line {reader.line_num}: it has more fields than there are columns"
                )
            yield reader.line_num, {name: (value or "").strip() for name, value in row.items()}
    except csv.Error as error:
        raise Refusal(f"{file_name} line {reader.line_num} is not CSV: {error}") from None


def _of_row(scopes: ScopeFinder, row: dict[str, str]) -> Reservation:
    address = parse_ipv4_address(row["address"])
    scope = scopes.find(address, row.get("scope") or None)
    return Reservation(
        scope.name,
        address,
        row.get("mac", ""),
        client_id=row.get("client_id", ""),
        name=row.get("name", ""),
        description=row.get("description", ""),
    )


_ADDRESS = Argument(
    "address",
    Kind.IPV4,
    "the reserved address",
    required=True,
    positional=True,
    completes="dhcp reservation.reservations.address",
)
_WHERE = replace(SCOPE, help="name of its scope; the one whose subnet holds it if not given")
_SETTINGS = setting_arguments(Reservation, leave_out=("scope", "address", "options"))

VERBS = (
    Verb(
        "dhcp reservation",
        "add",
        "Reserve an address for a client.",
        "holdfast dhcp reservation add 192.0.2.50 --mac 00:1a:2b:3c:4d:5e --name printer",
        Changed,
        (
            replace(_ADDRESS, completes=""),
            _WHERE,
            *_SETTINGS,
            Argument("from-lease", Kind.FLAG, "for the client that has the address now"),
            *CHANGE_ARGUMENTS,
        ),
        detail="The address lies in the subnet of a scope, inside or outside of its pool.",
        changes=True,
        perform=_add,
    ),
    Verb(
        "dhcp reservation",
        "list",
        "List reservations.",
        "holdfast dhcp reservation list --scope office",
        ReservationList,
        (
            SCOPE,
            Argument("match", Kind.TEXT, "only those with this in address, client, name or description"),
            Argument("limit", Kind.COUNT, "how many at most", default=LIST_COUNT),
        ),
        perform=_list,
    ),
    Verb(
        "dhcp reservation",
        "show",
        "Show a reservation, what its client is told, and who has the address.",
        "holdfast dhcp reservation show 192.0.2.50",
        ReservationShown,
        (_ADDRESS, _WHERE),
        detail="Options of policies come on top, when the client is one that they are for.",
        perform=_show,
    ),
    Verb(
        "dhcp reservation",
        "set",
        "Change a reservation.",
        "holdfast dhcp reservation set 192.0.2.50 --name printer-2 --to 192.0.2.51 --yes",
        Changed,
        (
            _ADDRESS,
            _WHERE,
            *_SETTINGS,
            Argument("to", Kind.IPV4, "another address for the same client"),
            default_argument(_SETTINGS),
            *CHANGE_ARGUMENTS,
        ),
        changes=True,
        perform=_set,
    ),
    Verb(
        "dhcp reservation",
        "remove",
        "Reserve addresses no longer.",
        "holdfast dhcp reservation remove 192.0.2.50 --yes",
        Changed,
        (replace(_ADDRESS, many=True), _WHERE, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
    Verb(
        "dhcp reservation",
        "import",
        "Reserve the addresses of a CSV file.",
        "holdfast dhcp reservation import reservations.csv",
        Changed,
        (
            Argument("file", Kind.FILE, "CSV; - is standard input", required=True, positional=True),
            *CHANGE_ARGUMENTS,
        ),
        detail="The first line names the columns: address, and mac or client_id; name, description and scope "
        "where wanted. All lines are taken or none.",
        changes=True,
        perform=_import,
    ),
)
