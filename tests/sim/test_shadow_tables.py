"""The made-up tables; ``tests/drivers/test_sqlite_shadows.py`` compares them with the real ones."""

from __future__ import annotations

import pytest

from holdfast.sim.shadow_tables import ShadowTables, identity_of
from holdfast.sim.world import Violation
from holdfast.transport.shadow_writes import Resubmit, TakeOver


def test_another_disk_in_the_same_place_has_another_identity() -> None:
    assert identity_of("mail1", 0) != identity_of("mail1", 1) != identity_of("mail2", 1)


def test_what_is_not_there_is_neither_taken_over_nor_resubmitted() -> None:
    tables = ShadowTables({}, identity_of("mail1", 0))
    with pytest.raises(Violation, match="is no copy"):
        tables.apply(TakeOver((1,), 0.0, ""))
    with pytest.raises(Violation, match="not in the Safety Net"):
        tables.apply(Resubmit(1, ("a@x",), ""))
    assert tables.read(1) is None
