"""A change to the organisation, shown before it is made: what changes, what is wrong, what is dangerous.

Problems forbid the change. Dangers do not: the administrator may want them,
but must have been told. What was wrong before, and is not touched, forbids
nothing: a newer version finds more, and must not stand in the way of other changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from holdfast.directory.checks import check_organisation
from holdfast.directory.dangers import find_dangers
from holdfast.directory.kinds import KINDS, DirectoryObject, Kind, name_of, objects_of, settings_of
from holdfast.directory.model import Mailbox, Organisation
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Problem
from holdfast.kernel.ids import Revision

Action = Literal["add", "remove", "change"]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One setting before and after, as texts for people; empty where the object is not there."""

    name: str
    before_text: str
    after_text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One object that comes, goes or changes.

    Attributes:
        action: what happens to it.
        kind: in words, ``receive connector``; ``organisation`` for its own settings.
        name: name or address, before the change where it has one.
        fields: of an added or removed object those that differ from their default.
    """

    action: Action
    kind: str
    name: str
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A change that was thought through but not made.

    Attributes:
        base_revision: the revision that the change starts from; it may only be applied to that.
        after: the organisation after the change, at the revision that it will have.
        changes: object by object.
        problems: what is wrong with ``after`` and was not before; a plan with problems is not applied.
        standing: what is wrong with both.
        dangers: what the administrator should know before.
    """

    base_revision: Revision
    after: Organisation
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    dangers: tuple[str, ...]
    standing: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """One entry of the change log: a plan that was applied.

    Attributes:
        revision: what the organisation became by it.
        at: seconds since the epoch.
        who: who asked for it.
        why: the reason given.
        changes: object by object.
    """

    revision: Revision
    at: float
    who: str
    why: str
    changes: tuple[Change, ...]


def plan_change(before: Organisation, after: Organisation) -> Plan:
    """Compare two organisations and say what going from one to the other means.

    The order of objects means nothing: an organisation that differs only in
    order is no change.
    """
    changes = list(_changes_of_settings(before, after))
    for kind in KINDS:
        changes += _changes_of_kind(objects_of(before, kind), objects_of(after, kind), kind)
    revision = Revision(before.revision + 1) if changes else before.revision
    problems = check_organisation(after)
    known = set(check_organisation(before)) if problems else set()
    return Plan(
        before.revision,
        dataclasses.replace(after, revision=revision),
        tuple(changes),
        tuple(each for each in problems if each not in known),
        find_dangers(before, after),
        tuple(each for each in problems if each in known),
    )


def _changes_of_settings(before: Organisation, after: Organisation) -> list[Change]:
    fields = _field_changes(before, after)
    return [Change("change", "organisation", before.name or after.name, fields)] if fields else []


def _changes_of_kind(
    before: tuple[DirectoryObject, ...], after: tuple[DirectoryObject, ...], kind: Kind
) -> list[Change]:
    old = {name_of(each).casefold(): each for each in before}
    new = {name_of(each).casefold(): each for each in after}
    successors = _renamed_mailboxes(old, new)
    changes: list[Change] = []
    for key, item in old.items():
        successor = successors.get(key, new.get(key))
        if successor is None:
            changes.append(Change("remove", kind.word, name_of(item), _own_fields(item, gone=True)))
        elif fields := _field_changes(item, successor):
            changes.append(Change("change", kind.word, name_of(item), fields))
    renamed = {name_of(each).casefold() for each in successors.values()}
    for key, item in new.items():
        if key not in old and key not in renamed:
            changes.append(Change("add", kind.word, name_of(item), _own_fields(item, gone=False)))
    return changes


def _renamed_mailboxes(
    old: Mapping[str, DirectoryObject], new: Mapping[str, DirectoryObject]
) -> dict[str, DirectoryObject]:
    """Mailboxes that keep their id under another address: old key to new object."""
    came = {
        each.mailbox_id: each for key, each in new.items() if isinstance(each, Mailbox) and key not in old
    }
    return {
        key: came[each.mailbox_id]
        for key, each in old.items()
        if isinstance(each, Mailbox) and key not in new and each.mailbox_id in came
    }


def _field_changes(before: object, after: object) -> tuple[FieldChange, ...]:
    record_type: type = type(before)
    return tuple(
        FieldChange(setting.key, write_text(old, setting.unit), write_text(new, setting.unit))
        for setting in settings_of(record_type)
        if (old := getattr(before, setting.attribute)) != (new := getattr(after, setting.attribute))
    )


def _own_fields(item: DirectoryObject, *, gone: bool) -> tuple[FieldChange, ...]:
    fields: list[FieldChange] = []
    for setting in settings_of(type(item)):
        value = getattr(item, setting.attribute)
        if setting.required or value != setting.default:
            text = write_text(value, setting.unit)
            fields.append(FieldChange(setting.key, text if gone else "", "" if gone else text))
    return tuple(fields)
