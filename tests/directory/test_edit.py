"""Objects are added, replaced, taken away and found by name."""

from __future__ import annotations

import dataclasses

import pytest

from holdfast.directory.edit import find_object, with_object, without_object
from holdfast.directory.model import DistributionGroup, Mailbox, Organisation, Site
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range


def test_new_object_is_added_at_the_end(organisation: Organisation) -> None:
    changed = with_object(organisation, Site("Branch"))
    assert [site.name for site in changed.sites] == ["Main", "Branch"]
    assert [site.name for site in organisation.sites] == ["Main"]


def test_object_of_that_name_is_replaced_in_its_place(organisation: Organisation) -> None:
    alice = dataclasses.replace(organisation.mailboxes[0], address="Alice@example.test", quota_bytes=5)
    changed = with_object(organisation, alice)
    assert changed.mailboxes == (alice, organisation.mailboxes[1])


def test_object_is_taken_away_in_any_case(organisation: Organisation) -> None:
    changed = without_object(organisation, Mailbox, "ALICE@example.test")
    assert changed.mailboxes == organisation.mailboxes[1:]


def test_object_is_found(organisation: Organisation) -> None:
    assert find_object(organisation, Mailbox, "Bob@Example.test") is organisation.mailboxes[1]
    site = Site("Main", (parse_ip_range("127.0.0.0/8"),))
    assert find_object(organisation, Site, "main") == site


def test_absent_object_names_the_nearest(organisation: Organisation) -> None:
    with pytest.raises(Refusal) as caught:
        without_object(organisation, Mailbox, "alise@example.test")
    assert caught.value.text == (
        'there is no mailbox "alise@example.test"; the nearest name is "alice@example.test"'
    )


def test_absent_object_with_nothing_near_names_what_there_is(organisation: Organisation) -> None:
    for index in range(6):
        organisation = with_object(organisation, Site(f"S{index}"))
    with pytest.raises(Refusal, match=r'there are 7: "Main", "S0", "S1", "S2", "S3", …'):
        find_object(organisation, Site, "zzzzzzzz")
    with pytest.raises(Refusal, match="there is none at all yet"):
        find_object(organisation, DistributionGroup, "staff@example.test")
