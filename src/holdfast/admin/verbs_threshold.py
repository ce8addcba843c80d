"""The verbs about the marks of back pressure (exchange-behaviour BP)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.results import Changed, ThresholdList, ThresholdRow
from holdfast.admin.setting_arguments import given_settings, setting_arguments
from holdfast.directory.edit import with_object, without_object
from holdfast.directory.model import Organisation, Resource, ResourceThreshold
from holdfast.kernel.errors import Refusal, Unavailable

if TYPE_CHECKING:
    from holdfast.transport.back_pressure import ResourceState

_MARKS = ("medium", "high", "high-to-medium", "medium-to-low")


def _set(context: Context, arguments: Arguments) -> Changed:
    organisation, resource = context.organisation, Resource(arguments.text("resource"))
    before = next((each for each in organisation.resource_thresholds if each.resource is resource), None)
    if before is None:
        missing = [name for name in _MARKS if not arguments.given(name)]
        if missing:
            raise Refusal(
                f"{resource.value} has no marks of yours yet: give all four, also {', '.join(missing)}"
            )
        before = ResourceThreshold(resource, 0.0, 0.0, 0.0, 0.0)
    after = replace(before, **given_settings(arguments, ResourceThreshold) | {"resource": resource})
    changed = with_object(organisation, after)
    return context.change(arguments, changed, more_dangers=pressure_dangers(context, changed))


def pressure_dangers(context: Context, after: Organisation) -> list[str]:
    """What other marks would do to mail here at once, as the transport role sees its resources now."""
    from holdfast.drivers.role_requests import Nothing
    from holdfast.drivers.transport_requests import SHOW_PRESSURE
    from holdfast.transport.back_pressure import foreseen

    before = {each.resource: each for each in context.organisation.resource_thresholds}
    own = {each.resource: each for each in after.resource_thresholds}
    changed = {resource for resource in Resource if before.get(resource) != own.get(resource)}
    if not changed:
        return []
    try:
        states = SHOW_PRESSURE.ask(context.surroundings.ask, Nothing()).resources
    except Unavailable as error:
        context.warnings.append(f"what these marks do to mail now is not known: {error.text}")
        return []
    found = []
    for state in states:
        resource = state.threshold.resource
        if resource in changed:
            then = foreseen(state, own.get(resource))
            if then.level > state.level or then.refuses > state.refuses:
                found.append(_what_happens(then))
    return found


def _what_happens(then: ResourceState) -> str:
    from holdfast.admin.verbs_queue import effects
    from holdfast.transport.back_pressure import NEVER_REFUSING, SAMPLE_INTERVAL_S, conclude, unit_of

    resource, marks = then.threshold.resource, then.threshold
    refusing = replace(then, refuses=resource not in NEVER_REFUSING)
    words = "; ".join(effects(replace(conclude([refusing]), reason="")))
    looks = max(1, marks.history_count - then.pressed_count + 1)
    when = "at once" if then.refuses or not refusing.refuses else f"in {looks * SAMPLE_INTERVAL_S:g} s"
    return (
        f"{resource.value} is at {then.value:.4g}{unit_of(resource)} on this server now, which is "
        f"{then.level.word} by these marks (medium from {marks.medium:.4g}, high from {marks.high:.4g}); "
        f"{when}: {words}"
    )


def _list(context: Context, arguments: Arguments) -> ThresholdList:
    return ThresholdList(
        [
            ThresholdRow(
                each.resource.value,
                each.medium,
                each.high,
                each.high_to_medium,
                each.medium_to_low,
                each.history_count,
            )
            for each in context.organisation.resource_thresholds
        ]
    )


def _remove(context: Context, arguments: Arguments) -> Changed:
    after = without_object(context.organisation, ResourceThreshold, arguments.text("resource"))
    return context.change(arguments, after, more_dangers=pressure_dangers(context, after))


_RESOURCE = Argument(
    "resource",
    Kind.CHOICE,
    "what is measured",
    required=True,
    positional=True,
    choices=tuple(each.value for each in Resource),
)

VERBS = (
    Verb(
        "threshold",
        "set",
        "Say where back pressure begins and ends for one resource.",
        "holdfast threshold set queue-disk --medium 90 --high 95 --high-to-medium 92 --medium-to-low 85",
        Changed,
        (_RESOURCE, *setting_arguments(ResourceThreshold, leave_out=("resource",)), *CHANGE_ARGUMENTS),
        detail="Marks are percent of disk and memory, else messages, in whole numbers (a file takes "
        "fractions). They take the place of the built-in ones; later, marks that are not given stay. Marks "
        "below the present use put mail off at once: what would happen is said first, and wants --yes.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "threshold",
        "list",
        "List the marks that take the place of built-in ones.",
        "holdfast threshold list",
        ThresholdList,
        perform=_list,
    ),
    Verb(
        "threshold",
        "remove",
        "Have the built-in marks of one resource again.",
        "holdfast threshold remove queue-disk",
        Changed,
        (_RESOURCE, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
)
