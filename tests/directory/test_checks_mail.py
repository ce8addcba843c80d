"""Addresses, groups and quotas."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest

from holdfast.directory.checks_mail import check_addresses, check_groups, check_quotas
from holdfast.directory.model import (
    AcceptedDomain,
    DistributionGroup,
    DomainKind,
    Mailbox,
    MailboxDatabase,
    Organisation,
    Server,
)
from holdfast.kernel.errors import Problem
from holdfast.kernel.ids import MailboxId

Check = Callable[[Organisation], Iterator[Problem]]
BASE = Organisation(
    servers=(Server("s", "s.example.test", "A"),),
    accepted_domains=(AcceptedDomain("example.test"), AcceptedDomain("xn--bcher-kva.example")),
    mailbox_databases=(MailboxDatabase("DB01", "s"),),
)


def _mailbox(address: str, *aliases: str, database: str = "DB01") -> Mailbox:
    return Mailbox(address, MailboxId(address), database, aliases)


def _group(address: str, *members: str) -> DistributionGroup:
    return DistributionGroup(address, members)


def _expect(check: Check, organisation: Organisation, expected: list[str]) -> None:
    problems = [str(problem) for problem in check(organisation)]
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


ADDRESSES: dict[str, tuple[tuple[Mailbox, ...], tuple[DistributionGroup, ...], list[str]]] = {
    "good ones": (
        (
            _mailbox("alice@example.test", "al@example.test"),
            _mailbox("jürgen@xn--bcher-kva.example"),
        ),
        (_group("staff@example.test"),),
        [],
    ),
    "malformed": ((_mailbox("alice"),), (), ['"alice" is not a mail address: address needs a local part']),
    "foreign domain": (
        (_mailbox("alice@example.tset"),),
        (),
        ['alice@example.tset is not in an accepted domain; the nearest name is "example.test"'],
    ),
    "needless quotes": (
        (_mailbox('"alice"@example.test'),),
        (),
        ['would be looked up as "alice@example.test"; write it like that'],
    ),
    "domain not in its comparable form": (
        (_mailbox("a@bücher.example"),),
        (),
        ['would be looked up as "a@xn--bcher-kva.example"'],
    ),
    "used by a mailbox and a group": (
        (_mailbox("alice@example.test", "All@example.test"),),
        (_group("all@example.test"),),
        ['uses the address all@example.test, which mailbox "alice@example.test" uses already'],
    ),
    "used twice by one mailbox": (
        (_mailbox("alice@example.test", "Alice@example.test", "b@example.test", "b@example.test"),),
        (),
        ["uses the address Alice@example.test, which", "uses the address b@example.test, which"],
    ),
    "unknown database": (
        (_mailbox("alice@example.test", database="DB1"),),
        (),
        ['mailbox database "DB1" does not exist; the nearest name is "DB01"'],
    ),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_addresses(case: str) -> None:
    mailboxes, groups, expected = ADDRESSES[case]
    _expect(
        check_addresses, dataclasses.replace(BASE, mailboxes=mailboxes, distribution_groups=groups), expected
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example.org", []),
        ("Example.org", ["write example.org"]),
        ("bücher.example", ["write xn--bcher-kva.example"]),
        ("a b", ["is not a domain name"]),
        ("[192.0.2.1]", ["is not a domain name"]),
        ("", ["is not a domain name"]),
    ],
)
def test_accepted_domains(name: str, expected: list[str]) -> None:
    _expect(check_addresses, Organisation(accepted_domains=(AcceptedDomain(name),)), expected)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1, 2, 3), []),
        ((2, 2, 2), []),
        ((3, 2, 4), ["warn is 3, prohibit_send 2 and prohibit_send_receive 4 bytes; each must be"]),
        ((1, 4, 3), ["prohibit_send 4"]),
    ],
)
def test_quotas_rise(limits: tuple[int, int, int], expected: list[str]) -> None:
    _expect(check_quotas, Organisation(mailbox_databases=(MailboxDatabase("DB01", "s", *limits),)), expected)


GROUPS: dict[str, tuple[tuple[DistributionGroup, ...], list[str]]] = {
    "members of ours": ((_group("a@x", "m@x", "b@x"), _group("b@x", "M@x")), []),
    "two ways to one group": (
        (_group("a@x", "b@x", "c@x"), _group("b@x", "d@x"), _group("c@x", "d@x"), _group("d@x")),
        [],
    ),
    "unknown member": (
        (_group("a@x", "mm@x"),),
        ['its member mm@x is no address of ours; the nearest name is "m@x"'],
    ),
    "member twice": ((_group("a@x", "m@x", "M@x"),), ["names the member M@x twice"]),
    "itself": ((_group("a@x", "a@x"),), ['group "a@x": contains itself: a@x > a@x; take one']),
    "a circle": (
        (_group("a@x", "b@x"), _group("b@x", "c@x", "m@x"), _group("c@x", "b@x")),
        ['group "b@x": contains itself: b@x > c@x > b@x'],
    ),
    "a long circle": (
        tuple(_group(f"g{index}@x", f"g{(index + 1) % 5000}@x") for index in range(5000)),
        ["contains itself: g0@x > g1@x > g2@x > … > g4999@x > g0@x"],
    ),
}


@pytest.mark.parametrize("case", GROUPS)
def test_groups(case: str) -> None:
    groups, expected = GROUPS[case]
    _expect(check_groups, Organisation(mailboxes=(_mailbox("m@x"),), distribution_groups=groups), expected)


def test_no_address_in_a_domain_whose_mail_is_all_handed_on() -> None:
    domains = (AcceptedDomain("far.example", DomainKind.EXTERNAL_RELAY), AcceptedDomain("example.test"))
    organisation = dataclasses.replace(BASE, accepted_domains=domains, mailboxes=(_mailbox("a@far.example"),))
    _expect(
        check_addresses,
        organisation,
        ['gets no mail at a@far.example: the domain "far.example" is external-relay'],
    )
