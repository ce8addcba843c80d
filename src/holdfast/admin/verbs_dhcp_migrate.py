"""The verbs that make one scope of two halves, and undo it.

Halves are two scopes of ours (of two servers), all halves of two servers of ours, or two Windows exports. See
docs/decisions/0023.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import SERVER, the_dhcp_server
from holdfast.admin.lease_handover import all_leases, hand_over
from holdfast.admin.results import Changed, ProblemRow
from holdfast.admin.results_dhcp_moving import Merged, MergedScopeRow
from holdfast.admin.sent_files import SentFile, unpack_files
from holdfast.admin.verbs_dhcp_export import moved_lease
from holdfast.admin.verbs_dhcp_import import note_rows
from holdfast.dhcp.migrate_leases import add_isc_leases, add_kea_leases
from holdfast.dhcp.migrate_plan import plan_arrival
from holdfast.dhcp.migrate_split import Half, Whole, merge_halves
from holdfast.dhcp.moving import Arrival, LeaseState, MovedLease
from holdfast.directory.dhcp import DhcpServer, MacFilter, Reservation
from holdfast.directory.dhcp_options import DhcpClass, OptionDefinition
from holdfast.directory.edit import find_object
from holdfast.directory.kinds import kind_of
from holdfast.directory.model import FailoverRelationship, Organisation, Scope
from holdfast.directory.plan import plan_change
from holdfast.directory.toml_format import read_organisation, write_organisation
from holdfast.drivers.files import write_private
from holdfast.kernel.errors import Problem, Refusal, Unavailable
from holdfast.kernel.ids import new_mailbox_id
from holdfast.kernel.iprange import IPRange, parse_ip_range

BACKUPS = "backups"
_DHCP = (
    "dhcp_servers", "scopes", "reservations", "dhcp_classes", "option_definitions", "mac_filters",
    "failover_relationships",
)  # fmt: skip
_KINDS = (DhcpServer, Scope, Reservation, DhcpClass, OptionDefinition, MacFilter, FailoverRelationship)
_HISTORY_COUNT = 1000


def _split(context: Context, arguments: Arguments) -> Merged:
    exclusions = tuple(parse_ip_range(each) for each in arguments.texts("exclusions"))
    exports = [arguments.optional_text(name) for name in ("source-export", "destination-export")]
    if any(exports):
        if None in exports or arguments.given("source") or arguments.given("destination"):
            raise Refusal(
                "give both --source-export and --destination-export, or both --source and --destination"
            )
        return _of_exports(context, arguments, [str(each) for each in exports], exclusions)
    if not (arguments.given("source") and arguments.given("destination")):
        raise Refusal("give --source and --destination: two scopes, or two servers")
    return _of_ours(context, arguments, exclusions)


# --- two Windows exports -------------------------------------------------------------------------


def _of_exports(
    context: Context, arguments: Arguments, texts: list[str], exclusions: tuple[IPRange, ...]
) -> Merged:
    from holdfast.dhcp.migrate_windows import arrive_from_windows
    from holdfast.wire.windows_dhcp_export import read_export

    server = the_dhcp_server(context.organisation, arguments.optional_text("server"))
    arrivals: list[tuple[str, Arrival]] = []
    for text in texts:
        (file,) = unpack_files([text])
        export = read_export(file.data, name=file.name)
        arrivals.append((file.name, arrive_from_windows(export, name=file.name, server=server)))
    (source_name, source), (destination_name, destination) = arrivals
    wanted = set(arguments.texts("scope"))
    pairs = [
        (theirs, mine)
        for mine in destination.scopes
        for theirs in source.scopes
        if theirs.subnet == mine.subnet and (not wanted or {mine.name, str(mine.subnet)} & wanted)
    ]
    if not pairs:
        raise Refusal(
            f"{source_name} and {destination_name} have no subnet in common, or none that was named"
        )
    wholes = [
        merge_halves(
            _arrived_half(source_name, source, theirs),
            _arrived_half(destination_name, destination, mine),
            exclusions=_inside(exclusions, theirs, mine),
            prefer=arguments.optional_text("prefer") or "",
        )
        for theirs, mine in pairs
    ]
    _require_used(exclusions, [each.scope for each in wholes])
    arrival = _joined(source, destination, wholes)
    plan = plan_arrival(context.organisation, arrival, context.now)
    merged = _Merge(wholes, plan.after, plan.leases)
    conflicts = [each for whole in wholes for each in whole.conflicts] + plan.conflicts
    return _do(context, arguments, merged, conflicts)


def _arrived_half(name: str, arrival: Arrival, scope: Scope) -> Half:
    reservations = tuple(each for each in arrival.reservations if each.scope == scope.name)
    leases = {address: each for address, each in arrival.leases.items() if _holds(scope, address)}
    return Half(name, scope, reservations, leases)


def _holds(scope: Scope, address: int) -> bool:
    return int(scope.subnet.first) <= address <= int(scope.subnet.last)


def _joined(source: Arrival, destination: Arrival, wholes: list[Whole]) -> Arrival:
    """One arrival: the destination's settings, and what the source's reservations and options need."""
    for each in source.classes:
        destination.new_class(each)
    for definition in source.definitions:
        destination.define(definition, "")
    leases: dict[int, MovedLease] = {}
    for whole in wholes:
        mine = (each for address, each in destination.leases.items() if _holds(whole.scope, address))
        leases |= {each.address: each for each in (*mine, *whole.leases)}
    return replace(
        destination,
        scopes=[each.scope for each in wholes],
        reservations=[one for each in wholes for one in each.reservations],
        leases=leases,
    )


# --- two halves of ours --------------------------------------------------------------------------


def _of_ours(context: Context, arguments: Arguments, exclusions: tuple[IPRange, ...]) -> Merged:
    organisation = context.organisation
    pairs = _pairs(organisation, arguments.text("source"), arguments.text("destination"))
    own = organisation.own_server(context.surroundings.server_name)
    for theirs, mine in pairs:
        if own is not None and mine.server != own.name:
            raise Refusal(
                f'the leases go to server "{mine.server}", and this is "{own.name}": run this there, '
                "with what `holdfast dhcp export isc --leases` wrote here"
            )
        if theirs.server == mine.server:
            raise Refusal(
                f'scopes "{theirs.name}" and "{mine.name}" are of one server: a split scope is of two'
            )
    given = _given_leases(context, arguments)
    here = _leases_here(context, [mine for _, mine in pairs], needed=bool(given))
    wholes = []
    for theirs, mine in pairs:
        source_leases = {address: each for address, each in given.items() if _holds(theirs, address)}
        source = Half(f'server "{theirs.server}"', theirs, _reserved(organisation, theirs), source_leases)
        destination = Half(f'server "{mine.server}"', mine, _reserved(organisation, mine), here, serves=True)
        wholes.append(
            merge_halves(
                source,
                destination,
                exclusions=_inside(exclusions, theirs, mine),
                prefer=arguments.optional_text("prefer") or "",
            )
        )
    _require_used(exclusions, [each.scope for each in wholes])
    after = _after(organisation, pairs, wholes, arguments.optional_text("relationship"))
    leases = [each for whole in wholes for each in whole.leases]
    conflicts = [each for whole in wholes for each in whole.conflicts]
    return _do(context, arguments, _Merge(wholes, after, leases), conflicts)


def _reserved(organisation: Organisation, scope: Scope) -> tuple[Reservation, ...]:
    return organisation.reservations_by_scope.get(scope.name, ())


def _pairs(organisation: Organisation, source: str, destination: str) -> list[tuple[Scope, Scope]]:
    """Source and destination scopes: two that were named, or all that two servers share."""
    servers = {each.name.casefold(): each.name for each in organisation.servers}
    if source.casefold() in servers and destination.casefold() in servers:
        one, other = servers[source.casefold()], servers[destination.casefold()]
        theirs = {each.subnet: each for each in organisation.scopes if each.server == one}
        pairs = [
            (theirs[each.subnet], each)
            for each in organisation.scopes
            if each.server == other and each.subnet in theirs
        ]
        if not pairs or one == other:
            raise Refusal(f'servers "{one}" and "{other}" have no subnet in common')
        return pairs
    return [(find_object(organisation, Scope, source), find_object(organisation, Scope, destination))]


def _given_leases(context: Context, arguments: Arguments) -> dict[int, MovedLease]:
    """The leases of the source, from files that were exported there."""
    arrival = Arrival(DhcpServer(""))
    for text in arguments.texts("leases"):
        (file,) = unpack_files([text])
        _read_leases(context, file, arrival)
    if not arguments.given("leases") and not arguments.flag("without-leases"):
        raise Refusal(
            "the leases of the source are on its own server: write them there with "
            "`holdfast dhcp export isc dhcpd.leases --leases` and give them here with --leases, or say "
            "--without-leases: then addresses that clients have there may be given to others here"
        )
    return arrival.leases


def _read_leases(context: Context, file: SentFile, arrival: Arrival) -> None:
    from holdfast.wire import isc_leases, kea_leases

    def told(done: int, total: int) -> None:
        context.progress(done, total, f"reading {file.name}")

    if file.data.lstrip(b"\xef\xbb\xbf").startswith(b"address,"):
        add_kea_leases(
            arrival, kea_leases.read_leases(file.data, name=file.name, progress=told), name=file.name
        )
    else:
        add_isc_leases(
            arrival, isc_leases.read_leases(file.data, name=file.name, progress=told), name=file.name
        )


def _leases_here(context: Context, scopes: list[Scope], *, needed: bool) -> dict[int, MovedLease]:
    try:
        return {
            each.address: each
            for each in map(moved_lease, all_leases(context, [each.name for each in scopes]))
        }
    except Unavailable as error:
        if needed:
            raise Unavailable(f"whether leases contradict each other is not known: {error.text}") from None
        context.warnings.append(f"whether leases contradict each other is not known: {error.text}")
        return {}


def _after(
    organisation: Organisation,
    pairs: list[tuple[Scope, Scope]],
    wholes: list[Whole],
    relationship: str | None,
) -> Organisation:
    gone = {theirs.name for theirs, _ in pairs}
    merged = {each.scope.name: each for each in wholes}
    kept = [each for each in organisation.reservations if each.scope not in gone and each.scope not in merged]
    after = replace(
        organisation,
        scopes=tuple(
            merged[each.name].scope if each.name in merged else each
            for each in organisation.scopes
            if each.name not in gone
        ),
        reservations=(*kept, *(one for each in wholes for one in each.reservations)),
        failover_relationships=tuple(
            replace(each, scopes=tuple(name for name in each.scopes if name not in gone))
            for each in organisation.failover_relationships
        ),
    )
    return after if relationship is None else _related(after, pairs, relationship)


def _related(after: Organisation, pairs: list[tuple[Scope, Scope]], name: str) -> Organisation:
    """Put the merged scopes into a relationship of the two servers, made when it is not there."""
    names = tuple(mine.name for _, mine in pairs)
    servers = (pairs[0][1].server, pairs[0][0].server)  # the primary is who has the scope
    known = next(
        (each for each in after.failover_relationships if each.name.casefold() == name.casefold()), None
    )
    if known is None:
        new = FailoverRelationship(name, servers, names)
        return replace(after, failover_relationships=(*after.failover_relationships, new))
    if set(known.servers) != set(servers):
        raise Refusal(
            f'failover relationship "{known.name}" is of {" and ".join(known.servers)}, '
            f"the halves are of {' and '.join(servers)}"
        )
    wider = replace(known, scopes=tuple(dict.fromkeys((*known.scopes, *names))))
    others = tuple(wider if each is known else each for each in after.failover_relationships)
    return replace(after, failover_relationships=others)


# --- both ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Merge:
    """What is to be done."""

    wholes: list[Whole]
    after: Organisation
    leases: list[MovedLease]


def _inside(exclusions: tuple[IPRange, ...], one: Scope, other: Scope) -> tuple[IPRange, ...]:
    """The wanted exclusions that are of this subnet."""
    return tuple(each for each in exclusions if each.first in one.subnet or each.first in other.subnet)


def _require_used(exclusions: tuple[IPRange, ...], scopes: list[Scope]) -> None:
    for each in exclusions:
        if not any(each.first in scope.subnet for scope in scopes):
            raise Refusal(f"the exclusion {each} lies in none of the scopes that are merged")


def _do(context: Context, arguments: Arguments, merge: _Merge, conflicts: list[Problem]) -> Merged:
    change = plan_change(context.organisation, merge.after)
    conflicts = [*conflicts, *change.problems]
    wanted = arguments.flag("yes") and not arguments.flag("plan")
    if not wanted or conflicts:
        if wanted:
            raise Refusal(f"nothing was changed: {len(conflicts)} conflicts", problems=tuple(conflicts))
        step = (
            "nothing was changed; solve the conflicts first"
            if conflicts
            else "nothing was changed; do it with --yes"
        )
        planned = Changed(False, context.organisation.revision, [], list(change.dangers))
        return _result(merge, planned, conflicts, "", step)
    backup = _backup(context)
    changed = context.change(arguments, merge.after, just_before=lambda: hand_over(context, merge.leases))
    step = f"undo it with: holdfast dhcp migrate undo --revision {_revision_of(backup)}"
    return _result(merge, changed, [], backup.name, step)


def _revision_of(backup: Path) -> str:
    """The revision that a backup is of."""
    return backup.stem.rpartition("-")[2]


def _result(merge: _Merge, changed: Changed, conflicts: list[Problem], backup: str, step: str) -> Merged:
    return Merged(
        applied=changed.applied,
        revision=changed.revision,
        backup=backup,
        scopes=[_row(each) for each in merge.wholes],
        dangers=changed.dangers,
        conflicts=[ProblemRow(each.subject, each.text, each.advice) for each in conflicts],
        notes=note_rows([one for each in merge.wholes for one in each.notes]),
        next_step=step,
    )


def _row(whole: Whole) -> MergedScopeRow:
    scope = whole.scope
    return MergedScopeRow(
        scope.name,
        str(scope.subnet),
        "" if scope.pool is None else f"{scope.pool.first}-{scope.pool.last}",
        [f"{each.first}-{each.last}" for each in scope.exclusions],
        len(whole.reservations),
        sum(each.state is LeaseState.ACTIVE for each in whole.leases),
    )


def _backup(context: Context) -> Path:
    """Keep what is declared now, so that it can be put back; durable before anything is changed."""
    folder = context.surroundings.home / BACKUPS
    path = folder / f"dhcp-before-{context.organisation.revision + 1}.toml"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        write_private(path, write_organisation(context.organisation).encode())
    except OSError as error:
        raise Unavailable(f"nothing was changed: cannot write {path}: {error.strerror}") from None
    return path


def _undo(context: Context, arguments: Arguments) -> Changed:
    folder = context.surroundings.home / BACKUPS
    revisions = sorted(
        int(_revision_of(each)) for each in folder.glob("dhcp-before-*.toml") if _revision_of(each).isdigit()
    )
    revision = arguments.optional_count("revision")
    if revision is None:
        revision = revisions[-1] if revisions else 0
    if revision not in revisions:
        known = ", ".join(map(str, revisions[-10:])) or "none"
        raise Refusal(f"there is no migration of revision {revision} to undo; there is one of: {known}")
    path = folder / f"dhcp-before-{revision}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from None
    existing = context.organisation
    before = read_organisation(
        text, path.name, existing=existing, new_id=lambda: new_mailbox_id(context.luck)
    )
    after = replace(existing, **{name: getattr(before, name) for name in _DHCP})
    return context.change(arguments, after, more_dangers=_changed_since(context, revision))


def _changed_since(context: Context, revision: int) -> list[str]:
    """What was changed of DHCP after the migration, and would be undone with it."""
    words = {kind_of(each).word for each in _KINDS}
    return [
        f'revision {record.revision} changed {change.kind} "{change.name}" since: that is undone as well'
        for record in context.store.history(_HISTORY_COUNT)
        if record.revision > revision
        for change in record.changes
        if change.kind in words
    ]


_DETAIL = (
    "Without --yes it shows the whole scope and every contradiction: an address that is leased or reserved "
    "on both sides for different clients. Exclusions that were there for the other half go away, the others "
    "stay. "
    "Source and destination are two scopes of one subnet, two servers (all subnets that both have), or, with "
    "--source-export and --destination-export, two files of Export-DhcpServer -Leases."
)

VERBS = (
    Verb(
        "dhcp migrate",
        "split-scope",
        "Make one scope of the two halves that two servers lease (80/20).",
        "holdfast dhcp migrate split-scope --source office20 --destination office80 --leases dhcpd.leases",
        Merged,
        (
            Argument("source", Kind.TEXT, "the half that goes away: a scope or a server"),
            Argument("destination", Kind.TEXT, "the half that becomes the whole: a scope or a server"),
            Argument("source-export", Kind.DATA, "Windows export of the server that goes away"),
            Argument("destination-export", Kind.DATA, "Windows export of the server whose settings hold"),
            Argument("leases", Kind.DATA, "lease file of the source, ISC's or Kea's form", many=True),
            Argument("without-leases", Kind.FLAG, "go on without the leases of the source"),
            Argument(
                "exclusions", Kind.RANGE, "what is excluded afterwards, in place of what was", many=True
            ),
            Argument(
                "prefer",
                Kind.CHOICE,
                "whose word holds where the two contradict each other",
                choices=("source", "destination"),
            ),
            Argument("scope", Kind.TEXT, "of two exports only this scope (name or subnet)", many=True),
            Argument(
                "relationship", Kind.TEXT, "failover relationship to put it into, made if it is not there"
            ),
            SERVER,
            *CHANGE_ARGUMENTS,
        ),
        detail=_DETAIL,
        changes=True,
        perform=_split,
    ),
    Verb(
        "dhcp migrate",
        "undo",
        "Put everything that is declared of DHCP back as it was before a migration.",
        "holdfast dhcp migrate undo --yes",
        Changed,
        (
            Argument("revision", Kind.COUNT, "which migration; the last one if not given"),
            *CHANGE_ARGUMENTS,
        ),
        detail="Leases that came over stay known, and matter only in a scope that leases their addresses.",
        changes=True,
        perform=_undo,
    ),
)
