"""Say where a queue's mail would go now: the hosts in their order, how each is, what TLS each needs.

Also where an administrator has those hosts tried at once. Asks DNS and policies
through the same caches as delivery does; while answers are awaited the description
is incomplete and is to be made anew.

Source: issue "Explain"; exchange-behaviour SC-4.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.node.outbound import NextHops
from holdfast.transport.hop_profile import HopProfile
from holdfast.transport.host_health import EndpointHealth
from holdfast.transport.next_hop import HostList, Pending, find_hosts
from holdfast.transport.tls_policy import HostRefused, TlsDemand, TlsPending


@dataclass(frozen=True, slots=True)
class HopHost:
    """One address of a host.

    Attributes:
        state: not tried yet, up, down, being tried again.
        state_s: for how long, in seconds; None when it was not tried yet.
        reason: why it is down.
        retry_s: seconds until it is tried again; None unless it is down.
        tls: what TLS it needs and why; or why it may not be used; or why it did not give that lately.
        certificate_names: the names that its certificate must have; empty when none is demanded.
    """

    name: str
    address: str
    port: int
    preference: int
    state: str
    state_s: float | None
    reason: str
    retry_s: float | None
    tls: str
    certificate_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HopDescription:
    """Where mail would go now.

    Attributes:
        pending: what is not known yet; empty when all is.
        found_by: MX, address, literal, smart host or server.
        hosts: the most preferred first.
        notes: what was left out, and why.
        failure: why nobody takes it; empty when somebody does.
    """

    pending: tuple[str, ...]
    found_by: str
    hosts: tuple[HopHost, ...]
    notes: tuple[str, ...]
    failure: str


def describe_hop(now: float, next_hops: NextHops, profile: HopProfile) -> HopDescription:
    """Describe the next hop of a queue, as far as it is known."""
    found = find_hosts(now, next_hops.names, profile, next_hops.ourselves)
    if isinstance(found, Pending):
        asked = tuple(f"DNS: {each.name} {each.record_type.value}" for each in found.questions)
        return HopDescription(asked, "", (), (), "")
    if not isinstance(found, HostList):
        again = "it fails" if found.permanent else "it is tried again"
        return HopDescription((), "", (), (), f"{found.failure.status} {found.failure.text}; {again}")
    demands = {
        host.name: next_hops.tls.demand(now, profile, profile.key.domain, host)
        for group in found.groups
        for host in group
    }
    unfit = next_hops.unfit(now, profile.key)
    waiting = tuple(f"TLS policy: {name}" for name, each in demands.items() if isinstance(each, TlsPending))
    return HopDescription(
        waiting,
        found.found_by,
        tuple(
            _host(now, each, demands[each.host], unfit.get((each.address, each.port), ""))
            for each in next_hops.health.describe(now, found)
        ),
        found.notes,
        "",
    )


def retry_hosts(now: float, next_hops: NextHops, profile: HopProfile) -> None:
    """Let the hosts of a queue be tried at once, as far as they are known: an administrator says so."""
    found = find_hosts(now, next_hops.names, profile, next_hops.ourselves)
    if isinstance(found, HostList):
        next_hops.health.retry_now(found)


def _host(
    now: float, health: EndpointHealth, demand: TlsDemand | TlsPending | HostRefused, problem: str
) -> HopHost:
    names: tuple[str, ...] = ()
    if isinstance(demand, TlsDemand):
        tls = f"{demand.level.value}: {demand.why}" + ("; only reported" if demand.only_report else "")
        names = demand.names
    elif isinstance(demand, HostRefused):
        tls = f"not used: {demand.reason}"
    else:
        tls = "not known yet"
    if problem:
        tls += f"; not used now: {problem}"
    return HopHost(
        health.host,
        health.address,
        health.port,
        health.preference,
        health.state.value,
        None if health.since is None else max(0.0, now - health.since),
        health.reason,
        None if health.retry_at is None else max(0.0, health.retry_at - now),
        tls,
        names,
    )
