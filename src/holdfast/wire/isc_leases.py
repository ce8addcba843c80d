"""Read and write the lease file of ISC dhcpd; of several entries for one address the last one holds.

A file is a log: dhcpd appends an entry whenever a lease changes. Entries in the form that dhcpd writes are
found by one expression; whatever looks otherwise goes through the reader of the configuration language, which
is slower and knows all of it. Any bytes are read or refused with the line.

Source: dhcpd.leases(5) of ISC dhcpd 4.4; spec/dhcp.md section 3.
"""

from __future__ import annotations

import calendar
import enum
import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from holdfast.kernel.errors import Refusal
from holdfast.wire.isc_conf import Statement, Word, quote, read_configuration, unquote

LEASES_BYTES_MAX = 512 << 20
_PROGRESS_BYTES = 4 << 20

_ENTRY = re.compile(rb"^lease ([0-9.]{7,15}) \{\n((?:  [^\n{}]*;\n)*)\}\n", re.MULTILINE)
_LINE = re.compile(rb"  ([a-z-]+) ([^\n]*);\n")
_TIME = re.compile(r"[0-6] ([0-9]{4})/([0-9]{1,2})/([0-9]{1,2}) ([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?: UTC)?")
_EPOCH = re.compile(r"epoch ([0-9]{1,12})")
_MAC = re.compile(r"([a-z0-9-]+) ((?:[0-9a-fA-F]{1,2}:){0,19}[0-9a-fA-F]{1,2})")
_HEX = re.compile(r"(?:[0-9a-fA-F]{1,2}:)*[0-9a-fA-F]{1,2}")
_HARDWARE = {"ethernet": 1, "token-ring": 6, "fddi": 8, "infiniband": 32}
_HARDWARE_NAMES = {number: name for name, number in _HARDWARE.items()}


class BindingState(enum.Enum):
    """What an address is, by ``binding state``."""

    FREE = "free"
    BACKUP = "backup"  # free, and the partner's to give
    ACTIVE = "active"
    EXPIRED = "expired"
    RELEASED = "released"
    ABANDONED = "abandoned"  # somebody else was found to use it
    RESET = "reset"
    BOOTP = "bootp"  # as old versions write it


_STATES = {each.value: each for each in BindingState}


class IscLease(NamedTuple):
    """One entry; a plain tuple because files have millions of them.

    Attributes:
        address: as a number.
        state: what the address is.
        hardware_type: 1 is Ethernet.
        mac: hardware address; empty when none was known.
        uid: client identifier with its type; empty when the client sent none.
        starts_at, ends_at, cltt_at: seconds since the epoch; 0 when not said, ``ends_at`` infinite for never.
        host_name: as the client called itself.
        flags: ``reserved`` and ``dynamic-bootp``, where they stand.
        agent: sub-options of option 82 by name (``circuit-id``, ``remote-id``).
        line: where the entry begins.
    """

    address: int
    state: BindingState
    hardware_type: int = 1
    mac: bytes = b""
    uid: bytes = b""
    starts_at: float = 0.0
    ends_at: float = 0.0
    cltt_at: float = 0.0
    host_name: bytes = b""
    flags: tuple[str, ...] = ()
    agent: tuple[tuple[str, bytes], ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class PeerState:
    """What a failover peer last wrote of itself and its partner: names of states as dhcpd writes them."""

    name: str
    own: str
    partner: str


@dataclass(slots=True)
class LeaseFile:
    """What a file says at its end.

    Attributes:
        leases: by address.
        entry_count: how many entries were read; more than leases when addresses changed.
        peers: failover relationships by name.
        others: declarations that are no leases (hosts and groups made by OMAPI, server-duid).
        unknown: what was not understood inside entries: line and text, the first hundred.
    """

    leases: dict[int, IscLease]
    entry_count: int
    peers: dict[str, PeerState]
    others: list[Statement]
    unknown: list[tuple[int, str]]


UNKNOWN_MAX = 100


def read_leases(
    data: bytes,
    *,
    name: str = "dhcpd.leases",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LeaseFile:
    """Read a file.

    Args:
        data: its bytes.
        name: what it is called, for refusals.
        progress: told the bytes that are done and all, now and then.

    Raises:
        Refusal: it is not a lease file, or too large; with the line.
    """
    if len(data) > LEASES_BYTES_MAX:
        raise Refusal(f"{name} has {len(data)} bytes, more than the {LEASES_BYTES_MAX} that are read")
    found = LeaseFile({}, 0, {}, [], [])
    leases = found.leases
    line, position, told = 1, 0, 0
    for match in _ENTRY.finditer(data):
        start = match.start()
        if start > position:
            _read_others(data[position:start], name, line, found)
            line += data.count(b"\n", position, start)
        lease = _read_plain(match, line)
        if lease is None:
            _read_others(match[0], name, line, found)
        else:
            leases[lease.address] = lease
            found.entry_count += 1
        position = match.end()
        line += match[0].count(b"\n")
        if position - told >= _PROGRESS_BYTES:
            told = position
            progress(position, len(data))
    _read_others(data[position:], name, line, found)
    return found


def _read_plain(match: re.Match[bytes], line: int) -> IscLease | None:
    """An entry whose every line is one that we know; None sends it to the slower reader."""
    pairs = _LINE.findall(match[2])
    if len(pairs) != match[2].count(b"\n"):
        return None
    try:
        values = {key: value.decode("latin-1") for key, value in pairs}
        address = int(ipaddress.IPv4Address(match[1].decode()))
        state = _STATES[values.pop(b"binding", "state active").removeprefix("state ")]
        hardware_type, mac = _hardware(values.pop(b"hardware", ""))
        uid = _bytes_of(values.pop(b"uid", ""))
        host_name = _bytes_of(values.pop(b"client-hostname", ""))
        starts_at = _moment(values.pop(b"starts", "never"), never=0.0)
        ends_at = _moment(values.pop(b"ends", ""), never=math.inf)
        cltt_at = _moment(values.pop(b"cltt", ""), never=0.0)
    except (KeyError, ValueError):
        return None
    if not values.keys() <= _PASSED_OVER or any(";" in each for each in values.values()):
        return None
    return IscLease(
        address, state, hardware_type, mac, uid, starts_at, ends_at, cltt_at, host_name, (), (), line
    )


# What moves a lease to its next state, and between partners: none of it matters to a new server.
_PASSED_OVER = frozenset({b"next", b"rewind", b"tstp", b"tsfp", b"atsfp", b"set"})


def _hardware(text: str) -> tuple[int, bytes]:
    if not text:
        return 1, b""
    match = _MAC.fullmatch(text)
    if match is None:
        raise ValueError(text)
    kind = match[1]
    number = _HARDWARE.get(kind) or int(kind.removeprefix("unknown-"))
    return number & 0xFF, _colon_bytes(match[2])


def _colon_bytes(text: str) -> bytes:
    return bytes(int(part, 16) for part in text.split(":"))


def _bytes_of(text: str) -> bytes:
    """A string in quotes, or bytes in hexadecimal (``lease-id-format hex``)."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        if '"' in text[1:-1].replace("\\\\", "").replace('\\"', ""):
            raise ValueError(text)
        return unquote(text[1:-1])
    if text and not _HEX.fullmatch(text):
        raise ValueError(text)
    return _colon_bytes(text) if text else b""


def _moment(text: str, *, never: float) -> float:
    """``W YYYY/MM/DD HH:MM:SS`` in UTC, ``epoch N`` (with a comment behind it) or ``never``."""
    if not text:
        return 0.0
    if text == "never":
        return never
    match = _TIME.fullmatch(text)
    if match is None:
        epoch = _EPOCH.match(text)
        if epoch is None:
            raise ValueError(text)
        return float(epoch[1])
    year, month, day, hour, minute, second = map(int, match.groups())
    if not (1970 <= year <= 9999 and hour < 24 and minute < 60 and second <= 60):
        raise ValueError(text)
    return float(calendar.timegm(datetime(year, month, day, hour, minute, 0).timetuple()) + second)


def _read_others(data: bytes, name: str, line: int, found: LeaseFile) -> None:
    """Whatever is no entry in dhcpd's own form."""
    if not data.strip():
        return
    for statement in read_configuration(data, name=name, first_line=line):
        if statement.head == "lease" and statement.block is not None:
            lease = _read_entry(statement, name, found)
            found.leases[lease.address] = lease
            found.entry_count += 1
        elif statement.head == "failover" and statement.block is not None:
            peer = _read_peer(statement)
            found.peers[peer.name] = peer
        else:
            found.others.append(statement)


def _read_peer(statement: Statement) -> PeerState:
    states = {"my": "", "partner": ""}
    for inner in statement.block or ():
        if inner.head in states and inner.word(1) == "state":
            states[inner.head] = inner.word(2)
    name = next((each.text for each in statement.words if each.quoted), "")
    return PeerState(name, states["my"], states["partner"])


def _read_entry(statement: Statement, name: str, found: LeaseFile) -> IscLease:
    try:
        address = int(ipaddress.IPv4Address(statement.words[1].text))
    except (ValueError, IndexError):
        raise Refusal(f'{name} line {statement.line}: "{statement.text}" names no IPv4 address') from None
    lease = IscLease(address, BindingState.ACTIVE, line=statement.line)
    agent: list[tuple[str, bytes]] = []
    for inner in statement.block or ():
        try:
            lease = _read_line(lease, inner, agent)
        except (ValueError, KeyError, IndexError):
            if len(found.unknown) < UNKNOWN_MAX:
                found.unknown.append((inner.line, inner.text))
    return lease._replace(agent=tuple(agent))


def _read_line(lease: IscLease, inner: Statement, agent: list[tuple[str, bytes]]) -> IscLease:
    words = inner.words
    rest = " ".join(each.text for each in words[1:])
    match inner.head:
        case "starts":
            return lease._replace(starts_at=_moment(rest, never=0.0))
        case "ends":
            return lease._replace(ends_at=_moment(rest, never=math.inf))
        case "cltt":
            return lease._replace(cltt_at=_moment(rest, never=0.0))
        case "binding":
            return lease._replace(state=_STATES[words[2].text])
        case "hardware":
            hardware_type, mac = _hardware(rest)
            return lease._replace(hardware_type=hardware_type, mac=mac)
        case "uid":
            return lease._replace(uid=_data(words[1]))
        case "client-hostname" | "hostname":
            return lease._replace(host_name=_data(words[1]))
        case "abandoned":  # before binding states were written
            return lease._replace(state=BindingState.ABANDONED)
        case "reserved" | "dynamic-bootp" | "bootp" as flag:
            return lease._replace(flags=(*lease.flags, flag))
        case "option" if inner.word(1).startswith("agent."):
            agent.append((inner.word(1).removeprefix("agent."), _data(words[2])))
            return lease
        case "next" | "rewind" | "tstp" | "tsfp" | "atsfp" | "set" | "on" | "option" | "ddns-fwd-name":
            return lease
        case "ddns-rev-name" | "ddns-txt" | "ddns-client-fqdn" | "billing" | "vendor-class-identifier":
            return lease
        case _:
            raise ValueError(inner.text)


def _data(word: Word) -> bytes:
    return word.data if word.quoted else _bytes_of(word.text)


def write_leases(leases: Iterable[IscLease]) -> Iterator[str]:
    """Write a file in pieces, an entry each, that dhcpd 4.4 and ``read_leases`` read."""
    yield "# The format of this file is documented in the dhcpd.leases(5) manual page.\n"
    yield "authoring-byte-order little-endian;\n\n"
    for lease in leases:
        yield _entry_text(lease)


def _entry_text(lease: IscLease) -> str:
    lines = [f"lease {ipaddress.IPv4Address(lease.address)} {{\n"]
    for key, moment in (("starts", lease.starts_at), ("ends", lease.ends_at), ("cltt", lease.cltt_at)):
        if moment:
            lines.append(f"  {key} {_moment_text(moment)};\n")
    lines.append(f"  binding state {lease.state.value};\n")
    if lease.state is BindingState.ACTIVE:
        lines.append("  next binding state free;\n")
    lines += [f"  {flag};\n" for flag in lease.flags]
    if lease.mac:
        kind = _HARDWARE_NAMES.get(lease.hardware_type, f"unknown-{lease.hardware_type}")
        lines.append(f"  hardware {kind} {lease.mac.hex(':')};\n")
    if lease.uid:
        lines.append(f"  uid {quote(lease.uid)};\n")
    lines += [f"  option agent.{key} {quote(value)};\n" for key, value in lease.agent]
    if lease.host_name:
        lines.append(f"  client-hostname {quote(lease.host_name)};\n")
    lines.append("}\n")
    return "".join(lines)


def _moment_text(moment: float) -> str:
    if math.isinf(moment):
        return "never"
    at = datetime.fromtimestamp(int(moment), UTC)
    return f"{(at.weekday() + 1) % 7} {at:%Y/%m/%d %H:%M:%S}"
