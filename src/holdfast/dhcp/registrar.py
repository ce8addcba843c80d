"""Register names in DNS: what leases say is to be there, is sent, and what came of it is written down.

Everything that is to be done stands in the leases (``dns_state``), durable with
them, so nothing is lost with the process, and the queue here may forget: what
found no room in it is looked for again when it is empty. An address is sent
after its lease is durable, and no answer to a client waits for it.

Invariants: at most ``IN_FLIGHT_MAX`` updates are not answered; at most one is
about an address; at most ``QUEUE_COUNT_MAX`` addresses are remembered.

Source: RFC 4703 section 5; spec/dhcp.md section 4.6; Windows' audit events 30 to 32.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from holdfast.dhcp import events, records
from holdfast.dhcp.choice import Asking
from holdfast.dhcp.dns_names import ChosenName, choose_name
from holdfast.dhcp.dns_state import (
    FORWARD,
    PROTECTED,
    REFUSED,
    REVERSE,
    DnsState,
    Registration,
    is_pending,
    merged,
    read_state,
    to_go_on_with,
    with_wish,
    write_state,
)
from holdfast.dhcp.dns_steps import Step, StepKind, Verdict, after, next_step
from holdfast.dhcp.dns_zones import Zone, Zones
from holdfast.dhcp.lease import Lease, address_text, hardware_text
from holdfast.dhcp.lease_table import LeaseTable, ScopeState
from holdfast.dhcp.option_blocks import Block
from holdfast.dhcp.records import Record
from holdfast.dhcp.saying import Sayer
from holdfast.dhcp.served import Served, ServedReservation
from holdfast.kernel.errors import Refusal
from holdfast.wire.dhcid import make_dhcid
from holdfast.wire.dns_update import DnsUpdate, UpdateAnswer

# Making and reading one update takes 0.7 ms, in the loop that answers clients: a few at once, so that none of
# them waits for long.
IN_FLIGHT_MAX = 4
QUEUE_COUNT_MAX = 50_000
# What came of updates is written with other leases, and a little later at most: not each by itself.
WRITE_AFTER_S = 0.2
WRITE_COUNT_MAX = 200
# Addresses that are looked at in one step, when some were forgotten.
LOOK_COUNT = 20_000
LOOK_EVERY_S = 0.1
TTL_S_MIN, TTL_S_MAX = 600, 86_400  # RFC 4702 section 5: a third of the lease, ten minutes at least
_TTL_S_USUAL = 1200


@dataclass(slots=True)
class Job:
    """What is being done for one address.

    Attributes:
        address: as a number.
        began: what its lease said.
        state: how far it got.
        step: what is being done; None at its beginning and end.
        zone: where.
    """

    address: int
    began: DnsState
    state: DnsState
    step: Step | None = None
    zone: Zone | None = None


class Registrar:
    """Registers the names of one server's leases."""

    def __init__(
        self, table: LeaseTable, said: Sayer, put: Callable[[Lease], None], note: Callable[[Record], None]
    ) -> None:
        """Make a registrar that is switched off.

        Args:
            table: the leases.
            said: is told what an administrator should hear.
            put: changes a lease; durable with the next commit.
            note: writes a line of the audit log.
        """
        self._table = table
        self._said = said
        self._put = put
        self._note = note
        self.is_on = False
        self.zones = Zones()
        self.updates: list[DnsUpdate] = []
        self.counts: Counter[str] = Counter()  # what was done, by kind
        self._ready: deque[int] = deque()
        self._queued: set[int] = set()
        self._active: dict[int, Job] = {}
        self._in_flight: dict[int, Job] = {}
        self._results: list[Job] = []
        self._write_at: float | None = None
        self._number = 0
        self._named: tuple[Asking | None, ChosenName | None] = (None, None)
        # Where the search for forgotten addresses stands: the scope and the address; None for no search.
        self._looking: tuple[int, int] | None = None
        self._forgot = False  # one that the search may have passed already

    def follow(self, served: Served) -> None:
        """Go by other settings."""
        self.is_on = bool(served.server.dns_servers)
        self._named = (None, None)
        self.zones.follow(served.server.dns_zones)
        if self.is_on:
            self._looking = (0, 0)

    # What a client's lease says

    def name(
        self,
        now: float,
        asking: Asking,
        state: ScopeState,
        block: Block,
        reservation: ServedReservation | None,
    ) -> ChosenName | None:
        """The name that a client gets; None for none."""
        if self._named[0] is asking:  # for its lease, then for its answer
            return self._named[1]
        reserved_name = "" if reservation is None else reservation.name
        chosen = None
        try:
            chosen = choose_name(
                asking.facts,
                state.served.scope,
                suffix=block.dns_suffix,
                zones=self.zones.declared,
                reserved_name=reserved_name,
            )
        except Refusal as refusal:
            self._said.sometimes(
                now,
                events.NAME_NOT_USABLE,
                client=hardware_text(asking.hardware),
                name=asking.facts.fqdn or reserved_name,
                reason=refusal.text,
            )
        self._named = (asking, chosen)
        return chosen

    def wish(self, asking: Asking, state: ScopeState, chosen: ChosenName | None, old: Lease | None) -> bytes:
        """What the lease of a client says of DNS, now that it has that name.

        Args:
            asking: the client.
            state: the scope of its address.
            chosen: its name; None for none.
            old: what was known of the address.
        """
        before = b"" if old is None else to_go_on_with(old.dns)
        if chosen is None and not before:
            return b""
        scope = state.served.scope
        wanted = None
        if chosen is not None:
            flags = (FORWARD if chosen.forward else 0) | (REVERSE if chosen.reverse else 0)
            flags |= PROTECTED if scope.dns_protect else 0
            dhcid = make_dhcid(asking.hardware, asking.client_id, chosen.name)
            wanted = Registration(chosen.name, dhcid, flags)
        same_client = old is not None and old.key == asking.key
        return with_wish(before, wanted, remove=same_client or scope.dns_remove)

    def ended(self, lease: Lease) -> bytes:
        """What a lease that is over says of DNS."""
        state = self._table.scope_of(lease.address)
        if not lease.dns or (state is not None and not state.served.scope.dns_remove):
            return lease.dns
        return with_wish(lease.dns, None, remove=True)

    # What is to be done

    def durable(self, now: float, leases: Iterable[Lease]) -> None:
        """Leases are durable: what they want of DNS may be sent."""
        for lease in leases:
            if is_pending(lease.dns):
                self._queue(lease.address)
        self.start(now)

    def undone(self, leases: Iterable[Lease]) -> None:
        """Leases are again as they were before: what was done for them may not be written down."""
        for lease in leases:
            if is_pending(lease.dns):
                self._queue(lease.address)

    def _queue(self, address: int) -> bool:
        """Remember an address; whether there is room."""
        if address in self._queued:
            return True
        if len(self._queued) >= QUEUE_COUNT_MAX:
            self._forgot = True
            return False
        self._queued.add(address)
        self._ready.append(address)
        return True

    @property
    def waiting_count(self) -> int:
        """How many addresses are known to wait."""
        return len(self._queued) + len(self._active)

    @property
    def in_flight_count(self) -> int:
        """How many updates are not answered yet."""
        return len(self._in_flight)

    def start(self, now: float) -> None:
        """Send what can be sent now."""
        while self.is_on and self._ready and len(self._in_flight) < IN_FLIGHT_MAX:
            address = self._ready.popleft()
            self._queued.discard(address)
            lease = self._table.leases.get(address)
            if lease is None or not is_pending(lease.dns) or address in self._active:
                continue  # one that is active is looked at again when its outcome is written down
            state = read_state(lease.dns)
            job = self._active[address] = Job(address, state, state)
            self._go(now, job)

    def _go(self, now: float, job: Job) -> None:
        """Send the next thing of a job, or end it."""
        scope = self._table.scope_of(job.address)
        step = next_step(job.state, job.address, _ttl_s(scope))
        if step is None:
            self._end(now, job)
            return
        if step.kind in (StepKind.ADD_FORWARD, StepKind.REMOVE_FORWARD):
            zone = self.zones.of_name(step.registration.name)
        else:
            bits = 24 if scope is None else 32 - (scope.served.last - scope.served.first).bit_length()
            zone = self.zones.of_address(job.address, bits)
        if not zone.is_open(now):
            self._park(now, job, zone)
            return
        job.step, job.zone = step, zone
        self._note(_record(records.DNS_REQUESTED, job, 0))
        self._send(job, step, zone)

    def _send(self, job: Job, step: Step, zone: Zone) -> None:
        self._number += 1
        zone.in_flight_count += 1
        self._in_flight[self._number] = job
        self.updates.append(DnsUpdate(self._number, zone.name, *step.message()))

    def answered(self, now: float, number: int, answer: UpdateAnswer) -> None:
        """A server answered, or none did."""
        job = self._in_flight.pop(number, None)
        if job is None:
            return
        step, zone = job.step, job.zone
        assert step is not None
        assert zone is not None
        zone.in_flight_count -= 1
        match step.answered(answer.outcome):
            case Verdict.GO_ON:
                self._worked(zone)
                self._send(job, step, zone)
            case Verdict.DONE:
                self._worked(zone)
                self.counts[f"{step.kind.value}: done"] += 1
                self._note(_record(records.DNS_DONE, job, 0))
                job.state = after(job.state, step)
                self._go(now, job)
            case Verdict.TAKEN:
                self._worked(zone)
                self._taken(now, job, step)
            case Verdict.FAILED:
                self._failed(now, job, zone, answer)
        self.start(now)

    def _worked(self, zone: Zone) -> None:
        if not zone.worked():
            return
        self._said.always(events.DNS_UPDATED, zone=zone.name, waiting_count=self.waiting_count)
        self._ready += zone.parked
        zone.parked.clear()

    def _taken(self, now: float, job: Job, step: Step) -> None:
        registration = step.registration
        self.counts[f"{step.kind.value}: refused"] += 1
        self._note(_record(records.DNS_FAILED, job, 9007))
        lease = self._table.leases.get(job.address)
        self._said.sometimes(
            now,
            events.NAME_TAKEN,
            name=registration.name,
            address=address_text(job.address),
            client=hardware_text(lease.hardware) if lease is not None else "?",
        )
        refused = registration._replace(flags=registration.flags | REFUSED)
        job.state = job.state._replace(wanted=refused)
        self._end(now, job)

    def _failed(self, now: float, job: Job, zone: Zone, answer: UpdateAnswer) -> None:
        assert job.step is not None
        reason = answer.reason or f"it answers that {answer.outcome.value}"
        self.counts[f"{job.step.kind.value}: failed"] += 1
        self._note(_record(records.DNS_FAILED, job, answer.code))
        is_news = zone.failed(now, reason, answer.code)
        self._park(now, job, zone)
        if is_news:
            self._said.always(
                events.DNS_NOT_UPDATED,
                zone=zone.name,
                reason=reason,
                waiting_count=self.waiting_count,
                wait_s=round(max(0.0, zone.retry_at - now)),
            )

    def _park(self, now: float, job: Job, zone: Zone) -> None:
        """The address waits for a zone; how far it got is written down."""
        if len(self._queued) < QUEUE_COUNT_MAX and job.address not in self._queued:
            self._queued.add(job.address)
            zone.parked.append(job.address)
        elif job.address not in self._queued:
            self._forgot = True
        self._end(now, job)

    def _end(self, now: float, job: Job) -> None:
        job.step = job.zone = None
        if job.state == job.began:
            del self._active[job.address]
            return
        self._results.append(job)
        if self._write_at is None:
            self._write_at = now + WRITE_AFTER_S
        if len(self._results) >= WRITE_COUNT_MAX:
            self._write_at = now

    # Time

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called next."""
        if not self.is_on:
            return self._write_at
        instants = [self._write_at, self.zones.next_retry()]
        if self._looks or (self._ready and len(self._in_flight) < IN_FLIGHT_MAX):
            instants.append(0.0)
        known = [each for each in instants if each is not None]
        return min(known) if known else None

    def timer(self, now: float) -> None:
        """Write down what was done, ask zones again that failed, look for what was forgotten."""
        if self._write_at is not None and self._write_at <= now:
            self.write()
        if not self.is_on:
            return
        for zone in self.zones.by_name.values():
            if zone.failure_count and zone.parked and zone.is_open(now):
                self._ready.appendleft(zone.parked.popleft())
        if self._looks:
            self._look()
        self.start(now)

    def write(self) -> None:
        """Write down what was done, into the leases as they are now."""
        self._write_at = None
        results, self._results = self._results, []
        for job in results:
            self._active.pop(job.address, None)
            lease = self._table.leases.get(job.address)
            if lease is None:
                continue
            dns = write_state(merged(read_state(lease.dns), job.began, job.state))
            if dns != lease.dns:
                self._put(lease._replace(dns=dns))
            elif is_pending(dns):
                self._queue(job.address)

    @property
    def _looks(self) -> bool:
        """Whether leases are to be looked through for what was forgotten; not while there is no room."""
        return (self._forgot or self._looking is not None) and len(self._queued) < QUEUE_COUNT_MAX // 2

    def _look(self) -> None:
        """Look through a piece of the leases for what is still to be done."""
        if self._looking is None:
            self._looking, self._forgot = (0, 0), False
        at, address = self._looking
        if at >= len(self._table.scopes):
            self._looking = None
            return
        served = self._table.scopes[at].served
        leases = self._table.leases
        first = max(address, served.first)
        for each in islice(range(first, served.last + 1), LOOK_COUNT):
            lease = leases.get(each)
            if lease is None or not is_pending(lease.dns) or each in self._active:
                continue
            if not self._queue(each):
                self._looking, self._forgot = (at, each), False
                return
        first += LOOK_COUNT
        self._looking = (at, first) if first <= served.last else (at + 1, 0)

    def try_now(self, now: float) -> int:
        """An administrator wants zones that failed to be asked at once; how many there are."""
        failing = [each for each in self.zones.by_name.values() if each.failure_count]
        for zone in failing:
            zone.retry_at = now
        self.write()
        self.timer(now)
        return len(failing)


def _ttl_s(state: ScopeState | None) -> int:
    """How long others may remember a name (RFC 4702 section 5)."""
    if state is None:
        return _TTL_S_USUAL
    return max(TTL_S_MIN, min(TTL_S_MAX, state.served.lease_s // 3))


def _record(event_id: int, job: Job, code: int) -> Record:
    assert job.step is not None
    name = job.step.registration.name.encode("ascii")
    return Record(event_id, job.address, name, dns_error=code)
