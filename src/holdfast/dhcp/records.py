"""What happened to a lease, as one line of the audit log in Windows' form and with Windows' event ids.

Windows' DHCP audit log is what administrators' scripts and log collectors read
already: comma-separated, one file per weekday, a number per event.

Source: Microsoft, "Analyze DHCP Server Log Files": event ids and fields; spec/dhcp.md section 4.4.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LOG_STARTED: Final = 0
LOG_STOPPED: Final = 1
LOG_PAUSED: Final = 2
NEW_LEASE: Final = 10
RENEWED: Final = 11
RELEASED: Final = 12
IN_USE: Final = 13
EXHAUSTED: Final = 14
DENIED: Final = 15
DELETED: Final = 16
EXPIRED: Final = 17
EXPIRED_NAME_DELETED: Final = 18
BOOTP_LEASE: Final = 20
DYNAMIC_BOOTP_LEASE: Final = 21
BOOTP_EXHAUSTED: Final = 22
BOOTP_DELETED: Final = 23
DNS_REQUESTED: Final = 30
DNS_FAILED: Final = 31
DNS_DONE: Final = 32
PACKET_DROPPED: Final = 36

DESCRIPTIONS = {
    LOG_STARTED: "Started",
    LOG_STOPPED: "Stopped",
    LOG_PAUSED: "Paused, disk nearly full",
    NEW_LEASE: "Assign",
    RENEWED: "Renew",
    RELEASED: "Release",
    IN_USE: "BAD_ADDRESS",
    EXHAUSTED: "Scope Full",
    DENIED: "NACK",
    DELETED: "Deleted",
    EXPIRED: "Expired",
    EXPIRED_NAME_DELETED: "Expired and DNS record deleted",
    BOOTP_LEASE: "Assign BOOTP",
    DYNAMIC_BOOTP_LEASE: "Assign dynamic BOOTP",
    BOOTP_EXHAUSTED: "BOOTP Scope Full",
    BOOTP_DELETED: "BOOTP Deleted",
    DNS_REQUESTED: "DNS Update Request",
    DNS_FAILED: "DNS Update Failed",
    DNS_DONE: "DNS Update Successful",
    PACKET_DROPPED: "Packet dropped because of Client ID hash mismatch or standby server",
}

HEADER = (
    "ID,Date,Time,Description,IP Address,Host Name,MAC Address,User Name,TransactionID,QResult,Probationtime,"
    "CorrelationID,Dhcid,VendorClass(Hex),VendorClass(ASCII),UserClass(Hex),UserClass(ASCII),"
    "RelayAgentInformation,DnsRegError."
)
_FIELD_CHARACTERS_MAX: Final = 255


class Record(NamedTuple):
    """One line of the audit log.

    A plain tuple: one is made per exchange.

    Attributes:
        event_id: Windows' number.
        address: as a number; 0 for none.
        host_name: as the client says it; any bytes.
        hardware: hardware type and address.
        xid: the transaction, four bytes; empty for none.
        vendor_class: option 60; any bytes.
        user_class: option 77; any bytes.
        relay: option 82; any bytes.
        detail: what is said in place of the host name where there is none.
        dns_error: why a name was not registered, in Windows' numbers: 9000 and the RCODE of DNS.
    """

    event_id: int
    address: int
    host_name: bytes = b""
    hardware: bytes = b""
    xid: bytes = b""
    vendor_class: bytes = b""
    user_class: bytes = b""
    relay: bytes = b""
    detail: str = ""
    dns_error: int = 0


def line_of(record: Record, date: str, time: str) -> str:
    """Write one record without its line end.

    Args:
        record: what happened.
        date: ``MM/DD/YY``, local.
        time: ``HH:MM:SS``, local.
    """
    event_id, address, host_name, hardware, xid, vendor_class, user_class, relay, detail, dns_error = record
    name = _shown(host_name) if host_name else detail
    dotted = f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}" if address else ""
    number = int.from_bytes(xid, "big") if xid else 0
    mac = hardware.hex()[2:].upper()
    what = f"{event_id},{date},{time},{DESCRIPTIONS.get(event_id, '')},{dotted},{name},{mac},,{number},0,,,,"
    if not (vendor_class or user_class or relay or dns_error):
        return what + ",,,,,0"
    classes = ",,,"
    if vendor_class or user_class:
        classes = f"{_hex(vendor_class)},{_shown(vendor_class)},{_hex(user_class)},{_shown(user_class)}"
    return f"{what}{classes},{_hex(relay)},{dns_error}"


def _hex(value: bytes) -> str:
    return f"0x{value[:_FIELD_CHARACTERS_MAX].hex().upper()}" if value else ""


def _shown(value: bytes) -> str:
    """What a client chose, so that it can neither end a field nor a line."""
    text = value[:_FIELD_CHARACTERS_MAX].decode("utf-8", "replace")
    if text.isalnum():
        return text
    return "".join(each if each.isprintable() and each not in ',"' else "_" for each in text)
