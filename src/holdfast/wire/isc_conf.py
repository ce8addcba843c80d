"""Read ISC dhcpd's configuration language: words, strings and blocks, each with its line.

What a statement means is not known here: ``dhcp.migrate_isc`` decides that. Any bytes are read or refused
with the line; depth, size and the number of words are bounded.

Source: dhcpd.conf(5) and dhcp-eval(5) of ISC dhcpd 4.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal

CONFIGURATION_BYTES_MAX = 64 << 20
DEPTH_MAX = 32
STATEMENT_WORDS_MAX = 20_000

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+|\n|\#[^\n]*)
      | "(?P<string>(?:[^"\\\n]|\\[^\n])*)"
      | (?P<mark>[{};,()=])
      | (?P<word>[^\s{};,()="\#]+)""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|[^\n])")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b"}
_PLAIN = re.compile(rb"[A-Za-z0-9 !#-\[\]-~]*")


@dataclass(frozen=True, slots=True)
class Word:
    """A word, a string or a mark (``=``, ``,``, a bracket).

    Attributes:
        data: its bytes; of a string without quotes and with escapes undone.
        line: where it stands, from 1.
        quoted: whether it is a string.
    """

    data: bytes
    line: int
    quoted: bool = False

    @property
    def text(self) -> str:
        """As text; bytes that are no UTF-8 show as replacement characters."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Statement:
    """Words up to a semicolon, or words and a block.

    Attributes:
        words: at least one, except for a block without a head.
        line: where it begins.
        block: what stands between its braces; None when it ends with a semicolon.
        file: the name of the file that it stands in.
    """

    words: tuple[Word, ...]
    line: int
    block: tuple[Statement, ...] | None = None
    file: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.file} line {self.line}"

    @property
    def text(self) -> str:
        """Its head as it might be written, for people."""
        return " ".join(quote(each.data) if each.quoted else each.text for each in self.words)

    @property
    def head(self) -> str:
        """Its first word in lower case; empty where it has none."""
        return self.words[0].text.lower() if self.words else ""

    def word(self, index: int) -> str:
        """One word in lower case; empty beyond the end."""
        return self.words[index].text.lower() if index < len(self.words) else ""


def quote(data: bytes) -> str:
    """Write bytes as a string: what is not printable ASCII in octal, as dhcpd does."""
    if _PLAIN.fullmatch(data):
        return f'"{data.decode()}"'
    parts = []
    for byte in data:
        char = chr(byte)
        if char in '"\\':
            parts.append("\\" + char)
        else:
            parts.append(char if 32 <= byte < 127 else f"\\{byte:03o}")
    return f'"{"".join(parts)}"'


def unquote(text: str) -> bytes:
    """Undo the escapes of a string whose characters stand for bytes (Latin-1)."""
    if "\\" not in text:
        return text.encode("latin-1")
    return _ESCAPE.sub(_unescaped, text).encode("latin-1")


def _unescaped(match: re.Match[str]) -> str:
    escape = match[1]
    if escape[0] == "x" and len(escape) > 1:
        return chr(int(escape[1:], 16))
    if escape[0] in "01234567":
        return chr(int(escape, 8) & 0xFF)
    return _LETTERS.get(escape, escape)


def read_configuration(
    data: bytes, *, name: str = "dhcpd.conf", first_line: int = 1
) -> tuple[Statement, ...]:
    """Read a file.

    Args:
        data: its bytes.
        name: what it is called, for refusals.
        first_line: the number of its first line, when it is a part of a larger file.

    Raises:
        Refusal: it is not in this language, or is too large or too deep; with the line.
    """
    if len(data) > CONFIGURATION_BYTES_MAX:
        raise Refusal(f"{name} has {len(data)} bytes, more than the {CONFIGURATION_BYTES_MAX} that are read")
    text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    stack: list[tuple[tuple[Word, ...], int, list[Statement]]] = [((), 1, [])]
    words: list[Word] = []
    in_record = False
    for word in _words(text, name, first_line):
        mark = b"" if word.quoted else word.data
        if mark == b"{" and words and not words[-1].quoted and words[-1].data in (b"=", b"of"):
            in_record = True
        if in_record and mark != b";":
            # The fields of an option's definition stand in braces, which are words here.
            words.append(word)
            in_record = mark != b"}"
        elif mark == b"{":
            if len(stack) > DEPTH_MAX:
                raise Refusal(f"{name} line {word.line}: blocks are nested deeper than {DEPTH_MAX}")
            stack.append((tuple(words), words[0].line if words else word.line, []))
            words = []
        elif mark == b"}":
            if words:
                raise Refusal(
                    f'{name} line {words[-1].line}: "{_shown(words)}" ends without a semicolon; add one'
                )
            if len(stack) == 1:
                raise Refusal(f"{name} line {word.line}: this brace closes a block that was not opened")
            head, line, block = stack.pop()
            stack[-1][2].append(Statement(head, line, tuple(block), name))
        elif mark == b";":
            if words:  # a semicolon alone says nothing
                stack[-1][2].append(Statement(tuple(words), words[0].line, None, name))
                words = []
        else:
            words.append(word)
            if len(words) > STATEMENT_WORDS_MAX:
                raise Refusal(
                    f"{name} line {words[0].line}: a statement has more than {STATEMENT_WORDS_MAX} words"
                )
    if words:
        raise Refusal(f'{name} line {words[0].line}: "{_shown(words)}" ends without a semicolon; add one')
    if len(stack) > 1:
        head, line, _ = stack[-1]
        raise Refusal(
            f'{name} line {line}: the block of "{_shown(head)}" is not closed; is the file complete?'
        )
    return tuple(stack[0][2])


def _words(text: str, name: str, first_line: int) -> Iterator[Word]:
    line = first_line
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Refusal(f"{name} line {line}: a string is not closed on its line; add the quotation mark")
        position = match.end()
        kind = match.lastgroup
        if kind == "space":
            line += match[0] == "\n"
        elif kind == "string":
            yield Word(unquote(match["string"]), line, quoted=True)
        else:
            yield Word(match[0].encode("latin-1"), line)


def _shown(words: Iterable[Word]) -> str:
    text = " ".join(each.text for each in words)
    cut = text if len(text) <= 60 else text[:59] + "…"
    return "".join(each if each.isprintable() else "�" for each in cut)


def write_statement(head: str, block: Iterable[str] | None = None) -> str:
    """Write a statement, or a block whose lines are given, with a newline at its end."""
    if block is None:
        return f"{head};\n"
    inner = "".join(f"  {line}\n" for part in block for line in part.splitlines())
    return f"{head} {{\n{inner}}}\n"
