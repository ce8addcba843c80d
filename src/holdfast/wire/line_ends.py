"""Judge the lines of a message without cutting it into lines.

A message of 50 KB is looked through several times on its way; these are the quickest that Python has for
it (docs/decisions/0013).

Source: RFC 5321 sections 2.3.8 and 4.5.2.
"""

from __future__ import annotations

import io

# Most of a large message is base64, which has no dot: one look at each is then quicker than to search for
# three bytes. Beyond so many it is not.
_DOTS_LOOKED_AT_MAX = 64


def only_crlf(data: bytes) -> bool:
    """Whether every CR and every LF is part of a CRLF."""
    # It is made for line ends of text files, and says which kinds it has seen. For 50 KB 15 µs, where
    # counting them took 57.
    kinds = io.IncrementalNewlineDecoder(None, translate=False)
    kinds.decode(data.decode("latin-1"), final=True)
    return kinds.newlines is None or kinds.newlines == "\r\n"


def find_dot_line(data: bytes, start: int = 0) -> int:
    """Where the first CRLF before a dot is, from ``start`` on; -1 when no other line begins with a dot."""
    at = data.find(b".", start + 2)
    for _ in range(_DOTS_LOOKED_AT_MAX):
        if at < 0:
            return -1
        if data[at - 1] == 0x0A and data[at - 2] == 0x0D:
            return at - 2
        at = data.find(b".", at + 1)
    return data.find(b"\r\n.", at - 2) if at >= 0 else -1


def dots_doubled(data: bytes) -> bytes:
    """Give each line that begins with a dot one more (RFC 5321 section 4.5.2); copies only what has one."""
    if data.startswith(b"."):
        data = b"." + data
    return data if find_dot_line(data) < 0 else data.replace(b"\r\n.", b"\r\n..")
