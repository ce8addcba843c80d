"""The DHCP failover protocol on the wire, as ISC dhcpd speaks it: bytes to messages and back.

A message is a header of 12 bytes and options of ``code:u16 len:u16 data``:

    length:u16  type:u8  payload offset:u8  time:u32  xid:u32  options

The order of options is ISC's, so that what it would have said is said in the
same bytes; on reading any order is taken. Unknown options are skipped, unknown
types from 128 on are ``Unknown``; whatever else is wrong is refused, and the
connection ends there. Nothing here compares or decides.

Between two servers of ours an update carries as many bindings as fit; ISC drops
a connection for that (it takes each option once), so it gets one per message.

Source: draft-ietf-dhc-failover-12 sections 6, 7 and 12; spec/dhcp.md sections 2.2 to 2.6 and 2.12.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from holdfast.kernel.errors import Refusal
from holdfast.wire.failover_digest import DIGEST_BYTES, Seal, check, sign
from holdfast.wire.failover_messages import (
    DIGEST_FAILED,
    DIGEST_MISSING,
    DIGEST_NOT_CONFIGURED,
    DIGEST_NOT_SUPPORTED,
    MISSING_INFORMATION,
    OTHER_REASON,
    REASON_TEXTS,
    Acknowledgement,
    Answer,
    Binding,
    Connect,
    ConnectAnswer,
    Contact,
    Content,
    Disconnect,
    Message,
    PoolRequest,
    PoolResponse,
    StateTold,
    Unknown,
    Update,
    UpdateDone,
    UpdateRequest,
    UpdateRequestAll,
    WrittenUpdate,
    new_answer,
    new_binding,
)

PORT: Final = 647  # IANA: dhcp-failover
VERSION: Final = 1
HEADER_BYTES: Final = 12
MESSAGE_BYTES_MAX: Final = 2048  # section 6.1

POOLREQ, POOLRESP, BNDUPD, BNDACK, CONNECT, CONNECTACK = range(1, 7)
UPDREQALL, UPDDONE, UPDREQ, STATE, CONTACT, DISCONNECT = range(7, 13)

# Options (section 12)
ADDRESSES_TRANSFERRED, ADDRESS, STATUS, CLIENT_ID, HARDWARE, SEEN_AT, REPLY_OPTIONS, REQUEST_OPTIONS = range(
    1, 9
)
DDNS, DELAYED_SERVICE, BUCKETS, IP_FLAGS, EXPIRES_AT, UNACKED_MAX, MCLT, TEXT, DIGEST = range(9, 18)
POTENTIAL_AT, RECEIVE_TIMER, PROTOCOL_VERSION, REJECT_REASON, RELATIONSHIP, SERVER_FLAGS = range(18, 24)
SERVER_STATE, STATE_SINCE, TLS_REPLY, TLS_REQUEST, VENDOR_CLASS, VENDOR_OPTIONS = range(24, 30)

# What a message is dropped for, in the reader's words; ISC drops the connection as well.
_FIXED_SIZES: Final = {
    ADDRESSES_TRANSFERRED: 4, ADDRESS: 4, STATUS: 1, SEEN_AT: 4, DELAYED_SERVICE: 1, BUCKETS: 32, IP_FLAGS: 2,
    EXPIRES_AT: 4, UNACKED_MAX: 4, MCLT: 4, POTENTIAL_AT: 4, RECEIVE_TIMER: 4, PROTOCOL_VERSION: 1,
    REJECT_REASON: 1, SERVER_FLAGS: 1, SERVER_STATE: 1, STATE_SINCE: 4, TLS_REPLY: 1, TLS_REQUEST: 1,
}  # fmt: skip
# Where the options of a binding stand in it, and what is 0 where nothing is said.
_FIELDS: Final = {
    ADDRESS: 0, STATUS: 1, CLIENT_ID: 2, HARDWARE: 3, EXPIRES_AT: 4, POTENTIAL_AT: 5, STATE_SINCE: 6,
    SEEN_AT: 7, IP_FLAGS: 8, REQUEST_OPTIONS: 9, REPLY_OPTIONS: 10, DDNS: 11, VENDOR_OPTIONS: 12,
}  # fmt: skip
_FIELD_COUNT: Final = len(_FIELDS)
_NEVER_NONE: Final = (1, 8)
_DIGEST_CODE: Final = DIGEST.to_bytes(2, "big")
_pack_option: Final = struct.Struct(">HH").pack
_pack_begin: Final = struct.Struct(">HHIHHB").pack
_pack_instants: Final = struct.Struct(">" + "HHI" * 4).pack


class BadMessage(Refusal):
    """What came is no message of a partner; ``reason`` is what the partner is told."""

    def __init__(self, text: str, reason: int = OTHER_REASON) -> None:
        super().__init__(text)
        self.reason = reason


Options = list[tuple[int, bytes]]


# --- writing -------------------------------------------------------------------------------------


def write_message(message: Message, seal: Seal | None = None) -> bytes:
    """Write a message, with a digest where there is a seal.

    Raises:
        Refusal: it would be longer than the protocol allows.
    """
    kind, payload = _described(message.content)
    length = HEADER_BYTES + len(payload) + (0 if seal is None else 5 + DIGEST_BYTES[seal.kind])
    if length > MESSAGE_BYTES_MAX:
        raise Refusal(f"a failover message of {length} bytes is longer than {MESSAGE_BYTES_MAX}")
    head = struct.pack(
        ">HBBII", length, kind, HEADER_BYTES, message.time & 0xFFFF_FFFF, message.xid & 0xFFFF_FFFF
    )
    if seal is None:
        return head + payload
    size = DIGEST_BYTES[seal.kind]
    blank = head + struct.pack(">HHB", DIGEST, 1 + size, seal.kind) + bytes(size) + payload
    return sign(blank, HEADER_BYTES + 5, seal)


def batches(
    bindings: Iterable[Binding], count_max: int, seal: Seal | None = None
) -> Iterator[tuple[int, WrittenUpdate]]:
    """Cut bindings into messages, at most so many in one, and none too long: how many, and what is said."""
    room_max = MESSAGE_BYTES_MAX - HEADER_BYTES - (0 if seal is None else 5 + DIGEST_BYTES[seal.kind])
    batch: list[bytes] = []
    room = room_max
    for binding in bindings:
        written = _written(binding)
        if batch and (len(batch) >= count_max or len(written) > room):
            yield len(batch), WrittenUpdate(b"".join(batch))
            batch, room = [], room_max
        batch.append(written)
        room -= len(written)
    if batch:
        yield len(batch), WrittenUpdate(b"".join(batch))


def _u32(value: int) -> bytes:
    return (value & 0xFFFF_FFFF).to_bytes(4, "big")


def _packed(options: Options) -> bytes:
    return b"".join([_pack_option(code, len(data)) + data for code, data in options])


def _written(binding: Binding) -> bytes:
    """The options of one binding in ISC's order; what ISC never sends comes last."""
    (
        address, status, client_id, hardware, expires_at, potential_at, changed_at, seen_at, ip_flags,
        request_options, reply_options, ddns, vendor_options,
    ) = binding  # fmt: skip
    written = _pack_begin(ADDRESS, 4, address, STATUS, 1, status)
    if client_id is not None:
        written += _pack_option(CLIENT_ID, len(client_id)) + client_id
    if hardware is not None:
        written += _pack_option(HARDWARE, len(hardware)) + hardware
    if expires_at is None or potential_at is None or changed_at is None or seen_at is None:
        for code, instant in (
            (EXPIRES_AT, expires_at), (POTENTIAL_AT, potential_at), (STATE_SINCE, changed_at),
            (SEEN_AT, seen_at),
        ):  # fmt: skip
            if instant is not None:
                written += _pack_option(code, 4) + _u32(instant)
    else:  # those of a lease, in one go
        written += _pack_instants(
            EXPIRES_AT, 4, expires_at, POTENTIAL_AT, 4, potential_at, STATE_SINCE, 4, changed_at,
            SEEN_AT, 4, seen_at,
        )  # fmt: skip
    if ip_flags:
        written += _pack_option(IP_FLAGS, 2) + ip_flags.to_bytes(2, "big")
    for code, data in (
        (DDNS, ddns), (REQUEST_OPTIONS, request_options), (REPLY_OPTIONS, reply_options),
        (VENDOR_OPTIONS, vendor_options),
    ):  # fmt: skip
        if data is not None:
            written += _pack_option(code, len(data)) + data
    return written


def _described(content: Content) -> tuple[int, bytes]:
    """The type and the options of what is said."""
    match content:
        case WrittenUpdate(options):
            return BNDUPD, options
        case Acknowledgement(answers):
            return BNDACK, b"".join([_written_answer(each) for each in answers])
        case Update(bindings):
            return BNDUPD, b"".join([_written(each) for each in bindings])
        case PoolRequest():
            return POOLREQ, b""
        case PoolResponse(transferred):
            return POOLRESP, _packed([(ADDRESSES_TRANSFERRED, _u32(transferred))])
        case Connect():
            return CONNECT, _packed(_connect_options(content))
        case ConnectAnswer():
            return CONNECTACK, _packed(_connect_answer_options(content))
        case UpdateRequestAll():
            return UPDREQALL, b""
        case UpdateRequest():
            return UPDREQ, b""
        case UpdateDone():
            return UPDDONE, b""
        case StateTold(state, flags, since):
            return STATE, _packed([
                (SERVER_STATE, bytes((state,))), (SERVER_FLAGS, bytes((flags,))), (STATE_SINCE, _u32(since))
            ])  # fmt: skip
        case Contact():
            return CONTACT, b""
        case Disconnect(reason, text):
            return DISCONNECT, _packed([(REJECT_REASON, bytes((reason,))), *_text(text)])
        case Unknown(kind, data):
            return kind, _packed([(VENDOR_OPTIONS, data)]) if data else b""


def _text(text: str) -> Options:
    return [(TEXT, text.encode("utf-8", "replace")[:255])] if text else []


def _written_answer(answer: Answer) -> bytes:
    written = _pack_option(ADDRESS, 4) + _u32(answer.address)
    if answer.reason:
        written += _packed([(REJECT_REASON, bytes((answer.reason,))), *_text(answer.text)])
    return written


def _connect_options(connect: Connect) -> Options:
    options: Options = [
        (RELATIONSHIP, connect.relationship), (UNACKED_MAX, _u32(connect.unacked_max)),
        (RECEIVE_TIMER, _u32(connect.receive_timer_s)), (VENDOR_CLASS, connect.vendor),
        (PROTOCOL_VERSION, bytes((connect.version,))),
    ]  # fmt: skip
    if connect.tls is not None:
        options.append((TLS_REQUEST, bytes((connect.tls,))))
    options += [(MCLT, _u32(connect.mclt_s)), (BUCKETS, connect.buckets)]
    if connect.delayed_service_s is not None:
        options.append((DELAYED_SERVICE, bytes((connect.delayed_service_s,))))
    if connect.vendor_options is not None:
        options.append((VENDOR_OPTIONS, connect.vendor_options))
    return options


def _connect_answer_options(answer: ConnectAnswer) -> Options:
    if answer.reason:
        return [
            (RELATIONSHIP, answer.relationship), (PROTOCOL_VERSION, bytes((answer.version,))),
            (REJECT_REASON, bytes((answer.reason,))), *_text(answer.text),
        ]  # fmt: skip
    options: Options = [
        (RELATIONSHIP, answer.relationship), (UNACKED_MAX, _u32(answer.unacked_max)),
        (RECEIVE_TIMER, _u32(answer.receive_timer_s)), (VENDOR_CLASS, answer.vendor),
        (PROTOCOL_VERSION, bytes((answer.version,))),
    ]  # fmt: skip
    if answer.tls is not None:
        options.append((TLS_REPLY, bytes((answer.tls,))))
    if answer.vendor_options is not None:
        options.append((VENDOR_OPTIONS, answer.vendor_options))
    return options


# --- reading -------------------------------------------------------------------------------------


class MessageReader:
    """Cuts a byte stream into messages that are not read yet, with bounded memory."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return every complete message.

        Raises:
            BadMessage: a length that no message has.
        """
        self._buffer += data
        messages: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= 2:
            length = int.from_bytes(self._buffer[start : start + 2], "big")
            if not HEADER_BYTES <= length <= MESSAGE_BYTES_MAX:
                raise BadMessage(f"a message of {length} bytes; {HEADER_BYTES} to {MESSAGE_BYTES_MAX} can be")
            if start + length > len(self._buffer):
                break
            messages.append(bytes(self._buffer[start : start + length]))
            start += length
        del self._buffer[:start]
        return messages


def read_message(data: bytes, seal: Seal | None = None) -> Message:
    """Read one whole message.

    Args:
        data: as ``MessageReader`` cuts it.
        seal: what its digest is checked with; None when it must have none.

    Raises:
        BadMessage: it is none, or its digest is missing, unexpected or wrong.
    """
    kind, at, time, xid = _header(data)
    content: Content
    # What comes by the thousand is read in one go.
    if kind == BNDUPD:
        content = Update(_bindings(data, at))
        _check_digest(data, at, seal)
    elif kind == BNDACK:
        content = Acknowledgement(_answers(data, at))
        _check_digest(data, at, seal)
    else:
        options = _options(data, at)
        _check_digest(data, at, seal)
        content = _content(kind, options)
    return Message(time, xid, content)


def _check_digest(data: bytes, at: int, seal: Seal | None) -> None:
    """See whether a message whose options begin at a place is signed as it should be."""
    has_digest = data[at : at + 2] == _DIGEST_CODE
    if seal is None:
        if has_digest:
            raise BadMessage(REASON_TEXTS[DIGEST_NOT_CONFIGURED], DIGEST_NOT_CONFIGURED)
        return
    if not has_digest:
        raise BadMessage(REASON_TEXTS[DIGEST_MISSING], DIGEST_MISSING)
    if data[at + 4 : at + 5] != bytes((seal.kind,)):
        raise BadMessage(REASON_TEXTS[DIGEST_NOT_SUPPORTED], DIGEST_NOT_SUPPORTED)
    if not check(data, at + 5, seal):
        raise BadMessage(REASON_TEXTS[DIGEST_FAILED], DIGEST_FAILED)


def relationship_of(data: bytes) -> bytes | None:
    """The relationship that a CONNECT or its answer names, unchecked; None of another message."""
    kind, at, _, _ = _header(data)
    options = _options(data, at)
    if kind not in (CONNECT, CONNECTACK):
        return None
    return next((value for code, value in options if code == RELATIONSHIP), None)


def _header(data: bytes) -> tuple[int, int, int, int]:
    """The type of a message, where its options begin, its time and its xid."""
    if len(data) < HEADER_BYTES:
        raise BadMessage(f"a message of {len(data)} bytes; its header alone has {HEADER_BYTES}")
    length, kind, offset, time, xid = struct.unpack_from(">HBBII", data)
    if length != len(data):
        raise BadMessage(f"a message of {len(data)} bytes says that it has {length}")
    if not HEADER_BYTES <= offset <= length:
        raise BadMessage(f"a payload offset of {offset} in a message of {length} bytes")
    return kind, offset, time, xid


def _option_at(data: bytes, at: int) -> tuple[int, int]:
    """The code of the option that begins at a place, and the size of its data, four bytes on."""
    left = len(data) - at - 4
    if left < 0:
        raise BadMessage(f"{left + 4} bytes are left where an option begins")
    code = data[at] << 8 | data[at + 1]
    size = data[at + 2] << 8 | data[at + 3]
    if size > left:
        raise BadMessage(f"option {code} of {size} bytes goes beyond the message")
    fixed = _FIXED_SIZES.get(code)
    if fixed is not None and size != fixed:
        raise BadMessage(f"option {code} has {size} bytes in place of {fixed}")
    return code, size


def _options(data: bytes, at: int) -> Options:
    options: Options = []
    while at < len(data):
        code, size = _option_at(data, at)
        options.append((code, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return options


def _bindings(data: bytes, at: int) -> tuple[Binding, ...]:
    """The bindings of an update: each begins with its address (section 6.3)."""
    found: list[Binding] = []
    fields: list[int | bytes | None] = []  # of the binding at hand, in the order of ``Binding``
    while at < len(data):
        code, size = _option_at(data, at)
        at += 4
        if code == ADDRESS:
            if fields:
                found.append(_binding(fields))
            fields = [None] * _FIELD_COUNT
        place = _FIELDS.get(code, -1)
        if place >= 0 and fields:
            if fields[place] is not None:
                raise _twice(code)
            if code not in _FIXED_SIZES:
                fields[place] = data[at : at + size]
            elif size == 4:
                fields[place] = data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]
            else:
                fields[place] = int.from_bytes(data[at : at + size], "big")
        at += size
    if not fields:
        raise BadMessage("no address is named", MISSING_INFORMATION)
    found.append(_binding(fields))
    return tuple(found)


def _binding(fields: list[int | bytes | None]) -> Binding:
    for place in _NEVER_NONE:
        if fields[place] is None:
            fields[place] = 0
    return new_binding(tuple(fields))


def _answers(data: bytes, at: int) -> tuple[Answer, ...]:
    """The answers of an acknowledgement, address by address."""
    found: list[Answer] = []
    address, reason = -1, -1
    text: bytes | None = None
    while at < len(data):
        code, size = _option_at(data, at)
        at += 4
        if code == ADDRESS:
            if address >= 0:
                found.append(_answer(address, reason, text))
            address, reason, text = int.from_bytes(data[at : at + 4], "big"), -1, None
        elif code == REJECT_REASON and address >= 0:
            if reason >= 0:
                raise _twice(code)
            reason = data[at]
        elif code == TEXT and address >= 0:
            if text is not None:
                raise _twice(code)
            text = data[at : at + size]
        at += size
    if address < 0:
        raise BadMessage("no address is named", MISSING_INFORMATION)
    found.append(_answer(address, reason, text))
    return tuple(found)


def _answer(address: int, reason: int, text: bytes | None) -> Answer:
    if reason <= 0:
        return new_answer((address, 0, ""))
    return Answer(address, reason, _for_people(text or b""))


def _twice(code: int) -> BadMessage:
    return BadMessage(f"option {code} stands twice in a message")


def _content(kind: int, options: Options) -> Content:
    if kind in _READERS:
        return _READERS[kind](_once(options))
    if kind >= 128:
        return Unknown(kind, next((data for code, data in options if code == VENDOR_OPTIONS), b""))
    raise BadMessage(f"message type {kind} is none of the protocol")


def _once(options: Options) -> dict[int, bytes]:
    """Options by code; each at most once (section 6.2)."""
    found: dict[int, bytes] = {}
    for code, data in options:
        if code in found:
            raise _twice(code)
        found[code] = data
    return found


def _number(options: dict[int, bytes], code: int) -> int | None:
    data = options.get(code)
    return None if data is None else int.from_bytes(data, "big")


def _must(options: dict[int, bytes], code: int, what: str) -> bytes:
    try:
        return options[code]
    except KeyError:
        raise BadMessage(f"{what} is missing", MISSING_INFORMATION) from None


def _must_number(options: dict[int, bytes], code: int, what: str) -> int:
    return int.from_bytes(_must(options, code, what), "big")


def _read_text(options: dict[int, bytes]) -> str:
    return _for_people(options.get(TEXT, b""))


def _for_people(text: bytes) -> str:
    """A text of the partner for people; nothing in it may end a line."""
    shown = text[:255].decode("utf-8", "replace")
    return "".join([each if each.isprintable() else "?" for each in shown])


def _connect(options: dict[int, bytes]) -> Connect:
    return Connect(
        _must(options, RELATIONSHIP, "the name of the relationship"),
        _must_number(options, UNACKED_MAX, "the number of unacknowledged updates"),
        _must_number(options, RECEIVE_TIMER, "the receive timer"),
        _must(options, VENDOR_CLASS, "the vendor"),
        _must_number(options, PROTOCOL_VERSION, "the version of the protocol"),
        _number(options, TLS_REQUEST),
        _must_number(options, MCLT, "the MCLT"),
        _must(options, BUCKETS, "the assignment of hash buckets"),
        _number(options, DELAYED_SERVICE),
        options.get(VENDOR_OPTIONS),
    )


def _connect_answer(options: dict[int, bytes]) -> ConnectAnswer:
    relationship = _must(options, RELATIONSHIP, "the name of the relationship")
    version = _must_number(options, PROTOCOL_VERSION, "the version of the protocol")
    reason = _number(options, REJECT_REASON)
    if reason:
        return ConnectAnswer(relationship, 0, 0, b"", version, None, reason, _read_text(options))
    return ConnectAnswer(
        relationship,
        _must_number(options, UNACKED_MAX, "the number of unacknowledged updates"),
        _must_number(options, RECEIVE_TIMER, "the receive timer"),
        _must(options, VENDOR_CLASS, "the vendor"),
        version,
        _number(options, TLS_REPLY),
        vendor_options=options.get(VENDOR_OPTIONS),
    )


def _state(options: dict[int, bytes]) -> StateTold:
    return StateTold(
        _must_number(options, SERVER_STATE, "the state"),
        _number(options, SERVER_FLAGS) or 0,
        _must_number(options, STATE_SINCE, "the start of the state"),
    )


_READERS: dict[int, Callable[[dict[int, bytes]], Content]] = {
    POOLREQ: lambda options: PoolRequest(),
    POOLRESP: lambda options: PoolResponse(_number(options, ADDRESSES_TRANSFERRED) or 0),
    CONNECT: _connect,
    CONNECTACK: _connect_answer,
    UPDREQALL: lambda options: UpdateRequestAll(),
    UPDDONE: lambda options: UpdateDone(),
    UPDREQ: lambda options: UpdateRequest(),
    STATE: _state,
    CONTACT: lambda options: Contact(),
    DISCONNECT: lambda options: Disconnect(
        _number(options, REJECT_REASON) or OTHER_REASON, _read_text(options)
    ),
}
