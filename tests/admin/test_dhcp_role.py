"""What the dhcp role tells is used, and its silence is a warning and no failure."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.admin.conftest import NOW, World
from tests.admin.dhcp_answers import DhcpRole, lease

from holdfast.admin.context import Context, Surroundings
from holdfast.admin.dhcp_role import lease_of, pool_state, scope_counts
from holdfast.drivers.sqlite_directory import DirectoryStore


@pytest.fixture
def context(store: DirectoryStore, world: World, tmp_path: Path) -> Context:
    surroundings = Surroundings(tmp_path, "demo", list, world.usage, world.ask)
    return Context(surroundings, store, "root", NOW, random.Random(1), lambda done, total, text: None)


def test_answers_are_used(context: Context, world: World) -> None:
    world.dhcp = DhcpRole(lease("192.0.2.9"), lease("192.0.2.10", state="offered"))
    assert scope_counts(context)["office"].active_count == 1
    first = 0xC0000209
    assert pool_state(context, "office") == [(first, first, "active"), (first + 1, first + 1, "offered")]
    found = lease_of(context, "192.0.2.9")
    assert found is not None
    assert found.state == "active"
    assert lease_of(context, "192.0.2.11") is None
    assert context.warnings == []


@pytest.mark.parametrize(
    "asked", [scope_counts, lambda c: pool_state(c, "x"), lambda c: lease_of(c, "192.0.2.9")]
)
def test_silence_is_a_warning(context: Context, asked: Callable[[Context], object]) -> None:
    assert not asked(context)
    (warning,) = context.warnings
    assert "is not known: the dhcp role is not running; see: holdfast status" in warning
