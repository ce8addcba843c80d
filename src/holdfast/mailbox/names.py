"""Folder names: which are allowed, and the one way to write each.

Levels are parted by ``/``. A first level that reads INBOX in any case is the
inbox. Names are Unicode; whoever speaks IMAP converts modified UTF-7.

Source: RFC 3501 sections 5.1 and 6.3.3. The limits are ours.
"""

from __future__ import annotations

import unicodedata

from holdfast.kernel.errors import Refusal
from holdfast.mailbox.special_use import INBOX

LEVEL_BYTES_MAX = 255  # what file systems allow, so that an export can always name its directories
NAME_BYTES_MAX = 1000
LEVEL_COUNT_MAX = 50
DELIMITER = "/"


def clean_name(text: str) -> str:
    """Check a folder name and return it as it is stored: no trailing ``/``, the inbox as ``INBOX``.

    ``%`` and ``*`` are allowed: people name folders "100 %", and RFC 3501 section 5.1 leaves it to the
    server. In a LIST pattern they match themselves too.

    Raises:
        Refusal: the name is empty, too long, too deep, or holds a character that is not allowed.
    """
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise Refusal("the folder name is not valid Unicode") from None
    if size_bytes > NAME_BYTES_MAX:
        raise Refusal(f"the folder name has {size_bytes} bytes; at most {NAME_BYTES_MAX} are allowed")
    levels = text.removesuffix(DELIMITER).split(DELIMITER)  # RFC 3501 section 6.3.3 on the trailing delimiter
    if len(levels) > LEVEL_COUNT_MAX:
        raise Refusal(f"the folder name has {len(levels)} levels; at most {LEVEL_COUNT_MAX} are allowed")
    for level in levels:
        if not level:
            raise Refusal("the folder name has an empty level")
        if len(level.encode()) > LEVEL_BYTES_MAX:
            raise Refusal(f"a level of the folder name is longer than {LEVEL_BYTES_MAX} bytes")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise Refusal("a folder name may not hold control characters")
    if levels[0].upper() == INBOX and levels[0].isascii():
        levels[0] = INBOX
    return DELIMITER.join(levels)


def levels_above(name: str) -> list[str]:
    """The names of the folders above a folder, the highest first."""
    levels = name.split(DELIMITER)
    return [DELIMITER.join(levels[:count]) for count in range(1, len(levels))]


def is_below(name: str, above: str) -> bool:
    """Whether a folder lies somewhere below another."""
    return name.startswith(above + DELIMITER)
