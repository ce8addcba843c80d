"""The verbs about distribution groups."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context, not_found
from holdfast.admin.results import Changed, GroupList, GroupRow
from holdfast.directory.model import DistributionGroup, Mailbox
from holdfast.kernel.address import parse_address
from holdfast.kernel.errors import Refusal

_ADDRESS = Argument(
    "address",
    Kind.ADDRESS,
    "address of the group",
    required=True,
    positional=True,
    completes="group.groups.address",
)
_MEMBERS = Argument(
    "member",
    Kind.ADDRESS,
    "an address of ours",
    required=True,
    positional=True,
    many=True,
    completes="mailbox.mailboxes.address",
)


def _find(context: Context, address: str) -> DistributionGroup:
    found = context.organisation.recipients.get(parse_address(address).key)
    if isinstance(found, Mailbox):
        raise Refusal(f'"{address}" is a mailbox, not a group; see: holdfast mailbox list')
    if found is None:
        raise not_found("group", address, (each.address for each in context.organisation.distribution_groups))
    return found


def _replace(
    context: Context, arguments: Arguments, before: DistributionGroup | None, after: DistributionGroup | None
) -> Changed:
    groups = tuple(each for each in context.organisation.distribution_groups if each is not before)
    if after is not None:
        groups = (*groups, after)
    return context.change(arguments, replace(context.organisation, distribution_groups=groups))


def _add(context: Context, arguments: Arguments) -> Changed:
    group = DistributionGroup(arguments.text("address"), arguments.texts("member"), arguments.texts("alias"))
    if parse_address(group.address).key in context.organisation.recipients:
        raise Refusal(f'"{group.address}" is an address of ours already; choose another one')
    return _replace(context, arguments, None, group)


def _list(context: Context, arguments: Arguments) -> GroupList:
    groups = sorted(context.organisation.distribution_groups, key=lambda each: each.address)
    return GroupList([GroupRow(each.address, list(each.aliases), list(each.members)) for each in groups])


def _remove(context: Context, arguments: Arguments) -> Changed:
    return _replace(context, arguments, _find(context, arguments.text("address")), None)


def _add_member(context: Context, arguments: Arguments) -> Changed:
    group = _find(context, arguments.text("address"))
    have = {each.casefold() for each in group.members}
    new = tuple(each for each in arguments.texts("member") if each.casefold() not in have)
    for each in arguments.texts("member"):
        if each.casefold() in have:
            context.warnings.append(f'"{each}" is a member of "{group.address}" already')
    return _replace(context, arguments, group, replace(group, members=(*group.members, *new)))


def _remove_member(context: Context, arguments: Arguments) -> Changed:
    group = _find(context, arguments.text("address"))
    gone = {each.casefold() for each in arguments.texts("member")}
    for each in arguments.texts("member"):
        if each.casefold() not in {member.casefold() for member in group.members}:
            raise not_found("member", each, group.members)
    kept = tuple(each for each in group.members if each.casefold() not in gone)
    return _replace(context, arguments, group, replace(group, members=kept))


VERBS = (
    Verb(
        "group",
        "add",
        "Add a distribution group.",
        "holdfast group add team@example.test --member alice@example.test --member bob@example.test",
        Changed,
        (
            replace(_ADDRESS, completes=""),
            replace(_MEMBERS, required=False, positional=False, help="a member, an address of ours"),
            Argument("alias", Kind.ADDRESS, "a further address of the group", many=True),
            *CHANGE_ARGUMENTS,
        ),
        changes=True,
        perform=_add,
    ),
    Verb("group", "list", "List the groups.", "holdfast group list", GroupList, perform=_list),
    Verb(
        "group",
        "remove",
        "Remove a group; its members stay.",
        "holdfast group remove team@example.test --yes",
        Changed,
        (_ADDRESS, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
    Verb(
        "group",
        "add-member",
        "Add members to a group.",
        "holdfast group add-member team@example.test carol@example.test",
        Changed,
        (_ADDRESS, _MEMBERS, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_add_member,
    ),
    Verb(
        "group",
        "remove-member",
        "Take members out of a group.",
        "holdfast group remove-member team@example.test bob@example.test",
        Changed,
        (_ADDRESS, _MEMBERS, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove_member,
    ),
)
