"""The organisation of the made-up world."""

from __future__ import annotations

from holdfast.sim.organisation import DATABASE, SERVER, make_organisation
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
