"""A candidate says what it was judged by; the rules of choice themselves are in test_route."""

from __future__ import annotations

from holdfast.directory.model import Organisation, SendConnector, Server, Site, SiteLink
from holdfast.transport.connector_choice import ConnectorChoice, size_reason
from holdfast.transport.site_paths import SitePaths

NEAR, FAR, LOST = (Server(name, f"{name}.example.com", name) for name in ("near", "far", "lost"))


def choice(*connectors: SendConnector) -> ConnectorChoice:
    organisation = Organisation(
        sites=(Site("near"), Site("far"), Site("lost")),
        site_links=(SiteLink("link", ("near", "far"), 7),),
        servers=(NEAR, FAR, LOST),
        send_connectors=connectors,
    )
    return ConnectorChoice(organisation, NEAR, SitePaths(organisation.sites, organisation.site_links))


def test_what_a_candidate_knows() -> None:
    far, lost, none = choice(
        SendConnector("lost", ("*",), source_servers=("lost",)),
        SendConnector("none", ("example.net",)),
        SendConnector("far", ("*;5", "SMTP:*.example.org;3"), source_servers=("lost", "far")),
    ).ranked("example.org")
    assert (far.connector.name, far.space_text, far.cost, far.site_cost, far.hop_count) == (
        "far",
        "SMTP:*.example.org;3",
        10,
        7,
        2,
    )
    assert far.servers == (FAR,)
    assert lost.why_not == "no site link leads to its source servers (lost)"
    assert (none.cost, none.space) == (0, None)


def test_size() -> None:
    (only,) = choice(SendConnector("a", ("*",), message_bytes_max=2048)).ranked("example.org")
    assert (only.too_big(2048), only.too_big(2049)) == (False, True)
    assert size_reason(only, 2049) == "takes messages up to 2.00 KB, this one has 2.00 KB"
