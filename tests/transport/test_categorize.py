"""Who a recipient is, who may send as whom, and what a group opens to."""

from __future__ import annotations

import pytest

from holdfast.directory.model import (
    AcceptedDomain,
    DistributionGroup,
    Mailbox,
    Organisation,
    ReceiveConnector,
    Usage,
)
from holdfast.kernel.address import parse_address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.categorize import Categorizer
from holdfast.transport.queue import Failure

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
INTERNET = ReceiveConnector("in", "s", (), ())
CLIENT = ReceiveConnector("client", "s", (), (), usage=Usage.CLIENT)


@pytest.mark.parametrize(
    ("address", "signed_in", "status"),
    [
        ("alice@example.test", None, ""),
        ("ALICE@Example.Test", None, ""),
        ('"alice"@example.test', None, ""),
        ("one@example.test", None, ""),
        ("off@example.test", None, "5.2.1"),
        ("nobody@example.test", None, "5.1.1"),
        ("x@elsewhere.test", None, "5.7.1"),
        ("x@elsewhere.test", ALICE, "5.4.4"),
        ("Postmaster@example.test", None, ""),
        ("postmaster@elsewhere.test", None, "5.7.1"),
    ],
)
def test_recipients_at_the_door(address: str, signed_in: MailboxId | None, status: str) -> None:
    if not status:
        CATEGORIZER.judge_recipient(parse_address(address), signed_in)
        return
    with pytest.raises(Refusal) as refused:
        CATEGORIZER.judge_recipient(parse_address(address), signed_in)
    assert (refused.value.code, refused.value.status) == (550, status)


@pytest.mark.parametrize(
    ("connector", "address", "signed_in", "status"),
    [
        (INTERNET, "anyone@elsewhere.test", None, ""),
        (INTERNET, None, None, ""),
        (CLIENT, "alice@example.test", None, "5.7.0"),
        (CLIENT, "alice@example.test", ALICE, ""),
        (CLIENT, "al@example.test", ALICE, ""),
        (CLIENT, None, ALICE, ""),
        (CLIENT, "bob@other.test", ALICE, "5.7.1"),
        (CLIENT, "one@example.test", ALICE, "5.7.1"),
        (INTERNET, "x@elsewhere.test", ALICE, "5.7.1"),
    ],
)
def test_senders(
    connector: ReceiveConnector, address: str | None, signed_in: MailboxId | None, status: str
) -> None:
    sender = parse_address(address) if address else None
    if not status:
        CATEGORIZER.judge_sender(connector, sender, signed_in)
        return
    with pytest.raises(Refusal) as refused:
        CATEGORIZER.judge_sender(connector, sender, signed_in)
    assert refused.value.status == status


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
