"""At which line of a TOML text each table and key stands, which the standard parser does not tell.

The scanner reads just enough of TOML 1.0 to find statements. It trusts nothing:
on text that is not TOML it stops, and the parser proper says what is wrong.
It also refuses nesting that would make that parser slow or exhaust its stack,
so it runs first. Time and memory are linear in the text.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

KEY_PARTS_MAX = 8
NESTING_MAX = 32

_BLANK = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_KEY_PART = re.compile(
    r"[ \t]*(?:(?P<bare>[A-Za-z0-9_-]+)|\"(?P<basic>(?:[^\"\\\n]|\\.)*)\"|'(?P<literal>[^'\n]*)')[ \t]*"
)
_MARK = re.compile(r"[\"'#\[\]{}\n]")
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_END_OF_BASIC = re.compile(r"\\.|\"\"\"", re.DOTALL)


class TooDeep(Exception):
    """A key has more parts, or a value more brackets, than any file of ours."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


class LineMap:
    """Lines of a text by path: table name, index in an array of tables, key."""

    def __init__(self, lines: dict[Path, int]) -> None:
        self._lines = lines

    def line_of(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it; 1 when nothing is known."""
        while path:
            for known in (path, (*path, 0)):  # an array of tables as a whole begins with its first
                if known in self._lines:
                    return self._lines[known]
            path = path[:-1]
        return 1


def map_lines(text: str) -> LineMap:
    """Find the line of every table and key of a text with ``\\n`` line ends.

    Raises:
        TooDeep: more than ``KEY_PARTS_MAX`` or ``NESTING_MAX``.
    """
    scanner = _Scanner(text)
    scanner.scan()
    return LineMap(scanner.lines)


class _NotToml(Exception):
    pass


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._counted_to = 0
        self._table: Path = ()
        self._array_sizes: dict[Path, int] = {}

    def scan(self) -> None:
        try:
            while self._skip_blank():
                line = self._line_here()
                if self._text.startswith("[", self._at):
                    self._header(line)
                else:
                    self._key_value(line)
        except _NotToml:
            return

    def _skip_blank(self) -> bool:
        match = _BLANK.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._at < len(self._text)

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line

    def _header(self, line: int) -> None:
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        path = self._resolve(self._key(line), is_array)
        self._table = path
        self.lines.setdefault(path, line)
        self._to_line_end()

    def _resolve(self, parts: list[str], is_array: bool) -> Path:
        """Put the index of the last element behind the name of each array of tables."""
        path: Path = ()
        for position, part in enumerate(parts):
            path = (*path, part)
            if is_array and position == len(parts) - 1:
                self._array_sizes[path] = self._array_sizes.get(path, 0) + 1
            if path in self._array_sizes:
                path = (*path, self._array_sizes[path] - 1)
        return path

    def _key_value(self, line: int) -> None:
        parts = self._key(line)
        if not self._text.startswith("=", self._at):
            raise _NotToml
        self._at += 1
        for end in range(1, len(parts) + 1):
            self.lines.setdefault((*self._table, *parts[:end]), line)
        self._value()

    def _key(self, line: int) -> list[str]:
        parts: list[str] = []
        while True:
            match = _KEY_PART.match(self._text, self._at)
            if match is None:
                raise _NotToml
            parts.append(match["bare"] or match["basic"] or match["literal"] or "")
            if len(parts) > KEY_PARTS_MAX:
                raise TooDeep(line, f"a key has more than {KEY_PARTS_MAX} parts")
            self._at = match.end()
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self) -> None:
        depth = 0
        while (mark := _MARK.search(self._text, self._at)) is not None:
            character = mark[0]
            self._at = mark.start()
            if character == "\n" and depth <= 0:
                return
            if character in "\"'":
                self._string(character * 3)
            elif character == "#":
                self._to_line_end()
            else:
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(character, 0)
                if depth > NESTING_MAX:
                    raise TooDeep(self._line_here(), f"brackets are nested more than {NESTING_MAX} deep")
                self._at += 1
        self._at = len(self._text)

    def _string(self, delimiter: str) -> None:
        if not self._text.startswith(delimiter, self._at):
            match = _STRING.match(self._text, self._at)
            # Not searched for any further: trying from every quotation mark on would take quadratic time.
            if match is None:
                raise _NotToml
            self._at = match.end()
            return
        self._at += 3
        if delimiter == "'''":
            end = self._text.find(delimiter, self._at)
            if end < 0:
                raise _NotToml
            self._at = end + 3
        else:
            closing = next(
                (each for each in _END_OF_BASIC.finditer(self._text, self._at) if each[0] == delimiter), None
            )
            if closing is None:
                raise _NotToml
            self._at = closing.end()
        # Up to two more quotation marks belong to the text itself (TOML 1.0, multi-line strings).
        while self._text.startswith(delimiter[0], self._at):
            self._at += 1

    def _to_line_end(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end
