"""MIME structure of a stored message: parts, bodies, and what IMAP asks of them.

Everything is an offset into the raw message, which is never changed. Any bytes
are read as some message: a malformed part is a text/plain leaf. Depth and part
count are bounded.

Source: RFC 2045, RFC 2046 section 5.1; RFC 3501 section 6.4.5 for sections.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from holdfast.wire.mime_text import TEXT_BYTES_MAX, decode_body, decode_charset

DEPTH_MAX = 50  # of multiparts and messages in each other; a deeper one is a leaf
PART_COUNT_MAX = 1000  # of the whole message; the last part takes what is left
FALSE_BOUNDARY_COUNT_MAX = 20_000  # lines that begin like a boundary and are none; bounds the time
FIELD_BYTES_MAX = 64 << 10  # of a Content-… field; the rest of a longer one is not read
FIELD_NAME_BYTES_MAX = 80  # of a Content-… field
PARAMETER_COUNT_MAX = 200
HEADER_BYTES_READ = 1 << 20  # of a part's header; Content-… fields beyond are not looked for
SCAN_BYTES = 1 << 20  # looked through in one step; a few milliseconds

Made = TypeVar("Made")
ContentType = tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]

_HEADER_END = re.compile(rb"\n\r?\n")
_BLANK_LINE = re.compile(rb"\r?\n")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_TYPE = re.compile(
    rb"\s*([^\x00-\x20\x7f-\xff()<>@,;:\\\"/\[\]?=]+)[ \t]*/[ \t]*([^\x00-\x20\x7f-\xff()<>@,;:\\\"/\[\]?=]+)"
)
_VALUE_WORD = re.compile(rb"\s*([^\x00-\x20\x7f-\xff()<>@,;:\\\"\[\]?=]+)")
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;\s"]*))', re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT_OR_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?|\\.|\(', re.DOTALL)
_IN_COMMENT = re.compile(rb"\\.|[()]", re.DOTALL)
# RFC 2046 section 5.1.1 lets anything follow a boundary; without the white space "x-1" would end "x".
_REST_OF_BOUNDARY = re.compile(rb"(--)?(?:[ \t][^\n]*)?(?:\r?\n|\r?\Z)")

_DEFAULT_TYPE: ContentType = (b"text", b"plain", ())
_DIGEST_TYPE: ContentType = (b"message", b"rfc822", ())  # RFC 2046 section 5.1.5


@dataclass(frozen=True, slots=True)
class Section:
    """What BODY[…] names.

    Attributes:
        path: part numbers, empty for the message itself.
        kind: ``""``, ``HEADER``, ``HEADER.FIELDS``, ``HEADER.FIELDS.NOT``, ``TEXT`` or ``MIME``.
        fields: header field names for the two FIELDS kinds.
    """

    path: tuple[int, ...]
    kind: str
    fields: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class MimePart:
    """A part of a message, or the message itself; all positions are offsets into the raw message.

    Attributes:
        header_start, header_end: the header with the empty line that ends it.
        body_start, body_end: the body, without the line end before a boundary.
        content_type: type and subtype in lower case, and the parameters (names
            in lower case) in the order of the header.
        encoding: Content-Transfer-Encoding in lower case, ``7bit`` by default.
        disposition: in lower case, and its parameters.
        children: the parts of a multipart; a multipart without any is text/plain.
        message: what a message/rfc822 holds; None when it is encoded or too deep.
        line_count: line feeds in the body.
        size: bytes of the body.
    """

    header_start: int
    header_end: int
    body_start: int
    body_end: int
    content_type: ContentType
    encoding: bytes
    id: bytes | None
    description: bytes | None
    disposition: tuple[bytes, tuple[tuple[bytes, bytes], ...]] | None
    language: tuple[bytes, ...]
    location: bytes | None
    md5: bytes | None
    children: tuple[MimePart, ...]
    message: MimePart | None
    line_count: int
    size: int


def parse_message(raw: bytes, depth_max: int = DEPTH_MAX) -> MimePart:
    """Read the structure of a message; any bytes have one. What lies deeper than ``depth_max`` is a leaf.

    Time grows with the size of the message times the depth of its parts.
    """
    return finished(parse_steps(raw, depth_max))


def parse_steps(raw: bytes, depth_max: int = DEPTH_MAX) -> Generator[None, None, MimePart]:
    """Read the structure of a message in steps of bounded work, for who has other things to do too."""
    return _Reader(raw, depth_max).read_part(0, len(raw), _DEFAULT_TYPE, 0)


def finished(steps: Generator[None, None, Made]) -> Made:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: Made = end.value
            return made


def find_section(raw: bytes, root: MimePart, path: tuple[int, ...]) -> MimePart | None:
    """Return the part that part numbers name, the root for none, None when there is no such part.

    Source: RFC 3501 section 6.4.5: every message has a part 1, and the numbers
    behind a message/rfc822 part count the parts of the message in it.
    """
    part = root
    level = root.children or (root,)
    for number in path:
        if not 1 <= number <= len(level):
            return None
        part = level[number - 1]
        if part.message is not None:
            level = part.message.children or (part.message,)
        else:
            level = part.children
    return part


def section_bytes(raw: bytes, root: MimePart, section: Section) -> bytes | None:
    """Return the bytes that BODY[section] names, None when the message has no such section.

    Source: RFC 3501 section 6.4.5.
    """
    part = find_section(raw, root, section.path)
    if part is None:
        return None
    if section.path:
        if section.kind == "":
            return raw[part.body_start : part.body_end]
        if section.kind == "MIME":
            return raw[part.header_start : part.header_end]
        if part.message is None:
            return None
        part = part.message
    if section.kind == "":
        return raw[part.header_start : part.body_end]
    if section.kind == "TEXT":
        return raw[part.body_start : part.body_end]
    if section.kind == "HEADER":
        return raw[part.header_start : part.header_end]
    if section.kind == "MIME":
        return None
    return header_fields(
        raw[part.header_start : part.header_end], section.fields, wanted=section.kind == "HEADER.FIELDS"
    )


def decoded_text(raw: bytes, part: MimePart) -> str:
    """Return the body of a part as text, without transfer encoding and charset; never raises.

    A multipart has no text of its own: the empty string.
    """
    if part.children:
        return ""
    body = raw[part.body_start : min(part.body_end, part.body_start + TEXT_BYTES_MAX)]
    charset = next((value for name, value in part.content_type[2] if name == b"charset"), b"")
    return decode_body(body, part.encoding, charset)


def searchable_text(raw: bytes, root: MimePart) -> list[str]:
    """Return what SEARCH BODY looks at: the text parts, and the headers of messages in the message."""
    texts: list[str] = []
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if part.message is not None:
            header = raw[part.message.header_start : part.message.header_end]
            texts.append(decode_charset(header, b""))
            waiting.append(part.message)
        elif part.children:
            waiting.extend(reversed(part.children))
        elif part.content_type[0] in (b"text", b"message"):
            texts.append(decoded_text(raw, part))
    return texts


def header_fields(header: bytes, names: tuple[bytes, ...], *, wanted: bool) -> bytes:
    """Return the fields with one of the names (or those with another), byte for byte, and an empty line."""
    lowered = {name.lower() for name in names}
    pieces = [
        header[start:end]
        for start, end in field_spans(header)
        if (header[start:end].partition(b":")[0].rstrip(b" \t").lower() in lowered) == wanted
    ]
    if pieces and not pieces[-1].endswith(b"\n"):
        pieces.append(b"\r\n")
    pieces.append(b"\r\n")
    return b"".join(pieces)


def field_spans(header: bytes) -> list[tuple[int, int]]:
    """Return start and end of each header field, continuation lines and line end included."""
    spans: list[tuple[int, int]] = []
    start = 0
    size = len(header)
    while start < size:
        if _BLANK_LINE.match(header, start):
            break
        end = _field_end(header, start, size)
        spans.append((start, end))
        start = end
    return spans


def unfold(value: bytes) -> bytes:
    """Take the line ends out of a field's value and the white space off its ends (RFC 5322 section 2.2.3)."""
    if b"\n" in value:
        value = _FOLD.sub(b"", value)
    return value.strip(b" \t\r\n")


def _field_end(raw: bytes, start: int, limit: int) -> int:
    """Return the end of the field that begins at ``start``, its line end included."""
    position = start
    while True:
        position = raw.find(b"\n", position, limit) + 1
        if position == 0 or position >= limit:
            return limit
        if raw[position] not in b" \t":
            return position


class _Reader:
    """Reads one message; holds what bounds the work."""

    def __init__(self, raw: bytes, depth_max: int) -> None:
        self._raw = raw
        self._depth_max = depth_max
        self._parts_left = PART_COUNT_MAX
        self._false_boundaries_left = FALSE_BOUNDARY_COUNT_MAX

    def read_part(
        self, start: int, end: int, default_type: ContentType, depth: int
    ) -> Generator[None, None, MimePart]:
        raw = self._raw
        header_end = yield from self._header_end(start, end)
        content = self._content_fields(start, min(header_end, start + HEADER_BYTES_READ))
        content_type = default_type
        if b"type" in content:
            content_type = parse_content_type(content[b"type"])
        encoding = _first_word(content.get(b"transfer-encoding", b"")) or b"7bit"
        children: tuple[MimePart, ...] = ()
        message: MimePart | None = None
        if content_type[0] == b"multipart":
            if depth < self._depth_max:
                children = yield from self._read_children(header_end, end, content_type, depth)
            if not children:
                content_type = _DEFAULT_TYPE
        elif (
            content_type[:2] == (b"message", b"rfc822")
            and encoding not in (b"base64", b"quoted-printable")
            and depth < self._depth_max
            and self._parts_left > 0
        ):
            self._parts_left -= 1
            message = yield from self.read_part(header_end, end, _DEFAULT_TYPE, depth + 1)
        disposition = content.get(b"disposition")
        language = content.get(b"language")
        location = content.get(b"location")
        line_count = 0
        for position in range(header_end, end, SCAN_BYTES):
            line_count += raw.count(b"\n", position, min(position + SCAN_BYTES, end))
            yield
        return MimePart(
            header_start=start,
            header_end=header_end,
            body_start=header_end,
            body_end=end,
            content_type=content_type,
            encoding=encoding,
            id=content.get(b"id"),
            description=content.get(b"description"),
            disposition=None if disposition is None else _parse_disposition(disposition),
            language=() if language is None else _parse_language(language),
            location=None if location is None else _parse_location(location),
            md5=content.get(b"md5"),
            children=children,
            message=message,
            line_count=line_count,
            size=end - header_end,
        )

    def _header_end(self, start: int, end: int) -> Generator[None, None, int]:
        """Return the offset behind the first empty line; all is header when there is none."""
        match = _BLANK_LINE.match(self._raw, start, end)
        position = start
        while match is None:
            window_end = min(position + SCAN_BYTES, end)
            match = _HEADER_END.search(self._raw, position, window_end)
            if match is None and window_end == end:
                return end
            position = window_end - 2  # what was looked for has three bytes
            yield
        return match.end()

    def _content_fields(self, start: int, end: int) -> dict[bytes, bytes]:
        """Return the unfolded values of the Content-… fields by the rest of their names; the first counts."""
        fields: dict[bytes, bytes] = {}
        # One lower-cased copy and a search for all fields of the family: of a usual
        # header of 2 KB only a few lines are looked at (measured: 4 µs).
        lowered = b"\n" + self._raw[start:end].lower()
        found = lowered.find(b"\ncontent-")
        while found != -1:
            value_start = lowered.find(b":", found, found + FIELD_NAME_BYTES_MAX)
            name = b"\n" if value_start == -1 else lowered[found + 9 : value_start].rstrip(b" \t")
            if name not in fields and b"\n" not in name:
                field_start = start + found
                field_end = _field_end(self._raw, field_start, end)
                value = self._raw[start + value_start : min(field_end, field_start + FIELD_BYTES_MAX)]
                fields[name] = unfold(value)
            found = lowered.find(b"\ncontent-", found + 9)
        return {name: value for name, value in fields.items() if value}

    def _read_children(
        self, start: int, end: int, content_type: ContentType, depth: int
    ) -> Generator[None, None, tuple[MimePart, ...]]:
        boundary = next((value for name, value in content_type[2] if name == b"boundary"), b"")
        if not boundary:
            return ()
        default_type = _DIGEST_TYPE if content_type[1] == b"digest" else _DEFAULT_TYPE
        spans = yield from self._part_spans(start, end, b"--" + boundary)
        children: list[MimePart] = []
        for first, last in spans:
            child = yield from self.read_part(first, last, default_type, depth + 1)
            children.append(child)
        return tuple(children)

    def _part_spans(
        self, start: int, end: int, delimiter: bytes
    ) -> Generator[None, None, list[tuple[int, int]]]:
        """Return start and end of the parts between lines that are ``delimiter``."""
        raw = self._raw
        spans: list[tuple[int, int]] = []
        part_start = -1
        found = yield from self._next_line(delimiter, start, end)
        while found != -1:
            rest = _REST_OF_BOUNDARY.match(raw, found + len(delimiter), end)
            if rest is None:
                self._false_boundaries_left -= 1
                if self._false_boundaries_left <= 0:
                    break
            else:
                if part_start != -1:
                    spans.append((part_start, max(part_start, self._before_line_end(found))))
                    part_start = -1
                if rest[1] or self._parts_left <= 0:
                    break
                self._parts_left -= 1
                part_start = rest.end()
                if self._parts_left <= 0:
                    break
            found = yield from self._next_line(delimiter, found + len(delimiter), end)
        if part_start != -1:
            spans.append((part_start, end))
        return spans

    def _next_line(self, delimiter: bytes, start: int, end: int) -> Generator[None, None, int]:
        """Return where the next line that begins with ``delimiter`` is, or -1; it may be at ``start``."""
        line = b"\n" + delimiter
        position = max(start - 1, 0)
        while True:
            # Windows overlap, so that one that lies across two is found in the second.
            found = self._raw.find(line, position, min(position + SCAN_BYTES + len(line), end))
            if found != -1:
                return found + 1
            position += SCAN_BYTES
            if position >= end:
                return -1
            yield

    def _before_line_end(self, position: int) -> int:
        """Return the offset before the line end that lies before ``position``; it belongs to the boundary."""
        if self._raw[position - 1 : position] == b"\n":
            position -= 1
        if self._raw[position - 1 : position] == b"\r":
            position -= 1
        return position


def parse_content_type(value: bytes) -> ContentType:
    """Read the value of a Content-Type field; text/plain when it is malformed (RFC 2045 section 5.2)."""
    if b"(" in value:
        value = strip_comments(value)
    match = _TYPE.match(value)
    if match is None:
        return _DEFAULT_TYPE
    return match[1].lower(), match[2].lower(), _parse_parameters(value, match.end())


def strip_comments(value: bytes) -> bytes:
    """Take the comments out of a value (RFC 5322 section 3.2.2); an unclosed one reaches to the end."""
    pieces: list[bytes] = []
    depth = 0
    kept_from = 0
    position = 0
    while True:
        match = (_IN_COMMENT if depth else _COMMENT_OR_STRING).search(value, position)
        if match is None:
            break
        token = match[0]
        position = match.end()
        if token == b"(":
            if depth == 0:
                pieces.append(value[kept_from : match.start()])
            depth += 1
        elif token == b")":
            depth -= 1
            kept_from = position
    if depth == 0:
        pieces.append(value[kept_from:])
    return b"".join(pieces)


def _parse_parameters(value: bytes, position: int) -> tuple[tuple[bytes, bytes], ...]:
    """Read ``; name=value`` pairs, passing over malformed ones; the first of a name counts."""
    parameters: dict[bytes, bytes] = {}
    position = value.find(b";", position)
    while position != -1 and len(parameters) < PARAMETER_COUNT_MAX:
        match = _PARAMETER.match(value, position)
        if match is None:
            position = value.find(b";", position + 1)
            continue
        name = match[1].lower()
        if name not in parameters:
            quoted = match[2]
            if quoted is None:
                parameters[name] = match[3]
            else:
                parameters[name] = _QUOTED_PAIR.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        position = value.find(b";", match.end())
    return tuple(parameters.items())


def _first_word(value: bytes) -> bytes:
    if b"(" in value:
        value = strip_comments(value)
    match = _VALUE_WORD.match(value)
    return match[1].lower() if match else b""


def _parse_disposition(value: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]] | None:
    if b"(" in value:
        value = strip_comments(value)
    match = _VALUE_WORD.match(value)
    return (match[1].lower(), _parse_parameters(value, match.end())) if match else None


def _parse_language(value: bytes) -> tuple[bytes, ...]:
    """Read a list of language tags (RFC 3282)."""
    tags = [tag.strip() for tag in strip_comments(value).split(b",")]
    return tuple(tag for tag in tags if tag)[:PARAMETER_COUNT_MAX]


def _parse_location(value: bytes) -> bytes | None:
    """Read a Content-Location: white space and quotation marks are no part of it (RFC 2557 section 4.4)."""
    location = b"".join(strip_comments(value).split())
    if len(location) >= 2 and location[:1] == location[-1:] == b'"':
        location = location[1:-1]
    return location or None
