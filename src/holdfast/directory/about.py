"""How a setting says what it is for: the metadata of a field of the organisation's dataclasses.

docs/reference/settings.md is generated from it, files and verbs read sizes and
spans by its unit, and ``directory.checks`` goes by its bounds.
"""

from __future__ import annotations

from typing import Any


def about(
    reason: str, *, unit: str = "", source: str = "ours", least: int = 1, most: int | None = None
) -> dict[str, Any]:
    """Describe a setting.

    Args:
        reason: what it is for and why the default is what it is.
        unit: ``bytes`` and ``seconds`` are also written with a unit in files (``2GB``, ``5m``);
            ``lines`` is a text that may have several, ``PEM`` one that people compare by its fingerprint.
        source: where the rule or the default comes from.
        least: the smallest whole number that it may be; 0 where 0 means "no limit".
        most: the largest whole number, or the most characters of a text; None leaves the usual bound.
    """
    return {"reason": reason, "unit": unit, "source": source, "least": least, "most": most}


UNITS_WITH_LINES = frozenset({"lines", "PEM"})
NAME = about("identity; unique among its kind, upper and lower case count as the same")
