"""Make of a message with 8-bit bodies one that a server without 8BITMIME takes.

Only bodies are encoded, each part for itself: text as quoted-printable, all else as
base64; what was 7-bit before stays as it is, byte for byte. Fields of headers stay
too: those outside ASCII are SMTPUTF8's matter, and where a sender wrote them against
the rules no encoding would make them right. A message without MIME gets the fields
that say what it is (RFC 1428 where its charset cannot be told).

What must not be encoded is refused, not broken: signed parts (RFC 1847 section 2.1),
types that know no encoding (RFC 2046 section 5.2), a body that says it is base64 and
is not. Signatures over the whole message (DKIM) do not survive.

It is done in steps of bounded work, since whoever sends has other mail to send meanwhile.

Source: RFC 6152 section 3; RFC 2045 sections 6.7 and 6.8.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Generator

from holdfast.kernel.errors import Refusal
from holdfast.wire.mime import PART_COUNT_MAX, SCAN_BYTES, MimePart, finished, parse_steps

DEPTH_MAX = 8  # the message is looked through once per depth
HEADER_BYTES_MAX = 1 << 20  # of a part that is encoded
STEP_BYTES = 57 * 1024  # encoded in one step, some milliseconds; lines of base64 have 57 bytes
_LINE_CHARACTERS_MAX = 76  # RFC 2045 section 6.7
_BARE_ENCODINGS = (b"7bit", b"8bit", b"binary")
# RFC 2046 section 5.2; RFC 3464 section 2.1: these have no other encoding than none.
_NEVER_ENCODED = (b"rfc822", b"partial", b"external-body", b"delivery-status", b"disposition-notification")
_FIELD = rb"(?im)^%b[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n?"
_ENCODING_FIELD = re.compile(_FIELD % b"content-transfer-encoding")
_TYPE_FIELD = re.compile(_FIELD % b"content-type")
_VERSION_FIELD = re.compile(_FIELD % b"mime-version")
_MULTIPART = re.compile(rb"(?im)^content-type[ \t]*:\s*multipart/")
_BLANK_LINE_AT_END = re.compile(rb"(?:\A|(?<=\n))\r?\n\Z")
_ENCODED = [bytes((each,)) if each < 128 else b"=%02X" % each for each in range(256)]
_BLANKS = bytes(range(128)) + b"?" * 128

_Edit = tuple[int, int, list[bytes]]  # start, end and what takes their place
_Edits = Generator[None, None, list[_Edit]]


def to_seven_bit(message: bytes) -> bytes:
    """Encode all bodies that have bytes above 127.

    Args:
        message: with CRLF line ends alone.

    Returns:
        The same object when there is none.

    Raises:
        Refusal: 554 5.6.3 when it has a part that must not be changed, or parts too many or too deep.
    """
    return finished(seven_bit_steps(message))


def seven_bit_steps(message: bytes) -> Generator[None, None, bytes]:
    """Do as ``to_seven_bit`` in steps: none looks through more than a megabyte, or encodes ``STEP_BYTES``.

    Only the last one puts the pieces together, which is one copy of the message.
    """
    if message.isascii():
        return message
    root = yield from parse_steps(message, DEPTH_MAX)
    if _part_count(root) >= PART_COUNT_MAX:
        raise _impossible(f"it has {PART_COUNT_MAX} parts or more")
    edits = yield from _edits(message, root)
    if edits:
        edits += yield from _missing_fields(message, root)
    pieces: list[bytes] = []
    done = 0
    for start, end, texts in sorted(edits, key=lambda edit: edit[:2]):
        assert start >= done
        pieces += (message[done:start], *texts)
        done = end
    return b"".join([*pieces, message[done:]])


def _impossible(why: str) -> Refusal:
    return Refusal(
        f"message has 8-bit text, which the next hop does not offer to take, and cannot be converted: {why}",
        code=554,
        status="5.6.3",
    )


def _is_ascii(message: bytes, start: int, end: int) -> Generator[None, None, bool]:
    for position in range(start, end, SCAN_BYTES):
        if not message[position : min(position + SCAN_BYTES, end)].isascii():
            return False
        yield
    return True


def _edits(message: bytes, part: MimePart) -> _Edits:
    """What is to be changed in a part and in those within, if anything is."""
    if (yield from _is_ascii(message, part.body_start, part.body_end)):
        return []
    inner = part.children or ((part.message,) if part.message is not None else ())
    if not inner:
        found = yield from _leaf_edits(message, part)
        return found
    if part.content_type[:2] == (b"multipart", b"signed"):
        raise _impossible("a part of it is signed")
    if part.encoding not in _BARE_ENCODINGS:
        raise _impossible("a part that has parts says it is encoded")
    edits = [_said_to_be(message, part, b"7bit")] if part.encoding != b"7bit" else []
    # What is between the parts is for nobody (RFC 2046 section 5.1.1), but it has to go through.
    position = part.body_start
    for each in inner:
        edits += yield from _blanked(message, position, each.header_start)
        edits += yield from _edits(message, each)
        position = each.body_end
    edits += yield from _blanked(message, position, part.body_end)
    return edits


def _leaf_edits(message: bytes, part: MimePart) -> _Edits:
    kind, subtype = part.content_type[:2]
    if _MULTIPART.search(_header(message, part)):
        raise _impossible("its parts cannot be told from each other")
    if kind == b"message" and subtype in _NEVER_ENCODED:
        raise _impossible(f"a part of the type message/{subtype.decode('ascii', 'replace')} is never encoded")
    start, end = part.body_start, part.body_end
    pieces: list[bytes] = []
    if part.encoding == b"quoted-printable":
        # Its 8-bit characters should have been encoded; all else is.
        for position in range(start, end, STEP_BYTES):
            piece = message[position : min(position + STEP_BYTES, end)]
            pieces.append(piece if piece.isascii() else b"".join(map(_ENCODED.__getitem__, piece)))
            yield
        return [(start, end, pieces)]
    if part.encoding not in _BARE_ENCODINGS:
        raise _impossible(f"a part says it is encoded as {part.encoding.decode('ascii', 'replace')}")
    text = kind == b"text"
    while start < end:
        cut = min(start + STEP_BYTES, end)
        if text and cut < end:
            # At the end of a line, if there is any; never between CR and LF.
            cut = message.rfind(b"\n", start, cut) + 1 or cut - (message[cut - 1] == 0x0D)
        piece = message[start:cut]
        pieces.append(_quoted_printable(piece, goes_on=cut < end) if text else _base64(piece))
        start = cut
        yield
    said = _said_to_be(message, part, b"quoted-printable" if text else b"base64")
    return [said, (part.body_start, end, pieces)]


def _blanked(message: bytes, start: int, end: int) -> _Edits:
    if (yield from _is_ascii(message, start, end)):
        return []
    pieces: list[bytes] = []
    for position in range(start, end, SCAN_BYTES):
        pieces.append(message[position : min(position + SCAN_BYTES, end)].translate(_BLANKS))
        yield
    return [(start, end, pieces)]


def _quoted_printable(piece: bytes, *, goes_on: bool) -> bytes:
    # Without a first CRLF the encoder would not know how lines end.
    encoded = binascii.b2a_qp(b"\r\n" + piece, istext=True)[2:]
    if not goes_on or piece.endswith(b"\n"):
        return encoded
    # The line goes on in the next piece: a soft line break, for which there may be no room any more.
    if len(encoded) - encoded.rfind(b"\n") - 1 >= _LINE_CHARACTERS_MAX:
        last = 3 if encoded[-3:-2] == b"=" else 1
        encoded = encoded[:-last] + b"=\r\n" + encoded[-last:]
    return encoded + b"=\r\n"


def _base64(piece: bytes) -> bytes:
    return base64.encodebytes(piece).replace(b"\n", b"\r\n")


def _header(message: bytes, part: MimePart) -> bytes:
    if part.header_end - part.header_start > HEADER_BYTES_MAX:
        raise _impossible(f"a part has a header of more than {HEADER_BYTES_MAX >> 20} MB")
    return message[part.header_start : part.header_end]


def _end_of_fields(header: bytes) -> int:
    blank = _BLANK_LINE_AT_END.search(header, max(len(header) - 4, 0))
    return blank.start() if blank else len(header)


def _said_to_be(message: bytes, part: MimePart, encoding: bytes) -> _Edit:
    """Put the encoding into the header of a part, in place of what is there."""
    header = _header(message, part)
    field = b"Content-Transfer-Encoding: %b\r\n" % encoding
    found = _ENCODING_FIELD.search(header)  # the first counts, also when it is read
    start, end = found.span() if found else (_end_of_fields(header),) * 2
    return part.header_start + start, part.header_start + end, [field]


def _missing_fields(message: bytes, root: MimePart) -> _Edits:
    """What says that a message has encoded bodies, where it does not say so itself."""
    header = _header(message, root)
    added = b"" if _VERSION_FIELD.search(header) else b"MIME-Version: 1.0\r\n"
    if not _TYPE_FIELD.search(header):
        charset = yield from _charset(message, root.body_start)
        added += b"Content-Type: text/plain; charset=%b\r\n" % charset
    last = _end_of_fields(header)
    return [(last, last, [added])] if added else []


def _charset(message: bytes, start: int) -> Generator[None, None, bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for position in range(start, len(message), SCAN_BYTES):
            decoder.decode(message[position : position + SCAN_BYTES])
            yield
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return b"unknown-8bit"  # RFC 1428 section 3
    return b"utf-8"


def _part_count(part: MimePart) -> int:
    inner = part.children or ((part.message,) if part.message is not None else ())
    return 1 + sum(_part_count(each) for each in inner)
