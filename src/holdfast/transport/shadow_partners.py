"""Find the servers of ours that can keep shadow copies, in the order in which they are asked.

A partner runs transport, is reached by a connector of its that offers TLS, and is known by its
certificate; so are we. Servers of other sites come before those of ours, or the other way round, or one of
them not at all, as ``shadow_preference`` says; inside a site each server begins with the one that comes after
it by name, so that the copies of many servers are spread.

Source: exchange-behaviour SR13-2, SR13-4.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.directory.model import Organisation, Role, Server, ShadowPreference
from holdfast.directory.server_certificates import known_certificates
from holdfast.transport.own_servers import OwnServers, loopback_source
from holdfast.transport.tls_policy import TlsDemand, direct_demand


@dataclass(frozen=True, slots=True)
class ShadowPartner:
    """A server that is asked to keep copies, where it is reached, and from where (empty: any address)."""

    name: str
    fqdn: str
    address: str
    port: int
    source_address: str = ""


def shadow_partners(organisation: Organisation, own: Server | None) -> tuple[ShadowPartner, ...]:
    """The partners of a server, in the order in which they are asked; none without a certificate of its."""
    if (
        own is None
        or Role.TRANSPORT not in own.roles
        or organisation.shadow_preference is ShadowPreference.OFF
        or not known_certificates(own)
    ):
        return ()
    others = sorted(
        (each for each in organisation.servers if each.name != own.name and known_certificates(each)),
        key=lambda each: (each.name <= own.name, each.name),
    )
    local = tuple(each for each in others if each.site == own.site)
    remote = tuple(each for each in others if each.site != own.site)
    match organisation.shadow_preference:
        case ShadowPreference.LOCAL_ONLY:
            wanted = local
        case ShadowPreference.REMOTE_ONLY:
            wanted = remote
        case _:
            wanted = remote + local
    reached = {each.address.name: each for each in OwnServers(organisation).reached(wanted)}
    return tuple(
        ShadowPartner(
            where.name, where.fqdn, where.address, where.port, loopback_source(own, (where.address,))
        )
        for each in wanted
        if each.name in reached and reached[each.name].offers_tls
        for where in (reached[each.name].address,)
    )


def shadow_demands(organisation: Organisation) -> dict[str, TlsDemand]:
    """The TLS that a link to each server of ours needs: the certificates by which it is known."""
    return {
        each.name: direct_demand(each.name, each.fqdn, certificates)
        for each in organisation.servers
        if (certificates := known_certificates(each))
    }


def why_no_partner(organisation: Organisation, own: Server, other: Server) -> str:
    """Why a server of ours is not asked to keep copies, and what to do about it; empty when it is."""
    if any(each.name == other.name for each in shadow_partners(organisation, own)):
        return ""
    if Role.TRANSPORT not in own.roles:
        return "this server has no transport role"
    if Role.TRANSPORT not in other.roles:
        return "it has no transport role"
    preference = organisation.shadow_preference
    if preference is ShadowPreference.OFF:
        return "shadow_preference is off"
    for each in (own, other):
        if not known_certificates(each):
            return f"the certificate of {each.name} is not known: holdfast server trust {each.name} FILE"
    if preference in (ShadowPreference.LOCAL_ONLY, ShadowPreference.REMOTE_ONLY):
        here = "this" if other.site == own.site else "another"
        if (preference is ShadowPreference.LOCAL_ONLY) != (other.site == own.site):
            return f"it is in {here} site, and shadow_preference is {preference.value}"
    reached = OwnServers(organisation).reached((other,))
    if not reached:
        return "none of its receive connectors takes mail of servers: see holdfast connector list"
    return "its receive connector for servers offers no TLS"
