"""Read and write the XML of Windows' Export-DhcpServer: elements with their lines, leases as plain tuples.

Namespaces are ignored: the root is in one, its children in none. A document type is refused before anything
in it is read, so that there are no entities to expand; depth, size and the number of elements are bounded.
What an element means is not known here: ``dhcp.migrate_windows`` decides that.

Source: spec/dhcp.md section 4.4; XML 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

from holdfast.kernel.errors import Refusal

EXPORT_BYTES_MAX = 512 << 20
ELEMENT_COUNT_MAX = 4_000_000
DEPTH_MAX = 32
NAMESPACE = "http://schemas.microsoft.com/windows/DHCPServer"
_PIECE_BYTES = 1 << 20
_TEXT_CHARS_MAX = 1 << 20
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


@dataclass(slots=True)
class Element:
    """An element: its name without a namespace, its line, its text without space around it, its children."""

    name: str
    line: int = 0
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def child(self, name: str) -> Element | None:
        """The first child of a name."""
        return next((each for each in self.children if each.name == name), None)

    def all(self, name: str) -> list[Element]:
        """All children of a name."""
        return [each for each in self.children if each.name == name]

    def value(self, name: str) -> str:
        """The text of the first child of a name; empty without one."""
        found = self.child(name)
        return found.text if found is not None else ""

    def add(self, name: str, text: str = "") -> Element:
        """Add a child and return it."""
        child = Element(name, text=text)
        self.children.append(child)
        return child


class WindowsLease(NamedTuple):
    """One lease as it is written; a plain tuple because an export has many of them.

    Attributes:
        fields: text by element, for example ``IPAddress``.
        line: where it begins.
    """

    fields: dict[str, str]
    line: int


@dataclass(slots=True)
class Export:
    """A whole file: the root without its leases, and those."""

    root: Element
    leases: list[WindowsLease]


class _Reader:
    """Builds elements as expat calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.stack: list[Element] = []
        self.root: Element | None = None
        self.leases: list[WindowsLease] = []
        self.element_count = 0

    def wrong(self, what: str) -> Refusal:
        return Refusal(f"{self.name} line {self.parser.CurrentLineNumber}: {what}")

    def doctype(self, *_: object) -> None:
        raise self.wrong("it has a document type, which no export has; it is not read")

    def start(self, name: str, _: dict[str, str]) -> None:
        if len(self.stack) >= DEPTH_MAX:
            raise self.wrong(f"elements are nested deeper than {DEPTH_MAX}")
        element = Element(name.rpartition(":")[2], self.parser.CurrentLineNumber)
        if self.stack:
            # A lease's elements do not stay, so they do not count either.
            if self.stack[-1].name != "Lease":
                self.element_count += 1
            if self.element_count > ELEMENT_COUNT_MAX:
                raise self.wrong(f"there are more than {ELEMENT_COUNT_MAX} elements")
            self.stack[-1].children.append(element)
        else:
            self.root = element
        self.stack.append(element)

    def characters(self, text: str) -> None:
        element = self.stack[-1]
        if len(element.text) + len(text) > _TEXT_CHARS_MAX:
            raise self.wrong(f"{element.name} has more than {_TEXT_CHARS_MAX} characters")
        element.text += text

    def end(self, _: str) -> None:
        element = self.stack.pop()
        element.text = element.text.strip()
        if element.name == "Lease" and self.stack and self.stack[-1].name == "Leases":
            fields = {each.name: each.text for each in element.children}
            self.leases.append(WindowsLease(fields, element.line))
            self.stack[-1].children.pop()


def read_export(
    data: bytes,
    *,
    name: str = "export.xml",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Export:
    """Read a file in UTF-8 or UTF-16.

    Args:
        data: its bytes.
        name: what it is called, for refusals.
        progress: told the bytes that are done and all, now and then.

    Raises:
        Refusal: it is not the XML of Export-DhcpServer, or too large or too deep; with the line.
    """
    if len(data) > EXPORT_BYTES_MAX:
        raise Refusal(f"{name} has {len(data)} bytes, more than the {EXPORT_BYTES_MAX} that are read")
    data = _as_utf8(data, name)
    reader = _Reader(name)
    try:
        for start in range(0, len(data), _PIECE_BYTES):
            reader.parser.Parse(data[start : start + _PIECE_BYTES], False)
            progress(min(start + _PIECE_BYTES, len(data)), len(data))
        reader.parser.Parse(b"", True)
    except expat.ExpatError as error:
        what = expat.errors.messages.get(error.code, "not well-formed")
        raise Refusal(f"{name} line {error.lineno}: this is not XML: {what}; is the file complete?") from None
    root = reader.root
    assert root is not None, "expat calls an end without a root an error"
    if root.name != "DHCPServer":
        raise Refusal(
            f'{name} line {root.line}: the root is "{root.name[:60]}", not DHCPServer: this is not a file of '
            "Export-DhcpServer"
        )
    return Export(root, reader.leases)


def _as_utf8(data: bytes, name: str) -> bytes:
    """The text in UTF-8: the parser is told so, whatever the declaration says."""
    encoding = next((each for mark, each in _BOMS if data.startswith(mark)), "")
    if not encoding and data[:4] in (b"<\0?\0", b"<\0D\0"):
        encoding = "utf-16-le"
    if encoding in ("", "utf-8"):
        return data.removeprefix(_BOMS[0][0])
    try:
        return data.decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeError:
        raise Refusal(f"{name} begins as {encoding.upper()} and is not: is the file complete?") from None


def write_export(root: Element) -> Iterator[str]:
    """Write a file in pieces, as Windows writes it: UTF-8, two spaces a level, children in no namespace."""
    yield '\ufeff<?xml version="1.0" encoding="utf-8"?>\n'
    yield f'<{root.name} xmlns="{NAMESPACE}">\n'
    for child in root.children:
        yield from _element_lines(child, 1, ' xmlns=""')
    yield f"</{root.name}>\n"


def _element_lines(element: Element, depth: int, attributes: str = "") -> Iterator[str]:
    space = "  " * depth
    if element.children:
        yield f"{space}<{element.name}{attributes}>\n"
        for child in element.children:
            yield from _element_lines(child, depth + 1)
        yield f"{space}</{element.name}>\n"
    elif element.text:
        yield f"{space}<{element.name}{attributes}>{escape(_writable(element.text))}</{element.name}>\n"
    else:
        yield f"{space}<{element.name}{attributes} />\n"


def _writable(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write."""
    return "".join(each if each >= " " or each in "\t\n\r" else "\ufffd" for each in text)
