r"""Flags of messages: system flags, keywords, and what a change makes of them.

System flags are written in one way. Keywords are compared without case and
keep the spelling in which a message got them first. ``\Recent`` belongs to the
session that claims it, so a wish to set it is passed over.

Source: RFC 3501 section 2.3.2.
"""

from __future__ import annotations

import re
from typing import assert_never

from holdfast.kernel.errors import Refusal
from holdfast.wire.store import FlagAction

KEYWORD_BYTES_MAX = 128
KEYWORD_COUNT_MAX = 100  # per message

SEEN = "\\Seen"
DELETED = "\\Deleted"
SYSTEM_FLAGS = {flag.lower(): flag for flag in (SEEN, "\\Answered", "\\Flagged", DELETED, "\\Draft")}
_RECENT = "\\recent"
# RFC 3501 section 9, atom: printable ASCII without specials.
_KEYWORD = re.compile(r"[!#$&\'+,./0-9:;<=>?@A-Z\[^_`a-z|}~-]+")


def clean_flags(flags: list[str]) -> tuple[str, ...]:
    """Check flags that a client wants set and return them sorted, each once.

    Raises:
        Refusal: an unknown system flag, or a keyword that is malformed or too long, or too many keywords.
    """
    found: dict[str, str] = {}
    for flag in flags:
        key = flag.lower()
        if key == _RECENT:
            continue
        if key in SYSTEM_FLAGS:
            found[key] = SYSTEM_FLAGS[key]
        elif len(flag) > KEYWORD_BYTES_MAX or not _KEYWORD.fullmatch(flag):
            raise Refusal(
                f"the flag {flag[:40]!r} is neither a system flag nor a keyword of 1 to 128 characters"
            )
        else:
            found.setdefault(key, flag)
    return bounded(found)


def bounded(found: dict[str, str]) -> tuple[str, ...]:
    """Sort flags that are given by their key.

    Raises:
        Refusal: too many keywords for one message.
    """
    if len(found) > KEYWORD_COUNT_MAX:
        raise Refusal(f"a message may have {KEYWORD_COUNT_MAX} flags, these would be {len(found)}")
    return tuple(sorted(found.values()))


def change_flags(held: tuple[str, ...], action: FlagAction, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the flags that a message has after a change.

    Raises:
        Refusal: too many keywords for one message.
    """
    known = {flag.lower(): flag for flag in held}
    asked = {flag.lower(): known.get(flag.lower(), flag) for flag in wanted}
    match action:
        case FlagAction.ADD:
            return bounded(known | asked)
        case FlagAction.REMOVE:
            return bounded({key: flag for key, flag in known.items() if key not in asked})
        case FlagAction.REPLACE:
            return bounded(asked)
        case _:
            assert_never(action)
