"""Make the DHCID record of a client: by it every DHCP server knows whose name it is in DNS.

Source: RFC 4701 sections 3.3 to 3.5.
"""

from __future__ import annotations

import hashlib

from holdfast.wire.dhcp4_values import duid_of

_OF_HARDWARE, _OF_CLIENT_ID, _OF_DUID = b"\0\0", b"\0\1", b"\0\2"
_SHA_256 = b"\1"
DHCID_BYTES = 35


def make_dhcid(hardware: bytes, client_id: bytes, name: str) -> bytes:
    """The data of the record.

    Args:
        hardware: hardware type and address.
        client_id: option 61 as it came; empty when the client sent none.
        name: the whole name in lower case, ASCII, without the final dot.
    """
    duid = duid_of(client_id)
    if duid is not None:
        kind, identity = _OF_DUID, duid
    elif client_id:
        kind, identity = _OF_CLIENT_ID, client_id
    else:
        kind, identity = _OF_HARDWARE, hardware
    wire_name = b"".join(bytes((len(each),)) + each.encode("ascii") for each in name.split(".")) + b"\0"
    return kind + _SHA_256 + hashlib.sha256(identity + wire_name).digest()
