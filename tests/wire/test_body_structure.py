"""BODY and BODYSTRUCTURE."""

import os
import re
from pathlib import Path

import pytest

from holdfast.wire.body_structure import body_structure
from holdfast.wire.mime import parse_message

SCRIPTS = (
    Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance"))
    / "imap/james-mpt/core/src/main/resources/org/apache/james/imap/scripts"
)
NAMES = (
    "FetchMultipartBodyStructure",
    "FetchStructureComplex",
    "FetchStructureEmbedded",
    "FetchSingleMessage",
)

STRUCTURES = {
    b"\r\nx": (
        b'("TEXT" "PLAIN" ("charset" "US-ASCII") NIL NIL "7BIT" 1 0)',
        b'("TEXT" "PLAIN" ("charset" "US-ASCII") NIL NIL "7BIT" 1 0 NIL NIL NIL NIL)',
    ),
    b"Content-Type: image/png; Name=b; a=c\r\nContent-Disposition: inline\r\nContent-Language: de\r\n\r\n": (
        b'("IMAGE" "PNG" ("a" "c" "name" "b") NIL NIL "7BIT" 0)',
        b'("IMAGE" "PNG" ("a" "c" "name" "b") NIL NIL "7BIT" 0 NIL ("inline" NIL) ("de") NIL)',
    ),
    b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==": (
        b'("APPLICATION" "OCTET-STREAM" NIL NIL NIL "BASE64" 4)',
        b'("APPLICATION" "OCTET-STREAM" NIL NIL NIL "BASE64" 4 NIL NIL NIL NIL)',
    ),
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--": (
        b'(("TEXT" "PLAIN" ("charset" "US-ASCII") NIL NIL "7BIT" 1 0) "MIXED")',
        b'(("TEXT" "PLAIN" ("charset" "US-ASCII") NIL NIL "7BIT" 1 0 NIL NIL NIL NIL) "MIXED"'
        b' ("boundary" "x") NIL NIL NIL)',
    ),
    b"Content-Type: text/x; charset=utf-8; n=\xc3\xbc\r\n\r\n": (
        b'("TEXT" "X" ("charset" "utf-8" "n" {2}\r\n\xc3\xbc) NIL NIL "7BIT" 0 0)',
        b'("TEXT" "X" ("charset" "utf-8" "n" {2}\r\n\xc3\xbc) NIL NIL "7BIT" 0 0 NIL NIL NIL NIL)',
    ),
}


@pytest.mark.parametrize("raw", STRUCTURES)
def test_structures(raw: bytes) -> None:
    root = parse_message(raw)
    assert (body_structure(raw, root, False), body_structure(raw, root, True)) == STRUCTURES[raw]


def script_cases() -> list[tuple[str, bytes, bytes, bytes]]:
    """Message, expected BODY and expected BODYSTRUCTURE of James's scripts, in the order of their APPENDs."""
    cases: list[tuple[str, bytes, bytes, bytes]] = []
    for name in NAMES:
        path = SCRIPTS / f"{name}.test"
        if not path.exists():
            continue
        lines = path.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
        messages: list[bytes] = []
        for index, line in enumerate(lines):
            announced = re.match(rb"C: \S+ APPEND \S+ \{(\d+)\+\}", line)
            if announced:
                following = (each[3:] for each in lines[index + 1 :])
                messages.append(b"".join(each + b"\r\n" for each in following)[: int(announced[1])])
            found = re.match(rb"S: \\\* (\d+) FETCH \\\(BODY (.*) BODYSTRUCTURE (.*)\\\)$", line)
            if found and int(found[1]) <= len(messages):
                body, extended = (re.sub(rb"\\(.)", rb"\1", found[group]) for group in (2, 3))
                cases.append((f"{name} {int(found[1])}", messages[int(found[1]) - 1], body, extended))
    return cases


CASES = script_cases()


@pytest.mark.skipif(not CASES, reason="the shared conformance files are not here")
def test_structures_that_james_expects() -> None:
    assert len(CASES) >= 9
    for name, raw, body, extended in CASES:
        root = parse_message(raw)
        assert body_structure(raw, root, False) == body, name
        assert body_structure(raw, root, True) == extended, name
