"""Read and write what a relay agent adds to a client's message: option 82 and its sub-options.

Source: RFC 3046 section 2; RFC 3527 for link selection; RFC 5107 for the server
identifier override; RFC 6925 for the relay's own identifier; RFC 8357 for a
relay's port.
"""

from __future__ import annotations

from typing import Final

from holdfast.kernel.errors import Refusal

CIRCUIT_ID: Final = 1
REMOTE_ID: Final = 2
LINK_SELECTION: Final = 5
SUBSCRIBER_ID: Final = 6  # RFC 3993
SERVER_ID_OVERRIDE: Final = 11
RELAY_ID: Final = 12
RELAY_SOURCE_PORT: Final = 19

_ADDRESS_BYTES: Final = 4


def read_relay_agent(value: bytes) -> dict[int, bytes]:
    """Read the sub-options of a relay agent; unknown ones are kept.

    Raises:
        Refusal: a sub-option runs over the end, or occurs twice.
    """
    found: dict[int, bytes] = {}
    at, end = 0, len(value)
    while at < end:
        if at + 2 > end or at + 2 + value[at + 1] > end:
            raise Refusal(f"sub-option {value[at]} of the relay agent runs over its end")
        code = value[at]
        if code in found:
            raise Refusal(f"sub-option {code} of the relay agent occurs twice")
        found[code] = value[at + 2 : at + 2 + value[at + 1]]
        at += 2 + value[at + 1]
    for code in (LINK_SELECTION, SERVER_ID_OVERRIDE):
        if code in found and len(found[code]) != _ADDRESS_BYTES:
            raise Refusal(f"sub-option {code} of the relay agent is no IPv4 address")
    return found


def encode_relay_agent(sub_options: dict[int, bytes]) -> bytes:
    """Write sub-options in their order.

    Raises:
        Refusal: a value is longer than 255 bytes.
    """
    parts = []
    for code, value in sub_options.items():
        if len(value) > 255:
            raise Refusal(f"sub-option {code} of the relay agent has {len(value)} bytes; 255 fit")
        parts.append(bytes((code, len(value))) + value)
    return b"".join(parts)
