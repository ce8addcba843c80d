"""The metadata of a setting."""

from __future__ import annotations

from holdfast.directory.about import about


def test_a_number_is_at_least_one_unless_said_otherwise() -> None:
    assert about("why")["least"] == 1
    assert about("why", unit="count", least=0, most=9) == {
        "reason": "why",
        "unit": "count",
        "source": "ours",
        "least": 0,
        "most": 9,
    }
