"""What two servers of ours tell each other beyond the protocol: the configuration that they share.

In messages of types that every other server ignores, over the connection that
they have. Each tells the digest of its own again and again, and where the two
differ a digest of every scope, so that what differs is seen and named on both
sides; and gives the whole of it to a partner that asks, in parts, each of which
is asked for: nothing waits in a buffer.

Making it takes seconds where there are a hundred thousand reservations, so it
is made in a thread, once per change.

Source: spec/dhcp.md section 7 (configuration is one object for both); draft-ietf-dhc-failover-12 section 6.1.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.dhcp.failover_events import CONFIGURATION_DIFFERS, CONFIGURATION_SAME
from holdfast.directory.drift import Item, ItemKind, differences, items_of
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.directory.replicate import digest_of, told_part, write_part
from holdfast.drivers.failover_summary import SummaryReader, write_summary
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.events import LogEvent, happened

# Types of messages; from 128 on unknown ones are passed over. 200 was a digest of less.
FETCH, PART, DIGEST, SUMMARY = 201, 202, 203, 204  # 205 is ``dhcp.failover_reserved``
PART_BYTES_MAX = 1800  # a message has 2048 with its header and digest
TEXT_BYTES_MAX = 32 << 20
PART_COUNT_MAX = 1 + TEXT_BYTES_MAX // PART_BYTES_MAX
ANSWER_S = 10.0
DIGEST_BYTES = 32
SAME, DIFFERENT, NOT_KNOWN = "the same", "different", ""
SAID_COUNT_MAX = 5  # differences in the log at once

Say = Callable[[str, int, bytes], bool]


@dataclass(slots=True)
class _Own:
    """What we share in one relationship, made of one organisation."""

    organisation: Organisation
    digest: bytes
    data: bytes
    items: list[Item]


class Replica:
    """For all relationships of one role."""

    def __init__(self, say: Say, log: Callable[[LogEvent], None], *, answer_s: float = ANSWER_S) -> None:
        """Know nothing yet.

        Args:
            say: tells a partner something: relationship, type, data; False when it is not there or not ours.
            log: where differences are said.
            answer_s: how long a partner may take to answer.
        """
        self._say = say
        self._log = log
        # Hears the addresses that a partner shares in a relationship; set by the runner.
        self.shares: Callable[[str, list[tuple[int, int]]], None] = lambda relationship, spans: None
        self._server = ""
        self._partner_items: dict[str, list[Item]] = {}
        self._readers: dict[str, SummaryReader] = {}
        self._said: dict[str, list[str]] = {}
        self._answer_s = answer_s
        self._organisation = Organisation()
        self._own: dict[str, _Own] = {}
        self._partner_digests: dict[str, bytes] = {}
        self._making: dict[str, asyncio.Task[None]] = {}
        self._fetching: dict[str, asyncio.Queue[tuple[int, bool, bytes]]] = {}

    def follow(self, organisation: Organisation, server: str) -> None:
        """Share what this organisation says from now on; ``server`` is ours."""
        self._organisation = organisation
        self._server = server
        known = {each.name for each in organisation.failover_relationships}
        for name in [each for each in self._partner_digests if each not in known]:
            del self._partner_digests[name]
        self._own = {name: own for name, own in self._own.items() if name in known}

    def tell(self, relationships: list[str]) -> None:
        """Tell partners the digest of what we share; made first where it is not of this organisation."""
        for name in relationships:
            own = self._own.get(name)
            if own is not None and own.organisation is self._organisation:
                self._tell(name, own)
            else:
                self._make(name)

    def _tell(self, name: str, own: _Own) -> None:
        self._say(name, DIGEST, own.digest)
        if self._partner_digests.get(name, own.digest) != own.digest:
            for message in write_summary(own.items):
                self._say(name, SUMMARY, message)
        self._say_differences(name)

    def forget(self, relationship: str) -> None:
        """The partner is gone: what it shares may change meanwhile."""
        self._partner_digests.pop(relationship, None)
        self._partner_items.pop(relationship, None)

    def differences(self, relationship: str) -> list[str]:
        """In what the partner differs, in words; empty where that is nothing, or is not known yet."""
        own, theirs = self._own.get(relationship), self._partner_items.get(relationship)
        if own is None or theirs is None or self.compared(relationship) != DIFFERENT:
            return []
        return differences(own.items, theirs)

    def _say_differences(self, relationship: str) -> None:
        """Log what differs, each time that it is something else."""
        state, found = self.compared(relationship), self.differences(relationship)
        if state == NOT_KNOWN or (state == DIFFERENT and not found):
            return
        if found == self._said.get(relationship, []):
            return
        self._said[relationship] = found
        for each in found[:SAID_COUNT_MAX]:
            self._log(happened(CONFIGURATION_DIFFERS, relationship=relationship, difference=each))
        if len(found) > SAID_COUNT_MAX:
            more = f"{len(found) - SAID_COUNT_MAX} more scopes differ"
            self._log(happened(CONFIGURATION_DIFFERS, relationship=relationship, difference=more))
        if not found:
            self._log(happened(CONFIGURATION_SAME, relationship=relationship))

    def compared(self, relationship: str) -> str:
        """Whether the partner shares the same; empty while that is not known."""
        own, theirs = self._own.get(relationship), self._partner_digests.get(relationship)
        if own is None or theirs is None or own.organisation is not self._organisation:
            return NOT_KNOWN
        return SAME if own.digest == theirs else DIFFERENT

    def _make(self, name: str) -> asyncio.Task[None]:
        task = self._making.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._made(name))
            self._making[name] = task
        return task

    async def _made(self, name: str) -> None:
        try:
            organisation = self._organisation
            relationship = _relationship(organisation, name)
            if relationship is not None:
                self._own[name] = await asyncio.to_thread(_own_of, organisation, relationship, self._server)
        finally:
            del self._making[name]
        if relationship is not None:
            self._tell(name, self._own[name])

    # What a partner says

    def heard(self, relationship: str, kind: int, data: bytes) -> None:
        """A message of a partner of ours; what makes no sense is passed over."""
        if kind == DIGEST and len(data) == DIGEST_BYTES:
            self._partner_digests[relationship] = data
        elif kind == SUMMARY:
            self._summary(relationship, data)
        elif kind == FETCH and len(data) == 4:
            self._give(relationship, int.from_bytes(data, "big"))
        elif kind == PART and len(data) >= 5 and relationship in self._fetching:
            number, is_last = struct.unpack_from(">IB", data)
            queue = self._fetching[relationship]
            if queue.empty():  # a part that was not asked for
                queue.put_nowait((number, bool(is_last), data[5:]))

    def _summary(self, relationship: str, data: bytes) -> None:
        items = self._readers.setdefault(relationship, SummaryReader()).feed(data)
        if items is None:
            return
        self._partner_items[relationship] = items
        self._say_differences(relationship)
        self.shares(relationship, [(each.first, each.last) for each in items if each.kind is ItemKind.SCOPE])

    def _give(self, relationship: str, number: int) -> None:
        own = self._own.get(relationship)
        if own is None or (number == 0 and own.organisation is not self._organisation):
            # The first part begins a whole one; it is asked for again when this one is made.
            self._make(relationship).add_done_callback(lambda _: self._give_part(relationship, number))
        else:
            self._give_part(relationship, number)

    def _give_part(self, relationship: str, number: int) -> None:
        own = self._own.get(relationship)
        if own is None:
            return
        begin = number * PART_BYTES_MAX
        part = own.data[begin : begin + PART_BYTES_MAX]
        is_last = begin + PART_BYTES_MAX >= len(own.data)
        self._say(relationship, PART, struct.pack(">IB", number, is_last) + part)

    async def fetch(self, relationship: str) -> str:
        """Ask a partner for what it shares; as ``replicate.write_part`` writes it.

        Raises:
            Refusal: somebody else is asking for it now.
            Unavailable: the partner is not connected, is none of ours, or does not answer.
        """
        if relationship in self._fetching:
            raise Refusal("the partner is being asked by somebody else now; try again in a moment")
        queue: asyncio.Queue[tuple[int, bool, bytes]] = asyncio.Queue()
        self._fetching[relationship] = queue
        try:
            data, is_last, number = bytearray(), False, 0
            while not is_last:
                if number > PART_COUNT_MAX:
                    raise Refusal("the partner tells more than can be: it runs another version")
                if not self._say(relationship, FETCH, number.to_bytes(4, "big")):
                    raise Unavailable(
                        "the partner is not connected, or is no server of ours; see: holdfast dhcp failover "
                        f"show {relationship}"
                    )
                is_last, part = await self._part(queue, number)
                data += part
                number += 1
        finally:
            del self._fetching[relationship]
        return _unpacked(bytes(data))

    async def _part(self, queue: asyncio.Queue[tuple[int, bool, bytes]], number: int) -> tuple[bool, bytes]:
        try:
            async with asyncio.timeout(self._answer_s):
                while True:
                    found, is_last, part = await queue.get()
                    if found == number:
                        return is_last, part
        except TimeoutError:
            raise Unavailable(f"the partner did not answer within {self._answer_s:g} s") from None

    def close(self) -> None:
        """Make nothing more."""
        for task in self._making.values():
            task.cancel()


def _relationship(organisation: Organisation, name: str) -> FailoverRelationship | None:
    return next((each for each in organisation.failover_relationships if each.name == name), None)


def _own_of(organisation: Organisation, relationship: FailoverRelationship, server: str) -> _Own:
    part = told_part(organisation, relationship, server)
    data = zlib.compress(write_part(part).encode(), 6)
    return _Own(organisation, digest_of(part), data, items_of(organisation, relationship, server))


def _unpacked(data: bytes) -> str:
    try:
        opener = zlib.decompressobj()
        text = opener.decompress(data, TEXT_BYTES_MAX)
        if not opener.eof:
            raise Refusal(
                f"the partner's configuration is cut off or has more than {TEXT_BYTES_MAX >> 20} MB"
            )
        return text.decode()
    except (zlib.error, UnicodeDecodeError):
        raise Refusal("what the partner told is damaged; try again") from None
