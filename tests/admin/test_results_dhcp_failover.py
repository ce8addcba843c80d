"""What the verbs about failover give back is shown as tables and lines."""

from __future__ import annotations

import pytest

from holdfast.admin.results_dhcp_failover import FailoverList, FailoverRow
from holdfast.cli.render import show


def test_relationships_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        FailoverList(
            [FailoverRow("pair", "load-balance", "ns1", "ns2", ["office", "lab"], True, "NORMAL", "", None)]
        )
    )
    said = capsys.readouterr().out
    assert "office, lab" in said
    assert "primary" in said
