"""What the verbs that move DHCP give back is shown as tables."""

from __future__ import annotations

import pytest

from holdfast.admin.results_dhcp_moving import Moved, MovedCountRow, NoteRow
from holdfast.cli.render import show


def test_what_is_left_behind_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    note = NoteRow("dhcpd.conf line 7", "log-facility local7", "left behind", "it has no effect on clients")
    show(Moved(False, 3, [MovedCountRow("scopes", 2)], [], [], [], 1, [note], "do it with --yes"))
    said = capsys.readouterr().out
    assert "dhcpd.conf line 7" in said
    assert "do it with --yes" in said
