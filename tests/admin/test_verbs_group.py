"""Group verbs on a real directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_a_group_is_made_changed_and_removed(call: Call) -> None:
    call("group add", address="team@example.test", member=["alice@example.test"], alias=["all@example.test"])
    call("group add-member", address="all@example.test", member=["bob@example.test"])
    (row,) = call("group list").groups
    assert row.members == ["alice@example.test", "bob@example.test"]
    call("group remove-member", address="team@example.test", member=["Alice@example.test"], yes=True)
    assert call("group list").groups[0].members == ["bob@example.test"]
    call("group remove", address="team@example.test", yes=True)
    assert call("group list").groups == []


def test_a_member_that_is_there_already_is_a_warning(call: Call, world: Any) -> None:
    call("group add", address="team@example.test", member=["alice@example.test"])
    changed = call("group add-member", address="team@example.test", member=["Alice@example.test"])
    assert not changed.applied
    assert "already" in world.warnings[0]


def test_names_that_do_not_fit_are_refused(call: Call) -> None:
    with pytest.raises(Refusal, match="address of ours already"):
        call("group add", address="alice@example.test")
    with pytest.raises(Refusal, match="is a mailbox"):
        call("group remove", address="alice@example.test")
    with pytest.raises(Refusal, match="there is no group"):
        call("group remove", address="nobody@example.test")
    call("group add", address="team@example.test", member=["alice@example.test"])
    with pytest.raises(Refusal, match="there is no member"):
        call("group remove-member", address="team@example.test", member=["bob@example.test"])
