"""Who a recipient is, who may send as whom, and what a group opens to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import (
    AcceptedDomain,
    DistributionGroup,
    DomainKind,
    Mailbox,
    Organisation,
    PermissionGroup,
    ReceiveConnector,
)
from holdfast.kernel.address import parse_address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.categorize import Categorizer
from holdfast.transport.queue import Failure
from holdfast.transport.rights import RIGHTS_OF_GROUP, Client, ClientKind

ALICE, BOB = MailboxId("a"), MailboxId("b")
MAILBOXES = (
    Mailbox("off@example.test", MailboxId("o"), "db", enabled=False),
    Mailbox("alice@example.test", ALICE, "db", aliases=("al@example.test",)),
    Mailbox("bob@other.test", BOB, "db"),
)
ORGANISATION = Organisation(
    accepted_domains=(
        AcceptedDomain("example.test"),
        AcceptedDomain("other.test"),
        AcceptedDomain("third.test"),
        AcceptedDomain("relay.test", DomainKind.INTERNAL_RELAY),
        AcceptedDomain("outside.test", DomainKind.EXTERNAL_RELAY),
    ),
    mailboxes=MAILBOXES,
    distribution_groups=(
        DistributionGroup(
            "one@example.test", ("two@example.test", "alice@example.test", "gone@example.test")
        ),
        DistributionGroup("two@example.test", ("one@example.test", "al@example.test", "bob@other.test")),
    ),
)
CATEGORIZER = Categorizer(ORGANISATION)
DOOR = ReceiveConnector("in", "s", (), ())
STRICT = replace(DOOR, reject_reserved_domains=True, reject_single_label_domains=True)
GROUPS = PermissionGroup
STRANGER = Client(ClientKind.ANONYMOUS, RIGHTS_OF_GROUP[GROUPS.ANONYMOUS])
USER = Client(ClientKind.USER, RIGHTS_OF_GROUP[GROUPS.USERS], ALICE)
PARTNER = Client(ClientKind.PARTNER, RIGHTS_OF_GROUP[GROUPS.PARTNERS])
SERVER = Client(ClientKind.SERVER, RIGHTS_OF_GROUP[GROUPS.SERVERS])


@pytest.mark.parametrize(
    ("address", "client", "status"),
    [
        ("alice@example.test", STRANGER, ""),
        ("ALICE@Example.Test", STRANGER, ""),
        ('"alice"@example.test', STRANGER, ""),
        ("one@example.test", STRANGER, ""),
        ("off@example.test", STRANGER, "5.2.1"),
        ("nobody@example.test", STRANGER, "5.1.1"),
        ("nobody@example.test", SERVER, "5.1.1"),
        ("anybody@relay.test", STRANGER, ""),
        ("anybody@outside.test", STRANGER, ""),
        ("x@elsewhere.test", STRANGER, "5.7.1"),
        ("x@elsewhere.test", PARTNER, "5.7.1"),
        ("x@elsewhere.test", USER, ""),
        ("x@elsewhere.test", SERVER, ""),
        ("x@localhost", USER, ""),
        ("Postmaster@example.test", STRANGER, ""),
        ("postmaster@elsewhere.test", STRANGER, "5.7.1"),
    ],
)
def test_recipients_at_the_door(address: str, client: Client, status: str) -> None:
    if not status:
        CATEGORIZER.judge_recipient(DOOR, parse_address(address), client)
        return
    with pytest.raises(Refusal) as refused:
        CATEGORIZER.judge_recipient(DOOR, parse_address(address), client)
    assert (refused.value.code, refused.value.status) == (550, status)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("x@elsewhere.test", "5.1.4"),
        ("x@a.invalid", "5.1.4"),
        ("x@example.com", "5.1.5"),
        ("x@mail.example.ORG", "5.1.5"),
        ("x@intranet", "5.1.6"),
        ("x@myexample.com", ""),
        ("alice@example.test", ""),
        ("anybody@relay.test", ""),
    ],
)
def test_domains_that_nobody_can_own(address: str, status: str) -> None:
    CATEGORIZER.judge_recipient(DOOR, parse_address(address), USER)
    if not status:
        CATEGORIZER.judge_recipient(STRICT, parse_address(address), USER)
        return
    with pytest.raises(Refusal) as refused:
        CATEGORIZER.judge_recipient(STRICT, parse_address(address), USER)
    assert (refused.value.code, refused.value.status) == (550, status)


@pytest.mark.parametrize(
    ("address", "client", "allowed"),
    [
        ("anyone@elsewhere.test", STRANGER, True),
        ("alice@example.test", STRANGER, True),
        (None, STRANGER, True),
        ("anyone@elsewhere.test", PARTNER, True),
        ("alice@example.test", PARTNER, False),
        ("anyone@relay.test", PARTNER, True),
        ("alice@example.test", SERVER, True),
        ("alice@example.test", USER, True),
        ("al@example.test", USER, True),
        (None, USER, True),
        ("bob@other.test", USER, False),
        ("one@example.test", USER, False),
        ("x@elsewhere.test", USER, False),
    ],
)
def test_senders(address: str | None, client: Client, allowed: bool) -> None:
    sender = parse_address(address) if address else None
    if allowed:
        CATEGORIZER.judge_sender(sender, client)
        return
    with pytest.raises(Refusal) as refused:
        CATEGORIZER.judge_sender(sender, client)
    assert (refused.value.code, refused.value.status) == (550, "5.7.1")


def test_postmaster_is_the_first_enabled_mailbox_of_the_domain_or_of_all() -> None:
    assert CATEGORIZER.find("postmaster@example.test") == MAILBOXES[1]
    assert CATEGORIZER.find("postmaster@other.test") == MAILBOXES[2]
    assert CATEGORIZER.find("postmaster@third.test") == MAILBOXES[1]
    assert (
        Categorizer(Organisation(accepted_domains=(AcceptedDomain("x.test"),))).find("postmaster@x.test")
        is None
    )


def test_where_mail_goes_at_delivery() -> None:
    assert CATEGORIZER.target('"Alice"@example.test') == MAILBOXES[1]
    assert isinstance(CATEGORIZER.target("one@example.test"), DistributionGroup)
    for address, status in (
        ("nobody@example.test", "5.1.1"),
        ("off@example.test", "5.2.1"),
        ("no address", "5.1.1"),
    ):
        failure = CATEGORIZER.target(address)
        assert isinstance(failure, Failure)
        assert failure.status == status


def test_groups_in_groups_open_once_and_each_mailbox_is_there_once() -> None:
    group = ORGANISATION.distribution_groups[0]
    assert CATEGORIZER.expand(group, ()) == ("al@example.test", "bob@other.test", "gone@example.test")
    assert CATEGORIZER.expand(group, ("alice@example.test", "one@example.test")) == (
        "bob@other.test",
        "gone@example.test",
    )
