"""The organisation answers what rooms ask of it."""

from __future__ import annotations

import dataclasses

from holdfast.directory.model import DistributionGroup, Mailbox, Organisation, Server
from holdfast.kernel.ids import MailboxId


def test_recipients_are_found_by_address_and_alias_in_any_case(organisation: Organisation) -> None:
    carol = Mailbox("Carol@example.test", MailboxId("c1"), "DB01", aliases=("C@example.test",))
    staff = DistributionGroup("staff@example.test", ("carol@example.test",), aliases=("all@example.test",))
    organisation = dataclasses.replace(organisation, mailboxes=(carol,), distribution_groups=(staff,))
    assert organisation.recipients == {
        "carol@example.test": carol,
        "c@example.test": carol,
        "staff@example.test": staff,
        "all@example.test": staff,
    }


def test_domain_names_are_the_accepted_domains(organisation: Organisation) -> None:
    assert organisation.domain_names == {"example.test"}


def test_server_is_found_by_name(organisation: Organisation) -> None:
    assert organisation.server("mail1") is organisation.servers[0]
    assert organisation.server("mail2") is None


def test_quota_is_the_mailbox_own_or_its_databases(organisation: Organisation) -> None:
    alice = organisation.mailboxes[0]
    assert organisation.quota_bytes(alice) == 2_469_396_480
    assert organisation.quota_bytes(dataclasses.replace(alice, quota_bytes=5)) == 5


def test_our_own_server_is_the_named_one_or_the_only_one() -> None:
    one = Organisation(servers=(Server("a", "a.example", "s"),))
    two = Organisation(servers=(*one.servers, Server("b", "b.example", "s")))
    assert one.own_server("") is one.servers[0]
    assert two.own_server("") is None
    assert two.own_server("b") is two.servers[1]
    assert one.own_server("c") is None
