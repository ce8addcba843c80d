"""Sizes and spans as an administrator writes and reads them: ``2GB``, ``10 MB``, ``2d``, ``90s``.

Sizes count in powers of 1024, as Exchange does (exchange-behaviour QT-1).
"""

from __future__ import annotations

import re

from holdfast.kernel.errors import Refusal

_SIZE_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_SPAN_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,2})\s*")


def parse_size(text: str) -> int:
    """Read a size such as ``2GB`` or ``35 MB`` (or plain bytes) and return bytes.

    Raises:
        Refusal: the text is not a size.
    """
    match = _QUANTITY.fullmatch(text)
    unit = _SIZE_UNITS.get((match[2] or "B").upper()) if match else None
    if match is None or unit is None:
        raise Refusal(f'"{text}" is not a size; write a number and B, KB, MB, GB or TB, for example 2GB')
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def format_size(size_bytes: int) -> str:
    """Write a size with the largest unit that keeps it at one or more, for example ``2.00 GB``."""
    for unit in ("TB", "GB", "MB", "KB"):
        if size_bytes >= _SIZE_UNITS[unit]:
            return f"{size_bytes / _SIZE_UNITS[unit]:.2f} {unit}"
    return f"{size_bytes} B"


def parse_span(text: str) -> float:
    """Read a span of time such as ``90s``, ``15m`` or ``2d`` and return seconds.

    Raises:
        Refusal: the text is not a span.
    """
    match = _QUANTITY.fullmatch(text)
    unit = _SPAN_UNITS.get((match[2] or "s").lower()) if match else None
    if match is None or unit is None:
        raise Refusal(f'"{text}" is not a span of time; write a number and ms, s, m, h or d, for example 15m')
    return float(match[1]) * unit
