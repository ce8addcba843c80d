"""The TCP connections between failover partners: listened for, dialled, written and closed as the node says.

Knows nothing of the protocol (``node.failover`` says who does what). Both
partners listen and both dial; each dials from its own address of the
relationship, because that is what the other knows it by. Bounded: connections
in number, what a partner does not read in bytes, each try to connect in time.

What partners say is handed over with the next datagrams, or after a hundredth of a
second: the node makes what it hears at once durable in one commit, and clients wait
while the disk writes. No client waits for a partner.

Source: draft-ietf-dhc-failover-12 section 8.2; spec/dhcp.md section 2.1.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, assert_never, cast

from holdfast.drivers.events import PORT_NOT_OPENED, PORT_OPENED_LATE
from holdfast.drivers.listeners import Binding, Listeners
from holdfast.kernel.events import LogEvent, happened
from holdfast.node.failover import UNSENT_BYTES_MAX, Dial, FailoverOutput, HangUp, SendToPartner

DIAL_TIMEOUT_S = 3.0
CONNECTION_COUNT_MAX = 256  # of strangers and partners together
GATHER_S = 0.01
GATHERED_BYTES_MAX = 1 << 17  # of one connection; more is handed over at once
LAST_WORDS_S = 5.0  # a connection that is hung up may still be written out for so long
ROLE = "dhcp failover"


class PartnerInputs(Protocol):
    """What is told to ``node.failover.Partners``."""

    def accepted(self, now: float, source: str) -> int | None: ...
    def connected(self, now: float, connection: int) -> None: ...
    def received(self, now: float, connection: int, data: bytes) -> None: ...
    def disconnected(self, now: float, connection: int, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where we are and where the partner is, in one relationship; our address is empty for every one."""

    own_address: str
    port: int
    partner: str


class FailoverLinks:
    """All connections with partners of one role."""

    def __init__(
        self,
        inputs: PartnerInputs,
        now: Callable[[], float],
        drain: Callable[[], None],
        log: Callable[[LogEvent], None],
    ) -> None:
        """Have none yet.

        Args:
            inputs: hears what happens.
            now: the node's clock.
            drain: does what the node wants done then.
            log: where events go.
        """
        self._inputs = inputs
        self._now = now
        self._drain = drain
        self._log = log
        self._listeners = Listeners(lambda _: _Link(self), self._not_opened, self._opened_late)
        self._own_addresses: dict[str, str] = {}
        self._links: dict[int, _Link] = {}
        self._open: set[_Link] = set()
        self._dials: dict[int, asyncio.Task[None]] = {}
        self._following: asyncio.Task[None] | None = None
        self._wanted: dict[Binding, None] = {}
        self._gathered: dict[int, bytearray] = {}
        self._gathering: asyncio.TimerHandle | None = None

    def follow(self, places: Iterable[Place]) -> asyncio.Task[None] | None:
        """Listen where the relationships are, and nowhere else; the task ends when each was tried once."""
        wanted: dict[Binding, None] = {}
        self._own_addresses = {}
        for place in places:
            wanted[Binding(place.own_address or "0.0.0.0", place.port, False)] = None
            self._own_addresses[place.partner] = place.own_address
        if wanted == self._wanted:
            return self._following
        self._wanted = wanted
        before = self._following

        async def follow() -> None:
            if before is not None:
                await before  # one after the other: the last that was wanted holds
            await self._listeners.follow(wanted)

        self._following = asyncio.get_running_loop().create_task(follow())
        return self._following

    @property
    def listens_at(self) -> list[str]:
        """Where partners reach us, for people."""
        return sorted(map(str, self._listeners.open_bindings))

    def do(self, output: FailoverOutput) -> None:
        """Do what the node wants."""
        match output:
            case Dial():
                self._dials[output.connection] = asyncio.get_running_loop().create_task(self._dial(output))
            case SendToPartner():
                link = self._links.get(output.connection)
                if link is not None:
                    link.send(output.data)
            case HangUp():
                self._hang_up(output.connection)
            case _:
                assert_never(output)

    async def _dial(self, dial: Dial) -> None:
        link = _Link(self, dial.connection)
        own = self._own_addresses.get(dial.address, "")
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: link, dial.address, dial.port, local_addr=(own, 0) if own else None
                )
        except TimeoutError:
            reason = f"no answer within {DIAL_TIMEOUT_S:g} s"
        except OSError as error:
            reason = _reason(error)
        else:
            return
        finally:
            self._dials.pop(dial.connection, None)
        self._inputs.disconnected(self._now(), dial.connection, reason)
        self._drain()

    def _hang_up(self, connection: int) -> None:
        dial = self._dials.pop(connection, None)
        if dial is not None and connection not in self._links:
            dial.cancel()
        self._gathered.pop(connection, None)
        link = self._links.pop(connection, None)
        if link is not None:
            link.hang_up()

    # What connections report

    def opened(self, link: _Link, source: str) -> None:
        """A connection is there: one of ours when it has a number, else somebody's."""
        if len(self._open) >= CONNECTION_COUNT_MAX:
            link.abort()
            return
        self._open.add(link)
        if link.number is None:
            link.number = self._inputs.accepted(self._now(), source)
            if link.number is None:
                link.abort()
            else:
                self._links[link.number] = link
        else:
            self._links[link.number] = link
            self._inputs.connected(self._now(), link.number)
        self._drain()

    def heard(self, link: _Link, data: bytes) -> None:
        """Bytes came."""
        if link.number not in self._links:
            return
        assert link.number is not None
        gathered = self._gathered.setdefault(link.number, bytearray())
        gathered += data
        if len(gathered) > GATHERED_BYTES_MAX:
            self.hand_over()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHER_S, self.hand_over)

    @property
    def gathered_bytes(self) -> int:
        """How much came that the node was not told yet."""
        return sum(map(len, self._gathered.values()))

    def hand_over(self) -> None:
        """Tell the node what came."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        gathered, self._gathered = self._gathered, {}
        for number, data in gathered.items():
            if number in self._links:  # it may be hung up for what another one said
                self._inputs.received(self._now(), number, bytes(data))
                self._drain()

    def ended(self, link: _Link, reason: str) -> None:
        """A connection is gone; told once, and not when we hung up."""
        self._open.discard(link)
        if self._gathered:
            self.hand_over()
        if link.number is not None and self._links.get(link.number) is link:
            del self._links[link.number]
            self._inputs.disconnected(self._now(), link.number, reason)
            self._drain()

    def _not_opened(self, binding: Binding, reason: str) -> None:
        self._log(happened(PORT_NOT_OPENED, role=ROLE, host=binding.host, port=binding.port, reason=reason))

    def _opened_late(self, binding: Binding) -> None:
        self._log(happened(PORT_OPENED_LATE, role=ROLE, host=binding.host, port=binding.port))

    def close(self) -> None:
        """Listen no more, and hang up; what was written still leaves."""
        if self._following is not None:
            self._following.cancel()
        self._listeners.close()
        for task in self._dials.values():
            task.cancel()
        self._dials = {}
        if self._gathering is not None:
            self._gathering.cancel()
        links, self._links = self._links, {}
        for link in links.values():
            link.hang_up()


class _Link(asyncio.Protocol):
    """One connection."""

    def __init__(self, links: FailoverLinks, number: int | None = None) -> None:
        self._links = links
        self.number = number
        self._transport: asyncio.Transport | None = None
        self._reason = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        wire = made.get_extra_info("socket")
        if wire is not None:
            # Two small messages in a row would wait 40 ms for each other.
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = made.get_extra_info("peername")
        self._links.opened(self, "" if peer is None else str(peer[0]))  # None: it is gone already

    def data_received(self, data: bytes) -> None:
        self._links.heard(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = _reason(exc) if isinstance(exc, OSError) else "the partner closed the connection"
        self._links.ended(self, self._reason or reason)

    def send(self, data: bytes) -> None:
        """Write; a partner that does not read loses the connection."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._reason = f"the partner does not read: more than {UNSENT_BYTES_MAX >> 10} KB wait for it"
            self._transport.abort()

    def hang_up(self) -> None:
        """Close once everything is written, or after a while."""
        if self._transport is None:
            return
        self._transport.close()
        asyncio.get_running_loop().call_later(LAST_WORDS_S, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


def _reason(error: OSError) -> str:
    """Why a connection could not be made or went, for people."""
    code = error.errno
    if code is None and isinstance(error, OSError) and error.args:
        code = next((each.errno for each in error.args if isinstance(each, OSError)), None)
    return _REASONS.get(code or 0) or error.strerror or str(error) or type(error).__name__


_REASONS = {
    errno.ECONNREFUSED: "nobody listens there: the partner's DHCP service does not run, or has another port",
    errno.EHOSTUNREACH: "there is no route to the host",
    errno.ENETUNREACH: "there is no route to the network",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was reset",
    errno.ETIMEDOUT: "the partner did not answer",
    errno.EADDRNOTAVAIL: "our own address of the relationship is not one of this machine",
}
