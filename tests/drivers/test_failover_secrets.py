"""The dhcp role reads the shared secret that was set, as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.directory.dhcp_organisation import BASE

from holdfast.directory.edit import with_object
from holdfast.directory.model import FailoverRelationship, Organisation
from holdfast.directory.plan import plan_change
from holdfast.drivers.failover_secrets import read_failover_secret
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Unavailable


def test_secret_is_read_by_the_name_of_the_relationship(tmp_path: Path) -> None:
    store = DirectoryStore.open(tmp_path / "directory.sqlite", writable=True)
    after = with_object(BASE, FailoverRelationship("Pair", ("dhcp1", "dhcp2")))
    store.apply(plan_change(Organisation(), after), who="admin", why="", at=1.0)
    assert read_failover_secret(tmp_path, "Pair") is None
    store.set_failover_secret("Pair", "open sesame")
    assert read_failover_secret(tmp_path, "pair") == "open sesame"
    assert read_failover_secret(tmp_path, "another") is None
    store.close()


def test_missing_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no directory database"):
        read_failover_secret(tmp_path, "pair")
