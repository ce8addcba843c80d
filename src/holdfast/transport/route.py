"""Decide where mail goes next: a mailbox database here, servers of ours, a smart host, DNS, or nowhere.

Mail for a mailbox on another server goes to that server's site directly, whatever
sites lie between, unless one of them is a hub. When no server there answers, it goes
to the site before it on the path, and so on back to the one next to ours; else it
waits here.

Invariant: all servers that know the same organisation agree on the way, so that
each hand-over brings a message nearer to where it leaves or is delivered.

Source: exchange-behaviour RT-2..11, SC-2..9; docs/decisions/0011.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import assert_never

from holdfast.directory.model import (
    DistributionGroup,
    DomainKind,
    Mailbox,
    Organisation,
    RequiredTls,
    SendConnector,
    SendTls,
    Server,
)
from holdfast.kernel.address import parse_address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.quantities import format_size
from holdfast.transport.categorize import Categorizer
from holdfast.transport.connector_choice import Candidate, ConnectorChoice, size_reason
from holdfast.transport.hop_profile import HopProfile, ServerAddress, Unreachable
from holdfast.transport.own_servers import OwnServers, ReachedServer, loopback_source
from holdfast.transport.queue import DeliveryType, Failure, NextHopKey
from holdfast.transport.site_paths import SitePath, SitePaths

__all__ = [
    "Candidate",
    "HopProfile",
    "RouteExplanation",
    "Router",
    "ServerAddress",
    "Unreachable",
    "words_of_target",
]


_TLS_ORDER = (SendTls.OPPORTUNISTIC, SendTls.ENCRYPTED, SendTls.CERTIFICATE, SendTls.DOMAIN)
_TLS_MARK = ";tls="  # in the key of a smart host or a redirection: no host name has a semicolon
DOMAIN_COUNT_MAX = 10_000  # domains whose ways are remembered
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^\[\]:]*)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to a domain by one connector, ready for any message.

    Attributes:
        connector_bytes_max: a larger message takes another way.
        path_bytes_max: a larger message is returned (RT-8); 0 means no limit.
        tls: what the connector asks for, whoever sends by it.
    """

    connector_bytes_max: int
    target: NextHopKey | Unreachable
    tls: SendTls
    path_bytes_max: int = 0


@dataclass(frozen=True, slots=True)
class RouteExplanation:
    """How one recipient is routed, step by step, without sending anything.

    Attributes:
        domain: of the recipient, as it is compared; empty when the address is malformed.
        steps: what was found, in order, in sentences.
        candidates: the send connectors, each with why it cannot be chosen, the best first; those that
            only the size rules out have ``why_not`` as well. Empty where none was asked.
        connector: the one that is chosen; empty for none.
        path: to the site that the message goes to; None when it stays in this one.
        hubs: the sites on the path where it stops (exchange-behaviour RT-4).
        required_tls: the rule of the organisation for this domain.
        target: what ``Router.route`` answers.
        profile: how the next hop is reached.
    """

    recipient: str
    size_bytes: int
    domain: str
    steps: tuple[str, ...]
    target: Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable
    candidates: tuple[Candidate, ...] = ()
    connector: str = ""
    path: SitePath | None = None
    hubs: tuple[str, ...] = ()
    required_tls: RequiredTls | None = None
    profile: HopProfile | None = None


class Router:
    """Where mail goes, as one server of an organisation sees it. Made anew when the organisation changes."""

    def __init__(self, organisation: Organisation, server_name: str) -> None:
        """Take an organisation.

        Args:
            server_name: who we are; empty where there is only one server. A server that is not
                declared (at first start) takes all mailboxes for its own.
        """
        self.organisation = organisation
        self.own = organisation.own_server(server_name)
        self.categorizer = Categorizer(organisation)
        self.paths = SitePaths(organisation.sites, organisation.site_links)
        self._servers = OwnServers(organisation)
        self._choice = ConnectorChoice(organisation, self.own, self.paths)
        self._connectors = {connector.name: connector for connector in organisation.send_connectors}
        self._site_names = {site.name for site in organisation.sites}
        self._hubs = {site.name for site in organisation.sites if site.hub}
        self._elsewhere: dict[str, Server] = {}
        for database in organisation.mailbox_databases:
            holder = organisation.server(database.server)
            if self.own is not None and holder is not None and holder is not self.own:
                self._elsewhere[database.name] = holder
        kinds = {domain.name: domain.kind for domain in organisation.accepted_domains}
        self._kinds = kinds
        self._external = {name for name, kind in kinds.items() if kind is DomainKind.EXTERNAL_RELAY}
        self._host_names = {server.fqdn.lower() for server in organisation.servers}
        # The measured path: a domain that is not ours is looked up as its sender wrote it, once.
        self._outside: dict[str, tuple[_Way, ...]] = {}
        self._ways: dict[str, tuple[_Way, ...]] = {}

    # --- where to --------------------------------------------------------------------------------

    def route(
        self, recipient: str, size_bytes: int, redirect: str = ""
    ) -> Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable:
        """Decide where a recipient's mail goes.

        Args:
            recipient: as the envelope has it.
            size_bytes: of the message.
            redirect: the host that an administrator sends it to instead, with ``:port`` where that is not
                25. It holds for what would leave this server; a mailbox of this server stays one. The TLS
                that is required on the way of its own is required there, too.

        Returns:
            A mailbox of this server, a group to be expanded, the key of a next hop, a failure, or that
            nothing leads there now.
        """
        written = recipient[recipient.rfind("@") + 1 :]
        ways = self._outside.get(written)
        if ways is None:
            target = self._ours(recipient)
            if isinstance(target, Server):
                if redirect:
                    return self._redirected(redirect, recipient)
                return self._to_server(target, size_bytes)
            if not isinstance(target, str):
                return target
            ways = self._ways_to(target)
            if target not in self._kinds or target in self._external:
                if len(self._outside) >= DOMAIN_COUNT_MAX:
                    self._outside.clear()
                self._outside[written] = ways
        if redirect:
            asked = next((way.tls for way in ways if size_bytes <= way.connector_bytes_max), None)
            return self._redirected(redirect, recipient, asked)
        return self._first_way(ways, size_bytes)

    def _ours(self, recipient: str) -> Mailbox | DistributionGroup | Failure | Server | str:
        """Whom a recipient names: somebody here, a server that holds the mailbox, or a domain elsewhere."""
        found = self.categorizer.find(recipient)
        if found is not None and not (self._external and _domain_of(recipient) in self._external):
            if isinstance(found, Mailbox):
                if not found.enabled:
                    return Failure("5.2.1", "the mailbox is disabled")
                return self._elsewhere.get(found.database, found)
            return found
        domain = _domain_of(recipient)
        if domain is None:
            return Failure("5.1.3", "the address is malformed")
        if self._kinds.get(domain) is DomainKind.AUTHORITATIVE:
            return Failure("5.1.1", "there is no such recipient any more")
        if domain in self._host_names and domain not in self._kinds:
            # By DNS we would only find ourselves.
            return Failure("5.1.1", "there is no such recipient on this host")
        return domain

    def _redirected(self, redirect: str, recipient: str, asked: SendTls | None = None) -> NextHopKey:
        """The key of a host that an administrator sends mail to; there is one for each level of TLS.

        Args:
            redirect: the host.
            recipient: the rule for its domain holds there, too.
            asked: what the connector asks for by which the mail would go; None where none leads there.
        """
        required = self.required_tls(_domain_of(recipient) or "")
        level = _of_chosen_host(
            asked or SendTls.OPPORTUNISTIC,
            required.level if required is not None else SendTls.OPPORTUNISTIC,
        )
        mark = _TLS_MARK + level.value if level is not SendTls.OPPORTUNISTIC else ""
        return NextHopKey(DeliveryType.SMART_HOST, redirect + mark)

    def _first_way(self, ways: tuple[_Way, ...], size_bytes: int) -> NextHopKey | Failure | Unreachable:
        for way in ways:
            if size_bytes > way.connector_bytes_max:
                continue
            if way.path_bytes_max and size_bytes > way.path_bytes_max:
                return _too_big_for_link(way.path_bytes_max, size_bytes)
            return way.target
        if ways or self._all_too_small(size_bytes):
            return Failure(
                "5.3.4",
                f"the message has {format_size(size_bytes)}, more than any way to the recipient takes",
            )
        return Unreachable("no send connector leads to the recipient's domain")

    def _all_too_small(self, size_bytes: int) -> bool:
        connectors = self._connectors.values()
        return bool(connectors) and all(size_bytes > each.message_bytes_max for each in connectors)

    def _ways_to(self, domain: str) -> tuple[_Way, ...]:
        ways = self._ways.get(domain)
        if ways is None:
            if len(self._ways) >= DOMAIN_COUNT_MAX:
                self._ways.clear()
            usable = (each for each in self._choice.ranked(domain) if not each.why_not)
            ways = self._ways[domain] = tuple(self._way(each, domain) for each in usable)
        return ways

    def _way(self, candidate: Candidate, domain: str) -> _Way:
        connector = candidate.connector
        tls = connector.tls
        if connector.implicit_tls:  # nothing goes by it in the clear, whatever its level says
            tls = max(tls, SendTls.ENCRYPTED, key=_TLS_ORDER.index)
        if candidate.path is None:
            return _Way(connector.message_bytes_max, self._connector_key(connector, domain), tls)
        narrow = candidate.path.narrowest
        return _Way(
            connector.message_bytes_max,
            self._site_key(candidate.path, candidate.servers),
            tls,
            narrow.message_bytes_max if narrow is not None else 0,
        )

    def _connector_key(self, connector: SendConnector, domain: str) -> NextHopKey:
        """The key of a connector of this server; smart hosts share one, domains have their own.

        Domains for which more TLS is required than the connector asks for have a queue of their own
        also on the way to a smart host, since their connections must not be those of the others.
        """
        if not connector.smart_hosts:
            return NextHopKey(DeliveryType.DNS, domain, connector.name)
        hosts = ",".join(connector.smart_hosts)
        required = self.required_tls(domain)
        if required is not None:
            level = _of_chosen_host(required.level)
            if _TLS_ORDER.index(level) > _TLS_ORDER.index(connector.tls):
                hosts += _TLS_MARK + level.value
        return NextHopKey(DeliveryType.SMART_HOST, hosts, connector.name)

    def required_tls(self, domain: str) -> RequiredTls | None:
        """The rule of the organisation for a domain: its own, else the nearest of a domain above it."""
        best: RequiredTls | None = None
        for required in self.organisation.required_tls:
            if required.domain == domain:
                return required
            name = required.domain.removeprefix("*.")
            if name == required.domain or not (domain == name or domain.endswith(f".{name}")):
                continue
            if best is None or len(required.domain) > len(best.domain):
                best = required
        return best

    # --- servers of ours -----------------------------------------------------------------------

    def _to_server(self, server: Server, size_bytes: int) -> NextHopKey | Failure | Unreachable:
        """The way to the server that holds a mailbox."""
        assert self.own is not None
        path = self.paths.path(self.own.site, server.site)
        if path is None:
            return Unreachable(f'no site link leads from site "{self.own.site}" to site "{server.site}"')
        narrow = path.narrowest
        if narrow is not None and size_bytes > narrow.message_bytes_max:
            return _too_big_for_link(narrow.message_bytes_max, size_bytes)
        return self._site_key(path, (server,))

    def _site_key(self, path: SitePath, servers: tuple[Server, ...]) -> NextHopKey | Unreachable:
        """The key of the next stop on a path; servers of this site are addressed themselves.

        Recipients whose paths lead through the same hub share the hub's key, so that one copy travels
        until their paths part (RT-5). In another site any of its servers takes the message and hands it
        on; here, only the ones that are meant, else two servers could pass it to and fro.
        """
        if len(path.sites) == 1:
            names = ",".join(sorted(server.name for server in servers))
            if not self._servers.reached(servers):
                return Unreachable(f"{names} in this site has no internal receive connector to send to")
            domain = f"{path.sites[0]}/{names}"
            while domain in self._site_names:  # a site may be called so
                domain += "/"
            return NextHopKey(DeliveryType.SERVER, domain)
        stops = self.hubs_on(path)
        stop = stops[0] if stops else path.sites[-1]
        if not self._servers.in_site(stop):
            return Unreachable(f'no server in site "{stop}" has an internal receive connector to send to')
        return NextHopKey(DeliveryType.SERVER, stop)

    def hubs_on(self, path: SitePath) -> tuple[str, ...]:
        """The hub sites between the ends of a path, in order; one without a server cannot be a stop."""
        return tuple(site for site in path.sites[1:-1] if site in self._hubs and self._servers.in_site(site))

    def profile(self, key: NextHopKey) -> HopProfile | None:
        """Say how the next hop of a key is reached; None when nothing leads there any more."""
        if key.delivery_type is DeliveryType.SERVER:
            return self._server_profile(key)
        if key.delivery_type is DeliveryType.SMART_HOST and not key.connector:
            return self._redirect_profile(key)
        if key.delivery_type not in (DeliveryType.SMART_HOST, DeliveryType.DNS):
            return None
        connector = self._connectors.get(key.connector)
        smart = key.delivery_type is DeliveryType.SMART_HOST
        if connector is None or not connector.enabled or smart is not bool(connector.smart_hosts):
            return None
        hosts, _, level = key.domain.partition(_TLS_MARK)
        if smart and hosts != ",".join(connector.smart_hosts):
            return None
        return HopProfile(
            key=key,
            ehlo_name=connector.fqdn or self._fqdn,
            port=connector.port,
            smart_hosts=connector.smart_hosts,
            source_address=connector.source_address,
            tls=SendTls(level) if level else connector.tls,
            implicit_tls=connector.implicit_tls,
            tls_domain=connector.tls_domain,
            auth=connector.auth,
            user=connector.user,
            message_count_per_connection_max=connector.message_count_per_connection_max,
            connection_count_max=connector.connection_count_per_domain_max,
            inactivity_s=connector.inactivity_s,
            private_ranges=connector.private_ranges,
            error_policies=connector.error_policies,
        )

    @property
    def _fqdn(self) -> str:
        return self.own.fqdn if self.own is not None else "localhost"

    def _redirect_profile(self, key: NextHopKey) -> HopProfile | None:
        host, _, level = key.domain.partition(_TLS_MARK)
        match = _HOST_AND_PORT.fullmatch(host)
        if match is None or not match[1]:
            return None
        port = int(match[2] or 25)
        if not 1 <= port <= 65_535:
            return None
        tls = SendTls(level) if level else SendTls.OPPORTUNISTIC
        return HopProfile(key, self._fqdn, port, (match[1],), tls=tls)

    def _server_profile(self, key: NextHopKey) -> HopProfile | None:
        if self.own is None:
            return None
        groups: list[tuple[ReachedServer, ...]]
        if key.domain in self._site_names:
            path = self.paths.path(self.own.site, key.domain)
            # Back along the path to the site next to ours; in ours it waits here (RT-6).
            sites = reversed(path.sites[1:]) if path is not None else iter(())
            groups = [self._servers.in_site(site) for site in sites]
        else:
            prefix = f"{self.own.site}/"
            if not key.domain.startswith(prefix):
                return None
            names = key.domain.removeprefix(prefix).rstrip("/").split(",")
            known = (self.organisation.server(name) for name in names)
            groups = [self._servers.reached(tuple(each for each in known if each is not None))]
        groups = [group for group in groups if group]
        if not groups:
            return None
        # Every connector of ours that offers TLS has a certificate, if only its own (RC-2, TL-2).
        encrypted = all(each.offers_tls for group in groups for each in group)
        return HopProfile(
            key=key,
            ehlo_name=self._fqdn,
            server_groups=tuple(tuple(each.address for each in group) for group in groups),
            source_address=loopback_source(
                self.own, (each.address.address for group in groups for each in group)
            ),
            tls=SendTls.ENCRYPTED if encrypted else SendTls.OPPORTUNISTIC,
        )

    # --- explanation -----------------------------------------------------------------------------

    def explain(self, recipient: str, size_bytes: int) -> RouteExplanation:
        """Say how a recipient is routed, and why; nothing is sent."""
        target = self.route(recipient, size_bytes)
        who = self._ours(recipient)
        domain = _domain_of(recipient) or ""
        steps: list[str] = []
        candidates: tuple[Candidate, ...] = ()
        chosen: Candidate | None = None
        path: SitePath | None = None
        match who:
            case Failure():
                steps.append(f"{recipient}: {who.status} {who.text}")
            case DistributionGroup():
                steps.append(f"{recipient} is the group {who.address} with {len(who.members)} members")
            case Mailbox():
                steps.append(f"{recipient} is the mailbox {who.address} in database {who.database}, here")
            case Server():
                steps.append(f'{recipient} is a mailbox on server "{who.name}" in site "{who.site}"')
                path = self.paths.path(self.own.site, who.site) if self.own is not None else None
            case str():
                kind = self._kinds.get(who)
                of = f"an accepted domain ({kind.value})" if kind is not None else "not one of ours"
                steps.append(f"the domain {who} is {of}: a send connector is needed")
                candidates = self._judged(who, size_bytes)
                chosen = candidates[0] if candidates and not candidates[0].why_not else None
                steps.append(_words_of_choice(chosen, len(candidates)))
                path = chosen.path if chosen is not None else None
        hubs = self.hubs_on(path) if path is not None else ()
        if path is not None and len(path.sites) > 1:
            steps.append(f"path: {' - '.join(path.sites)}, cost {path.cost}")
            if path.narrowest is not None:
                limit = format_size(path.narrowest.message_bytes_max)
                steps.append(f'site link "{path.narrowest.name}" on it takes messages up to {limit}')
            steps.append(
                f"it stops at the hub {hubs[0]}" if hubs else "no hub site lies on it: sent directly"
            )
        steps.append(words_of_target(target))
        return RouteExplanation(
            recipient,
            size_bytes,
            domain,
            tuple(steps),
            target,
            candidates,
            chosen.connector.name if chosen is not None else "",
            path if path is not None and len(path.sites) > 1 else None,
            hubs,
            self.required_tls(domain),
            self.profile(target) if isinstance(target, NextHopKey) else None,
        )

    def _judged(self, domain: str, size_bytes: int) -> tuple[Candidate, ...]:
        """All connectors as they are for a message of that size, the best first."""
        judged = [
            replace(each, why_not=size_reason(each, size_bytes)) if each.too_big(size_bytes) else each
            for each in self._choice.ranked(domain)
        ]
        return tuple(sorted(judged, key=Candidate.rank))


def _domain_of(recipient: str) -> str | None:
    try:
        return parse_address(recipient).domain
    except Refusal:
        return None


def _of_chosen_host(*levels: SendTls) -> SendTls:
    """The most of what is asked for, as a host can meet it that people chose.

    What a domain requires of its own certificate, such a host cannot have: its own must be valid.
    """
    return min(max(levels, key=_TLS_ORDER.index), SendTls.CERTIFICATE, key=_TLS_ORDER.index)


def _too_big_for_link(bytes_max: int, size_bytes: int) -> Failure:
    # The name of a link of ours is not for senders elsewhere.
    return Failure(
        "5.3.4",
        f"the message has {format_size(size_bytes)}, a link on its way takes up to {format_size(bytes_max)}",
    )


def _words_of_choice(chosen: Candidate | None, count: int) -> str:
    if chosen is None:
        return f"none of {count} send connectors can be used" if count else "there is no send connector"
    where = ("of this server", "of another server of this site")
    place = where[chosen.hop_count] if chosen.hop_count < len(where) else "of a server of another site"
    return (
        f'send connector "{chosen.connector.name}", {place}: address space {chosen.space_text}, '
        f"cost {chosen.cost}"
    )


def words_of_target(target: Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable) -> str:
    """What becomes of a recipient, in a sentence."""
    match target:
        case Mailbox():
            return f"delivered into mailbox database {target.database} of this server"
        case DistributionGroup():
            return "its members take its place"
        case NextHopKey():
            return f"queue {target}"
        case Failure():
            return f"returned to its sender: {target.status} {target.text}"
        case Unreachable():
            return f"waits in the unreachable queue: {target.reason}"
        case _:
            assert_never(target)
