"""Settings of the directory's objects as arguments of verbs, and what was given back as values.

A setting that is added to the model is an argument of the verbs that change its
object, with its reason as help: none is forgotten, and none is described twice.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterable
from ipaddress import IPv4Address

from holdfast.admin.catalogue import Argument, Arguments, ArgumentValue, Kind
from holdfast.directory.kinds import Setting, settings_of
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange, parse_ip_range

DEFAULT = "default"
_KINDS_BY_UNIT = {"address:port": Kind.BINDING, "mail address": Kind.ADDRESS}
_COMPLETES = {
    "name of a server": "server.servers.name",
    "name of a site": "site.sites.name",
    "name of a scope": "dhcp scope.scopes.name",
}


def setting_arguments(record_type: type, *, leave_out: Iterable[str] = ()) -> tuple[Argument, ...]:
    """One argument for each setting of a dataclass of the model; none of them is required.

    Args:
        record_type: for example ``ReceiveConnector``.
        leave_out: attributes that the verb takes in another way, such as the name.
    """
    left_out = frozenset(leave_out)
    return tuple(
        _argument(setting) for setting in settings_of(record_type) if setting.attribute not in left_out
    )


def default_argument(arguments: Iterable[Argument]) -> Argument:
    """``--default NAME``: a setting that has its default again."""
    return Argument(
        DEFAULT,
        Kind.CHOICE,
        "a setting that shall have its default again",
        many=True,
        choices=tuple(sorted({each.name for each in arguments})),
    )


def argument_name(setting: Setting) -> str:
    """``remote_ranges`` is given as ``--remote-range``, once for each."""
    name = setting.key.replace("_", "-")
    if typing.get_origin(setting.hint) is not tuple or not name.endswith("s") or name.endswith("tls"):
        return name
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    return name[:-2] if name.endswith("sses") else name[:-1]


def _argument(setting: Setting) -> Argument:
    many = typing.get_origin(setting.hint) is tuple
    hint = _one(setting.hint)
    unit = setting.unit.replace("names of ", "name of a ").removesuffix("s") if many else setting.unit
    kind, choices = _kind(setting, hint, unit)
    return Argument(
        argument_name(setting),
        kind,
        setting.reason,
        many=many,
        choices=choices,
        completes=_COMPLETES.get(unit, ""),
    )


def _one(hint: object) -> object:
    """The type of one value: of a list its entries', of what may be left out that which is not."""
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0]
    if typing.get_origin(hint) is types.UnionType:
        return next(each for each in typing.get_args(hint) if each is not types.NoneType)
    return hint


def _kind(setting: Setting, hint: object, unit: str) -> tuple[Kind, tuple[str, ...]]:
    if hint is bool:
        return Kind.CHOICE, ("yes", "no")
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return Kind.CHOICE, tuple(str(each.value) for each in hint)
    if hint is IPRange:
        return Kind.RANGE, ()
    if hint is IPv4Address:
        return Kind.IPV4, ()
    if hint is int:
        return (Kind.SIZE if unit == "bytes" else Kind.COUNT), ()
    if hint is float:
        return (Kind.SPAN if unit == "seconds" else Kind.COUNT), ()
    if setting.attribute == "fqdn":
        return Kind.DOMAIN, ()
    return _KINDS_BY_UNIT.get(unit, Kind.TEXT), ()


def given_settings(
    arguments: Arguments, record_type: type, *, skip: Iterable[str] = ()
) -> dict[str, typing.Any]:
    """What was given of the settings of a dataclass, by attribute, as the model has it.

    Args:
        arguments: of the verb.
        record_type: for example ``ReceiveConnector``.
        skip: attributes that the verb reads itself.

    Raises:
        Refusal: a setting is given and to have its default at once, or
            must be given; or a choice is not one of this kind of object.
    """
    values: dict[str, typing.Any] = {}
    reset = set(arguments.texts(DEFAULT)) if arguments.has(DEFAULT) else set()
    skipped = frozenset(skip)
    for setting in settings_of(record_type):
        if setting.attribute in skipped:
            continue
        name = argument_name(setting)
        given = arguments.has(name) and arguments.given(name)
        if name in reset:
            if given:
                raise Refusal(f"{name} is given, and to have its default; say one of them")
            if setting.required:
                raise Refusal(f"{name} has no default; give it a value")
            values[setting.attribute] = setting.default
        elif given:
            values[setting.attribute] = _value(name, setting.hint, arguments.value(name))
    return values


def _value(name: str, hint: object, given: ArgumentValue) -> object:
    if typing.get_origin(hint) is tuple:
        assert isinstance(given, list)
        inner = typing.get_args(hint)[0]
        return tuple(_value(name, inner, each) for each in given)
    hint = _one(hint)
    if hint is bool:
        return given == "yes"
    if hint is IPRange:
        assert isinstance(given, str)
        return parse_ip_range(given)
    if hint is IPv4Address:
        assert isinstance(given, str)
        return IPv4Address(given)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice(name, hint, given)
    if hint is float:
        assert isinstance(given, int | float)
        return float(given)
    return given


def _choice(name: str, hint: type[enum.Enum], given: ArgumentValue) -> enum.Enum:
    for each in hint:
        if each.value == given:
            return each
    # Verbs for several kinds of objects allow the words of all of them.
    raise Refusal(f'{name}: "{given}" is not one of {", ".join(str(each.value) for each in hint)} here')


def merged_arguments(*lists: tuple[str, tuple[Argument, ...]]) -> tuple[Argument, ...]:
    """The arguments of several kinds of objects for one verb; each list with the word for its kind.

    An argument that two kinds share allows the words of both, and is helped on by both reasons.
    """
    found: dict[str, tuple[str, Argument]] = {}
    for word, arguments in lists:
        for argument in arguments:
            if argument.name not in found:
                found[argument.name] = (word, argument)
                continue
            first_word, first = found[argument.name]
            assert (first.kind, first.many) == (argument.kind, argument.many), argument.name
            choices = (*first.choices, *(each for each in argument.choices if each not in first.choices))
            help_text = (
                first.help
                if first.help == argument.help
                else f"{first_word}: {first.help}; {word}: {argument.help}"
            )
            found[argument.name] = (first_word, dataclasses.replace(first, choices=choices, help=help_text))
    return tuple(argument for _, argument in found.values())
