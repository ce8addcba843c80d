"""Objects of the organisation as plain values (texts, numbers, lists, tables) and back.

The file format and the directory database both store these. Writing loses
nothing: ``read_record(write_record(x)) == x``. Reading trusts nothing: whatever
is wrong becomes a ``Finding``, and all findings of an object are listed.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import functools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from holdfast.directory.kinds import Setting, settings_of
from holdfast.directory.server_certificates import read_certificates, sha256_of
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.kernel.iprange import IPRange, parse_ip_range, parse_ipv4_address
from holdfast.kernel.quantities import parse_size, parse_span

Plain = str | int | float | bool | list["Plain"] | dict[str, "Plain"]
Path = tuple[str | int, ...]

VALUE_TEXT_MAX = 60  # characters of a wrong value that a message repeats
INTEGER_MAX = (1 << 63) - 1  # TOML 1.0 and SQLite hold 64 bits
SPAN_S_MAX = 1e12
_UNIT_SIZES = (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10))
_UNIT_SPANS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at one place of a file.

    Attributes:
        path: table, index and key, from the outermost in.
        text: what is wrong, with the value.
        advice: what to do.
    """

    path: Path
    text: str
    advice: str


def write_record(record: object, *, defaults: bool) -> dict[str, Plain]:
    """Turn an object into a table; ``defaults`` says whether settings that have their default are written."""
    table: dict[str, Plain] = {}
    record_type: type = type(record)
    for setting in settings_of(record_type):
        value = getattr(record, setting.attribute)
        if value is not None and (defaults or setting.required or value != setting.default):
            table[setting.key] = _write_value(value, setting.unit, defaults)
    return table


def write_text(value: object, unit: str) -> str:
    """A setting's value as one line for people."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if unit == "PEM" and isinstance(value, str):
        return _fingerprints(value)
    plain = _write_value(value, unit, False)
    if isinstance(plain, list):
        return ", ".join(_one_line(each) for each in plain)
    return _one_line(plain)


def _fingerprints(text: str) -> str:
    try:
        found = [f"SHA-256 {sha256_of(each)}" for each in read_certificates(text)]
    except Refusal as refusal:
        return f"unreadable: {refusal.text}"
    return ", ".join(found)


def _one_line(plain: Plain) -> str:
    if isinstance(plain, dict):
        return " ".join(
            (key if each else f"no {key}") if isinstance(each, bool) else _one_line(each)
            for key, each in plain.items()
        )
    if isinstance(plain, list):
        return ",".join(_one_line(each) for each in plain)
    return str(plain).replace("\n", " / ")


def _write_value(value: object, unit: str, defaults: bool) -> Plain:
    if isinstance(value, tuple):
        return [_write_value(each, unit, defaults) for each in value]
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, IPRange | IPv4Address):
        return str(value)
    if dataclasses.is_dataclass(value):
        return write_record(value, defaults=defaults)
    if unit == "bytes" and isinstance(value, int):
        return _write_quantity(value, _UNIT_SIZES)
    if unit == "seconds" and isinstance(value, float):
        return _write_quantity(int(value), _UNIT_SPANS) if value.is_integer() else value
    assert isinstance(value, str | int | float), value
    return value


def _write_quantity(value: int, units: Sequence[tuple[str, int]]) -> Plain:
    """The largest unit that leaves nothing over, or the bare number."""
    for name, size in units:
        # What is read back has no sign and at most 15 digits (kernel.quantities).
        if value > 0 and value % size == 0 and value // size < 10**15:
            return f"{value // size}{name}"
    return value


def read_record(
    record_type: type, table: Mapping[str, Plain], subject: str, path: Path
) -> tuple[dict[str, object], list[Finding]]:
    """Read the settings of one object.

    Returns:
        What was read, as arguments for ``record_type``, and what is wrong.
        Without findings the arguments are complete.
    """
    settings = _settings_by_key(record_type)
    arguments: dict[str, object] = {}
    findings = [
        Finding(
            (*path, key), f'unknown key "{shorten(key)}" in {subject}', nearest_advice("key", key, settings)
        )
        for key in table
        if key not in settings
    ]
    for key, (setting, plain_values) in settings.items():
        value = table.get(key)
        if value is not None:
            # Most values are what they look like, and a directory has millions of them.
            if type(value) is setting.hint and (setting.hint is str or setting.hint is bool):
                arguments[setting.attribute] = value
                continue
            if isinstance(value, str) and value in plain_values:
                arguments[setting.attribute] = plain_values[value]
                continue
            if value == [] and typing.get_origin(setting.hint) is tuple:
                arguments[setting.attribute] = ()
                continue
            try:
                arguments[setting.attribute] = _read_value(setting, setting.hint, value, (*path, key))
            except _Wrong as wrong:
                text = f'key "{key}" in {subject} is {_shown(wrong.value)}: {wrong.text}'
                findings.append(Finding(wrong.path, text, wrong.advice))
            except _WrongInside as inside:
                findings += inside.findings
        elif setting.required:
            findings.append(
                Finding(path, f'key "{key}" is missing in {subject}', f"add it: {setting.reason}")
            )
    return arguments, findings


@functools.cache
def _settings_by_key(record_type: type) -> dict[str, tuple[Setting, dict[str, object]]]:
    """The settings of a dataclass by key, each with the values of its words where it is an enumeration."""
    return {setting.key: (setting, _words_of(setting.hint)) for setting in settings_of(record_type)}


def _words_of(hint: object) -> dict[str, object]:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {each.value: each for each in hint if isinstance(each.value, str)}
    return {}


def nearest_advice(what: str, given: str, valid: typing.Iterable[str]) -> str:
    """Say which valid word is nearest to the given one."""
    names = list(valid)
    # The comparison takes time by length, and the word comes from a file.
    near = difflib.get_close_matches(given[:100], names, n=1, cutoff=0.5)
    if near:
        return f'the nearest valid {what} is "{near[0]}"'
    return f"valid {what}s are {', '.join(names)}"


class _Wrong(Exception):
    def __init__(self, value: Plain, path: Path, text: str, advice: str) -> None:
        super().__init__(text)
        self.value = value
        self.path = path
        self.text = text
        self.advice = advice


class _WrongInside(Exception):
    def __init__(self, findings: list[Finding]) -> None:
        super().__init__()
        self.findings = findings


def _read_value(setting: Setting, hint: object, value: Plain, path: Path) -> object:
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise _Wrong(
                value, path, "not a list", f'write it in brackets, for example {setting.key} = ["…"]'
            )
        inner = typing.get_args(hint)[0]
        return tuple(_read_value(setting, inner, each, (*path, index)) for index, each in enumerate(value))
    if typing.get_origin(hint) is types.UnionType:
        hint = next(each for each in typing.get_args(hint) if each is not types.NoneType)
    if isinstance(hint, type):
        if issubclass(hint, enum.Enum):
            return _read_enum(hint, value, path)
        if dataclasses.is_dataclass(hint) and hint is not IPRange:
            return _read_nested(setting, hint, value, path)
    return _read_simple(setting, hint, value, path)


def _read_simple(setting: Setting, hint: object, value: Plain, path: Path) -> object:
    try:
        if hint is int:
            return _read_size(setting, value, path) if setting.unit == "bytes" else _read_int(value, path)
        if hint is float:
            return _read_span(value, path) if setting.unit == "seconds" else _read_number(value, path)
        if hint is bool:
            if not isinstance(value, bool):
                raise _Wrong(value, path, "neither true nor false", "write true or false without quotes")
            return value
        assert hint in (str, MailboxId, IPRange, IPv4Address), hint
        if not isinstance(value, str):
            raise _Wrong(value, path, "not a text", "write it in quotes")
        if hint is IPv4Address:
            return parse_ipv4_address(value)
        return parse_ip_range(value) if hint is IPRange else value
    except Refusal as refusal:
        raise _Wrong(value, path, refusal.text, "correct it") from None


def _read_int(value: Plain, path: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > INTEGER_MAX:
        raise _Wrong(value, path, "not a whole number", "write digits without quotes")
    return value


def _read_size(setting: Setting, value: Plain, path: Path) -> int:
    if isinstance(value, str):
        value = parse_size(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > INTEGER_MAX:
        raise _Wrong(
            value, path, "not a size", f'write for example {setting.key} = "2GB", or a number of bytes'
        )
    return value


def _read_number(value: Plain, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= SPAN_S_MAX:
        raise _Wrong(value, path, "not a number", "write digits without quotes")
    return float(value)


def _read_span(value: Plain, path: Path) -> float:
    if isinstance(value, str):
        value = parse_span(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(value, path, "not a span of time", 'write for example "5m", or a number of seconds')
    # TOML knows nan and inf.
    if not abs(value) <= SPAN_S_MAX or not math.isfinite(value):
        raise _Wrong(value, path, "not a span of time", 'write for example "5m", or a number of seconds')
    return float(value)


def _read_enum(hint: type[enum.Enum], value: Plain, path: Path) -> enum.Enum:
    for each in hint:
        if each.value == value:
            return each
    advice = nearest_advice("value", str(value), [str(each.value) for each in hint])
    raise _Wrong(value, path, "not a value it can have", advice)


def _read_nested(setting: Setting, hint: type, value: Plain, path: Path) -> object:
    keys = ", ".join(each.key for each in settings_of(hint))
    if not isinstance(value, dict):
        raise _Wrong(value, path, "not a table", f"write a table with {keys}")
    arguments, findings = read_record(hint, value, f'an entry of "{setting.key}"', path)
    if findings:
        raise _WrongInside(findings)
    return hint(**arguments)


def _shown(value: Plain) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{shorten(value)}"'
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        return "a very large number"
    return shorten(str(value))


def shorten(text: str) -> str:
    """Bound what a message repeats of a file, and keep it on one line."""
    cut = text if len(text) <= VALUE_TEXT_MAX else text[: VALUE_TEXT_MAX - 1] + "…"
    return "".join(each if each.isprintable() else "�" for each in cut)
