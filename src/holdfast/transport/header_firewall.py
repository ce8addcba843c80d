"""Take fields out of a header that a client may not hand on.

Our servers tell each other about a message in fields of their own. From anybody
else such a field would be believed too, so it is taken out, and so are the
fields that Exchange servers use for the same. Received and Resent-* fields go
when the client has no right to them.

Nearly no message has any of these fields: then nothing is done but two or three
searches (0.5 µs), and the message is not copied.

Source: exchange-behaviour RC-6.
"""

from __future__ import annotations

import re

from holdfast.transport.rights import Rights
from holdfast.wire.headers import HeaderBlock

# Names of fields that only servers of an organisation write, in lower case.
ORGANISATION_PREFIXES = (
    b"x-holdfast-organization-",
    b"x-ms-exchange-organization-",
    b"x-ms-exchange-forest-",
)

_NEEDLES = (b"\r\nx-holdfast-organization-", b"\r\nx-ms-exchange-")
# A field with its continuations; lines end in CRLF, so looking for LF is enough. Linear.
_REST_OF_FIELD = rb"[^\n]*+\n(?:[ \t][^\n]*+\n)*+"
_ORGANISATION_FIELD = re.compile(
    rb"(?im)^(?:" + b"|".join(map(re.escape, ORGANISATION_PREFIXES)) + rb")" + _REST_OF_FIELD
)
_ROUTING_FIELD = re.compile(rb"(?im)^(?:received[ \t]*+:|resent-)" + _REST_OF_FIELD)


def strip_forbidden(header: HeaderBlock, data: bytes, rights: Rights) -> tuple[HeaderBlock, bytes]:
    """Return header and message without the fields that a client may not hand on; the same when it has none.

    Args:
        header: of ``data``, and where that begins.
        data: the message.
        rights: of its client.
    """
    raw = header.raw
    if not rights.organisation_headers and any(map(header.holds, _NEEDLES)):
        raw = _ORGANISATION_FIELD.sub(b"", raw)
    if not rights.routing_headers and (header.received_count or header.holds(b"\r\nresent-")):
        raw = _ROUTING_FIELD.sub(b"", raw)
    if len(raw) == len(header.raw):
        return header, data
    body = data[len(header.raw) :]
    # Without any field left, an empty line must still come before the body.
    return HeaderBlock(raw), raw + (body if body or raw else b"\r\n")
