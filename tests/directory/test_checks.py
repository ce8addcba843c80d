"""All that is wrong with an organisation is told at once, each with object, value and advice."""

from __future__ import annotations

import dataclasses
import math
import typing

import pytest

from holdfast.directory.checks import check_organisation
from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.model import (
    DistributionGroup,
    Mailbox,
    MailboxDatabase,
    OptionValue,
    Organisation,
    ReceiveConnector,
    Role,
    Scope,
    SendConnector,
    Server,
    Site,
    SiteLink,
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
SERVER = BASE.servers[0]
DHCP1 = Server("dhcp1", "dhcp1.example.test", "Main", (Role.DHCP,))


def _with(**changes: typing.Any) -> Organisation:
    return dataclasses.replace(BASE, **changes)


def _connector(**changes: typing.Any) -> Organisation:
    first, *others = BASE.receive_connectors
    return _with(receive_connectors=(dataclasses.replace(first, **changes), *others))


def _mailbox(**changes: typing.Any) -> Organisation:
    alice, bob = BASE.mailboxes
    return _with(mailboxes=(dataclasses.replace(alice, **changes), bob))


def _server(**changes: typing.Any) -> Organisation:
    return _with(servers=(dataclasses.replace(SERVER, **changes),))


def _sites(*subnets: str) -> tuple[Site, ...]:
    return (*BASE.sites, *(Site(f"S{i}", (parse_ip_range(text),)) for i, text in enumerate(subnets)))


def _scopes(*subnets: str) -> tuple[Scope, ...]:
    return tuple(Scope(f"P{i}", parse_ip_range(text), "dhcp1") for i, text in enumerate(subnets))


CASES: dict[str, tuple[Organisation, list[str]]] = {
    "empty organisation": (Organisation(), []),
    "demonstration": (BASE, []),
    "names": (
        _with(
            sites=(*BASE.sites, Site("Main"), Site("main"), Site(""), Site('a"b'), Site("x" * 65), Site(" a"))
        ),
        [
            'site "Main": is declared twice; take one away',
            'site "main": is declared twice, but for the case of letters, as "Main"',
            'site "": its name is empty',
            'site "a"b": its name is',
            'xxx": its name is',
            'site " a": its name is',
        ],
    ),
    "names in files": (
        _with(mailbox_databases=(*BASE.mailbox_databases, MailboxDatabase("../x", "mail1"))),
        ['mailbox database "../x": its name becomes part of file names'],
    ),
    "mailbox declared twice": (
        _with(mailboxes=(*BASE.mailboxes, Mailbox("alice@example.test", MailboxId("c1"), "DB01"))),
        ['mailbox "alice@example.test": is declared twice'],
    ),
    "mailbox ids": (
        _with(mailboxes=(*BASE.mailboxes, Mailbox("c@example.test", MailboxId("a1"), "DB01"))),
        ['mailbox "c@example.test": has the same mailbox id as "alice@example.test"'],
    ),
    "mailbox id malformed": (_mailbox(mailbox_id=MailboxId("a/1")), ['mailbox id "a/1" is malformed']),
    "text that cannot be shown": (
        _mailbox(display_name="a\nb"),
        ["display_name has more than 256 characters"],
    ),
    "long text": (_with(name="x" * 257), ["the organisation: name has more than 256"]),
    "odd list entry": (_mailbox(aliases=("a\x00@example.test",)), ["aliases has", "is not a mail address"]),
    "limits": (
        _connector(message_bytes_max=0, recipient_count_max=-1, tarpit_s=-1.0),
        [
            "message_size_max is 0; it is at least 1",
            "recipient_count_max is -1",
            "tarpit is -1.0 seconds; it is 0 or more",
        ],
    ),
    "quota of a mailbox": (
        _mailbox(quota_bytes=0),
        ['"alice@example.test": quota is 0; it is at least 1'],
    ),
    "span without end": (_with(duplicate_memory_s=math.inf), ["duplicate_memory is inf seconds"]),
    "session shorter than inactivity": (
        _connector(session_s=10.0, inactivity_s=20.0),
        ["session is 10 seconds, inactivity is 20; let the session be at least as long"],
    ),
    "no time": (_connector(inactivity_s=0.0), ["inactivity or session is 0 seconds"]),
    "connections per source": (
        _connector(connection_count_max=10),
        ["connection_count_per_source_max is 1000, more than connection_count_max with 10"],
    ),
    "connector of an unknown server": (
        _connector(server="mail2"),
        ['server "mail2" does not exist; the nearest name'],
    ),
    "connector without ranges": (_connector(remote_ranges=()), ["has no remote range, so nobody may use it"]),
    "connector's host name": (_connector(fqdn="a b"), ['"a b" is not a host name']),
    "clashing connectors": (
        _connector(bindings=("127.0.0.1:2587",)),
        [
            'receive connectors "client" and "internet": both claim 0.0.0.0/0 on port 2587',
        ],
    ),
    "server without its site": (
        _server(site="Mian"),
        ['site "Mian" does not exist; the nearest name is "Main"', "lies in"],
    ),
    "server's host name": (_server(fqdn=""), ['"" is not a host name']),
    "server's roles": (
        _server(roles=()),
        [
            'server "mail1": has no role',
            'mailbox database "DB01": server "mail1" does not have the role mailbox',
            'receive connector "internet": server',
            'receive connector "client": server',
            'receive connector "client-tls": server',
            "serves IMAP without the role access",
        ],
    ),
    "server's addresses": (
        _server(addresses=("x", "127.0.0.0/8", "192.0.2.7")),
        ['"x" is not an IP address', '"127.0.0.0/8" is not an IP address'],
    ),
    "server in another site's subnet": (
        _with(sites=_sites("192.0.2.0/24"), servers=(dataclasses.replace(SERVER, addresses=("192.0.2.7",)),)),
        ['its address 192.0.2.7 lies in site "S0", but it belongs to site "Main"'],
    ),
    "two servers of one address": (
        _with(
            servers=(
                dataclasses.replace(SERVER, addresses=("192.0.2.7",)),
                dataclasses.replace(DHCP1, addresses=("192.0.2.7",)),
            )
        ),
        ['server "dhcp1": has the address 192.0.2.7 of server "mail1"'],
    ),
    "sites that share addresses": (
        _with(sites=_sites("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "11.0.0.0/8", "::/0")),
        [
            'sites "S0" and "S1": share addresses: 10.0.0.0/8 and 10.1.0.0/16; give each address to one site',
            'sites "S0" and "S2": share addresses: 10.0.0.0/8 and 10.2.0.0/16',
        ],
    ),
    "site links": (
        _with(
            site_links=(
                SiteLink("a", ("Main", "S9"), 0),
                SiteLink("b", ("Main", "Main"), 100_000),
                SiteLink("c", ()),
            )
        ),
        [
            'site link "a": cost is 0; it is at least 1',
            'site link "b": cost is 100000; it is at most 99999',
            'site "S9" does not exist',
            'site link "b": links Main, Main; a link needs two or more different sites',
            'site link "c": links no site',
        ],
    ),
    "checks of DHCP are part of it, texts inside options too": (
        _with(
            servers=(SERVER, DHCP1),
            scopes=(
                dataclasses.replace(
                    _scopes("192.0.2.0/24")[0],
                    options=(OptionValue(255, ("x" * 13_000,), user_class="no"),),
                    lease_s=0.0,
                ),
            ),
        ),
        [
            "code is 255; it is at most 254",
            "values has more than 12288 characters",
            "lease is 0 seconds",
            'user class "no" does not exist',
            "option 255 is the protocol's own",
        ],
    ),
    "mail checks are part of it": (
        _with(
            send_connectors=(SendConnector("out", ("*x",)),),
            mailbox_databases=(MailboxDatabase("DB01", "mail1", 3, 2, 1),),
            distribution_groups=(DistributionGroup("g@example.test", ("g@example.test",)),),
            mailboxes=(Mailbox("alice@example.org", MailboxId("a1"), "DB01"),),
        ),
        ['address space "*x"', "warn is 3", "is not in an accepted domain", "contains itself"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_problems(case: str) -> None:
    organisation, expected = CASES[case]
    problems = [str(problem) for problem in check_organisation(organisation)]
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_every_problem_says_what_to_do() -> None:
    for organisation, _ in CASES.values():
        for problem in check_organisation(organisation):
            assert problem.subject
            assert problem.text
            assert problem.advice


def test_connector_of_a_wrong_server_is_not_the_only_one_told() -> None:
    stray = ReceiveConnector("x", "nowhere", ("1",), ())
    problems = check_organisation(_with(receive_connectors=(stray,)))
    assert {problem.subject for problem in problems} == {'receive connector "x"'}
    assert len(problems) == 3
