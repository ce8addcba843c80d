"""Does in the dhcp role what management asks of it about leases (``dhcp_requests``).

A look through a million leases is done in pieces, and clients are served
between them; what changes meanwhile may be seen or not, but each lease once.
"""

from __future__ import annotations

import asyncio
import ipaddress
from bisect import bisect_right
from collections.abc import Callable

import msgspec

from holdfast.dhcp.lease import ABANDONED, ACTIVE, FREE, NEVER, RESERVED, STATUS_NAMES, Lease, address_text
from holdfast.dhcp.lease_table import ScopeState
from holdfast.dhcp.moving import MovedLease
from holdfast.drivers.dhcp_requests import (
    COUNT_SCOPES,
    IMPORT_LEASES,
    LEASE_COUNT_MAX,
    LIST_LEASES,
    REMOVE_LEASES,
    RETRY_DNS,
    SHOW_DNS,
    SHOW_POOL,
    AllScopeCounts,
    DnsRetried,
    ImportLeases,
    LeaseQuestion,
    Leases,
    LeasesImported,
    LeasesRemoved,
    LeaseState,
    PoolRun,
    PoolState,
    ScopeCounts,
)
from holdfast.drivers.dns_report import dns_report
from holdfast.drivers.failover_answers import REQUESTS as FAILOVER_REQUESTS
from holdfast.drivers.failover_answers import FailoverAnswers
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.node.dhcp import DhcpNode

PIECE_COUNT = 5000
SORT_COUNT = 50_000
_BUCKET_BITS = 14
LISTED_S = 60.0  # how long the order of a list is kept for who asks for its next piece
IMPORT_COUNT_MAX = 2_000_000
OFFERED = "offered"


class DhcpAnswers:
    """Answers management."""

    def __init__(self, node: DhcpNode, drain: Callable[[], None], now: Callable[[], float]) -> None:
        """Answer for a node.

        Args:
            node: what decides.
            drain: does what the node wants done; its commits are done when it returns.
            now: the clock of leases.
        """
        self._node = node
        self._drain = drain
        self._now = now
        self.failover = FailoverAnswers(node, drain, now)
        # Wall clock minus the clock of leases, kept up to date by the runner.
        self.clock_offset_s = 0.0
        # The addresses of a list of which a piece was told, and since when.
        self._listed: tuple[float, list[int]] = (0.0, [])
        # An import of which parts are here: its name, the next part, the leases so far.
        self._arriving: tuple[str, int, list[MovedLease]] = ("", 0, [])

    async def answer(self, verb: str, body: bytes) -> bytes:
        """Do one request.

        Raises:
            Refusal: it is not known, or not well formed.
            Unavailable: it could not be made durable.
        """
        match verb:
            case LIST_LEASES.name:
                return msgspec.msgpack.encode(await self._list(LIST_LEASES.read(body)))
            case SHOW_POOL.name:
                return msgspec.msgpack.encode(self._show_pool(SHOW_POOL.read(body).scope))
            case COUNT_SCOPES.name:
                return msgspec.msgpack.encode(self._count())
            case REMOVE_LEASES.name:
                return msgspec.msgpack.encode(self._remove(REMOVE_LEASES.read(body).addresses))
            case SHOW_DNS.name:
                question = SHOW_DNS.read(body)
                return msgspec.msgpack.encode(await dns_report(self._node, question, self.clock_offset_s))
            case RETRY_DNS.name:
                zone_count = self._node.retry_dns(self._now())
                self._drain()
                return msgspec.msgpack.encode(DnsRetried(zone_count))
            case IMPORT_LEASES.name:
                return msgspec.msgpack.encode(self._import(IMPORT_LEASES.read(body)))
            case _ if verb in FAILOVER_REQUESTS:
                return await self.failover.answer(verb, body)
            case _:
                raise Refusal(f'the dhcp role does not know the request "{verb}"; it runs another version')

    async def _list(self, question: LeaseQuestion) -> Leases:
        wanted = _Wanted(question)
        count_max = min(max(1, question.count_max), LEASE_COUNT_MAX)
        if question.addresses:
            addresses = sorted({number for text in question.addresses if (number := _number(text))})
        else:
            addresses = await self._in_order(go_on=bool(wanted.after))
        table = self._node.server.table
        found: list[LeaseState] = []
        for start in range(bisect_right(addresses, wanted.after), len(addresses), PIECE_COUNT):
            for address in addresses[start : start + PIECE_COUNT]:
                shown = self._shown(address, table.scope_of(address))
                if shown is not None and wanted.meets(shown):
                    found.append(shown)
                    if len(found) > count_max:
                        return Leases(tuple(found[:count_max]), more=True)
            await asyncio.sleep(0)
        self._listed = (0.0, [])
        return Leases(tuple(found), more=False)

    async def _in_order(self, *, go_on: bool) -> list[int]:
        """All addresses of which something is known, in order; a list goes on with those that it began with.

        Sorted in buckets, so that a million of them do not keep clients waiting.
        """
        listed_at, listed = self._listed
        if go_on and listed and self._now() - listed_at < LISTED_S:
            return listed
        table = self._node.server.table
        offered = {address for state in table.scopes for address in state.offers.by_address}
        addresses = [*table.leases, *offered.difference(table.leases)]
        buckets: dict[int, list[int]] = {}
        for start in range(0, len(addresses), SORT_COUNT):
            for address in addresses[start : start + SORT_COUNT]:
                buckets.setdefault(address >> _BUCKET_BITS, []).append(address)
            await asyncio.sleep(0)
        listed = []
        for bucket in sorted(buckets):
            listed += sorted(buckets[bucket])
            await asyncio.sleep(0)
        self._listed = (self._now(), listed)
        return listed

    def _shown(self, address: int, state: ScopeState | None) -> LeaseState | None:
        """What is told of an address; None when there is nothing to tell."""
        lease = self._node.server.table.leases.get(address)
        client = None if state is None else state.offers.by_address.get(address)
        name = "" if state is None else state.served.name
        if client is not None and state is not None and (lease is None or lease.status != ACTIVE):
            until = state.offers.by_client[client].until + self.clock_offset_s
            is_mac = client[:1] == b"\x01" and len(client) == 7
            return LeaseState(
                address_text(address), name, OFFERED, client[1:].hex(":") if is_mac else "", client.hex(":"),
                "", 0.0, until, 0.0,
            )  # fmt: skip
        if lease is None:
            return None
        return _state_of(lease, name, self.clock_offset_s)

    def _show_pool(self, scope: str) -> PoolState:
        table = self._node.server.table
        state = next((each for each in table.scopes if each.served.name == scope), None)
        if state is None:
            raise Refusal(f'this server does not lease scope "{scope}"')
        states = {
            address: STATUS_NAMES[lease.status]
            for address, lease in table.leases.items()
            if lease.status != FREE and state.served.first <= address <= state.served.last
        }
        for address in state.offers.by_address:
            if states.get(address) != STATUS_NAMES[ACTIVE]:
                states[address] = OFFERED
        runs: list[PoolRun] = []
        for address in sorted(states):
            last = runs[-1] if runs else None
            if last is not None and last.last == address - 1 and last.state == states[address]:
                runs[-1] = PoolRun(last.first, address, last.state)
            else:
                runs.append(PoolRun(address, address, states[address]))
        return PoolState(tuple(runs))

    def _count(self) -> AllScopeCounts:
        return AllScopeCounts(
            tuple(
                ScopeCounts(
                    state.served.name,
                    state.counts[ACTIVE] + state.reserved_counts[ACTIVE],
                    len(state.offers),
                    state.counts[ABANDONED] + state.reserved_counts[ABANDONED],
                    state.free_count,
                )
                for state in self._node.server.table.scopes
            )
        )

    def _remove(self, texts: tuple[str, ...]) -> LeasesRemoved:
        numbers = {number: text for text in texts if (number := _number(text))}
        removed = set(self._node.take_away(self._now(), list(numbers)))
        self._drain()
        if removed and not self._node.durable:
            raise Unavailable("leases cannot be written now; nothing was removed: see the log")
        return LeasesRemoved(
            tuple(text for number, text in numbers.items() if number in removed),
            tuple(text for text in texts if _number(text) not in removed),
        )

    def _import(self, question: ImportLeases) -> LeasesImported:
        """Gather the parts of an import; the last one makes all of them durable, in one commit."""
        batch, expected, leases = self._arriving
        if question.part == 0:
            batch, expected, leases = question.batch, 0, []
        if (question.batch, question.part) != (batch, expected):
            raise Refusal("a part of the import is missing here, as the role was started anew; import again")
        leases += question.leases
        if len(leases) > IMPORT_COUNT_MAX:
            self._arriving = ("", 0, [])
            raise Refusal(f"more than {IMPORT_COUNT_MAX} leases arrive at once: import scope by scope")
        if not question.last:
            self._arriving = (batch, expected + 1, leases)
            return LeasesImported(0, ())
        self._arriving = ("", 0, [])
        if not self._node.durable:
            raise Unavailable("leases cannot be written now: see the log")
        kept = self._node.arrive(self._now(), leases, self.clock_offset_s)
        self._drain()
        if not self._node.durable:
            raise Unavailable("leases cannot be written now: see the log")
        return LeasesImported(len(leases) - len(kept), tuple(map(address_text, kept)))


def _state_of(lease: Lease, scope: str, offset_s: float) -> LeaseState:
    return LeaseState(
        address=address_text(lease.address),
        scope=scope,
        state=STATUS_NAMES[lease.status],
        mac=lease.hardware[1:].hex(":"),
        client_id=lease.client_id.hex(":"),
        host_name=lease.host_name.decode("utf-8", "replace"),
        started_at=lease.started_at + offset_s,
        ends_at=None if lease.expires_at >= NEVER else lease.expires_at + offset_s,
        seen_at=lease.seen_at + offset_s,
        relay=lease.relay.hex(":"),
        reserved=bool(lease.flags & RESERVED),
        hardware_type=lease.hardware[0] if lease.hardware else 1,
    )


class _Wanted:
    """A question, made ready to be asked of many leases."""

    def __init__(self, question: LeaseQuestion) -> None:
        self._scopes = frozenset(question.scopes)
        self._states = frozenset(question.states)
        self._mac, self._client_id = question.mac, question.client_id
        self._host_name = question.host_name
        self.after = _number(question.after)

    def meets(self, lease: LeaseState) -> bool:
        if self._scopes and lease.scope not in self._scopes:
            return False
        if lease.state not in self._states if self._states else lease.state == STATUS_NAMES[FREE]:
            return False
        return (
            lease.mac.replace(":", "").startswith(self._mac)
            and lease.client_id.replace(":", "").startswith(self._client_id)
            and lease.host_name.lower().startswith(self._host_name)
        )


def _number(text: str) -> int:
    """An address as a number; 0 for what is none."""
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError:
        return 0
