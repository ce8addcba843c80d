"""The verbs about policies: which clients are treated in another way, and how."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import (
    SCOPE,
    SERVER,
    find_holder,
    find_policy,
    named_class,
    option_row,
    with_policies,
)
from holdfast.admin.results import Changed, SettingRow
from holdfast.admin.results_dhcp import PolicyList, PolicyRow, PolicyShown
from holdfast.admin.setting_arguments import default_argument, given_settings, setting_arguments
from holdfast.directory.dhcp import (
    UNLIMITED_LEASE_S,
    Comparison,
    Condition,
    ConditionField,
    DhcpServer,
    Match,
    Policy,
    Scope,
)
from holdfast.directory.kinds import settings_of, subject_of
from holdfast.directory.model import Organisation
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Refusal

_CONDITION = re.compile(r"\s*([a-z-]+)\s*(!?=)\s*(.+)")
_SIGNS = {Comparison.EQUALS: "=", Comparison.NOT_EQUALS: "!="}
_CLASS_FIELDS = (ConditionField.VENDOR_CLASS, ConditionField.USER_CLASS)


def parse_condition(organisation: Organisation, text: str) -> Condition:
    """Read ``mac=00:1a:2b*,00:1a:2c*`` or ``vendor-class!=Phones``.

    Raises:
        Refusal: it is not in that form, or the field is not known.
    """
    match = _CONDITION.fullmatch(text)
    fields = {each.value: each for each in ConditionField}
    if match is None or match[1] not in fields:
        raise Refusal(
            f'"{text[:60]}" is not a condition; write for example mac=00:1a:2b* or vendor-class!=Phones; '
            f"it may look at {', '.join(fields)}"
        )
    looks_at = fields[match[1]]
    values = tuple(each.strip() for each in match[3].split(","))
    if looks_at in _CLASS_FIELDS:
        values = tuple(_class_name(organisation, each) for each in values)
    comparison = Comparison.EQUALS if match[2] == "=" else Comparison.NOT_EQUALS
    return Condition(looks_at, values, comparison)


def _class_name(organisation: Organisation, value: str) -> str:
    star = "*" if value.endswith("*") else ""
    return named_class(organisation, value.removesuffix("*")) + star


def condition_text(condition: Condition) -> str:
    """A condition as it is given."""
    return f"{condition.looks_at.value}{_SIGNS[condition.comparison]}{','.join(condition.values)}"


def _add(context: Context, arguments: Arguments) -> Changed:
    organisation, name = context.organisation, arguments.text("name")
    holder = find_holder(organisation, arguments)
    if any(each.name.casefold() == name.casefold() for each in holder.policies):
        raise Refusal(f'{subject_of(holder)} has a policy "{name}" already; change it with: dhcp policy set')
    policy = Policy(**_given(organisation, arguments) | {"name": name})
    return _change(context, arguments, holder, [*holder.policies, policy], policy)


def _given(organisation: Organisation, arguments: Arguments) -> dict[str, typing.Any]:
    given = given_settings(arguments, Policy)
    texts = arguments.texts("condition")
    if texts:
        given["conditions"] = tuple(parse_condition(organisation, each) for each in texts)
    return given


def _change(
    context: Context,
    arguments: Arguments,
    holder: Scope | DhcpServer,
    policies: list[Policy],
    policy: Policy,
) -> Changed:
    """Change the policies of a place, with one of them at the position that was asked for."""
    position = arguments.optional_count("position") if arguments.has("position") else None
    if position is not None:
        if not 1 <= position <= len(policies):
            raise Refusal(f"position {position} is not one of 1 to {len(policies)}")
        policies.remove(policy)
        policies.insert(position - 1, policy)
    return context.change(arguments, with_policies(context.organisation, holder, policies))


def _set(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    holder = find_holder(organisation, arguments)
    before = find_policy(holder, arguments.text("name"))
    after = replace(before, **_given(organisation, arguments) | {"name": before.name})
    policies = [after if each is before else each for each in holder.policies]
    return _change(context, arguments, holder, policies, after)


def _move(context: Context, arguments: Arguments) -> Changed:
    holder = find_holder(context.organisation, arguments)
    policy = find_policy(holder, arguments.text("name"))
    return _change(context, arguments, holder, list(holder.policies), policy)


def _remove(context: Context, arguments: Arguments) -> Changed:
    holder = find_holder(context.organisation, arguments)
    policy = find_policy(holder, arguments.text("name"))
    left = [each for each in holder.policies if each is not policy]
    return context.change(arguments, with_policies(context.organisation, holder, left))


def _list(context: Context, arguments: Arguments) -> PolicyList:
    organisation = context.organisation
    if arguments.given("scope") or arguments.given("server"):
        holders: Iterable[Scope | DhcpServer] = (find_holder(organisation, arguments),)
    else:
        holders = chain(organisation.dhcp_servers, organisation.scopes)
    return PolicyList(
        [
            PolicyRow(
                subject_of(holder),
                position,
                each.name,
                each.enabled,
                f" {_WORDS[each.match]} ".join(map(condition_text, each.conditions)),
                [f"{one.first}-{one.last}" for one in each.ranges],
                float(UNLIMITED_LEASE_S) if each.lease_unlimited else each.lease_s,
                len(each.options),
            )
            for holder in holders
            for position, each in enumerate(holder.policies, 1)
        ]
    )


_WORDS = {Match.ALL: "and", Match.ANY: "or"}


def _show(context: Context, arguments: Arguments) -> PolicyShown:
    organisation = context.organisation
    holder = find_holder(organisation, arguments)
    policy = find_policy(holder, arguments.text("name"))
    return PolicyShown(
        name=policy.name,
        place=subject_of(holder),
        position=holder.policies.index(policy) + 1,
        conditions=[condition_text(each) for each in policy.conditions],
        settings=[
            SettingRow(each.key, write_text(getattr(policy, each.attribute), each.unit))
            for each in settings_of(Policy)
            if each.attribute not in ("name", "conditions", "options")
        ],
        options=[option_row(organisation, each, "policy") for each in policy.options],
    )


_NAME = Argument("name", Kind.TEXT, "name of the policy", required=True, positional=True)
_WHERE = (SCOPE, replace(SERVER, help="name of a server, for all its scopes"))
_SETTINGS = setting_arguments(Policy, leave_out=("name", "conditions", "options"))
_CONDITIONS = Argument(
    "condition",
    Kind.TEXT,
    "what clients it is for: mac=00:1a:2b*, vendor-class=Phones, circuit-id!=0x0102; several values with "
    "commas; * at the end for a beginning",
    many=True,
)
_POSITION = Argument("position", Kind.COUNT, "where among the policies, from 1; the end if not given")

VERBS = (
    Verb(
        "dhcp policy",
        "add",
        "Treat some clients in another way.",
        "holdfast dhcp policy add phones --scope office --condition mac=00:1a:2b* "
        "--range 192.0.2.150-192.0.2.200 --lease 12h",
        Changed,
        (_NAME, *_WHERE, replace(_CONDITIONS, required=True), *_SETTINGS, _POSITION, *CHANGE_ARGUMENTS),
        detail="Of all conditions all must hold, or with --match any one. What such clients are told is set "
        "with `dhcp option set --policy`.",
        changes=True,
        perform=_add,
    ),
    Verb(
        "dhcp policy",
        "list",
        "List policies in the order in which they are looked at.",
        "holdfast dhcp policy list --scope office",
        PolicyList,
        _WHERE,
        perform=_list,
    ),
    Verb(
        "dhcp policy",
        "show",
        "Show a policy.",
        "holdfast dhcp policy show phones --scope office",
        PolicyShown,
        (_NAME, *_WHERE),
        perform=_show,
    ),
    Verb(
        "dhcp policy",
        "set",
        "Change a policy.",
        "holdfast dhcp policy set phones --scope office --lease 1h --enabled no",
        Changed,
        (
            _NAME,
            *_WHERE,
            _CONDITIONS,
            *_SETTINGS,
            _POSITION,
            default_argument(_SETTINGS),
            *CHANGE_ARGUMENTS,
        ),
        detail="Conditions and ranges that are given take the place of all that were there.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "dhcp policy",
        "move",
        "Look at a policy earlier or later.",
        "holdfast dhcp policy move phones --scope office --position 1",
        Changed,
        (_NAME, *_WHERE, replace(_POSITION, required=True), *CHANGE_ARGUMENTS),
        changes=True,
        perform=_move,
    ),
    Verb(
        "dhcp policy",
        "remove",
        "Remove a policy.",
        "holdfast dhcp policy remove phones --scope office",
        Changed,
        (_NAME, *_WHERE, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
)
