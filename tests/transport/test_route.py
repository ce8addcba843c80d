"""Where mail goes: mailboxes here and elsewhere, connectors, site paths, hubs, and what cannot be sent."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from holdfast.directory.model import (
    AcceptedDomain,
    DistributionGroup,
    DomainKind,
    Mailbox,
    MailboxDatabase,
    Organisation,
    ReceiveConnector,
    RequiredTls,
    Role,
    SendConnector,
    SendTls,
    Server,
    Site,
    SiteLink,
    SmartHostAuth,
    TlsMode,
    Usage,
)
from holdfast.kernel.ids import MailboxId
from holdfast.kernel.iprange import parse_ip_range
from holdfast.transport.queue import DeliveryType, Failure, NextHopKey
from holdfast.transport.route import Router, Unreachable, words_of_target

# a1 and a2 in site A, b1 in B, c1 in C, d1 in D: A - B - C - D in a row.
SERVERS = ("a1", "a2", "b1", "c1", "d1")
ANYBODY = (parse_ip_range("0.0.0.0/0"),)


def server(name: str) -> Server:
    number = SERVERS.index(name)
    return Server(name, f"{name}.example.com", name[0].upper(), addresses=(f"10.0.{number}.1",))


ORGANISATION = Organisation(
    sites=tuple(Site(name) for name in "ABCD"),
    site_links=tuple(SiteLink(pair, (pair[0], pair[1]), 10) for pair in ("AB", "BC", "CD")),
    servers=tuple(server(name) for name in SERVERS),
    accepted_domains=(
        AcceptedDomain("example.com"),
        AcceptedDomain("shared.example", DomainKind.INTERNAL_RELAY),
        AcceptedDomain("other.example", DomainKind.EXTERNAL_RELAY),
    ),
    receive_connectors=tuple(
        ReceiveConnector(name, name, ("0.0.0.0:25",), ANYBODY, Usage.INTERNAL) for name in SERVERS
    ),
    mailbox_databases=tuple(MailboxDatabase(f"db-{name}", name) for name in SERVERS),
    mailboxes=(
        *(Mailbox(f"{name}@example.com", MailboxId(name), f"db-{name}") for name in SERVERS),
        Mailbox("off@example.com", MailboxId("off"), "db-a1", enabled=False),
        Mailbox("some@shared.example", MailboxId("some"), "db-a1"),
    ),
    distribution_groups=(DistributionGroup("all@example.com", ("a1@example.com",)),),
)
INTERNET = SendConnector("internet", ("*",))


def router(*connectors: SendConnector, name: str = "a1", **changes: object) -> Router:
    return Router(replace(ORGANISATION, send_connectors=connectors, **changes), name)  # type: ignore[arg-type]  # fields of the organisation, by name


def chosen(*connectors: SendConnector, to: str = "x@example.org", size: int = 1000, name: str = "a1") -> str:
    """The name of the connector that is chosen, or the key of the server that has it."""
    target = router(*connectors, name=name).route(to, size)
    assert isinstance(target, NextHopKey), target
    return target.connector or str(target)


# --- who is who -------------------------------------------------------------------------------


def test_a_mailbox_here_and_a_group() -> None:
    found = router().route("A1@example.com", 1)
    assert isinstance(found, Mailbox)
    assert found.database == "db-a1"
    assert isinstance(router().route("all@example.com", 1), DistributionGroup)
    assert isinstance(router().route("postmaster@example.com", 1), Mailbox)


@pytest.mark.parametrize(
    ("recipient", "status"),
    [
        ("nobody@example.com", "5.1.1"),
        ("off@example.com", "5.2.1"),
        ("no address", "5.1.3"),
        ("root@b1.example.com", "5.1.1"),
    ],
)
def test_failures(recipient: str, status: str) -> None:
    target = router(INTERNET).route(recipient, 1)
    assert isinstance(target, Failure)
    assert target.status == status


def test_relay_domains() -> None:
    mail = router(INTERNET)
    assert isinstance(mail.route("some@shared.example", 1), Mailbox)
    assert mail.route("else@shared.example", 1) == NextHopKey(DeliveryType.DNS, "shared.example", "internet")
    assert mail.route("x@other.example", 1) == NextHopKey(DeliveryType.DNS, "other.example", "internet")
    # Everything of an external relay domain is somebody else's, its postmaster too.
    assert isinstance(mail.route("postmaster@other.example", 1), NextHopKey)


def test_a_server_that_is_not_declared_takes_mailboxes_for_its_own() -> None:
    mail = router(INTERNET, replace(INTERNET, name="of b1", source_servers=("b1",)), name="unknown")
    assert isinstance(mail.route("d1@example.com", 1), Mailbox)
    assert mail.route("x@example.org", 1) == NextHopKey(DeliveryType.DNS, "example.org", "internet")
    assert mail.profile(NextHopKey(DeliveryType.SERVER, "B")) is None
    profile = mail.profile(NextHopKey(DeliveryType.DNS, "example.org", "internet"))
    assert profile is not None
    assert profile.ehlo_name == "localhost"


# --- connectors (SC-2) ------------------------------------------------------------------------


def space(name: str, *spaces: str, **changes: object) -> SendConnector:
    return SendConnector(name, spaces, **changes)  # type: ignore[arg-type]  # fields of the connector, by name


CHOICES = {
    "the domain itself before all below": ((space("a", "*.example.org"), space("z", "example.org")), "z"),
    "the longer of two": ((space("a", "*.org"), space("z", "*.example.org")), "z"),
    "any domain comes last": ((space("a", "*"), space("z", "*.org;100")), "z"),
    "a star before a dot includes the domain itself": ((space("z", "*.example.org"),), "z"),
    "the more specific space before the lower cost": (
        (space("a", "*;1"), space("z", "*.example.org;99")),
        "z",
    ),
    "lower cost": ((space("a", "*;2"), space("z", "*;1")), "z"),
    "lower cost of two spaces": ((space("a", "*;2"), space("z", "*;9", "*;1")), "z"),
    "a link's cost counts": ((space("a", "*;1", source_servers=("b1",)), space("z", "*;10")), "z"),
    "and is added to the space's": (
        (space("a", "*;1", source_servers=("b1",)), space("z", "*;12")),
        "server:B",
    ),
    "this server before one of this site": (
        (space("a", "*", source_servers=("a2",)), space("z", "*", source_servers=("a1",))),
        "z",
    ),
    "this site before another": (
        (space("a", "*;1", source_servers=("b1",)), space("z", "*;11", source_servers=("a2",))),
        "server:A/a2",
    ),
    "lowest name": ((space("Z", "*"), space("b", "*"), space("A", "*")), "A"),
    "enabled only": ((space("a", "*", enabled=False), space("z", "*")), "z"),
    "large enough only": ((space("a", "example.org", message_bytes_max=999), space("z", "*")), "z"),
    "as large as it may be": ((space("a", "example.org", message_bytes_max=1000), space("z", "*")), "a"),
    "scoped to another site": (
        (space("a", "example.org", source_servers=("b1",), scoped=True), space("z", "*")),
        "z",
    ),
    "scoped to this site": (
        (space("a", "example.org", source_servers=("a2",), scoped=True), space("z", "*")),
        "server:A/a2",
    ),
    "the nearest of several source servers": (
        (space("a", "*", source_servers=("d1", "b1", "c1")),),
        "server:B",
    ),
    "a malformed space serves nothing": ((space("a", "*org"), space("z", "*")), "z"),
}


@pytest.mark.parametrize(("connectors", "expected"), CHOICES.values(), ids=CHOICES)
def test_choice(connectors: tuple[SendConnector, ...], expected: str) -> None:
    assert chosen(*connectors) == expected
    # The order in which they are declared means nothing.
    assert chosen(*reversed(connectors)) == expected


def test_what_no_connector_takes() -> None:
    small = space("small", "*", message_bytes_max=10)
    assert isinstance(router().route("x@example.org", 1), Unreachable)
    assert isinstance(router(space("a", "example.net")).route("x@example.org", 1), Unreachable)
    assert isinstance(router(replace(INTERNET, enabled=False)).route("x@example.org", 1), Unreachable)
    for connectors in (
        (small,),
        (small, space("a", "example.net")),
        (space("s", "example.net", message_bytes_max=9),),
    ):
        target = router(*connectors).route("x@example.org", 11)
        assert isinstance(target, Failure), connectors
        assert target.status == "5.3.4"


def test_spaces_do_not_reach_below_without_a_star() -> None:
    assert isinstance(router(space("a", "example.org")).route("x@sub.example.org", 1), Unreachable)


def test_domains_are_compared_in_one_form() -> None:
    mail = router(space("a", "xn--bcher-kva.example"))
    key = NextHopKey(DeliveryType.DNS, "xn--bcher-kva.example", "a")
    assert mail.route("x@bücher.example", 1) == mail.route("x@BÜCHER.example", 1) == key
    literal = router(INTERNET).route("x@[192.0.2.1]", 1)
    assert literal == NextHopKey(DeliveryType.DNS, "[192.0.2.1]", "internet")


def test_many_domains_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.transport.route.DOMAIN_COUNT_MAX", 5)
    mail = router(INTERNET)
    for number in range(50):
        domain = f"d{number % 20}.example.org"
        assert mail.route(f"x@{domain}", 1) == NextHopKey(DeliveryType.DNS, domain, "internet")


# --- servers of ours --------------------------------------------------------------------------


def groups(mail: Router, target: object) -> list[list[str]]:
    assert isinstance(target, NextHopKey)
    profile = mail.profile(target)
    assert profile is not None
    return [[each.name for each in group] for group in profile.server_groups]


def test_another_server_of_this_site_is_addressed_itself() -> None:
    mail = router()
    target = mail.route("a2@example.com", 1)
    assert str(target) == "server:A/a2"
    assert groups(mail, target) == [["a2"]]
    # A site may have the name that this key would have.
    confused = router(sites=(*ORGANISATION.sites, Site("A/a2")))
    target = confused.route("a2@example.com", 1)
    assert str(target) == "server:A/a2/"
    assert groups(confused, target) == [["a2"]]


def test_direct_to_the_destination_and_back_along_the_path() -> None:
    mail = router()
    target = mail.route("d1@example.com", 1)
    assert target == NextHopKey(DeliveryType.SERVER, "D")
    assert groups(mail, target) == [["d1"], ["c1"], ["b1"]]
    profile = mail.profile(target)
    assert profile is not None
    last = profile.server_groups[0][0]
    assert (last.fqdn, last.address, last.port) == ("d1.example.com", "10.0.4.1", 25)
    assert (profile.ehlo_name, profile.tls) == ("a1.example.com", SendTls.ENCRYPTED)


def test_on_one_machine_our_own_loopback_address_tells_us_from_the_others() -> None:
    def source(own: tuple[str, ...], binding: str) -> str:
        others = [each for each in ORGANISATION.servers if each.name != "a1"]
        (us,) = (each for each in ORGANISATION.servers if each.name == "a1")
        doors = [
            replace(each, bindings=(binding,)) if each.server == "a2" else each
            for each in ORGANISATION.receive_connectors
        ]
        mail = router(servers=(replace(us, addresses=own), *others), receive_connectors=tuple(doors))
        target = mail.route("a2@example.com", 1)
        assert isinstance(target, NextHopKey)
        profile = mail.profile(target)
        assert profile is not None
        return profile.source_address

    assert source(("127.0.0.2",), "127.0.0.3:2525") == "127.0.0.2"
    assert source(("10.0.1.1",), "127.0.0.3:2525") == ""
    assert source(("127.0.0.2",), "10.0.1.2:25") == ""


def hubs(names: str) -> tuple[Site, ...]:
    return tuple(replace(site, hub=site.name in names) for site in ORGANISATION.sites)


def test_delayed_fan_out_over_hubs() -> None:
    mail = router(sites=hubs("B"))
    targets = {str(mail.route(f"{name}@example.com", 1)) for name in ("b1", "c1", "d1")}
    assert targets == {"server:B"}  # one copy to the hub, which parts it
    assert groups(mail, mail.route("d1@example.com", 1)) == [["b1"]]
    at_hub = router(sites=hubs("B"), name="b1")
    assert {str(at_hub.route(f"{name}@example.com", 1)) for name in ("c1", "d1")} == {"server:C", "server:D"}
    # Every hub on the path is a stop, the nearest first.
    assert str(router(sites=hubs("BC")).route("d1@example.com", 1)) == "server:B"
    # One that is not on the path is none, nor one without a server.
    assert str(router(sites=hubs("AD")).route("c1@example.com", 1)) == "server:C"
    without = tuple(each for each in ORGANISATION.servers if each.name != "b1")
    assert str(router(sites=hubs("B"), servers=without).route("d1@example.com", 1)) == "server:D"


def test_a_connector_elsewhere_is_reached_over_the_hub() -> None:
    far = space("far", "*", source_servers=("d1",))
    assert chosen(far) == "server:D"
    assert str(router(far, sites=hubs("C")).route("x@example.org", 1)) == "server:C"
    assert chosen(far, name="d1") == "far"


def limited(**limits: int) -> tuple[SiteLink, ...]:
    return tuple(
        replace(link, message_bytes_max=limits.get(link.name, 0)) for link in ORGANISATION.site_links
    )


def test_a_link_with_a_size_limit_returns_the_message() -> None:
    far = space("far", "*", source_servers=("d1",))
    near = space("near", "*;100", source_servers=("b1",))
    mail = router(far, near, site_links=limited(CD=100))
    assert str(mail.route("c1@example.com", 101)) == "server:C"
    assert str(mail.route("d1@example.com", 100)) == "server:D"
    for recipient in ("d1@example.com", "x@example.org"):
        target = mail.route(recipient, 101)
        assert isinstance(target, Failure)
        assert (target.status, "CD" in target.text) == ("5.3.4", False)


def test_where_no_link_or_no_server_leads() -> None:
    mail = router(space("far", "*", source_servers=("d1",)), site_links=limited()[:2])
    assert isinstance(mail.route("d1@example.com", 1), Unreachable)
    assert isinstance(mail.route("x@example.org", 1), Unreachable)
    assert mail.profile(NextHopKey(DeliveryType.SERVER, "D")) is None
    doorless = router(receive_connectors=())
    assert isinstance(doorless.route("d1@example.com", 1), Unreachable)
    assert isinstance(doorless.route("a2@example.com", 1), Unreachable)
    for domain in ("D", "A/a2", "nowhere", "B/b1"):
        assert doorless.profile(NextHopKey(DeliveryType.SERVER, domain)) is None


def test_servers_without_tls_are_sent_to_in_the_clear() -> None:
    plain = tuple(replace(each, tls=TlsMode.NONE) for each in ORGANISATION.receive_connectors)
    mail = router(receive_connectors=plain)
    profile = mail.profile(NextHopKey(DeliveryType.SERVER, "B"))
    assert profile is not None
    assert profile.tls is SendTls.OPPORTUNISTIC


def test_mail_always_arrives_and_never_turns_back() -> None:
    luck = random.Random(3)
    for _ in range(60):
        sites = tuple(Site(f"s{number}", hub=luck.random() < 0.4) for number in range(8))
        links = tuple(
            SiteLink(f"l{number}", tuple(site.name for site in luck.sample(sites, 2)), luck.randint(1, 3))
            for number in range(14)
        )
        servers = tuple(
            Server(
                f"m{number}",
                f"m{number}.example.com",
                sites[number % 8].name,
                addresses=(f"10.1.0.{number + 1}",),
            )
            for number in range(12)
        )
        connectors = tuple(
            SendConnector(
                f"c{number}",
                (f"*;{luck.randint(1, 3)}",),
                source_servers=tuple(each.name for each in luck.sample(servers, 2)),
                scoped=luck.random() < 0.3,
            )
            for number in range(4)
        )
        organisation = Organisation(
            sites=sites,
            site_links=links,
            servers=servers,
            send_connectors=connectors,
            accepted_domains=(AcceptedDomain("example.com"),),
            receive_connectors=tuple(
                ReceiveConnector(each.name, each.name, ("0.0.0.0:25",), ANYBODY) for each in servers
            ),
            mailbox_databases=(MailboxDatabase("db", "m9"),),
            mailboxes=(Mailbox("u@example.com", MailboxId("u"), "db"),),
        )
        routers = {each.name: Router(organisation, each.name) for each in servers}
        for recipient in ("u@example.com", "x@example.org"):
            _travel(routers, recipient, luck)


def _travel(routers: dict[str, Router], recipient: str, luck: random.Random) -> None:
    """Hand a message on as the profiles say, over any server that might answer."""
    for start in routers:
        at, seen = start, {start}
        while True:
            target = routers[at].route(recipient, 100)
            if isinstance(target, Unreachable | Mailbox):
                break
            assert isinstance(target, NextHopKey)
            if target.connector:
                break
            profile = routers[at].profile(target)
            assert profile is not None
            at = luck.choice([each.name for group in profile.server_groups for each in group])
            assert at not in seen, (start, seen, at)
            seen.add(at)


# --- profiles ---------------------------------------------------------------------------------


def test_the_profile_of_a_connector() -> None:
    relay = SendConnector(
        "relay",
        ("*",),
        ("mx1.relay.example", "[192.0.2.9]"),
        fqdn="out.example.com",
        port=587,
        auth=SmartHostAuth.BASIC_REQUIRE_TLS,
        user="us",
        tls=SendTls.DOMAIN,
        tls_domain="relay.example",
        message_count_per_connection_max=7,
        connection_count_per_domain_max=3,
        inactivity_s=9.0,
        source_address="10.0.0.1",
    )
    mail = router(relay)
    key = mail.route("x@example.org", 1)
    assert key == NextHopKey(DeliveryType.SMART_HOST, "mx1.relay.example,[192.0.2.9]", "relay")
    assert isinstance(key, NextHopKey)
    profile = mail.profile(key)
    assert profile is not None
    assert (profile.smart_hosts, profile.port, profile.ehlo_name) == (
        relay.smart_hosts,
        587,
        "out.example.com",
    )
    assert (profile.auth, profile.user, profile.source_address) == (relay.auth, "us", "10.0.0.1")
    assert (profile.tls, profile.tls_domain) == (SendTls.DOMAIN, "relay.example")
    assert (profile.message_count_per_connection_max, profile.connection_count_max) == (7, 3)
    assert profile.inactivity_s == 9.0


@pytest.mark.parametrize(
    "key",
    [
        NextHopKey(DeliveryType.DNS, "example.org", "gone"),
        NextHopKey(DeliveryType.DNS, "example.org", "off"),
        NextHopKey(DeliveryType.DNS, "example.org", "relay"),
        NextHopKey(DeliveryType.SMART_HOST, "old.relay.example", "relay"),
        NextHopKey(DeliveryType.SMART_HOST, "relay.example", "internet"),
        NextHopKey(DeliveryType.MAILBOX, "db-a1"),
        NextHopKey(DeliveryType.SMART_HOST, "relay.example:99999"),
        NextHopKey(DeliveryType.SMART_HOST, "relay:example:25"),
        NextHopKey(DeliveryType.SMART_HOST, ":25"),
    ],
)
def test_keys_that_lead_nowhere_any_more(key: NextHopKey) -> None:
    relay = space("relay", "*", smart_hosts=("relay.example",))
    assert router(INTERNET, relay, space("off", "*", enabled=False)).profile(key) is None


def test_an_administrator_sends_it_elsewhere() -> None:
    mail = router()
    for redirect, host, port in (
        ("relay.example", "relay.example", 25),
        ("relay.example:2525", "relay.example", 2525),
        ("[192.0.2.7]:26", "[192.0.2.7]", 26),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", 25),
    ):
        key = mail.route("x@example.org", 1, redirect)
        assert isinstance(key, NextHopKey)
        profile = mail.profile(key)
        assert profile is not None
        assert (profile.smart_hosts, profile.port) == ((host,), port)
        assert mail.route("d1@example.com", 1, redirect) == key
        assert isinstance(mail.route("a1@example.com", 1, redirect), Mailbox)
        assert isinstance(mail.route("nobody@example.com", 1, redirect), Failure)


def test_required_tls_has_a_queue_of_its_own_on_the_way_to_a_smart_host() -> None:
    required = (
        RequiredTls("bank.example", SendTls.DOMAIN),
        RequiredTls("*.example", SendTls.ENCRYPTED),
        RequiredTls("*.bank.example", SendTls.CERTIFICATE),
        RequiredTls("example.net", SendTls.ENCRYPTED),
    )
    relay = space("relay", "*", smart_hosts=("relay.example",))
    mail = router(relay, required_tls=required)
    levels = {}
    for domain in ("bank.example", "sub.bank.example", "x.example", "example.org", "sub.example.net"):
        key = mail.route(f"x@{domain}", 1)
        assert isinstance(key, NextHopKey)
        profile = mail.profile(key)
        assert profile is not None
        levels[domain] = (key.domain, profile.tls)
    assert levels == {
        "bank.example": ("relay.example;tls=certificate", SendTls.CERTIFICATE),
        "sub.bank.example": ("relay.example;tls=certificate", SendTls.CERTIFICATE),
        "x.example": ("relay.example;tls=encrypted", SendTls.ENCRYPTED),
        "example.org": ("relay.example", SendTls.OPPORTUNISTIC),
        "sub.example.net": ("relay.example", SendTls.OPPORTUNISTIC),
    }
    strict = router(replace(relay, tls=SendTls.CERTIFICATE), required_tls=required)
    key = strict.route("x@bank.example", 1)
    assert isinstance(key, NextHopKey)
    assert key.domain == "relay.example"
    by_dns = router(INTERNET, required_tls=required).route("x@bank.example", 1)
    assert by_dns == NextHopKey(DeliveryType.DNS, "bank.example", "internet")


# --- explanation ------------------------------------------------------------------------------


def test_every_connector_says_why_it_fell_out() -> None:
    connectors = (
        space("big enough", "*", source_servers=("d1",)),
        space("dearer", "*;100"),
        space("off", "*", enabled=False),
        space("scoped", "*", source_servers=("d1",), scoped=True),
        space("small", "example.org", message_bytes_max=500),
        space("other", "example.net"),
    )
    explained = router(*connectors, sites=hubs("B"), site_links=limited(BC=5000)).explain(
        "x@Example.org", 1000
    )
    assert (explained.connector, explained.domain) == ("big enough", "example.org")
    why = {each.connector.name: each.why_not for each in explained.candidates}
    assert list(why)[:2] == ["big enough", "dearer"]
    assert why["big enough"] == why["dearer"] == ""
    assert why["off"] == "it is disabled"
    assert why["scoped"] == "it is scoped: only servers in D see it"
    assert why["small"] == "takes messages up to 500 B, this one has 1000 B"
    assert why["other"] == "none of its address spaces serves example.org"
    assert explained.path is not None
    assert explained.path.sites == ("A", "B", "C", "D")
    assert explained.hubs == ("B",)
    assert explained.target == NextHopKey(DeliveryType.SERVER, "B")
    assert explained.profile is not None
    assert explained.steps == (
        "the domain example.org is not one of ours: a send connector is needed",
        'send connector "big enough", of a server of another site: address space *, cost 31',
        "path: A - B - C - D, cost 30",
        'site link "BC" on it takes messages up to 4.88 KB',
        "it stops at the hub B",
        "queue server:B",
    )


@pytest.mark.parametrize(
    ("recipient", "said"),
    [
        ("a1@example.com", ("a1@example.com is the mailbox", "delivered into")),
        ("all@example.com", ("all@example.com is the group", "its members")),
        ("nobody@example.com", ("nobody@example.com: 5.1.1", "returned to its sender: 5.1.1")),
        ("b1@example.com", ('b1@example.com is a mailbox on server "b1"', "path: A - B", "no hub", "queue")),
        ("a2@example.com", ('a2@example.com is a mailbox on server "a2"', "queue server:A/a2")),
        ("x@shared.example", ("the domain shared.example is an accepted", "there is no send", "waits in")),
        ("malformed", ("malformed: 5.1.3", "returned")),
    ],
)
def test_explained(recipient: str, said: tuple[str, ...]) -> None:
    steps = router().explain(recipient, 1).steps
    assert len(steps) == len(said)
    assert all(step.startswith(words) for step, words in zip(steps, said, strict=True)), steps


def test_explained_when_none_can_be_used() -> None:
    explained = router(replace(INTERNET, enabled=False)).explain("x@example.org", 1)
    assert "none of 1 send connectors can be used" in explained.steps
    assert explained.connector == ""
    undeclared = router(replace(INTERNET, source_servers=("b1",)), name="unknown").explain("x@example.org", 1)
    assert undeclared.candidates[0].why_not.startswith("this server is not declared")
    assert "unreachable" in words_of_target(undeclared.target)
    scoped = router(replace(INTERNET, source_servers=("gone",), scoped=True)).explain("x@example.org", 1)
    assert "no site see it" in scoped.candidates[0].why_not


def test_explained_for_a_server_without_transport() -> None:
    servers = tuple(
        replace(each, roles=(Role.MAILBOX,)) if each.name == "b1" else each for each in ORGANISATION.servers
    )
    assert isinstance(router(servers=servers).explain("b1@example.com", 1).target, Unreachable)


def test_queues_as_people_read_them() -> None:
    relay = space("relay", "*", smart_hosts=("relay.example",))
    mail = router(relay, required_tls=(RequiredTls("bank.example"),))
    assert str(mail.route("x@example.org", 1)) == "smart-host:relay"
    assert str(mail.route("x@bank.example", 1)) == "smart-host:relay;tls=certificate"
    assert str(mail.route("x@example.org", 1, "spare.example")) == "smart-host:spare.example"
