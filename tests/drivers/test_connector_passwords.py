"""The transport role reads the password that was set, as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.directory.model import Organisation, SendConnector
from holdfast.directory.plan import plan_change
from holdfast.drivers.connector_passwords import read_connector_password
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Unavailable


def test_password_is_read_by_the_name_of_the_connector(tmp_path: Path) -> None:
    store = DirectoryStore.open(tmp_path / "directory.sqlite", writable=True)
    after = Organisation(send_connectors=(SendConnector("Out", ("*",)),))
    store.apply(plan_change(Organisation(), after), who="admin", why="", at=1.0)
    assert read_connector_password(tmp_path, "Out") is None
    store.set_connector_password("Out", "s3cret")
    assert read_connector_password(tmp_path, "out") == "s3cret"
    store.set_connector_password("Out", "other")
    assert read_connector_password(tmp_path, "Out") == "other"
    assert read_connector_password(tmp_path, "another") is None
    store.close()


def test_missing_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no directory database"):
        read_connector_password(tmp_path, "Out")
