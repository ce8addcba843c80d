"""What one server of ours tells another of a message beside its envelope: parameters of MAIL that are ours.

They are offered as ``XHOLDFAST`` in the answer to EHLO, and only to a server of ours that has proved to be
one (docs/decisions/0017):

- ``XHOLDFAST-ID``: the network message id, the same on every copy and split of a message;
- ``XHOLDFAST-AGE``: for how many milliseconds servers of ours have had it, so that delay notices and expiry
  count on. A span, not an instant: each server measures by its own clock, and two that differ by hours agree;
- ``XHOLDFAST-TOLD``: its sender was told that it waits, and is not told again.

Source: RFC 5321 sections 2.2.2 and 4.1.2 for the form of private extensions; exchange-behaviour MT-4.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from holdfast.kernel.errors import Refusal

ID, AGE, TOLD = b"XHOLDFAST-ID", b"XHOLDFAST-AGE", b"XHOLDFAST-TOLD"
KEYWORDS = frozenset((ID, AGE, TOLD))

_NETWORK_MESSAGE_ID = re.compile(rb"[0-9A-Za-z][0-9A-Za-z.-]{0,63}")
_MILLISECONDS = re.compile(rb"[0-9]{1,12}")  # up to 31 years

_MILLISECONDS_MAX = 10**12 - 1


class Transfer(NamedTuple):
    """What is known of a message that comes from another server of ours.

    Attributes:
        network_message_id: see the module's text.
        age_s: how long servers of ours have had it.
        delay_told: whether its sender was told that it waits.
    """

    network_message_id: str
    age_s: float
    delay_told: bool = False


def write_transfer(transfer: Transfer) -> str:
    """The parameters, each with a space in front."""
    told = f" {TOLD.decode()}" if transfer.delay_told else ""
    milliseconds = min(max(0, int(transfer.age_s * 1000)), _MILLISECONDS_MAX)
    return f" {ID.decode()}={transfer.network_message_id} {AGE.decode()}={milliseconds}{told}"


def read_transfer(parameters: dict[bytes, bytes | None]) -> Transfer | None:
    """Take ours out of the parameters of a MAIL command, by keyword in upper case; None when there is none.

    Raises:
        Refusal: 501, one is malformed, or one is there without the other.
    """
    found = {each: parameters.pop(each) for each in KEYWORDS & parameters.keys()}
    if not found:
        return None
    network_message_id, milliseconds = found.get(ID) or b"", found.get(AGE) or b""
    if (
        not _NETWORK_MESSAGE_ID.fullmatch(network_message_id)
        or not _MILLISECONDS.fullmatch(milliseconds)
        or found.get(TOLD) is not None
    ):
        raise Refusal("malformed parameter XHOLDFAST", code=501, status="5.5.4")
    return Transfer(network_message_id.decode("ascii"), int(milliseconds) / 1000, TOLD in found)
