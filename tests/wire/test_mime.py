"""The structure of stored messages and the sections that IMAP names."""

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.wire import mime
from holdfast.wire.body_structure import body_structure
from holdfast.wire.mime import (
    MimePart,
    Section,
    decoded_text,
    field_spans,
    find_section,
    parse_content_type,
    parse_message,
    searchable_text,
    section_bytes,
    strip_comments,
)

CONFORMANCE = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance"))
MESSAGES = sorted((CONFORMANCE / "mime" / "mime4j-testmsgs").glob("*.msg"))
needs_conformance = pytest.mark.skipif(not MESSAGES, reason="the shared conformance files are not here")

NESTED = (
    b"Subject: all\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\npreamble\r\n"
    b"--A\r\nContent-Type: text/plain\r\n\r\none\r\n\r\n"
    b"--A\r\nContent-Type: message/rfc822\r\nContent-Description: fwd\r\n\r\n"
    b"Subject: inner\r\nTo: x\r\nContent-Type: multipart/alternative; boundary=B\r\n\r\n"
    b"--B\r\n\r\nplain\r\n--B  \r\nContent-Type: text/html\r\n\r\n<b>\r\n--B--\r\n"
    b"--A\r\nContent-Type: message/rfc822\r\n\r\nSubject: leaf\r\n\r\nbody\r\n"
    b"--A--\r\nepilogue\r\n"
)
SECTIONS = {
    Section((), "HEADER"): b"Subject: all\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n",
    Section((1,), ""): b"one\r\n",
    Section((1,), "MIME"): b"Content-Type: text/plain\r\n\r\n",
    Section((1,), "TEXT"): None,
    Section((1, 1), ""): None,
    Section((2,), "MIME"): b"Content-Type: message/rfc822\r\nContent-Description: fwd\r\n\r\n",
    Section((2,), "HEADER.FIELDS", (b"tO", b"cc")): b"To: x\r\n\r\n",
    Section((2,), "HEADER.FIELDS.NOT", (b"content-type",)): b"Subject: inner\r\nTo: x\r\n\r\n",
    Section((2, 1), ""): b"plain",
    Section((2, 1), "MIME"): b"\r\n",
    Section((2, 2), ""): b"<b>",
    Section((2, 3), ""): None,
    Section((3,), "HEADER"): b"Subject: leaf\r\n\r\n",
    Section((3,), "TEXT"): b"body",
    Section((3, 1), ""): b"body",
    Section((4,), ""): None,
    Section((0,), ""): None,
    Section((), "MIME"): None,
}


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_follow_the_part_numbers(section: Section) -> None:
    assert section_bytes(NESTED, parse_message(NESTED), section) == SECTIONS[section]


def test_the_whole_message_is_a_section() -> None:
    root = parse_message(NESTED)
    assert section_bytes(NESTED, root, Section((), "")) == NESTED
    assert section_bytes(NESTED, root, Section((), "TEXT")) == NESTED[root.body_start :]
    assert find_section(NESTED, root, ()) is root


def test_part_1_of_a_message_without_parts_is_its_body() -> None:
    raw = b"Subject: x\r\n\r\nbody\r\n"
    root = parse_message(raw)
    assert section_bytes(raw, root, Section((1,), "")) == b"body\r\n"
    assert section_bytes(raw, root, Section((1,), "MIME")) == b"Subject: x\r\n\r\n"
    assert section_bytes(raw, root, Section((2,), "")) is None


def test_a_message_that_is_a_message_has_that_as_part_1() -> None:
    raw = b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nbody"
    root = parse_message(raw)
    assert section_bytes(raw, root, Section((1,), "HEADER")) == b"Subject: y\r\n\r\n"
    assert section_bytes(raw, root, Section((1, 1), "")) == b"body"


def test_header_fields_end_in_an_empty_line_even_when_the_header_does_not() -> None:
    raw = b"A: 1\r\nB : 2\r\n\tmore"
    root = parse_message(raw)
    assert section_bytes(raw, root, Section((), "HEADER.FIELDS", (b"b",))) == b"B : 2\r\n\tmore\r\n\r\n"
    assert section_bytes(raw, root, Section((), "HEADER.FIELDS", (b"c",))) == b"\r\n"
    assert field_spans(b"\r\nx") == []


def test_the_fields_of_a_part_are_read() -> None:
    raw = (
        b'Content-Type: Text/HTML (really); Charset="a\\"b"; charset=other; bad; x=\r\n'
        b"Content-Transfer-Encoding: (not 8bit) BASE64\r\nContent-ID: <1>\r\n"
        b"Content-Description: hello\r\n\tyou\r\n"
        b"Content-Disposition: Attachment (yes); filename=a.txt;;\r\nContent-Language: en, (x) de,\r\n"
        b'Content-Location: "http://a\r\n  /b"\r\nContent-MD5: Q2g=\r\nContent-Empty:\r\n'
        b"Content-no colon\r\n\r\nYQ==\r\n"
    )
    part = parse_message(raw)
    assert part.content_type == (b"text", b"html", ((b"charset", b'a"b'), (b"x", b"")))
    assert (part.encoding, part.id, part.description) == (b"base64", b"<1>", b"hello\tyou")
    assert part.disposition == (b"attachment", ((b"filename", b"a.txt"),))
    assert part.language == (b"en", b"de")
    assert (part.location, part.md5) == (b"http://a/b", b"Q2g=")
    assert (part.line_count, part.size) == (1, 6)
    assert decoded_text(raw, part) == "a"


def test_malformed_fields_are_as_good_as_none() -> None:
    raw = b"Content-Type: nonsense\r\nContent-Disposition: =\r\nContent-Transfer-Encoding: ;\r\n"
    part = parse_message(raw + b'Content-Location: ""\r\n')
    assert part.content_type == (b"text", b"plain", ())
    assert (part.encoding, part.disposition, part.location) == (b"7bit", None, None)
    assert parse_message(raw + b"Content-Disposition: (x").disposition is None
    assert parse_message(b"Content-Disposition: (x)").disposition is None
    assert parse_message(b"Content-" + b"x" * 100 + b": y\r\n\r\n").encoding == b"7bit"


def test_a_multipart_without_parts_is_plain_text() -> None:
    for text in (b"multipart/mixed", b"multipart/mixed; boundary=x", b'multipart/mixed; boundary=""'):
        assert parse_message(b"Content-Type: " + text + b"\r\n\r\nhello").content_type[0] == b"text"


def test_parts_of_a_digest_are_messages() -> None:
    raw = b"Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: a\r\n\r\nb\r\n--x--"
    (child,) = parse_message(raw).children
    assert child.message is not None
    assert raw[child.message.body_start : child.message.body_end] == b"b"


def test_comments_nest_and_quotes_hold_parentheses() -> None:
    assert strip_comments(b'a (b (c) "\\)") "(d)" \\( e) (open') == b'a  "(d)" \\( e) '
    assert parse_content_type(b"text/(x)plain ; (;) a=b") == (b"text", b"plain", ((b"a", b"b"),))


def test_what_a_search_looks_at() -> None:
    texts = searchable_text(NESTED, parse_message(NESTED))
    assert texts[0].strip() == "one"
    assert any("Subject: inner" in text for text in texts)
    assert "plain" in texts
    assert not any("preamble" in text for text in texts)
    assert decoded_text(NESTED, parse_message(NESTED)) == ""


def test_depth_is_bounded() -> None:
    raw = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(200)
    )
    part = parse_message(raw)
    depth = 0
    while part.children:
        part = part.children[0]
        depth += 1
    assert depth == mime.DEPTH_MAX
    raw = b"Content-Type: message/rfc822\r\n\r\n" * 200
    message: MimePart | None = parse_message(raw)
    depth = 0
    while message is not None:
        message = message.message
        depth += 1
    assert depth == mime.DEPTH_MAX + 1
    assert b"OCTET-STREAM" in body_structure(raw, parse_message(raw), True)


def test_the_number_of_parts_is_bounded_and_the_last_takes_the_rest() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\na\r\n" * 3000 + b"--x--"
    root = parse_message(raw)
    assert len(root.children) == mime.PART_COUNT_MAX
    assert root.children[-1].body_end == len(raw)
    inner = b"Content-Type: multipart/mixed; boundary=y\r\n\r\n" + b"--y\r\n\r\nb\r\n" * 600 + b"--y--\r\n"
    raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + (b"--x\r\n" + inner) * 3 + b"--x--"
    assert sum(len(child.children) or 1 for child in parse_message(raw).children) <= mime.PART_COUNT_MAX


def test_lines_that_only_begin_like_a_boundary_are_bounded() -> None:
    false = b"--xy\r\n" * (mime.FALSE_BOUNDARY_COUNT_MAX + 10)
    raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n" + false + b"--x--\r\n"
    (child,) = parse_message(raw).children
    assert child.body_end == len(raw)


def _shape(part: MimePart) -> object:
    if part.children:
        return [_shape(child) for child in part.children]
    if part.message is not None:
        return ("message", _shape(part.message))
    return "leaf"


def _expected_shape(node: ElementTree.Element) -> object:
    for child in node:
        if child.tag == "multipart":
            parts = [_expected_shape(part) for part in child.findall("body-part")]
            return parts or "leaf"
        if child.tag == "message":
            return ("message", _expected_shape(child))
    return "leaf"


# mime4j decodes a message that is base64 and reads on in it; our positions are offsets
# into the stored bytes, so such a message is a leaf.
ENCODED_MESSAGES = {
    "base64encoded-rfc822message",
    "base64encoded-rfc822message-nested",
    "bad-newlines-multiple-parts-base64",
}


@needs_conformance
@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_mime4j_messages_have_the_structure_that_mime4j_finds(path: Path) -> None:
    raw = path.read_bytes()
    root = parse_message(raw)
    body_structure(raw, root, True)
    searchable_text(raw, root)
    expected = ElementTree.fromstring(path.with_suffix(".xml").read_bytes())
    assert _shape(root) == ("leaf" if path.stem in ENCODED_MESSAGES else _expected_shape(expected))


PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"--x",
        b"--x--",
        b"--",
        b"Content-Type: multipart/mixed; boundary=x\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-",
        b"a: (\r\n",
        b" ",
    ]
)


@settings(max_examples=200)
@given(st.lists(PIECES | st.binary(max_size=6), max_size=20).map(b"".join))
def test_any_bytes_are_some_message(raw: bytes) -> None:
    root = parse_message(raw)
    waiting = [root]
    while waiting:
        part = waiting.pop()
        assert 0 <= part.header_start <= part.header_end == part.body_start <= part.body_end <= len(raw)
        assert part.size == part.body_end - part.body_start
        waiting += part.children
        waiting += [part.message] if part.message else []
    assert body_structure(raw, root, True).startswith(b"(")
    for path in ((), (1,), (1, 1), (2, 1)):
        for kind in ("", "HEADER", "TEXT", "MIME", "HEADER.FIELDS"):
            section_bytes(raw, root, Section(path, kind, (b"a",)))
    searchable_text(raw, root)
