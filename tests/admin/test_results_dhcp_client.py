"""What a client's timeline and the search give back."""

from __future__ import annotations

import msgspec

from holdfast.admin.results_dhcp_client import DhcpProbe, TimelineLine


def test_a_line_of_the_timeline_as_json() -> None:
    line = TimelineLine(1.0, 0.5, "selecting", "sent", "DISCOVER", None)
    assert msgspec.json.decode(msgspec.json.encode(line)) == {
        "at": 1.0, "elapsed_s": 0.5, "state": "selecting", "what": "sent", "text": "DISCOVER", "lease": None,
    }  # fmt: skip


def test_nobody_answered() -> None:
    assert msgspec.json.encode(DhcpProbe(0, 0, "", [])) == (
        b'{"server_count":0,"rogue_count":0,"note":"","servers":[]}'
    )
