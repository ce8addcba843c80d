"""Write the structure of a message as IMAP's BODY and BODYSTRUCTURE.

Type, subtype and encoding are in upper case, parameter names in lower case and
in the order of the alphabet, and a text without charset is US-ASCII: what the
clients that James's scripts stand for expect.

Source: RFC 3501 sections 7.4.2 and 9 (body); RFC 2045 section 5.2.
"""

from __future__ import annotations

from holdfast.wire.envelope import envelope
from holdfast.wire.imap_format import imap_string
from holdfast.wire.mime import MimePart


def body_structure(raw: bytes, root: MimePart, extended: bool) -> bytes:
    """Return the structure in parentheses; ``extended`` for BODYSTRUCTURE, else BODY."""
    if root.children:
        return _multipart(raw, root, extended)
    main, subtype, parameters = root.content_type
    if main == b"text" and not any(name == b"charset" for name, _ in parameters):
        parameters = (*parameters, (b"charset", b"US-ASCII"))
    if (main, subtype) == (b"message", b"rfc822") and root.message is None:
        # The form of MESSAGE/RFC822 has an envelope in it; a message that is
        # encoded or lies too deep was not read, so it is named as what it is then.
        main, subtype = b"application", b"octet-stream"
    fields = [
        imap_string(main.upper()),
        imap_string(subtype.upper()),
        _parameters(parameters),
        imap_string(root.id),
        imap_string(root.description),
        imap_string(root.encoding.upper()),
        b"%d" % root.size,
    ]
    if root.message is not None:
        header = raw[root.message.header_start : root.message.header_end]
        fields += [envelope(header), body_structure(raw, root.message, extended), b"%d" % root.line_count]
    elif main == b"text":
        fields.append(b"%d" % root.line_count)
    if extended:
        fields += [imap_string(root.md5), *_extension(root)]
    return b"(%b)" % b" ".join(fields)


def _multipart(raw: bytes, part: MimePart, extended: bool) -> bytes:
    children = b"".join(body_structure(raw, child, extended) for child in part.children)
    subtype = imap_string(part.content_type[1].upper())
    if not extended:
        return b"(%b %b)" % (children, subtype)
    return b"(%b %b %b %b)" % (
        children,
        subtype,
        _parameters(part.content_type[2]),
        b" ".join(_extension(part)),
    )


def _extension(part: MimePart) -> list[bytes]:
    """Return disposition, language and location."""
    disposition = b"NIL"
    if part.disposition is not None:
        kind, parameters = part.disposition
        disposition = b"(%b %b)" % (imap_string(kind), _parameters(parameters))
    language = b"(%b)" % b" ".join(map(imap_string, part.language)) if part.language else b"NIL"
    return [disposition, language, imap_string(part.location)]


def _parameters(parameters: tuple[tuple[bytes, bytes], ...]) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(%b)" % b" ".join(
        b"%b %b" % (imap_string(name), imap_string(value)) for name, value in sorted(parameters)
    )
