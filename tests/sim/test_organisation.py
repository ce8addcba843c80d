"""The organisation of the made-up world."""

from __future__ import annotations

import pytest

from holdfast.directory.checks import check_organisation
from holdfast.directory.model import TlsMode, Usage
from holdfast.sim.organisation import DATABASE, SERVER, make_organisation, server_addresses
from holdfast.sim.scenario import Rates
from holdfast.sim.world import World


def test_settings_are_those_that_were_drawn() -> None:
    rates = Rates(mailbox_count=4, message_bytes_max=5000, recipient_count_max=0, inactivity_s=1.5)
    organisation = make_organisation(rates, World(1).luck("organisation"))
    connector = organisation.receive_connectors[0]
    assert len(organisation.mailboxes) == 4
    assert connector.message_bytes_max == 5000
    assert connector.recipient_count_max == 1  # a connector that takes nobody would never end
    assert connector.inactivity_s == 1.5
    assert connector.server == SERVER
    assert organisation.databases_by_name[DATABASE].server == SERVER


def test_the_nested_group_sometimes_contains_itself() -> None:
    groups = [
        make_organisation(Rates(), World(seed).luck("organisation")).distribution_groups[1]
        for seed in range(30)
    ]
    assert {group.address in group.members for group in groups} == {True, False}


def test_several_servers_share_mailboxes_sites_and_a_door_for_each_other() -> None:
    rates = Rates(server_count=3, site_count=2, mailbox_count=5, server_tls_rate=1.0)
    organisation = make_organisation(rates, World(1).luck("organisation"))
    assert [server.site for server in organisation.servers] == ["here", "there1", "there1"]
    assert tuple(server.addresses[0] for server in organisation.servers) == server_addresses(rates)
    assert [mailbox.database for mailbox in organisation.mailboxes] == ["db1", "db2", "db3", "db1", "db2"]
    assert [link.sites for link in organisation.site_links] == [("here", "there1")]
    inner = [each for each in organisation.receive_connectors if each.usage is Usage.INTERNAL]
    assert [each.server for each in inner] == ["hub1", "hub2", "hub3"]
    assert {each.tls for each in inner} == {TlsMode.STARTTLS}


def test_what_leaves_sometimes_crosses_to_one_server() -> None:
    rates = Rates(server_count=2, outside_rate=1.0)
    sources = [
        make_organisation(rates, World(seed).luck("organisation")).send_connectors[0].source_servers
        for seed in range(30)
    ]
    assert {len(each) for each in sources} == {0, 1}


@pytest.mark.parametrize("server_count", [1, 2, 3])
def test_the_directory_would_take_it(server_count: int) -> None:
    rates = Rates(server_count=server_count, site_count=2, outside_rate=1.0, mailbox_count=4)
    problems = check_organisation(make_organisation(rates, World(2).luck("organisation")))
    # A group that contains itself is refused now; an older directory may hold one.
    assert [problem.text for problem in problems if "contains itself" not in problem.text] == []
