"""Small files that a role keeps for its next life: policies of other domains, counts for reports.

They are no mail: what is lost in a power cut is fetched or counted anew.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One file to be written whole or not at all, or removed.

    Attributes:
        path: below the state directory, with ``/``; otherwise letters, digits, ``.``, ``-`` and ``_``.
        data: None removes it.
    """

    path: str
    data: bytes | None
