"""What a client is called: its host name, and what it is told about its name in DNS.

Which names are registered, and when, is decided where leases are registered;
here is only what an answer says.

Source: RFC 2132 section 3.14; RFC 4702 section 4.
"""

from __future__ import annotations

from typing import Final

from holdfast.dhcp.client_match import Facts
from holdfast.directory.dhcp import DnsUpdates
from holdfast.kernel.errors import Refusal
from holdfast.wire.dhcp4_values import (
    CLIENT_FQDN,
    FQDN_ENCODED,
    FQDN_NO_UPDATE,
    FQDN_OVERRIDE,
    FQDN_SERVER_UPDATES,
    HOST_NAME,
    ClientName,
    encode_client_name,
    read_client_name,
)

HOST_NAME_BYTES_MAX: Final = 255


def host_name_of(facts: Facts) -> bytes:
    """What a client calls itself: option 12, else the name of option 81; any bytes, at most 255."""
    options = facts.message.options
    if HOST_NAME in options:
        return options[HOST_NAME].rstrip(b"\0")[:HOST_NAME_BYTES_MAX]
    if CLIENT_FQDN in options:
        try:
            return read_client_name(options[CLIENT_FQDN]).name[:HOST_NAME_BYTES_MAX]
        except Refusal:
            return b""
    return b""


def answer_name(facts: Facts, updates: DnsUpdates, *, registers: bool, name: str = "") -> bytes | None:
    """The answer to option 81; None when the client does not send it, or sends no name at all.

    Args:
        facts: what the client says.
        updates: for whom the scope registers names.
        registers: whether this server registers anything for it.
        name: what the client is called in DNS, whole; empty leaves it what it says.

    Source: RFC 4702 section 4.
    """
    value = facts.message.options.get(CLIENT_FQDN)
    if value is None:
        return None
    try:
        asked = read_client_name(value)
        wants_us = bool(asked.flags & FQDN_SERVER_UPDATES)
        flags = asked.flags & FQDN_ENCODED
        if not registers or updates is DnsUpdates.NEVER:
            flags |= FQDN_NO_UPDATE
            ours = False
        elif updates is DnsUpdates.ALWAYS:
            flags |= FQDN_SERVER_UPDATES
            ours = True
        else:
            ours = wants_us and not asked.flags & FQDN_NO_UPDATE
            flags |= FQDN_SERVER_UPDATES if ours else 0
            flags |= asked.flags & FQDN_NO_UPDATE
        if ours != wants_us:
            flags |= FQDN_OVERRIDE
        if name:
            return encode_client_name(ClientName(flags, name.encode("ascii"), True))
        return encode_client_name(ClientName(flags, asked.name, asked.is_whole))
    except Refusal:
        return None
