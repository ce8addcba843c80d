"""Links between sites come, change and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.model import SiteLink
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_links_come_change_and_go(call: Call, store: DirectoryStore) -> None:
    call("site add", name="berlin", subnet=["192.0.2.0/24"])
    call("site-link add", name="west", site=["Main", "berlin"], cost="10")
    assert store.read().site_links == (SiteLink("west", ("Main", "berlin"), 10),)
    with pytest.raises(Refusal, match="there already; change it with: holdfast site-link set West"):
        call("site-link add", name="West", site=["Main", "berlin"])
    call("site-link set", name="WEST", message_size_max="10MB", default=["cost"])
    assert store.read().site_links == (SiteLink("west", ("Main", "berlin"), 100, 10 << 20),)
    (row,) = call("site-link list").links
    assert (row.name, row.sites, row.cost, row.message_size_max_bytes) == (
        "west",
        ["Main", "berlin"],
        100,
        10 << 20,
    )
    call("site-link set", name="west", message_size_max="0")
    assert call("site-link list").links[0].message_size_max_bytes is None
    call("site-link remove", name="west")
    assert store.read().site_links == ()


def test_what_cannot_be_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match="nothing was changed") as caught:
        call("site-link add", name="x", site=["Main", "nowhere"], cost="100000")
    assert [str(each).split(";")[0] for each in caught.value.problems] == [
        'site link "x": cost is 100000',
        'site link "x": site "nowhere" does not exist',
    ]
    with pytest.raises(Refusal, match="there is no site link"):
        call("site-link set", name="x")
