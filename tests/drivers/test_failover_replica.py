"""Partners know whether they share the same, and one gets all that the other shares, or is told why not."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from tests.directory.dhcp_organisation import BASE, MAC, reserve

from holdfast.directory.model import FailoverRelationship, Organisation
from holdfast.directory.replicate import told_part, write_part
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
from holdfast.kernel.events import LogEvent
from holdfast.kernel.iprange import parse_ip_range

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
        self.log: list[LogEvent] = []
        self.first = Replica(
            lambda name, kind, data: self._pass(self.second, name, kind, data), self.log.append
        )
        self.second = Replica(
            lambda name, kind, data: self._pass(self.first, name, kind, data), lambda event: None
        )
        self.first.follow(first, "dhcp1")
        self.second.follow(second, "dhcp2")

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
    """Both have told their digest, and what differs where it does, and the other has heard it."""
    for _ in range(2):
        for each in (two.first, two.second):
            each.tell(["pair"])
            await asyncio.gather(*each._making.values())
        await asyncio.sleep(0)


def test_what_differs_is_seen_on_both_sides_and_what_is_made_equal_as_well() -> None:
    async def scene(two: Two) -> None:
        assert two.first.compared("pair") == NOT_KNOWN
        await told(two)
        assert (two.first.compared("pair"), two.second.compared("pair")) == (DIFFERENT, DIFFERENT)
        assert two.first.differences("pair") == two.second.differences("pair")
        assert two.first.differences("pair") == ['scope "office" is not the same on both servers']
        two.second.follow(dataclasses.replace(FIRST), "dhcp2")
        assert two.second.compared("pair") == NOT_KNOWN
        await told(two)
        assert (two.first.compared("pair"), two.second.compared("pair")) == (SAME, SAME)
        assert two.first.differences("pair") == []
        said = [each.kind.event_id for each in two.log]
        assert said == ["DHC-0412", "DHC-0413"]
        assert 'scope "office" is not the same' in two.log[0].message()
        made = len(two.said)
        two.first.tell(["pair"])  # nothing is made anew
        assert (len(two.said), two.first._making) == (made + 1, {})
        two.first.forget("pair")
        assert two.first.compared("pair") == NOT_KNOWN

    play(FIRST, OTHER, scene)


def test_what_the_partner_shares_is_told_by_its_addresses() -> None:
    async def scene(two: Two) -> None:
        heard: list[list[tuple[int, int]]] = []
        two.first.shares = lambda name, spans: heard.append(spans)
        await told(two)
        (scope,) = FIRST.scopes
        assert heard[-1] == [(int(scope.subnet.first), int(scope.subnet.last))]
        found = two.first.differences("pair")
        assert found == ['scope "office" is shared by the partner, and not here']

    alone = dataclasses.replace(PAIR, scopes=())
    play(dataclasses.replace(FIRST, failover_relationships=(alone,)), FIRST, scene)


def test_many_differences_are_counted_in_the_log() -> None:
    scopes = [
        dataclasses.replace(
            BASE.scopes[0], name=f"scope {number}", subnet=parse_ip_range(f"10.0.{number}.0/24"), pool=None
        )
        for number in range(9)
    ]
    pair = dataclasses.replace(PAIR, scopes=tuple(each.name for each in scopes))
    many = dataclasses.replace(BASE, scopes=tuple(scopes), failover_relationships=(pair,))
    none = dataclasses.replace(many, failover_relationships=(dataclasses.replace(PAIR, scopes=()),))

    async def scene(two: Two) -> None:
        await told(two)
        texts = [each.message() for each in two.log]
        assert len(texts) == 6
        assert texts[-1].endswith("4 more scopes differ")

    play(many, none, scene)


def test_all_that_a_partner_shares_arrives_in_parts() -> None:
    async def scene(two: Two) -> None:
        text = await two.first.fetch("pair")
        assert text == write_part(told_part(MANY, PAIR, "dhcp2"))
        parts = [size for kind, size in two.said if kind == PART]
        assert len(parts) > 1
        assert [kind for kind, _ in two.said].count(FETCH) == len(parts)
        two.second.follow(OTHER, "dhcp2")
        assert await two.first.fetch("pair") == write_part(told_part(OTHER, PAIR, "dhcp2"))

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
