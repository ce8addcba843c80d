"""The page that says what does not survive moving in and out: docs/reference/dhcp-moving.md.

It is made from the samples, by moving them in, out again in each format, and in again. `make reference` does
not know the samples, so the page has its own way to be written:
``PYTHONPATH=src:tests python -m dhcp.moving_report > docs/reference/dhcp-moving.md``
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from dhcp.round_trips import READERS, SAMPLES, arrived, differences, trip
from holdfast.dhcp.moving import Note

NAMES = {"isc": "ISC dhcpd", "kea": "Kea", "windows": "Windows"}
_HEAD = """# What does not survive moving DHCP in and out

<!-- Written by tests/dhcp/moving_report.py; a test compares. Change the samples there, not this page. -->

A sample configuration of each kind, with what an administrator usually writes and some that we have no
word for, is moved in (`holdfast dhcp import`), out again in each format (`holdfast dhcp export`), and in
again. This page lists everything that was not the same. "Left behind" is not there afterwards, "changed"
is there in another way; the verbs say each of these lines themselves, with file and line.

Leases go in and out of each format: address, client, end, host name, and whether the address was
declined. Kea and ISC dhcpd also know since when. What a relay said of a client, names registered in DNS,
and a user's context stay behind.
"""


def report() -> str:
    """The page."""
    parts = [_HEAD]
    for name, title in NAMES.items():
        arrival = READERS[name](SAMPLES[name])
        parts += [f"\n## From {title}\n", "\n### In\n", _notes(arrival.notes)]
        for other in (name, *(each for each in NAMES if each != name)):
            parts.append(f"\n### Out to {NAMES[other]}{' again' if other == name else ''}, and in again\n")
            there = trip(arrived(name), other)
            parts += [_notes(there.out) if there.out else "\nAll of it goes out.\n"]
            parts += [_lost(differences(there.before, there.after), bool(there.out))]
    return "".join(parts)


def _notes(notes: Iterable[Note]) -> str:
    rows = sorted((_place(each.place), each.what, each.fate.value, each.reason) for each in notes)
    lines = ["", "| place | what | fate | why |", "|---|---|---|---|"]
    lines += [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row[1:])} |" for row in _placed(rows)
    ]
    return "\n".join(lines) + "\n"


def _place(text: str) -> tuple[str, int]:
    name, _, line = text.rpartition(" line ")
    return (name, int(line)) if name else (text, 0)


def _placed(rows: Iterable[tuple[tuple[str, int], str, str, str]]) -> list[tuple[str, ...]]:
    return [("", f"{name} line {line}" if line else name, *rest) for (name, line), *rest in rows]


def _lost(lines: list[str], noted: bool) -> str:
    if not lines:
        return "\nWhen it is read again, it is as it was.\n"
    head = "\nWhen it is read again, these are not as they were:\n\n"
    return head + "".join(f"- {line.removesuffix('_s').replace('_', ' ')}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(report())
