"""The organisation as a TOML file that an administrator can read, change and bring back.

One ``[organisation]`` table for the settings of the whole, then one ``[[table]]``
per object, named after its kind. Settings that have their default are left out.
Passwords are no part of the organisation and never appear. What is wrong with a
file is told all at once, with line and key, and nothing of it is used.

Source: TOML 1.0.
"""

from __future__ import annotations

import re
import tomllib
import typing
from collections.abc import Callable, Mapping

import tomli_w

from holdfast.directory.kinds import KINDS, DirectoryObject, Kind, make_object, objects_of, settings_of
from holdfast.directory.model import Mailbox, Organisation
from holdfast.directory.toml_lines import LineMap, TooDeep, map_lines
from holdfast.directory.values import Finding, Plain, nearest_advice, read_record, shorten, write_record
from holdfast.kernel.errors import Problem, Refusal
from holdfast.kernel.ids import MailboxId

FILE_CHARACTERS_MAX = 32 << 20  # a hundred thousand mailboxes fit; bounds time and memory
ORGANISATION_TABLE = "organisation"
_AT = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)")


def write_organisation(organisation: Organisation) -> str:
    """Write an organisation as TOML; reading it back gives an equal one."""
    settings = write_record(organisation, defaults=False)
    chunks = _write_table(f"[{ORGANISATION_TABLE}]", ORGANISATION_TABLE, settings) if settings else []
    for kind in KINDS:
        for each in objects_of(organisation, kind):
            chunks += _write_table(f"[[{kind.table}]]", kind.table, write_record(each, defaults=False))
    return "\n".join(chunks)


def _write_table(header: str, table: str, record: dict[str, Plain]) -> list[str]:
    """One object with its nested tables; the library would put short ones on one line, out of order."""
    nested = {key: value for key, value in record.items() if _is_tables(value)}
    plain = {key: value for key, value in record.items() if key not in nested}
    # A text that a person pastes (a certificate, the words of a report) stays as lines, unless that would
    # lose its carriage returns.
    lines = not any(isinstance(value, str) and "\r" in value for value in plain.values())
    chunks = [f"{header}\n{tomli_w.dumps(plain, multiline_strings=lines)}"]
    for key, value in nested.items():
        assert isinstance(value, list)
        for each in value:
            assert isinstance(each, dict)
            chunks += _write_table(f"[[{table}.{key}]]", f"{table}.{key}", each)
    return chunks


def _is_tables(value: Plain) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def read_organisation(
    text: str, file_name: str, *, existing: Organisation, new_id: Callable[[], MailboxId]
) -> Organisation:
    """Read an organisation from TOML.

    Args:
        text: what is in the file.
        file_name: how the file is called in messages.
        existing: the organisation that would be replaced: a mailbox that the
            file gives no id keeps the one it has there, and the revision is its.
        new_id: draws an id for a mailbox that is new.

    Raises:
        Refusal: the text is not TOML or not an organisation; ``problems`` lists
            everything found, each with line and key. Rules across objects are
            not looked at here (``directory.checks``).
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    lines, data = _parse(text, file_name)
    reader = _Reader(existing, new_id)
    organisation = reader.read(data)
    if reader.findings:
        found = sorted((lines.line_of(each.path), index) for index, each in enumerate(reader.findings))
        raise _refusal(
            file_name, [_problem(file_name, f"line {line}", reader.findings[index]) for line, index in found]
        )
    assert organisation is not None
    return organisation


def _parse(text: str, file_name: str) -> tuple[LineMap, dict[str, Plain]]:
    if len(text) > FILE_CHARACTERS_MAX:
        raise Refusal(
            f"{file_name} has {len(text)} characters, more than {FILE_CHARACTERS_MAX}; is it the right file?"
        )
    try:
        lines = map_lines(text)
        return lines, tomllib.loads(text)
    except TooDeep as error:
        finding = Finding((), error.text, "write it flat, as an export does")
        raise _refusal(file_name, [_problem(file_name, f"line {error.line}", finding)]) from None
    except RecursionError:
        raise Refusal(f"{file_name} is nested too deep; write it flat, as an export does") from None
    except ValueError as error:  # also numbers and dates that Python cannot hold
        raise _syntax_refusal(str(error), text, file_name) from None


def _syntax_refusal(message: str, text: str, file_name: str) -> Refusal:
    match = _AT.search(message)
    if match is None:
        where = "somewhere"
    elif match[1]:
        where = f"line {match[1]}, column {match[2]}"
    else:
        where = f"line {text.count(chr(10)) + 1}, at the end"
    finding = Finding((), f"not TOML: {shorten(_AT.sub('', message))}", "correct it there")
    return _refusal(file_name, [_problem(file_name, where, finding)])


def _problem(file_name: str, where: str, finding: Finding) -> Problem:
    return Problem(f"{file_name} {where}", finding.text, finding.advice)


def _refusal(file_name: str, problems: list[Problem]) -> Refusal:
    if len(problems) == 1:
        return Refusal(str(problems[0]), problems=tuple(problems))
    return Refusal(
        f"{file_name} has {len(problems)} problems and nothing of it is used; the first is {problems[0]}",
        problems=tuple(problems),
    )


class _Reader:
    """Reads tables into objects and collects what is wrong."""

    def __init__(self, existing: Organisation, new_id: Callable[[], MailboxId]) -> None:
        self.findings: list[Finding] = []
        self._existing = existing
        self._new_id = new_id
        self._ids = {each.address.casefold(): each.mailbox_id for each in existing.mailboxes}

    def read(self, data: Mapping[str, Plain]) -> Organisation | None:
        """The organisation; None when something is wrong."""
        tables = {kind.table: kind for kind in KINDS}
        # What the keys are is known from the model; a type checker cannot follow that.
        arguments: dict[str, typing.Any] = {"revision": self._existing.revision}
        for name, value in data.items():
            if name == ORGANISATION_TABLE:
                arguments |= self._settings(value)
            elif name in tables:
                arguments[tables[name].collection] = self._objects(tables[name], value)
            else:
                self._unknown(name, value, (ORGANISATION_TABLE, *tables))
        return None if self.findings else Organisation(**arguments)

    def _unknown(self, name: str, value: Plain, tables: tuple[str, ...]) -> None:
        word = "table" if isinstance(value, dict | list) else "key"
        if word == "key" and name in (each.key for each in settings_of(Organisation)):
            advice = f"write it below a line [{ORGANISATION_TABLE}]"
        else:
            advice = nearest_advice("table", name, tables)
        self.findings.append(Finding((name,), f'unknown {word} "{shorten(name)}" outside all tables', advice))

    def _settings(self, value: Plain) -> dict[str, object]:
        path = (ORGANISATION_TABLE,)
        if not isinstance(value, dict):
            self.findings.append(
                Finding(
                    path, f'"{ORGANISATION_TABLE}" is not one table', f"write [{ORGANISATION_TABLE}] once"
                )
            )
            return {}
        arguments, findings = read_record(Organisation, value, "the organisation", path)
        self.findings += findings
        return arguments

    def _objects(self, kind: Kind, value: Plain) -> tuple[DirectoryObject, ...]:
        if not isinstance(value, list):
            advice = f"write [[{kind.table}]] with two brackets, once for each {kind.word}"
            self.findings.append(Finding((kind.table,), f'"{kind.table}" is not an array of tables', advice))
            return ()
        objects = (self._object(kind, index, each) for index, each in enumerate(value))
        return tuple(each for each in objects if each is not None)

    def _object(self, kind: Kind, index: int, value: Plain) -> DirectoryObject | None:
        path = (kind.table, index)
        if not isinstance(value, dict):
            self.findings.append(
                Finding(
                    path, f'"{kind.table}" holds something that is not a table', f"write [[{kind.table}]]"
                )
            )
            return None
        name = value.get(kind.name_attribute)
        subject = (
            f'{kind.word} "{shorten(name)}"' if isinstance(name, str) else f"{kind.word} number {index + 1}"
        )
        if kind.type is Mailbox and "mailbox_id" not in value and isinstance(name, str):
            value = {**value, "mailbox_id": self._ids.get(name.casefold()) or self._new_id()}
        arguments, findings = read_record(kind.type, value, subject, path)
        self.findings += findings
        return None if findings else make_object(kind, arguments)
