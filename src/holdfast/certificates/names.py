"""Decide whether a certificate's name is the name that was meant.

Source: RFC 9525 sections 6.3 and 6.4; RFC 6125 section 6.4; RFC 8461 section 4.1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

WILDCARD = "*."
_WILDCARD_LABELS_MIN = 2  # below the star: `*.org` would be every organisation


def presented_name_matches(presented: str, name: str) -> bool:
    """Whether a name in a certificate covers a name that somebody meant.

    A wildcard is a whole left-most label and stands for exactly one label
    (RFC 9525 section 6.3); an address is only ever itself.
    """
    if not presented or not name:
        return False
    presented, name = _plain(presented), _plain(name)
    if presented == name:
        return True
    if not presented.startswith(WILDCARD) or _is_address(name):
        return False
    below = presented[len(WILDCARD) :]
    if "*" in below or below.count(".") < _WILDCARD_LABELS_MIN - 1:
        return False
    label, dot, rest = name.partition(".")
    return bool(label and dot) and rest == below


def names_match(presented: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether one of a certificate's names covers one that is wanted.

    A wanted ``*.example.org`` takes any one label in place of the star, as an
    ``mx`` line of an MTA-STS policy does.
    """
    names = tuple(presented)
    return any(_covers(each, name) for name in wanted for each in names)


def _covers(presented: str, wanted: str) -> bool:
    if presented_name_matches(presented, wanted):
        return True
    label, dot, rest = _plain(presented).partition(".")
    return bool(label and dot) and _plain(wanted) == WILDCARD + rest


def _plain(name: str) -> str:
    return name.removesuffix(".").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
