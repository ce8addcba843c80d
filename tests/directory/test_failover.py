"""A relationship has Windows' defaults, and stands in a file as it was declared."""

from __future__ import annotations

from holdfast.directory.failover import FailoverMode, FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.directory.toml_format import read_organisation, write_organisation
from holdfast.kernel.ids import MailboxId


def test_defaults_are_those_of_windows() -> None:
    pair = FailoverRelationship("pair", ("a", "b"))
    assert (pair.mode, pair.split_percent, pair.reserve_percent) == (FailoverMode.LOAD_BALANCE, 50, 5)
    assert (pair.mclt_s, pair.switch_over_s, pair.port, pair.addresses) == (3600.0, 0.0, 647, ())


def test_what_is_written_to_a_file_is_read_back() -> None:
    pair = FailoverRelationship(
        "pair",
        ("a", "b"),
        ("office",),
        FailoverMode.HOT_STANDBY,
        reserve_percent=10,
        mclt_s=60.0,
        switch_over_s=7200.0,
        addresses=("192.0.2.1", "192.0.2.2"),
    )
    text = write_organisation(Organisation(failover_relationships=(pair,)))
    assert 'mode = "hot-standby"' in text
    assert 'switch_over = "2h"' in text
    found = read_organisation(text, "file", existing=Organisation(), new_id=lambda: MailboxId("0" * 32))
    assert found.failover_relationships == (pair,)
