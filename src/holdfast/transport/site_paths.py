"""Find the least-cost path between two sites.

Of all paths the one with the lowest total cost is taken; of these the one with
the fewest hops; of these the one whose last site but one has the lowest name,
then the last but two, and so on towards the beginning. Upper and lower case
count as the same, as everywhere in names.

Invariant: whatever follows a site on the best path to a destination is the best
path from that site too. So mail that is handed on half-way goes on as planned,
and never back.

Source: exchange-behaviour RT-1, RT-2, RT-8.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.directory.model import Site, SiteLink


@dataclass(frozen=True, slots=True)
class SitePath:
    """A way from one site to another.

    Attributes:
        sites: from the first to the last, both included; one alone when they are the same.
        links: what leads from each to the next.
        cost: the sum of the links' costs.
    """

    sites: tuple[str, ...]
    links: tuple[SiteLink, ...] = ()
    cost: int = 0

    @property
    def hop_count(self) -> int:
        """How many links are crossed."""
        return len(self.links)

    @property
    def narrowest(self) -> SiteLink | None:
        """The link with the smallest size limit; None when no link has one (exchange-behaviour RT-8)."""
        limited = [link for link in self.links if link.message_bytes_max]
        return min(limited, key=lambda link: link.message_bytes_max, default=None)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """The best way found so far into a site: from which neighbour, by which link."""

    cost: int
    hop_count: int
    previous: str
    link: SiteLink

    def rank(self) -> tuple[int, int, str, str, float, str, str]:
        """The lower, the better."""
        # Between the same two sites several links may cost the same. The one that lets the largest
        # message through is taken: an administrator who draws a second one means to allow more.
        limit = self.link.message_bytes_max or float("inf")
        return (
            self.cost,
            self.hop_count,
            self.previous.casefold(),
            self.previous,
            -limit,
            self.link.name.casefold(),
            self.link.name,
        )


class SitePaths:
    """The paths between the sites of one organisation; those from one site are found at once and kept."""

    def __init__(self, sites: Iterable[Site], links: Iterable[SiteLink]) -> None:
        self._sites = frozenset(site.name for site in sites)
        self._links_of: dict[str, list[tuple[int, SiteLink]]] = defaultdict(list)
        for number, link in enumerate(links):
            for name in set(link.sites) & self._sites:
                self._links_of[name].append((number, link))
        self._found: dict[str, dict[str, _Arrival]] = {}

    def path(self, source: str, destination: str) -> SitePath | None:
        """The best path, or None when there is none or one of the sites is not known."""
        if source not in self._sites or destination not in self._sites:
            return None
        if source == destination:
            return SitePath((source,))
        arrivals = self._found.get(source)
        if arrivals is None:
            arrivals = self._found[source] = self._arrivals(source)
        last = arrivals.get(destination)
        if last is None:
            return None
        sites, links = [destination], []
        at = destination
        while at != source:
            arrival = arrivals[at]
            links.append(arrival.link)
            at = arrival.previous
            sites.append(at)
        return SitePath(tuple(reversed(sites)), tuple(reversed(links)), last.cost)

    def _arrivals(self, source: str) -> dict[str, _Arrival]:
        """Dijkstra's search by cost and hops; a link costs 1 at least, so a settled site stays settled."""
        best: dict[str, _Arrival] = {}
        settled: set[str] = set()
        # At which cost and hop count a link was first entered. Who enters a link of many sites later
        # reaches none of them sooner, so a mesh of n sites takes n steps and not n * n.
        entered: dict[int, tuple[int, int]] = {}
        waiting: list[tuple[int, int, str]] = [(0, 0, source)]
        while waiting:
            cost, hop_count, at = heapq.heappop(waiting)
            if at in settled:
                continue
            settled.add(at)
            for number, link in self._links_of[at]:
                if entered.setdefault(number, (cost, hop_count)) != (cost, hop_count):
                    continue
                new_cost = cost + max(1, link.cost)
                for name in link.sites:
                    if name in settled or name not in self._sites:
                        continue
                    known = best.get(name)
                    if known is not None and (new_cost, hop_count + 1) > (known.cost, known.hop_count):
                        continue
                    arrival = _Arrival(new_cost, hop_count + 1, at, link)
                    if known is None or arrival.rank() < known.rank():
                        best[name] = arrival
                        heapq.heappush(waiting, (new_cost, hop_count + 1, name))
        return best
