"""Make another organisation out of one: with an object, or without it.

Nothing is checked here but that the object exists; ``directory.checks`` says
what is wrong with the result.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from typing import TypeVar

from holdfast.directory.kinds import DirectoryObject, Kind, kind_of, name_of, objects_of
from holdfast.directory.model import Organisation
from holdfast.kernel.errors import Refusal

AnyObject = TypeVar("AnyObject", bound=DirectoryObject)


def with_object(organisation: Organisation, item: DirectoryObject) -> Organisation:
    """Put an object in the place of the one of its kind and name, or add it at the end."""
    kind = kind_of(type(item))
    objects = list(objects_of(organisation, kind))
    index = _index(objects, name_of(item))
    if index is None:
        objects.append(item)
    else:
        objects[index] = item
    return _with_collection(organisation, kind, objects)


def without_object(organisation: Organisation, kind: type[DirectoryObject], name: str) -> Organisation:
    """Leave an object out.

    Raises:
        Refusal: there is none of that name; it names the nearest.
    """
    found = find_object(organisation, kind, name)
    the_kind = kind_of(kind)
    return _with_collection(
        organisation, the_kind, [each for each in objects_of(organisation, the_kind) if each is not found]
    )


def find_object(organisation: Organisation, kind: type[AnyObject], name: str) -> AnyObject:
    """Find an object by its name or address, whatever the case of its letters.

    Raises:
        Refusal: there is none of that name; it names the nearest.
    """
    the_kind = kind_of(kind)
    objects = objects_of(organisation, the_kind)
    index = _index(objects, name)
    if index is not None:
        return typing.cast(AnyObject, objects[index])
    raise Refusal(f'there is no {the_kind.word} "{name}"; {_nearest(name, objects)}')


def _index(objects: typing.Sequence[DirectoryObject], name: str) -> int | None:
    wanted = name.casefold()
    return next((index for index, each in enumerate(objects) if name_of(each).casefold() == wanted), None)


def _nearest(name: str, objects: typing.Sequence[DirectoryObject]) -> str:
    if not objects:
        return "there is none at all yet"
    names = {name_of(each).casefold(): name_of(each) for each in objects}
    near = difflib.get_close_matches(name[:100].casefold(), names, n=1, cutoff=0.5)
    if near:
        return f'the nearest name is "{names[near[0]]}"'
    shown = ", ".join(f'"{each}"' for each in list(names.values())[:5])
    return f"there are {len(names)}: {shown}{', …' if len(names) > 5 else ''}"


def _with_collection(organisation: Organisation, kind: Kind, objects: list[DirectoryObject]) -> Organisation:
    # The table of kinds ties the collection to the type, which a type checker cannot see.
    changes: dict[str, typing.Any] = {kind.collection: tuple(objects)}
    return dataclasses.replace(organisation, **changes)
