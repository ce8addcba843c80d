"""The verbs that move in from another DHCP server: first a plan, with ``--yes`` all of it or nothing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable

from msgspec.structs import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import SERVER, the_dhcp_server
from holdfast.admin.lease_handover import hand_over
from holdfast.admin.results import Changed, ProblemRow
from holdfast.admin.results_dhcp_moving import Moved, MovedCountRow, MovedScopeRow, NoteRow
from holdfast.admin.sent_files import SentFile, unpack_files
from holdfast.dhcp.migrate_leases import add_isc_leases, add_kea_leases
from holdfast.dhcp.migrate_plan import MovingPlan, plan_arrival
from holdfast.dhcp.moving import Arrival, LeaseState, Note
from holdfast.directory.model import Organisation
from holdfast.directory.plan import plan_change
from holdfast.kernel.errors import Problem, Refusal

_DO_IT = "nothing was changed; do it with --yes"
_SOLVE = "nothing was changed; solve the conflicts first"
_DONE = "look at the notes: what is left behind is not here"


def _windows(context: Context, arguments: Arguments) -> Moved:
    from holdfast.dhcp.migrate_windows import arrive_from_windows
    from holdfast.wire.windows_dhcp_export import read_export

    (file,) = unpack_files([arguments.text("file")])
    export = read_export(file.data, name=file.name, progress=_told(context, f"reading {file.name}"))
    arrival = arrive_from_windows(export, name=file.name, server=_server(context, arguments))
    if arguments.flag("without-leases"):
        arrival.leases.clear()
    return _move(context, arguments, arrival)


def _isc(context: Context, arguments: Arguments) -> Moved:
    from holdfast.dhcp.migrate_isc import arrive_from_isc, with_included
    from holdfast.wire.isc_conf import read_configuration
    from holdfast.wire.isc_leases import read_leases

    files = _distinct(unpack_files(arguments.texts("file")))
    statements = with_included({each.name: read_configuration(each.data, name=each.name) for each in files})
    arrival = arrive_from_isc(statements, server=_server(context, arguments))
    for text in arguments.texts("leases"):
        (file,) = unpack_files([text])
        found = read_leases(file.data, name=file.name, progress=_told(context, f"reading {file.name}"))
        add_isc_leases(arrival, found, name=file.name)
    return _move(context, arguments, arrival)


def _distinct(files: list[SentFile]) -> list[SentFile]:
    twice = [name for name, count in Counter(each.name for each in files).items() if count > 1]
    if twice:
        raise Refusal(
            f'two files are called "{twice[0]}": an include would not know which is meant; rename one'
        )
    return files


def _kea(context: Context, arguments: Arguments) -> Moved:
    from holdfast.dhcp.migrate_kea import arrive_from_kea
    from holdfast.wire.kea_config import read_configuration
    from holdfast.wire.kea_leases import read_leases

    (file,) = unpack_files([arguments.text("file")])
    configuration = read_configuration(file.data, name=file.name)
    arrival, _ = arrive_from_kea(configuration, name=file.name, server=_server(context, arguments))
    for text in arguments.texts("leases"):
        (leases,) = unpack_files([text])
        found = read_leases(leases.data, name=leases.name, progress=_told(context, f"reading {leases.name}"))
        add_kea_leases(arrival, found, name=leases.name)
    return _move(context, arguments, arrival)


def _server(context: Context, arguments: Arguments) -> str:
    return the_dhcp_server(context.organisation, arguments.optional_text("server"))


def _told(context: Context, text: str) -> Callable[[int, int], None]:
    return lambda done, total: context.progress(done, total, text)


def _move(context: Context, arguments: Arguments, arrival: Arrival) -> Moved:
    """Show the plan, or do it: the leases first, which nobody uses before their scopes are there."""
    before = context.organisation
    plan = plan_arrival(before, arrival, context.now, scopes=arguments.texts("scope"))
    change = plan_change(before, plan.after)
    conflicts = [*plan.conflicts, *change.problems]
    wanted = arguments.flag("yes") and not arguments.flag("plan")
    if conflicts and wanted:
        raise Refusal(f"nothing was changed: {len(conflicts)} conflicts", problems=tuple(conflicts))
    if not wanted:
        planned = Changed(applied=False, revision=before.revision, changes=[], dangers=list(change.dangers))
        return _result(before, plan, arrival, conflicts, planned)
    if plan.leases:
        _require_own_server(context, arrival.server.server)
    handed = False

    def leases_first() -> None:
        nonlocal handed
        hand_over(context, plan.leases)
        handed = True

    changed = context.change(arguments, plan.after, just_before=leases_first)
    if not handed and plan.leases:
        leases_first()  # the scopes were here already
    return _result(before, plan, arrival, [], replace(changed, applied=True))


def _require_own_server(context: Context, server: str) -> None:
    own = context.organisation.own_server(context.surroundings.server_name)
    if own is not None and own.name != server:
        raise Refusal(
            f'nothing was changed: leases go to the server that leases them, and this is "{own.name}": '
            f'import on server "{server}", or import without leases'
        )


def _result(
    before: Organisation, plan: MovingPlan, arrival: Arrival, conflicts: list[Problem], changed: Changed
) -> Moved:
    return Moved(
        applied=changed.applied,
        revision=changed.revision,
        new=[MovedCountRow(what, count) for what, count in plan.counts.items() if count],
        scopes=_scope_rows(before, plan, arrival),
        dangers=changed.dangers,
        conflicts=[ProblemRow(each.subject, each.text, each.advice) for each in conflicts],
        note_count=arrival.note_count,
        notes=note_rows(arrival.notes),
        next_step=_DONE if changed.applied else _SOLVE if conflicts else _DO_IT,
    )


def _scope_rows(before: Organisation, plan: MovingPlan, arrival: Arrival) -> list[MovedScopeRow]:
    subnets = {each.subnet for each in arrival.scopes}
    server = arrival.server.server
    rows = []
    active = sorted(each.address for each in plan.leases if each.state is LeaseState.ACTIVE)
    for scope in plan.after.scopes:
        if scope.subnet in subnets and scope.server == server:
            first, last = int(scope.subnet.first), int(scope.subnet.last)
            rows.append(
                MovedScopeRow(
                    scope.name,
                    str(scope.subnet),
                    "" if scope.pool is None else f"{scope.pool.first}-{scope.pool.last}",
                    len(plan.after.reservations_by_scope.get(scope.name, ())),
                    bisect_right(active, last) - bisect_left(active, first),
                    scope.name in before.scopes_by_name,
                )
            )
    return rows


def note_rows(notes: list[Note]) -> list[NoteRow]:
    """Notes as rows."""
    return [NoteRow(each.place, each.what, each.fate.value, each.reason) for each in notes]


_ONLY = Argument(
    "scope", Kind.TEXT, "take only this scope (name or subnet), with its reservations and leases", many=True
)
_DETAIL = (
    "Without --yes it shows what would be new, what conflicts and what is left behind, each with its line. "
    "With --yes everything comes over in one change of the organisation, or nothing."
)

VERBS = (
    Verb(
        "dhcp import",
        "windows",
        "Move in from a Windows server: scopes, options, classes, policies, reservations, leases.",
        "holdfast dhcp import windows export.xml --yes",
        Moved,
        (
            Argument(
                "file", Kind.DATA, "what Export-DhcpServer -Leases wrote", required=True, positional=True
            ),
            Argument("without-leases", Kind.FLAG, "leave the leases behind"),
            SERVER,
            _ONLY,
            *CHANGE_ARGUMENTS,
        ),
        detail=_DETAIL,
        changes=True,
        perform=_windows,
    ),
    Verb(
        "dhcp import",
        "isc",
        "Move in from ISC dhcpd: subnets, hosts, classes, options, leases.",
        "holdfast dhcp import isc dhcpd.conf --leases dhcpd.leases --yes",
        Moved,
        (
            Argument(
                "file",
                Kind.DATA,
                "dhcpd.conf, and the files that it includes",
                required=True,
                positional=True,
                many=True,
            ),
            Argument("leases", Kind.DATA, "dhcpd.leases", many=True),
            SERVER,
            _ONLY,
            *CHANGE_ARGUMENTS,
        ),
        detail=_DETAIL,
        changes=True,
        perform=_isc,
    ),
    Verb(
        "dhcp import",
        "kea",
        "Move in from Kea: subnets, reservations, classes, options, leases.",
        "holdfast dhcp import kea kea-dhcp4.conf --leases kea-leases4.csv --yes",
        Moved,
        (
            Argument("file", Kind.DATA, "the configuration of kea-dhcp4", required=True, positional=True),
            Argument("leases", Kind.DATA, "lease files of memfile, the oldest first", many=True),
            SERVER,
            _ONLY,
            *CHANGE_ARGUMENTS,
        ),
        detail=_DETAIL,
        changes=True,
        perform=_kea,
    ),
)
