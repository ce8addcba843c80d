"""A dhcp runner on loopback, and a partner by script that does what no partner should."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dhcp_service import free_udp_port
from drivers.test_failover_runners import ADDRESSES, Side, Told, declared, until, with_pair
from holdfast.drivers.sqlite_leases import read_leases
from holdfast.node.failover import UNSENT_BYTES_MAX, SendToPartner
from holdfast.wire.failover import VERSION, MessageReader, read_message, write_message
from holdfast.wire.failover_digest import HMAC_SHA256, Seal, for_connection
from holdfast.wire.failover_messages import (
    ILLEGAL_ADDRESS,
    Acknowledgement,
    Answer,
    Binding,
    Connect,
    ConnectAnswer,
    Contact,
    Content,
    Disconnect,
    Message,
    StateTold,
    Update,
    UpdateDone,
    UpdateRequest,
    UpdateRequestAll,
)

SECRET = "open sesame"
NORMAL, RECOVER, RECOVER_DONE = 2, 6, 9
CONTACT_S = 0.2
STRANGE = 0x0B000000  # in no scope


class Scripted:
    """The secondary, by script: it does its part until it is told not to."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.reads = self.speaks = True
        self.xid = 0
        self.refusals: list[Answer] = []
        self.farewell = ""
        self.is_over = False
        self._seal_in = self._seal_out = Seal(HMAC_SHA256, SECRET.encode())
        self._tasks: list[asyncio.Task[None]] = []

    def now(self) -> int:
        return int(time.time() + self.side.moved_s)

    async def connect(self, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            ADDRESSES[0], port, local_addr=(ADDRESSES[1], 0)
        )
        for work in (self._read(), self._live()):
            self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()

    def message(self, content: Content, xid: int | None = None) -> bytes:
        if xid is None:
            self.xid += 1
            xid = self.xid
        return write_message(Message(self.now(), xid, content), self._seal_out)

    def write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(CONTACT_S)
            if self.speaks and self.xid:
                self.write(self.message(Contact()))

    async def _read(self) -> None:
        reader = MessageReader()
        with contextlib.suppress(ConnectionError):
            while True:
                if not self.reads:
                    await asyncio.sleep(0.05)
                    continue
                data = await self._reader.read(4096)
                if not data:
                    break
                if not self.reads:
                    continue  # it hangs: what came meanwhile it never looks at
                for each in reader.feed(data):
                    self._heard(each)
        self.is_over = True

    def _heard(self, data: bytes) -> None:
        message = read_message(data, self._seal_in)
        match message.content:
            case Connect() as connect:
                seal = self._seal_out
                self._seal_in = for_connection(seal, data, from_primary=True)
                self._seal_out = for_connection(seal, data, from_primary=False)
                answer = ConnectAnswer(
                    connect.relationship, 10_000, 60, b"holdfast-1", VERSION, 0, vendor_options=b"\x00"
                )
                self.write(self.message(answer, message.xid))
                self.write(self.message(StateTold(RECOVER, 0, self.now())))
            case StateTold(state) if state in (RECOVER_DONE, NORMAL):
                self.write(self.message(StateTold(NORMAL, 0, self.now())))
            case StateTold(state) if state == RECOVER:
                self.write(self.message(StateTold(RECOVER_DONE, 0, self.now())))
            case UpdateRequest() | UpdateRequestAll():
                self.write(self.message(UpdateDone(), message.xid))
            case Update(bindings):
                answers = tuple(Answer(each.address) for each in bindings)
                self.write(self.message(Acknowledgement(answers), message.xid))
            case Acknowledgement(answers):
                self.refusals += [each for each in answers if each.reason]
            case Disconnect(_, text):
                self.farewell = text


def is_settled(side: Side) -> bool:
    """Whether the pair is NORMAL, and half of the pool is the partner's and known to be."""
    state = side.state
    if state.state != "NORMAL" or state.untold_count:
        return False
    return state.scopes[0].partner_free_count == state.scopes[0].wanted_count == 50


def play(
    home: Path, scene: Callable[[Side, Scripted], Awaitable[None]], *, receive_timeout_s: float = 60.0
) -> None:
    """One runner in NORMAL with a partner by script."""

    async def main() -> None:
        port = free_udp_port()
        told = with_pair(
            Told(declared((free_udp_port(), free_udp_port()), port), SECRET),
            receive_timeout_s=receive_timeout_s,
        )
        side = Side(home / "a", "ns1", told)
        side.start()
        partner = Scripted(side)
        try:
            await until(lambda: bool(side.runner._links.listens_at), side.log.getvalue)
            await partner.connect(port)
            await until(lambda: is_settled(side), lambda: f"{side.state} {side.log.getvalue()}")
            await scene(side, partner)
        finally:
            await partner.close()
            side.runner.close()

    asyncio.run(main())


async def some_lease(side: Side, first: int) -> str:
    """An address of one of the clients that are the runner's to answer, which it is at once."""
    for number in range(first, first + 30):
        if address := await side.lease(number):
            return address
    raise AssertionError(side.log.getvalue())


async def is_interrupted(side: Side, reason: str) -> None:
    def is_so() -> bool:
        return side.state.state == "COMMUNICATIONS-INTERRUPTED" and reason in side.log.getvalue()

    await until(is_so, lambda: f"{side.state} {side.log.getvalue()}")


async def speaks(side: Side) -> None:
    """The partner has said again that it lives."""
    link, now = side.runner.node.failover.endpoints["pair"].link, side.runner._clock.now()
    await until(lambda: link._heard_at > now, side.log.getvalue)


def test_a_partner_that_reads_nothing_more_is_given_up_and_clients_do_not_wait(tmp_path: Path) -> None:
    async def scene(side: Side, partner: Scripted) -> None:
        partner.reads = False
        await some_lease(side, 1)
        for _ in range(3):  # no step so long that the partner would seem silent
            side.moved_s += 16.0
            await speaks(side)
        side.moved_s += 16.0
        await is_interrupted(side, "updates were not answered for too long")
        await some_lease(side, 100)

    play(tmp_path, scene)


def test_what_a_partner_does_not_read_is_bounded(tmp_path: Path) -> None:
    async def scene(side: Side, partner: Scripted) -> None:
        partner.reads = False
        link = next(iter(side.runner._links._links.values()))
        assert link.number is not None
        for _ in range(64):
            side.runner._links.do(SendToPartner(link.number, bytes(UNSENT_BYTES_MAX // 2)))
        await is_interrupted(side, "the partner does not read")
        await some_lease(side, 1)

    play(tmp_path, scene)


def test_a_partner_that_falls_silent_is_noticed_by_the_receive_timer(tmp_path: Path) -> None:
    async def scene(side: Side, partner: Scripted) -> None:
        partner.speaks = False
        partner.reads = False
        await is_interrupted(side, "nothing was heard for 2 s")
        await some_lease(side, 1)

    play(tmp_path, scene, receive_timeout_s=2.0)


def test_a_flood_about_addresses_that_are_not_ours_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def scene(side: Side, partner: Scripted) -> None:
        before = read_leases(side.database)
        now = partner.now()
        for at in range(0, 4000, 20):
            bindings = tuple(
                Binding(STRANGE + at + more, 2, None, b"\x01strang", now + 600, now + 900, now, now)
                for more in range(20)
            )
            partner.write(partner.message(Update(bindings)))
        await some_lease(side, 1)
        await until(lambda: len(partner.refusals) == 4000, lambda: f"{len(partner.refusals)}")
        assert {each.reason for each in partner.refusals} == {ILLEGAL_ADDRESS}
        assert not [each for each in read_leases(side.database) if each.address >= STRANGE]
        assert len(read_leases(side.database)) <= len(before) + 1
        assert side.log.getvalue().count("is in no pool") < 10
        assert side.state.connected

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: data + data, "it was said before"),
        (lambda data: (len(data) - 3).to_bytes(2, "big") + data[2:-3], "goes beyond the message"),
        (lambda data: b"\x00\x05" + data[2:], "a message of 5 bytes"),
        (lambda data: data[:-1] + bytes((data[-1] ^ 1,)), "digest"),
    ],
    ids=["replayed", "cut short", "no length", "altered"],
)
def test_what_is_no_message_ends_the_connection_with_a_reason_on_both_sides(
    tmp_path: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    async def scene(side: Side, partner: Scripted) -> None:
        before = read_leases(side.database)
        partner.speaks = False
        partner.write(spoil(partner.message(StateTold(NORMAL, 0, partner.now()))))
        await is_interrupted(side, reason)
        await until(lambda: partner.is_over, side.log.getvalue)
        assert reason in partner.farewell
        assert read_leases(side.database) == before
        await some_lease(side, 1)

    play(tmp_path, scene)
