"""What differs between two partners is named, and each sees it from its side."""

from __future__ import annotations

import dataclasses

import pytest
from tests.directory.dhcp_organisation import BASE, MAC, reserve
from tests.directory.test_replicate import DIFFERENT, MINE, PAIR, SAME

from holdfast.directory.dhcp import DhcpServer
from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.drift import differences, items_of
from holdfast.directory.model import Organisation

OFFICE_DIFFERS = ['scope "office" is not the same on both servers']


def compared(mine: Organisation, theirs: Organisation) -> list[str]:
    ours = items_of(mine, mine.failover_relationships[0], "dhcp1")
    return differences(ours, items_of(theirs, theirs.failover_relationships[0], "dhcp2"))


@pytest.mark.parametrize("case", SAME)
def test_what_is_the_same_is_no_difference(case: str) -> None:
    assert compared(MINE, SAME[case]) == []


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_differs_has_a_name(case: str) -> None:
    found = compared(MINE, DIFFERENT[case][0])
    if case == "another lead time":
        assert found == ["the settings of the relationship are not the same on both servers"]
    elif case == "a scope more":
        assert found == ['scope "other" is shared by the partner, and not here']
        assert compared(DIFFERENT[case][0], MINE) == ['scope "other" is shared here, and not by the partner']
    else:
        assert found == OFFICE_DIFFERS


def test_what_servers_tell_all_their_clients_is_compared_by_what_each_tells() -> None:
    option = OptionValue(6, ("192.0.2.53",))
    both = (DhcpServer("dhcp1", options=(option,), port=6767), DhcpServer("dhcp2", options=(option,)))
    shared = dataclasses.replace(BASE, dhcp_servers=both, failover_relationships=(PAIR,))
    assert compared(shared, shared) == []
    other = dataclasses.replace(shared, dhcp_servers=both[:1])
    assert compared(shared, other) == ["what each server tells all its clients is not the same on both"]


def test_a_reservation_of_another_scope_is_none_of_it() -> None:
    more = dataclasses.replace(
        BASE, failover_relationships=(PAIR,), reservations=(reserve("192.0.2.5", MAC),)
    )
    other = dataclasses.replace(more, failover_relationships=(dataclasses.replace(PAIR, scopes=()),))
    assert compared(more, other) == ['scope "office" is shared here, and not by the partner']
