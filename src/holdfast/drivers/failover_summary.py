"""The bytes in which two servers of ours tell each other digests of what they share (``directory.drift``).

A summary is cut into messages, for one has at most 2048 bytes:

    version u8 (1) · number u16 · count u16 · entries
    entry: kind u8 · first u32 · last u32 · digest 8 bytes · length of the name u16 · name

A message of another version is passed over, and with it what it says.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from holdfast.directory.drift import ITEM_DIGEST_BYTES, Item, ItemKind

VERSION = 1
MESSAGE_BYTES_MAX = 1800
MESSAGE_COUNT_MAX = 4096
_HEAD = struct.Struct(">BHH")
_ENTRY = struct.Struct(f">BII{ITEM_DIGEST_BYTES}sH")


def write_summary(items: Iterable[Item]) -> list[bytes]:
    """The messages that tell of items; one at least."""
    bodies = [bytearray()]
    for each in items:
        name = each.name.encode()
        entry = _ENTRY.pack(each.kind, each.first, each.last, each.digest, len(name)) + name
        if bodies[-1] and len(bodies[-1]) + len(entry) > MESSAGE_BYTES_MAX - _HEAD.size:
            bodies.append(bytearray())
        bodies[-1] += entry
    count = len(bodies)
    return [_HEAD.pack(VERSION, number, count) + body for number, body in enumerate(bodies)]


class SummaryReader:
    """Puts the messages of one partner together again."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._next = 0

    def feed(self, data: bytes) -> list[Item] | None:
        """Take a message; the items once all have come. What makes no sense is passed over."""
        if len(data) < _HEAD.size:
            return None
        version, number, count = _HEAD.unpack_from(data)
        if version != VERSION or not number < count <= MESSAGE_COUNT_MAX:
            return None
        if number == 0:
            self._items, self._next = [], 0
        if number != self._next:
            return None  # one was lost with its connection; the next summary is whole
        try:
            self._items += _entries(data)
        except (struct.error, ValueError):
            self._next = -1
            return None
        self._next += 1
        return self._items if self._next == count else None


def _entries(data: bytes) -> list[Item]:
    found = []
    at = _HEAD.size
    while at < len(data):
        kind, first, last, digest, size = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        name = data[at : at + size]
        if len(name) != size:
            raise ValueError("a name is cut off")
        at += size
        found.append(Item(ItemKind(kind), name.decode(), first, last, digest))
    return found
