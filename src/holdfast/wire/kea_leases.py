"""Read and write the lease file of Kea's memfile: CSV whose first line names the columns.

A file is a log: of several rows for one address the last one holds, and one with a lifetime of 0 says that
the lease was removed. Commas inside a value are written ``&#x2c``. Rows that cannot be read are listed, as
the last one is where Kea was killed; any bytes are read or refused.

Source: Kea Administrator Reference Manual, "Memfile"; spec/dhcp.md section 4.1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from holdfast.kernel.errors import Refusal

LEASES_BYTES_MAX = 512 << 20
UNKNOWN_MAX = 100
UNLIMITED_S = 0xFFFF_FFFF
STATES = ("default", "declined", "expired-reclaimed", "released", "registered")
COLUMNS = (
    "address", "hwaddr", "client_id", "valid_lifetime", "expire", "subnet_id", "fqdn_fwd", "fqdn_rev",
    "hostname", "state", "user_context", "pool_id",
)  # fmt: skip
_REQUIRED = COLUMNS[:6]
_PROGRESS_ROWS = 50_000
_ESCAPE = re.compile(r"&#x([0-9A-Fa-f]{2})")
_OCTETS = re.compile(r"(?:[0-9A-Fa-f]{1,2}:){0,254}[0-9A-Fa-f]{1,2}")


class KeaLease(NamedTuple):
    """One row; a plain tuple because files have millions of them.

    Attributes:
        address: as a number.
        mac: hardware address (Kea does not write its type); may be empty.
        client_id: with its type; empty when the client sent none.
        valid_lifetime_s: ``UNLIMITED_S`` for a lease without an end.
        expire_at: seconds since the epoch.
        subnet_id: of the configuration.
        fqdn_forward, fqdn_reverse: whether names were registered in DNS.
        hostname: as registered.
        state: an index into ``STATES``.
        user_context: JSON, or empty.
        line: where the row stands.
    """

    address: int
    mac: bytes
    client_id: bytes
    valid_lifetime_s: int
    expire_at: int
    subnet_id: int
    fqdn_forward: bool = False
    fqdn_reverse: bool = False
    hostname: str = ""
    state: int = 0
    user_context: str = ""
    line: int = 0


@dataclass(slots=True)
class LeaseFile:
    """What a file says at its end.

    Attributes:
        leases: by address.
        row_count: how many rows were read.
        unknown: rows that could not be read: line and why, the first hundred.
        unknown_count: how many those are.
    """

    leases: dict[int, KeaLease]
    row_count: int
    unknown: list[tuple[int, str]]
    unknown_count: int


def read_leases(
    data: bytes,
    *,
    name: str = "kea-leases4.csv",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LeaseFile:
    """Read a file.

    Args:
        data: its bytes.
        name: what it is called, for refusals.
        progress: told the bytes that are done and all, now and then.

    Raises:
        Refusal: it is not a DHCPv4 lease file of memfile, or too large.
    """
    if len(data) > LEASES_BYTES_MAX:
        raise Refusal(f"{name} has {len(data)} bytes, more than the {LEASES_BYTES_MAX} that are read")
    head, _, _ = data.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    places = _places(head.decode("utf-8", "replace").strip(), name)
    found = LeaseFile({}, 0, [], 0)
    position, line = data.find(b"\n") + 1 or len(data), 1
    while position < len(data):
        end = data.find(b"\n", position)
        end = len(data) if end < 0 else end
        row = data[position:end]
        line += 1
        position = end + 1
        if row.strip():
            _read_row(row, places, line, found)
        if line % _PROGRESS_ROWS == 0:
            progress(position, len(data))
    return found


def _places(head: str, name: str) -> list[int]:
    """Where each of ``COLUMNS`` stands in a row; -1 for one that the file does not have."""
    columns = head.split(",")
    if "duid" in columns and "address" in columns:
        raise Refusal(
            f"{name} holds DHCPv6 leases (it has a column duid); DHCPv4 leases are in kea-leases4.csv"
        )
    missing = [each for each in _REQUIRED if each not in columns]
    if missing:
        shown = "".join(each if each.isprintable() else "�" for each in head[:80])
        raise Refusal(
            f"{name} line 1: this is not a lease file of Kea's memfile: no column "
            f'{", ".join(missing)} in "{shown}"'
        )
    return [columns.index(each) if each in columns else -1 for each in COLUMNS]


def _read_row(row: bytes, places: list[int], line: int, found: LeaseFile) -> None:
    try:
        fields = row.decode().rstrip("\r").split(",")
        lease = _lease(fields, places, line)
    except (ValueError, IndexError) as error:
        found.unknown_count += 1
        if len(found.unknown) < UNKNOWN_MAX:
            reason = (
                "it has fewer columns than the first line" if isinstance(error, IndexError) else str(error)
            )
            found.unknown.append((line, reason))
        return
    found.row_count += 1
    if lease.valid_lifetime_s == 0:
        found.leases.pop(lease.address, None)
    else:
        found.leases[lease.address] = lease


def _lease(fields: list[str], places: list[int], line: int) -> KeaLease:
    values = [fields[place] if place >= 0 else "" for place in places]
    address, mac, client_id, lifetime, expire, subnet_id, forward, reverse, hostname, state, context, _ = (
        values
    )
    state_number = _number(state or "0", 63)
    if state_number >= len(STATES):
        raise ValueError(f"{state_number} is not a state of a lease")
    return KeaLease(
        int(ipaddress.IPv4Address(address)),
        _octets(mac),
        _octets(client_id),
        _number(lifetime, UNLIMITED_S),
        _number(expire, 1 << 40),
        _number(subnet_id, UNLIMITED_S),
        forward == "1",
        reverse == "1",
        _unescaped(hostname),
        state_number,
        _unescaped(context),
        line,
    )


def _number(text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15 or int(text) > most:
        raise ValueError(f'"{text[:40]}" is not a number up to {most}')
    return int(text)


def _octets(text: str) -> bytes:
    if not text:
        return b""
    if not _OCTETS.fullmatch(text):
        raise ValueError(f'"{text[:40]}" is not bytes in hexadecimal')
    if len(text) % 3 == 2:
        try:
            return bytes.fromhex(text.replace(":", ""))
        except ValueError:
            pass  # some of them have one digit
    return bytes(int(part, 16) for part in text.split(":"))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) if "&" in text else text


def _escaped(text: str) -> str:
    return text.replace("&#x", "&#x26#x").replace(",", "&#x2c").replace("\n", "&#x0a").replace("\r", "&#x0d")


def write_leases(leases: Iterable[KeaLease], *, pool_id: bool = False) -> Iterator[str]:
    """Write a file in pieces, a row each; ``pool_id`` adds the last column of Kea 3 and newer."""
    columns = COLUMNS if pool_id else COLUMNS[:-1]
    yield ",".join(columns) + "\n"
    for lease in leases:
        row = (
            str(ipaddress.IPv4Address(lease.address)),
            lease.mac.hex(":"),
            lease.client_id.hex(":"),
            str(lease.valid_lifetime_s),
            str(lease.expire_at),
            str(lease.subnet_id),
            str(int(lease.fqdn_forward)),
            str(int(lease.fqdn_reverse)),
            _escaped(lease.hostname),
            str(lease.state),
            _escaped(lease.user_context),
            "0",
        )
        yield ",".join(row[: len(columns)]) + "\n"
