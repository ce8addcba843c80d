"""Read Kea's configuration files: JSON with comments, each value with its line; and write them.

Kea takes ``#``, ``//`` and ``/* */`` comments, commas too many at the end of a list, and
``<?include "file"?>``, which is listed and not followed. What a value means is not known here:
``dhcp.migrate_kea`` decides that. Any bytes are read or refused with the line; depth and size are bounded.

Source: Kea Administrator Reference Manual, "JSON syntax"; RFC 8259.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Union

from holdfast.kernel.errors import Refusal

CONFIGURATION_BYTES_MAX = 64 << 20
DEPTH_MAX = 64

Scalar = str | int | float | bool | None
# A plain value, to be written.
Json = Union[Scalar, "list[Json]", "Mapping[str, Json]"]

_SPACE = re.compile(
    r"""(?:[ \t\r\n]+|\#[^\n]*|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/|<\?include\s+"(?P<file>[^"\n]*)"\s*\?>)""",
    re.VERBOSE,
)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?(?![0-9A-Za-z_.])")
_WORD = re.compile(r"[A-Za-z]+")
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file and the line on which it begins."""

    value: Scalar | list[Node] | dict[str, Node]
    line: int

    @property
    def members(self) -> dict[str, Node]:
        """The members of a map; none of anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The items of a list; none of anything else."""
        return self.value if isinstance(self.value, list) else []

    @property
    def text(self) -> str:
        """A text, or a scalar as it would be written; empty for null, lists and maps."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return str(self.value) if isinstance(self.value, str | int | float) else ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A file.

    Attributes:
        root: what it says.
        includes: line and name of the files that it includes, which are not here.
    """

    root: Node
    includes: tuple[tuple[int, str], ...]


@dataclass(slots=True)
class _Reader:
    text: str
    name: str
    position: int = 0
    line: int = 1
    includes: list[tuple[int, str]] = field(default_factory=list)

    def wrong(self, what: str) -> Refusal:
        return Refusal(f"{self.name} line {self.line}: {what}")

    def skip(self) -> None:
        while match := _SPACE.match(self.text, self.position):
            if match["file"] is not None:
                self.includes.append((self.line, match["file"]))
            self.line += match[0].count("\n")
            self.position = match.end()

    def found(self) -> str:
        """What stands here, for messages."""
        if self.position >= len(self.text):
            return "the end of the file"
        rest = self.text[self.position : self.position + 30].partition("\n")[0]
        shown = "".join(each if each.isprintable() else "�" for each in rest)
        return f'"{shown}"'

    def take(self, mark: str) -> bool:
        self.skip()
        if self.text.startswith(mark, self.position):
            self.position += 1
            return True
        return False

    def value(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise self.wrong(f"lists and maps are nested deeper than {DEPTH_MAX}")
        self.skip()
        line = self.line
        if self.take("{"):
            return Node(self.map(depth), line)
        if self.take("["):
            return Node(self.list(depth), line)
        return Node(self.scalar(), line)

    def map(self, depth: int) -> dict[str, Node]:
        members: dict[str, Node] = {}
        while not self.take("}"):
            key_line = self.line
            if not self.text.startswith('"', self.position):
                raise self.wrong(
                    f"a name in quotation marks or a closing brace belongs here, not {self.found()}"
                )
            key = self.string()
            if not self.take(":"):
                raise self.wrong(f'a colon belongs behind "{key}", not {self.found()}')
            if key in members:
                raise Refusal(
                    f'{self.name} line {key_line}: "{key}" is there already, on line {members[key].line}; '
                    "remove one of them"
                )
            members[key] = self.value(depth + 1)
            if not self.take(","):
                if not self.take("}"):
                    raise self.wrong(f"a comma or a closing brace belongs here, not {self.found()}")
                break
        return members

    def list(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while not self.take("]"):
            items.append(self.value(depth + 1))
            if not self.take(","):
                if not self.take("]"):
                    raise self.wrong(f"a comma or a closing bracket belongs here, not {self.found()}")
                break
        return items

    def string(self) -> str:
        match = _STRING.match(self.text, self.position)
        if match is None:
            raise self.wrong("a text is not closed on its line, or has an escape that JSON does not know")
        self.position = match.end()
        return str(json.loads(match[0]))

    def scalar(self) -> Scalar:
        if self.text.startswith('"', self.position):
            return self.string()
        if match := _NUMBER.match(self.text, self.position):
            self.position = match.end()
            return float(match[0]) if match[1] or match[2] else int(match[0])
        word = _WORD.match(self.text, self.position)
        if word is None or word[0] not in _WORDS:
            raise self.wrong(f"a value belongs here, not {self.found()}")
        self.position = word.end()
        return _WORDS[word[0]]


def read_configuration(data: bytes, *, name: str = "kea-dhcp4.conf") -> Configuration:
    """Read a file.

    Raises:
        Refusal: it is no such JSON, or too large or too deep; with the line.
    """
    if len(data) > CONFIGURATION_BYTES_MAX:
        raise Refusal(f"{name} has {len(data)} bytes, more than the {CONFIGURATION_BYTES_MAX} that are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refusal(f"{name} line {line}: this is not UTF-8 text") from None
    reader = _Reader(text, name)
    root = reader.value(0)
    reader.skip()
    if reader.position < len(text):
        raise reader.wrong(f"nothing belongs behind the end, but there is {reader.found()}")
    if not isinstance(root.value, dict):
        raise Refusal(f"{name} line {root.line}: a configuration is a map in braces")
    return Configuration(root, tuple(reader.includes))


def write_configuration(value: Json) -> Iterator[str]:
    """Write a configuration in pieces, indented by two."""
    yield from json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value)
    yield "\n"
