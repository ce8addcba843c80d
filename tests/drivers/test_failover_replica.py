"""Partners know whether they share the same, and one gets all that the other shares, or is told why not."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from tests.directory.dhcp_organisation import BASE, MAC, reserve

from holdfast.directory.model import FailoverRelationship, Organisation
from holdfast.directory.replicate import shared_part, write_part
from holdfast.drivers import failover_replica
from holdfast.drivers.failover_replica import (
    DIFFERENT,
    DIGEST,
    FETCH,
    NOT_KNOWN,
    PART,
    SAME,
    Replica,
)
from holdfast.kernel.errors import Refusal, Unavailable

PAIR = FailoverRelationship("pair", ("dhcp1", "dhcp2"), ("office",))
FIRST = dataclasses.replace(BASE, failover_relationships=(PAIR,))
MANY = dataclasses.replace(
    FIRST,
    reservations=tuple(
        reserve(f"192.0.2.{number}", f"02:00:00:00:00:{number:02x}", name=f"host-{number * number * 7919}")
        for number in range(1, 250)
    ),
)
OTHER = dataclasses.replace(FIRST, reservations=(reserve("192.0.2.5", MAC),))


class Two:
    """Two replicas that hear each other; ``lost`` messages do not arrive."""

    def __init__(self, first: Organisation, second: Organisation) -> None:
        self.connected = True
        self.lost: set[int] = set()
        self.said: list[tuple[int, int]] = []
        self.first = Replica(lambda name, kind, data: self._pass(self.second, name, kind, data))
        self.second = Replica(lambda name, kind, data: self._pass(self.first, name, kind, data))
        self.first.follow(first)
        self.second.follow(second)

    def _pass(self, to: Replica, name: str, kind: int, data: bytes) -> bool:
        assert len(data) <= failover_replica.PART_BYTES_MAX + 5
        if self.connected:
            self.said.append((kind, len(data)))
            if kind not in self.lost:
                asyncio.get_running_loop().call_soon(to.heard, name, kind, data)
        return self.connected


def play(first: Organisation, second: Organisation, scene: Callable[[Two], Awaitable[None]]) -> None:
    asyncio.run(scene(Two(first, second)))  # type: ignore[arg-type]  # a coroutine


async def told(two: Two) -> None:
    """Both have told their digest, and the other has heard it."""
    for each in (two.first, two.second):
        each.tell(["pair"])
        await asyncio.gather(*each._making.values())
    await asyncio.sleep(0)


def test_what_differs_is_seen_on_both_sides_and_what_is_made_equal_as_well() -> None:
    async def scene(two: Two) -> None:
        assert two.first.compared("pair") == NOT_KNOWN
        await told(two)
        assert (two.first.compared("pair"), two.second.compared("pair")) == (DIFFERENT, DIFFERENT)
        two.second.follow(dataclasses.replace(FIRST))
        assert two.second.compared("pair") == NOT_KNOWN
        await told(two)
        assert (two.first.compared("pair"), two.second.compared("pair")) == (SAME, SAME)
        made = len(two.said)
        two.first.tell(["pair"])  # nothing is made anew
        assert (len(two.said), two.first._making) == (made + 1, {})
        two.first.forget("pair")
        assert two.first.compared("pair") == NOT_KNOWN

    play(FIRST, OTHER, scene)


def test_all_that_a_partner_shares_arrives_in_parts() -> None:
    async def scene(two: Two) -> None:
        text = await two.first.fetch("pair")
        assert text == write_part(shared_part(MANY, PAIR))
        parts = [size for kind, size in two.said if kind == PART]
        assert len(parts) > 1
        assert [kind for kind, _ in two.said].count(FETCH) == len(parts)
        two.second.follow(OTHER)
        assert await two.first.fetch("pair") == write_part(shared_part(OTHER, PAIR))

    play(FIRST, MANY, scene)


def test_a_partner_that_is_not_there_or_is_silent_is_told() -> None:
    async def scene(two: Two) -> None:
        two.lost = {PART}
        two.first._answer_s = 0.05
        with pytest.raises(Unavailable, match=r"did not answer within 0\.05 s"):
            await two.first.fetch("pair")
        two.connected = False
        with pytest.raises(Unavailable, match="is not connected, or is no server of ours"):
            await two.first.fetch("pair")

    play(FIRST, MANY, scene)


def test_one_asks_at_a_time() -> None:
    async def scene(two: Two) -> None:
        asking = asyncio.create_task(two.first.fetch("pair"))
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="by somebody else now"):
            await two.first.fetch("pair")
        assert await asking

    play(FIRST, MANY, scene)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no compressed text", "is damaged"),
        (b"x\x9c\x03", "is cut off"),
    ],
)
def test_what_is_damaged_is_refused(data: bytes, said: str) -> None:
    async def scene(two: Two) -> None:
        asking = asyncio.create_task(two.first.fetch("pair"))
        await asyncio.sleep(0)
        two.connected = False
        two.first.heard("pair", PART, b"\x00\x00\x00\x00\x01" + data)
        with pytest.raises(Refusal, match=said):
            await asking

    play(FIRST, MANY, scene)


def test_what_makes_no_sense_is_passed_over() -> None:
    async def scene(two: Two) -> None:
        for kind, data in ((DIGEST, b"short"), (FETCH, b""), (PART, b"\x00" * 9), (255, b"x")):
            two.first.heard("pair", kind, data)
        two.first.heard("nobody", FETCH, bytes(4))
        await asyncio.gather(*two.first._making.values())
        assert two.first.compared("pair") == NOT_KNOWN
        assert two.said == []

    play(FIRST, MANY, scene)
