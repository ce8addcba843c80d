"""Decide which host of a list is next, and remember which cannot be reached.

Hosts of one preference are used in turns, and so are the addresses of each; the
next preference is used only when the whole one before is down, and no longer
than that: a host that is down is tried again with one connection from time to
time, and takes its turns again as soon as it answers.

What is known is known of an address and port, whatever queues lead there.

Source: RFC 5321 section 5.1; exchange-behaviour SC-4, RT-6, QU-1.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Container, Iterator
from dataclasses import dataclass

from holdfast.kernel.events import LogEvent, happened
from holdfast.transport import events
from holdfast.transport.next_hop import Host, HostList

Endpoint = tuple[str, int]  # address and port

ENDPOINT_COUNT_MAX = 10_000
# A try that nobody reports on would keep a host down for ever. Connecting and greeting take less.
PROBE_S = 360.0
REASON_CHARACTERS_MAX = 200
DOWN_RETRY_S = 60.0  # what Organisation.glitch_retry_s has as default


class HostState(enum.Enum):
    """How a host is."""

    UNKNOWN = "not tried yet"
    UP = "up"
    DOWN = "down"
    PROBED = "being tried again"


@dataclass(frozen=True, slots=True)
class Choice:
    """Connect there.

    Attributes:
        probe: whether it was down: nobody else is sent there until ``connected`` or ``failed``.
    """

    host: Host
    address: str
    probe: bool = False

    @property
    def endpoint(self) -> Endpoint:
        """Address and port."""
        return self.address, self.host.port


@dataclass(frozen=True, slots=True)
class AllBusy:
    """Those that may be used have all that they take, or are being tried again: wait for one of them."""


@dataclass(frozen=True, slots=True)
class AllDown:
    """Nobody can be reached now.

    Attributes:
        until: when one of them may be tried again; now when there is nothing to wait for.
        reason: for people: what the last one that was tried met.
    """

    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """How one address of a host is, for people.

    Attributes:
        since: since when it is up or down; None when it was not tried yet.
        reason: why it is down; empty otherwise.
        retry_at: when it is tried again; None unless it is down.
    """

    host: str
    address: str
    port: int
    preference: int
    state: HostState
    since: float | None = None
    reason: str = ""
    retry_at: float | None = None


@dataclass(slots=True)
class _Seen:
    """What is known of an address and port.

    Attributes:
        used: counts up with every choice; the lowest has its turn. 0 is never used.
        since: since when it is as it is.
        retry_at: while it is down: when it may be tried again.
        probe_until: while it is being tried again: until when a report is awaited.
    """

    used: int = 0
    known: bool = False
    down: bool = False
    since: float = 0.0
    failed_at: float = 0.0
    reason: str = ""
    retry_at: float = 0.0
    probe_until: float = 0.0


_UNSEEN = _Seen()


class HostHealth:
    """What is known of all hosts.

    Public attributes: ``retry_s``, seconds until a host that failed is tried again (the organisation's
    ``glitch_retry_s``); ``logs``, events to be written, taken by whoever writes them.
    """

    def __init__(self, luck: random.Random, retry_s: float = DOWN_RETRY_S) -> None:
        """Know nothing.

        Args:
            luck: chooses between hosts that were never used (RFC 5321 section 5.1 wants it random).
        """
        self._luck = luck
        self.retry_s = retry_s
        self.logs: list[LogEvent] = []
        # The least recently touched first: a dict keeps the order in which it was filled.
        self._seen: dict[Endpoint, _Seen] = {}
        self._choice_count = 0

    def choose(
        self, now: float, hosts: HostList, busy: Container[Endpoint] = (), unfit: Container[Endpoint] = ()
    ) -> Choice | AllBusy | AllDown:
        """Say where the next connection goes; the choice counts as a turn.

        Args:
            busy: have all the connections they are to have; nobody less preferred takes their place.
            unfit: are of no use to this queue (TLS as demanded failed there); others take their place.
        """
        probing = False
        until: float | None = None
        last = _UNSEEN
        for group in hosts.groups:
            candidates: list[tuple[Host, str]] = []
            waiting = False
            for host, address in _endpoints(group):
                endpoint = (address, host.port)
                if endpoint in unfit:
                    continue
                seen = self._seen.get(endpoint, _UNSEEN)
                if seen.down and now < seen.probe_until:
                    probing = True
                elif seen.down and now < seen.retry_at:
                    until = seen.retry_at if until is None else min(until, seen.retry_at)
                    last = seen if last is _UNSEEN or seen.failed_at > last.failed_at else last
                elif endpoint in busy:
                    waiting = True
                else:
                    candidates.append((host, address))
            if candidates:
                return self._take(now, candidates)
            if waiting:
                return AllBusy()
        if probing:
            return AllBusy()
        return AllDown(now if until is None else until, last.reason or "no host is of use to this queue")

    def has_way(self, now: float, hosts: HostList, unfit: Container[Endpoint] = ()) -> bool:
        """Whether any of the hosts may be tried now; nothing is chosen."""
        for group in hosts.groups:
            for host, address in _endpoints(group):
                endpoint = (address, host.port)
                seen = self._seen.get(endpoint, _UNSEEN)
                if endpoint not in unfit and not (seen.down and now < max(seen.retry_at, seen.probe_until)):
                    return True
        return False

    def _take(self, now: float, candidates: list[tuple[Host, str]]) -> Choice:
        """Take the host that was used longest ago, and of its addresses the one used longest ago."""
        used = {each: self._used((each[1], each[0].port)) for each in candidates}
        # A host with many addresses has no more turns than one with one.
        turn: dict[str, int] = {}
        for (host, _), count in used.items():
            turn[host.name] = max(turn.get(host.name, 0), count)
        host, address = min(
            candidates, key=lambda each: (turn[each[0].name], used[each], self._luck.random())
        )
        endpoint = (address, host.port)
        seen = self._touch(endpoint)
        self._choice_count += 1
        seen.used = self._choice_count
        if seen.down:
            seen.probe_until = now + PROBE_S
        return Choice(host, address, probe=seen.down)

    def _used(self, endpoint: Endpoint) -> int:
        return self._seen.get(endpoint, _UNSEEN).used

    def connected(self, now: float, choice: Choice) -> None:
        """The host took the connection and greeted: it is up."""
        seen = self._touch(choice.endpoint)
        if seen.down and choice.host.declared:
            self.logs.append(
                happened(
                    events.HOST_UP,
                    host=choice.host.name,
                    address=choice.address,
                    port=choice.host.port,
                    down_s=round(now - seen.since),
                )
            )
        if seen.down or not seen.known:
            seen.since = now
        seen.known = True
        seen.down = False
        seen.reason = ""
        seen.retry_at = seen.probe_until = 0.0

    def failed(self, now: float, choice: Choice, reason: str) -> None:
        """The host cannot be used: it did not answer, or did not want us."""
        seen = self._touch(choice.endpoint)
        seen.reason = reason[:REASON_CHARACTERS_MAX]
        seen.failed_at = now
        seen.retry_at = now + self.retry_s
        seen.probe_until = 0.0
        if seen.down:
            return
        seen.known = seen.down = True
        seen.since = now
        if choice.host.declared:
            self.logs.append(
                happened(
                    events.HOST_DOWN,
                    host=choice.host.name,
                    address=choice.address,
                    port=choice.host.port,
                    reason=seen.reason,
                    retry_s=round(self.retry_s),
                )
            )

    def abandoned(self, choice: Choice) -> None:
        """The connection was given up before anything was known; another try is free."""
        seen = self._seen.get(choice.endpoint)
        if seen is not None:
            seen.probe_until = 0.0

    def retry_now(self, hosts: HostList) -> None:
        """Let all of them be tried at once: an administrator says so."""
        for group in hosts.groups:
            for host, address in _endpoints(group):
                seen = self._seen.get((address, host.port))
                if seen is not None:
                    seen.retry_at = seen.probe_until = 0.0

    def describe(self, now: float, hosts: HostList) -> tuple[EndpointHealth, ...]:
        """How each address of a list is, in the order of preference."""
        return tuple(
            self._describe(now, host, address, rank)
            for rank, group in enumerate(hosts.groups)
            for host, address in _endpoints(group)
        )

    def _describe(self, now: float, host: Host, address: str, rank: int) -> EndpointHealth:
        seen = self._seen.get((address, host.port), _UNSEEN)
        preference = host.preference or rank
        if not seen.known:
            return EndpointHealth(host.name, address, host.port, preference, HostState.UNKNOWN)
        if not seen.down:
            return EndpointHealth(host.name, address, host.port, preference, HostState.UP, seen.since)
        state = HostState.PROBED if now < seen.probe_until else HostState.DOWN
        return EndpointHealth(
            host.name, address, host.port, preference, state, seen.since, seen.reason, seen.retry_at
        )

    def _touch(self, endpoint: Endpoint) -> _Seen:
        seen = self._seen.pop(endpoint, None) or _Seen()
        self._seen[endpoint] = seen
        while len(self._seen) > ENDPOINT_COUNT_MAX:
            del self._seen[next(iter(self._seen))]
        return seen


def _endpoints(group: tuple[Host, ...]) -> Iterator[tuple[Host, str]]:
    for host in group:
        for address in host.addresses:
            yield host, address
