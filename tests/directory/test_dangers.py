"""An administrator is told what a change costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from holdfast.directory.dangers import find_dangers
from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.edit import with_object, without_object
from holdfast.directory.model import (
    AcceptedDomain,
    Mailbox,
    MailboxDatabase,
    Organisation,
    ReceiveConnector,
    Role,
    Server,
    Site,
    TlsMode,
    Usage,
)
from holdfast.kernel.ids import MailboxId
from holdfast.kernel.iprange import parse_ip_range

BASE = demonstration_organisation(
    server_name="mail1",
    fqdn="mail1.example.test",
    alice=MailboxId("a1"),
    bob=MailboxId("b1"),
    ports=DemonstrationPorts(),
)
ALICE, BOB = BASE.mailboxes
SERVER = BASE.servers[0]
DB01 = BASE.mailbox_databases[0]
RELAY = ReceiveConnector(
    "relay",
    "mail1",
    ("127.0.0.1:2526",),
    (parse_ip_range("192.0.2.0/24"), parse_ip_range("10.0.0.0/7")),
    Usage.RELAY,
    anonymous_relay=True,
)


def _alice(**changes: object) -> Callable[[Organisation], Organisation]:
    changed = dataclasses.replace(ALICE, **changes)  # type: ignore[arg-type]  # the names are the test's
    return lambda organisation: dataclasses.replace(organisation, mailboxes=(changed, BOB))


CASES: dict[str, tuple[Callable[[Organisation], Organisation], list[str]]] = {
    "nothing changes": (lambda o: o, []),
    "a mailbox is added": (
        lambda o: with_object(o, Mailbox("carol@example.test", MailboxId("c1"), "DB01")),
        [],
    ),
    "a mailbox is removed": (
        lambda o: without_object(o, Mailbox, "alice@example.test"),
        ['"alice@example.test" is removed: its mail can no longer be reached, its password is'],
    ),
    "a mailbox gets another id": (_alice(mailbox_id=MailboxId("a2")), ["gets another id: it begins empty"]),
    "a mailbox gets another address": (
        _alice(address="al@example.test"),
        ['signs in as "al@example.test" from now on', "mail to alice@example.test is refused from now on"],
    ),
    "a mailbox keeps its old address as an alias": (
        _alice(address="al@example.test", aliases=("alice@example.test",)),
        ['signs in as "al@example.test" from now on'],
    ),
    "a mailbox changes its database": (_alice(database="DB02"), ['its mail stays in "DB01"']),
    "a mailbox is disabled": (_alice(enabled=False), ["is disabled: mail to it is refused"]),
    "a quota is lowered": (_alice(quota_bytes=1 << 30), ["may hold 1.00 GB instead of 2.30 GB"]),
    "a quota is raised": (_alice(quota_bytes=9 << 30), []),
    "a database with mailboxes is removed": (
        lambda o: dataclasses.replace(o, mailbox_databases=()),
        ['mailbox database "DB01" is removed while it holds 2 mailboxes'],
    ),
    "a database moves": (
        lambda o: with_object(o, dataclasses.replace(DB01, server="mail2")),
        ['goes from server "mail1" to "mail2", its mail does not'],
    ),
    "the quotas of a database are lowered": (
        lambda o: with_object(o, MailboxDatabase("DB01", "mail1", 1 << 20, 2 << 30, 2 << 30)),
        ["lowers warn from 1.90 GB to 1.00 MB", "lowers prohibit_send_receive from 2.30 GB to 2.00 GB"],
    ),
    "a domain with addresses is removed": (
        lambda o: without_object(o, AcceptedDomain, "example.test"),
        ['accepted domain "example.test", which 2 addresses use, is removed'],
    ),
    "a port moves": (
        lambda o: with_object(o, dataclasses.replace(o.receive_connectors[0], bindings=("127.0.0.1:25",))),
        ['receive connector "internet" no longer listens on 127.0.0.1:2525'],
    ),
    "IMAP and metrics are switched off": (
        lambda o: with_object(o, dataclasses.replace(SERVER, imap=(), metrics="")),
        [
            "no longer listens on 127.0.0.1:2143",
            "no longer listens on 127.0.0.1:2993",
            "no longer listens on 127.0.0.1:2090",
        ],
    ),
    "an open relay is made": (
        lambda o: with_object(o, RELAY),
        ['receive connector "relay" is an open relay: anybody in 10.0.0.0/7'],
    ),
    "a relay for known hosts is made": (
        lambda o: with_object(o, dataclasses.replace(RELAY, remote_ranges=RELAY.remote_ranges[:1])),
        [],
    ),
    "a server loses a role": (
        lambda o: with_object(o, dataclasses.replace(SERVER, roles=(Role.TRANSPORT, Role.MAILBOX))),
        ['server "mail1" no longer has the role access'],
    ),
    "a hub without transport": (
        lambda o: with_object(o, Site("Far", hub=True)),
        ['site "Far" is a hub, but has no server with the role transport'],
    ),
    "mail expires sooner": (
        lambda o: dataclasses.replace(o, expiry_s=60.0),
        ["expiry goes down from 172800 to 60 seconds"],
    ),
    "published policies are not honoured": (
        lambda o: dataclasses.replace(o, dane=False, mta_sts=False, resolver_validates=True),
        ["DANE is no longer honoured", "MTA-STS is no longer honoured", "are believed to be validated"],
    ),
    "a server is removed": (
        lambda o: dataclasses.replace(o, servers=(Server("mail2", "x", "Main", imap=SERVER.imap),)),
        ['server "mail1" is removed'],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_dangers(case: str) -> None:
    change, expected = CASES[case]
    dangers = find_dangers(BASE, change(BASE))
    assert len(dangers) == len(expected), dangers
    for danger, part in zip(dangers, expected, strict=True):
        assert part in danger


def test_what_was_dangerous_before_is_not_told_again() -> None:
    before = with_object(BASE, RELAY)
    assert find_dangers(before, with_object(before, dataclasses.replace(RELAY, tls=TlsMode.IMPLICIT))) == ()


def test_unused_domain_and_empty_database_say_less() -> None:
    before = with_object(with_object(BASE, AcceptedDomain("old.test")), MailboxDatabase("DB02", "mail1"))
    after = without_object(without_object(before, AcceptedDomain, "old.test"), MailboxDatabase, "DB02")
    assert find_dangers(before, after) == (
        'accepted domain "old.test" is removed: mail for it is refused from now on',
    )


def test_one_mailbox_is_counted_in_words() -> None:
    before = dataclasses.replace(BASE, mailboxes=(ALICE,))
    dangers = find_dangers(before, dataclasses.replace(before, mailbox_databases=(), accepted_domains=()))
    assert "holds 1 mailbox:" in dangers[0]
    assert "which 1 address uses," in dangers[1]


def test_quota_of_an_unknown_database_is_no_danger() -> None:
    odd = dataclasses.replace(BASE, mailboxes=(dataclasses.replace(ALICE, database="DB09"),))
    lowered = dataclasses.replace(odd, mailboxes=(dataclasses.replace(odd.mailboxes[0], quota_bytes=1),))
    assert find_dangers(odd, lowered) == ()
