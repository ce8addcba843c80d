"""The least-cost path, with its tie rules, against a search that tries everything."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import Site, SiteLink
from holdfast.transport.site_paths import SitePath, SitePaths


def paths_of(links: dict[str, tuple[str, int]]) -> SitePaths:
    """Links by name: their sites as one-letter names, and their cost."""
    declared = tuple(SiteLink(name, tuple(sites), cost) for name, (sites, cost) in links.items())
    names = sorted({site for link in declared for site in link.sites})
    return SitePaths([Site(name) for name in names], declared)


CASES = {
    "lowest cost, though with more hops": ({"1": ("AD", 100), "2": ("AB", 10), "3": ("BD", 10)}, "ABD"),
    "then fewest hops": ({"1": ("AD", 20), "2": ("AB", 10), "3": ("BD", 10)}, "AD"),
    "then the lowest name next to the destination": (
        {"1": ("AC", 10), "2": ("CD", 10), "3": ("AB", 10), "4": ("BD", 10)},
        "ABD",
    ),
    "case does not matter": ({"1": ("Ab", 10), "2": ("bD", 10), "3": ("AC", 10), "4": ("CD", 10)}, "AbD"),
    "nearest the destination counts before nearest the source": (
        # A-B-F-D against A-C-E-D: E is lower than F, although B is lower than C.
        {"1": ("AB", 1), "2": ("BF", 1), "3": ("FD", 1), "4": ("AC", 1), "5": ("CE", 1), "6": ("ED", 1)},
        "ACED",
    ),
    "one site earlier on a tie": (
        {"1": ("AC", 1), "2": ("CE", 1), "3": ("AB", 1), "4": ("BE", 1), "5": ("ED", 1)},
        "ABED",
    ),
    "a link of three sites": ({"1": ("ABD", 10), "2": ("AB", 4), "3": ("BD", 4)}, "ABD"),
}


@pytest.mark.parametrize(("links", "expected"), CASES.values(), ids=CASES)
def test_tie_rules(links: dict[str, tuple[str, int]], expected: str) -> None:
    path = paths_of(links).path("A", "D")
    assert path is not None
    assert "".join(path.sites) == expected
    assert path.hop_count == len(expected) - 1
    assert path.cost == sum(link.cost for link in path.links)


def test_where_no_path_leads() -> None:
    paths = paths_of({"1": ("AB", 1), "2": ("CD", 1)})
    assert paths.path("A", "C") is None
    assert paths.path("A", "nowhere") is None
    assert paths.path("nowhere", "A") is None
    assert paths.path("A", "A") == SitePath(("A",))


def test_a_site_that_nobody_declared_is_not_crossed() -> None:
    paths = SitePaths([Site("A"), Site("B")], [SiteLink("1", ("A", "ghost")), SiteLink("2", ("ghost", "B"))])
    assert paths.path("A", "B") is None


def test_the_narrowest_link() -> None:
    links = (
        SiteLink("1", ("A", "B"), message_bytes_max=500),
        SiteLink("2", ("B", "C")),
        SiteLink("3", ("C", "D"), message_bytes_max=200),
    )
    paths = SitePaths([Site(name) for name in "ABCD"], links)
    path = paths.path("A", "D")
    assert path is not None
    assert path.narrowest == links[2]
    inner = paths.path("B", "C")
    assert inner is not None
    assert inner.narrowest is None


def test_of_two_equal_links_the_wider_one_is_taken() -> None:
    narrow, wide = SiteLink("a", ("A", "B"), 5, 100), SiteLink("b", ("A", "B"), 5, 0)
    path = SitePaths([Site("A"), Site("B")], [narrow, wide]).path("A", "B")
    assert path is not None
    assert path.links == (wide,)


def every_path(names: list[str], links: list[SiteLink], source: str, destination: str) -> list[SitePath]:
    """All paths without a site twice, by trying; between two sites each link that joins them."""
    found = []
    others = [name for name in names if name not in (source, destination)]
    for count in range(len(others) + 1):
        for between in itertools.permutations(others, count):
            sites = (source, *between, destination)
            steps = []
            for pair in itertools.pairwise(sites):
                joining = [link for link in links if set(pair) <= set(link.sites)]
                if not joining:
                    break
                steps.append(min(joining, key=lambda link: link.cost))
            else:
                found.append(SitePath(sites, tuple(steps), sum(link.cost for link in steps)))
    return found


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("AbCdEF"), min_size=2, max_size=4, unique=True), st.integers(1, 3)
        ),
        max_size=9,
    )
)
@settings(max_examples=150, deadline=None)
def test_the_same_as_trying_everything(declared: list[tuple[list[str], int]]) -> None:
    names = list("AbCdEF")
    links = [SiteLink(str(number), tuple(sites), cost) for number, (sites, cost) in enumerate(declared)]
    paths = SitePaths([Site(name) for name in names], links)
    for destination in names[1:]:
        tried = every_path(names, links, "A", destination)
        best = min(
            tried,
            key=lambda path: (
                path.cost,
                path.hop_count,
                [name.casefold() for name in reversed(path.sites)],
            ),
            default=None,
        )
        found = paths.path("A", destination)
        assert (found is None) == (best is None)
        if found is None or best is None:
            continue
        assert (found.sites, found.cost) == (best.sites, best.cost)
        # What follows a site on the path is its own best path: mail never turns back.
        for start in range(1, len(found.sites)):
            rest = paths.path(found.sites[start], destination)
            assert rest is not None
            assert rest.sites == found.sites[start:]


def test_two_hundred_sites_with_large_links() -> None:
    luck = random.Random(5)
    names = [f"site{number:03}" for number in range(200)]
    links = [
        SiteLink(f"link{number}", tuple(luck.sample(names, 100)), luck.randint(1, 99_999))
        for number in range(200)
    ]
    paths = SitePaths([Site(name) for name in names], links)
    assert all(paths.path(names[0], name) is not None for name in names)
