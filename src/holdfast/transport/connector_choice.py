"""Choose the send connector for a domain.

Those whose size limit is too small are dropped; of the others, those that are
enabled, in scope and serve the domain are kept. The most specific address space
wins (the domain itself, then the longest ``*.domain``, then ``*``), then the
lowest sum of site-link cost and cost of the space, then the nearest (this server,
this site, another site by the number of links), then the lowest name.

A connector of which this server is no source is chosen as well: the message
first goes to one of its source servers, which makes the same choice.

Source: exchange-behaviour SC-2, SC-3, SC-9, RT-9.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.directory.address_space import AddressSpace, parse_address_space
from holdfast.directory.model import Organisation, SendConnector, Server
from holdfast.kernel.errors import Refusal
from holdfast.kernel.quantities import format_size
from holdfast.transport.site_paths import SitePath, SitePaths


@dataclass(frozen=True, slots=True)
class Candidate:
    """A send connector, judged for one domain.

    Attributes:
        why_not: why it cannot be chosen; empty when it can.
        space: the address space that serves the domain; None when none does.
        space_text: as declared.
        site_cost: of the path to its nearest source server.
        hop_count: 0 this server, 1 another one in this site, 2 and more in another site.
        path: to the site of its nearest source server; None when this server is one.
        servers: its source servers in that site; empty when this server is one.
    """

    connector: SendConnector
    why_not: str = ""
    space: AddressSpace | None = None
    space_text: str = ""
    site_cost: int = 0
    hop_count: int = 0
    path: SitePath | None = None
    servers: tuple[Server, ...] = ()

    @property
    def cost(self) -> int:
        """What counts after the address space."""
        return self.site_cost + (self.space.cost if self.space is not None else 0)

    def rank(self) -> tuple[bool, int, int, int, int, str, str]:
        """The lower, the better; those that cannot be chosen come last."""
        kind, length = _specificity(self.space)
        name = self.connector.name
        return bool(self.why_not), kind, length, self.cost, self.hop_count, name.casefold(), name

    def too_big(self, size_bytes: int) -> bool:
        """Whether a message of that size may not leave by it."""
        return size_bytes > self.connector.message_bytes_max


def size_reason(candidate: Candidate, size_bytes: int) -> str:
    """Why a candidate falls out for its size limit, for people."""
    limit = format_size(candidate.connector.message_bytes_max)
    return f"takes messages up to {limit}, this one has {format_size(size_bytes)}"


def _specificity(space: AddressSpace | None) -> tuple[int, int]:
    if space is None:
        return 3, 0
    if not space.domain:
        return 2, 0
    return (1, -len(space.domain)) if space.below else (0, 0)


class ConnectorChoice:
    """Judges the send connectors of one organisation, as one server sees them."""

    def __init__(self, organisation: Organisation, own: Server | None, paths: SitePaths) -> None:
        self._own = own
        self._paths = paths
        self._servers = {server.name: server for server in organisation.servers}
        self._connectors = tuple(
            (connector, _read_spaces(connector)) for connector in organisation.send_connectors
        )

    def ranked(self, domain: str) -> tuple[Candidate, ...]:
        """All connectors, the best first, whatever the size of the message; see ``Candidate.why_not``.

        Args:
            domain: in comparable form (``kernel.address.parse_domain``).
        """
        judged = [self._judge(connector, spaces, domain) for connector, spaces in self._connectors]
        return tuple(sorted(judged, key=Candidate.rank))

    def _judge(
        self, connector: SendConnector, spaces: tuple[tuple[str, AddressSpace], ...], domain: str
    ) -> Candidate:
        serving = [(text, space) for text, space in spaces if space.serves(domain)]
        text, space = min(serving, key=lambda pair: (_specificity(pair[1]), pair[1].cost), default=("", None))
        if not connector.enabled:
            return Candidate(connector, "it is disabled", space, text)
        sources = [self._servers[name] for name in connector.source_servers if name in self._servers]
        if connector.scoped and (
            self._own is None or self._own.site not in {server.site for server in sources}
        ):
            sites = ", ".join(sorted({server.site for server in sources})) or "no site"
            return Candidate(connector, f"it is scoped: only servers in {sites} see it", space, text)
        if space is None:
            return Candidate(connector, f"none of its address spaces serves {domain}")
        if not connector.source_servers or self._own in sources:
            return Candidate(connector, "", space, text)
        return self._remote(connector, sources, space, text)

    def _remote(
        self, connector: SendConnector, sources: list[Server], space: AddressSpace, text: str
    ) -> Candidate:
        """A connector of other servers: the nearest of them counts."""
        if self._own is None:
            return Candidate(connector, "this server is not declared, its source servers are", space, text)
        found = [self._paths.path(self._own.site, site) for site in {server.site for server in sources}]
        # Of equally near sites the one with the lowest name, as between sites of one path (RT-2).
        nearest = min(
            (path for path in found if path is not None),
            key=lambda path: (path.cost, path.hop_count, path.sites[-1].casefold(), path.sites[-1]),
            default=None,
        )
        if nearest is None:
            names = ", ".join(connector.source_servers)
            return Candidate(connector, f"no site link leads to its source servers ({names})", space, text)
        servers = tuple(server for server in sources if server.site == nearest.sites[-1])
        return Candidate(connector, "", space, text, nearest.cost, 1 + nearest.hop_count, nearest, servers)


def _read_spaces(connector: SendConnector) -> tuple[tuple[str, AddressSpace], ...]:
    spaces = []
    for text in connector.address_spaces:
        try:
            spaces.append((text, parse_address_space(text)))
        except Refusal:
            continue  # the directory refuses it; one from elsewhere serves nothing
    return tuple(spaces)
