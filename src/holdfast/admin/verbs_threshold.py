"""The verbs about the marks of back pressure (exchange-behaviour BP)."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.results import Changed, ThresholdList, ThresholdRow
from holdfast.admin.setting_arguments import given_settings, setting_arguments
from holdfast.directory.edit import with_object, without_object
from holdfast.directory.model import Resource, ResourceThreshold
from holdfast.kernel.errors import Refusal

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
    return context.change(arguments, with_object(organisation, after))


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
    return context.change(arguments, after)


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
        "fractions). They take the place of the built-in ones; later, marks that are not given stay.",
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
