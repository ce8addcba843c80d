"""What is explained is what would happen: doors, rights, replies, ways, copies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import (
    AcceptedDomain,
    DistributionGroup,
    Mailbox,
    MailboxDatabase,
    Organisation,
    PermissionGroup,
    ReceiveConnector,
    SendConnector,
    Server,
    Site,
    SiteLink,
    TlsMode,
    Usage,
)
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.kernel.iprange import parse_ip_range
from holdfast.transport.explain import Asked, MessageExplained, explain_message

EVERYONE = (parse_ip_range("0.0.0.0/0"), parse_ip_range("::/0"))
INTERNAL = {"usage": Usage.INTERNAL}


def far(site: str) -> tuple[Server, ReceiveConnector, MailboxDatabase, Mailbox]:
    """A server in another site with one mailbox."""
    server = Server(site, f"{site}.example.test", site, addresses=("192.0.2.9",))
    connector = ReceiveConnector(f"in-{site}", site, ("192.0.2.9:25",), EVERYONE, usage=Usage.INTERNAL)
    mailbox = Mailbox(f"{site}@example.test", MailboxId(site), f"db-{site}")
    return server, connector, MailboxDatabase(f"db-{site}", site), mailbox


FAR = [far(site) for site in ("hub", "east", "west")]
ORGANISATION = Organisation(
    sites=(Site("here"), Site("hub", hub=True), Site("east"), Site("west")),
    site_links=(
        SiteLink("a", ("here", "hub"), 10),
        SiteLink("b", ("hub", "east"), 10),
        SiteLink("c", ("hub", "west"), 10),
    ),
    servers=(
        Server("mail1", "mail1.example.test", "here", addresses=("192.0.2.1",)),
        *(each[0] for each in FAR),
    ),
    accepted_domains=(AcceptedDomain("example.test"),),
    mailbox_databases=(MailboxDatabase("db1", "mail1"), *(each[2] for each in FAR)),
    mailboxes=(
        Mailbox("alice@example.test", MailboxId("alice"), "db1"),
        Mailbox("bob@example.test", MailboxId("bob"), "db1", enabled=False),
        *(each[3] for each in FAR),
    ),
    distribution_groups=(
        DistributionGroup(
            "all@example.test", ("alice@example.test", "east@example.test", "west@example.test")
        ),
    ),
    receive_connectors=(
        ReceiveConnector("internet", "mail1", ("0.0.0.0:25",), EVERYONE, fqdn="mx.example.test"),
        ReceiveConnector(
            "scanner",
            "mail1",
            ("192.0.2.1:25",),
            (parse_ip_range("198.51.100.0/24"),),
            usage=Usage.RELAY,
            anonymous_relay=True,
        ),
        ReceiveConnector("client", "mail1", ("0.0.0.0:587",), EVERYONE, usage=Usage.CLIENT),
        ReceiveConnector("old", "mail1", ("0.0.0.0:25",), EVERYONE, enabled=False),
        *(each[1] for each in FAR),
    ),
    send_connectors=(
        SendConnector(
            "partner", ("*.partner.example",), smart_hosts=("smart.example",), source_servers=("mail1",)
        ),
        SendConnector("world", ("*",), source_servers=("mail1",)),
    ),
)


def explained(*recipients: str, client: str = "203.0.113.9", **more: object) -> MessageExplained:
    asked = Asked(client, "x@other.example", recipients or ("alice@example.test",))
    return explain_message(ORGANISATION, "mail1", replace(asked, **more))  # type: ignore[arg-type]  # any field


def test_the_door_and_why_not_the_others() -> None:
    found = explained()
    assert found.connector == "internet"
    assert found.connector_why == (
        "203.0.113.9 is in its remote range 0.0.0.0/0, the narrowest at 0.0.0.0 port 25"
    )
    assert {each.name: each.why_not for each in found.connectors} == {
        "scanner": "it listens on 192.0.2.1:25, not at 0.0.0.0 port 25",
        "client": "it listens on 0.0.0.0:587, not at 0.0.0.0 port 25",
        "old": "it is disabled",
    }
    narrow = explained(client="198.51.100.7", local_address="192.0.2.1")
    assert narrow.connector == "scanner"
    why = {each.name: each.why_not for each in narrow.connectors}
    assert why["internet"] == '"scanner" has a narrower remote range or binding'
    outside = explained(local_address="192.0.2.1")
    assert {each.name: each.why_not for each in outside.connectors}["scanner"] == (
        "203.0.113.9 is in none of its remote ranges"
    )


def test_where_nobody_listens() -> None:
    found = explained(local_port=2525)
    assert (found.connector, found.recipients) == ("", ())
    assert "at 0.0.0.0 port 2525: 554 5.7.1" in found.connector_why
    assert explained(client="2001:db8::1").connector == ""


def test_rights_decide_about_relay() -> None:
    outside = "someone@elsewhere.example.net"
    anonymous = explained(outside, "alice@example.test")
    assert [each.judged.code for each in anonymous.recipients] == [550, 250]
    assert "5.7.1 relay refused" in anonymous.recipients[0].judged.text
    assert "send to domains that are not ours" not in anonymous.rights
    scanner = explained(outside, client="198.51.100.7", local_address="192.0.2.1")
    assert scanner.recipients[0].judged.passes
    assert "send to domains that are not ours" in scanner.rights
    assert [each.name for each in scanner.queues] == ["dns:elsewhere.example.net"]
    assert "header firewall: removes X-Holdfast-Organization-* and the like" in scanner.filters


def test_who_signs_in_may_send_as_itself_only() -> None:
    user: Any = {"local_port": 587, "user": "alice@example.test"}
    other = explained(**user)
    assert other.sender is not None
    assert (other.client, other.sender.code) == ("a user who signed in", 550)
    own = explained(**user, sender="alice@example.test")
    assert own.sender is not None
    assert own.sender.passes
    silent = explained(local_port=587)
    assert silent.sender is not None
    assert silent.sender.code == 530


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"client": "nowhere"}, "is not an IP address"),
        ({"local_address": "mail1"}, "is not an IP address"),
        ({"user": "nobody@example.test", "local_port": 587}, "there is no mailbox"),
        ({"user": "all@example.test", "local_port": 587}, "there is no mailbox"),
        ({"user": "bob@example.test", "local_port": 587}, "is disabled"),
        ({"user": "alice@example.test"}, "lets nobody sign in"),
    ],
)
def test_what_makes_no_sense_is_said(more: dict[str, object], text: str) -> None:
    with pytest.raises(Refusal, match=text):
        explained(**more)  # type: ignore[arg-type]  # any field


def test_recipients_that_would_be_refused_have_their_reply() -> None:
    found = explained("nobody@example.test", "bob@example.test", "not an address", "alice@example.test")
    assert [(each.judged.code, each.judged.text[:5]) for each in found.recipients[:2]] == [
        (550, "5.1.1"),
        (550, "5.2.1"),
    ]
    assert found.recipients[2].judged.code >= 500
    assert [each.name for each in found.queues] == ["mailbox:db1"]
    null = explained(sender="")
    assert null.sender is not None
    assert (null.sender.subject, null.sender.code) == ("MAIL FROM:<>", 250)
    assert explained(sender="@@").sender is not None


@pytest.mark.parametrize(
    "recipient",
    ["Postmaster", "@relay.test,@b.test:alice@example.test", "<alice@example.test>", "Alice@EXAMPLE.TEST"],
)
def test_recipients_are_read_as_the_session_reads_them(recipient: str) -> None:
    """They were refused here, with 501, and taken by the door."""
    (found,) = explained(recipient).recipients
    assert found.judged.code == 250
    assert found.route is not None


def test_a_size_that_is_one_too_many_is_said_in_bytes() -> None:
    found = explained(size_bytes=(36 << 20) + 1)
    assert found.limits[0].text == "5.3.4 37748737 bytes of at most 37748736"


def test_a_group_is_opened_and_the_copies_part_at_the_hub() -> None:
    found = explained("all@example.test")
    assert [(each.recipient, each.by_group) for each in found.recipients] == [
        ("all@example.test", ""),
        ("alice@example.test", "all@example.test"),
        ("east@example.test", "all@example.test"),
        ("west@example.test", "all@example.test"),
    ]
    assert [(each.name, each.recipients) for each in found.queues] == [
        ("mailbox:db1", ("alice@example.test",)),
        ("server:hub", ("east@example.test", "west@example.test")),
    ]
    assert found.splits == (
        "here, into 2 copies: mailbox:db1, server:hub",
        "at the hub site hub, into copies for east, west",
    )


def test_the_send_connector_and_how_the_next_hop_is_reached() -> None:
    found = explained("a@b.partner.example", client="198.51.100.7", local_address="192.0.2.1")
    (queue,) = found.queues
    assert queue.name == "smart-host:partner"
    assert queue.profile is not None
    assert queue.profile.smart_hosts == ("smart.example",)
    route = found.recipients[0].route
    assert route is not None
    assert [each.connector.name for each in route.candidates] == ["partner", "world"]


def test_limits_are_judged() -> None:
    found = explained(size_bytes=1 << 40)
    assert [(each.subject, each.code) for each in found.limits] == [("size", 552), ("recipients", 250)]


def test_recipients_are_counted_as_the_session_counts_them() -> None:
    """Who is refused or named again takes no place; who comes after the last place is refused."""
    narrow = tuple(replace(each, recipient_count_max=2) for each in ORGANISATION.receive_connectors)
    organisation = replace(ORGANISATION, receive_connectors=narrow)
    names = ("nobody", "alice", "east", "ALICE", "west")
    asked = Asked("203.0.113.9", "x@other.example", tuple(f"{name}@example.test" for name in names))
    found = explain_message(organisation, "mail1", asked)
    assert [each.judged.code for each in found.recipients] == [550, 250, 250, 250, 452]
    assert found.recipients[3].judged.text == "named before: it gets the message once"
    assert found.limits[1].code == 452
    assert found.limits[1].text.startswith("4.5.3 3 of at most 2 recipients")
    assert [each.recipients for each in found.queues] == [("alice@example.test",), ("east@example.test",)]


def test_what_a_door_says_to_who_does_not_begin_tls_or_shows_no_certificate() -> None:
    def told(**more: Any) -> list[tuple[str, str]]:
        door = replace(ORGANISATION.receive_connectors[0], **more)
        organisation = replace(ORGANISATION, receive_connectors=(door,))
        found = explain_message(organisation, "mail1", Asked("203.0.113.9", "", ("alice@example.test",)))
        assert found.sender is not None
        assert found.sender.passes
        return [(each.subject, f"{each.code} {each.text}") for each in found.tls]

    before = ("MAIL before TLS", "530 5.7.0 begin TLS first: say STARTTLS")
    bare = "MAIL under TLS without a valid certificate of partner.example"
    assert told() == []
    assert told(require_tls=True) == [before]
    assert told(require_tls=True, tls=TlsMode.IMPLICIT) == []
    assert told(client_certificate_domains=("partner.example",)) == [
        before,
        (bare, "454 4.7.5 show the certificate that was agreed on"),
    ]


def test_a_partner_is_judged_as_with_its_certificate_and_told_what_it_gets_without() -> None:
    door = ReceiveConnector(
        "part",
        "mail1",
        ("127.0.77.1:2610",),
        EVERYONE,
        usage=Usage.PARTNER,
        client_certificate_domains=("partner.example",),
    )
    organisation = replace(ORGANISATION, receive_connectors=(door,))
    recipients = ("alice@example.test", "x@other.example")
    found = explain_message(organisation, "mail1", Asked("8.8.8.8", "a@x.org", recipients, local_port=2610))
    assert [f"{each.code} {each.text}" for each in found.tls] == [
        "530 5.7.0 begin TLS first: say STARTTLS",
        "454 4.7.5 show the certificate that was agreed on",
    ]
    assert found.client == "a partner"
    assert found.rights[0] == "hand in mail"
    assert found.sender is not None
    assert found.sender.code == 250
    assert [each.judged.code for each in found.recipients] == [250, 550]


def test_who_may_not_send_at_all_is_told_what_the_session_says() -> None:
    found = explained(local_port=587)
    assert found.sender is not None
    assert (found.sender.code, found.sender.text) == (530, "5.7.0 sign in first")
    assert [each.text for each in found.tls] == ["5.7.0 begin TLS and sign in first"]


def test_who_may_not_send_even_so_is_told_to_begin_tls_first() -> None:
    door = replace(ORGANISATION.receive_connectors[0], usage=Usage.INTERNAL, require_tls=True)
    organisation = replace(ORGANISATION, receive_connectors=(door,))
    found = explain_message(organisation, "mail1", Asked("203.0.113.9", "", ("alice@example.test",)))
    assert [(each.subject, each.code) for each in found.tls] == [("MAIL before TLS", 530)]
    assert found.sender is not None
    assert (found.sender.code, found.sender.text) == (550, "5.7.1 this service is not for you")


def test_without_groups_a_connector_gives_no_rights() -> None:
    connector = replace(
        ORGANISATION.receive_connectors[0], permission_groups=(PermissionGroup.SERVERS,), usage=Usage.INTERNET
    )
    organisation = replace(ORGANISATION, receive_connectors=(connector,))
    found = explain_message(organisation, "mail1", Asked("203.0.113.9", "", ("alice@example.test",)))
    assert found.rights == ("none",)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=20))
@settings(max_examples=100)
def test_any_text_is_explained_or_refused(sender: str, recipient: str, client: str) -> None:
    try:
        found = explain_message(ORGANISATION, "mail1", Asked(client, sender, (recipient,)))
    except Refusal:
        return
    assert found.connector_why
