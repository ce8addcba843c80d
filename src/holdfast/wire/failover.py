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
)

PORT = 647  # IANA: dhcp-failover
VERSION = 1
HEADER_BYTES = 12
MESSAGE_BYTES_MAX = 2048  # section 6.1

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
_FIXED_SIZES = {
    ADDRESSES_TRANSFERRED: 4, ADDRESS: 4, STATUS: 1, SEEN_AT: 4, DELAYED_SERVICE: 1, BUCKETS: 32, IP_FLAGS: 2,
    EXPIRES_AT: 4, UNACKED_MAX: 4, MCLT: 4, POTENTIAL_AT: 4, RECEIVE_TIMER: 4, PROTOCOL_VERSION: 1,
    REJECT_REASON: 1, SERVER_FLAGS: 1, SERVER_STATE: 1, STATE_SINCE: 4, TLS_REPLY: 1, TLS_REQUEST: 1,
}  # fmt: skip


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
    kind, options = _described(message.content)
    parts = [b"" if seal is None else bytes(4 + 1 + DIGEST_BYTES[seal.kind])]
    for code, data in options:
        parts.append(struct.pack(">HH", code, len(data)) + data)
    payload = b"".join(parts)
    length = HEADER_BYTES + len(payload)
    if length > MESSAGE_BYTES_MAX:
        raise Refusal(f"a failover message of {length} bytes is longer than {MESSAGE_BYTES_MAX}")
    head = struct.pack(
        ">HBBII", length, kind, HEADER_BYTES, message.time & 0xFFFF_FFFF, message.xid & 0xFFFF_FFFF
    )
    data = head + payload
    if seal is None:
        return data
    size = 1 + DIGEST_BYTES[seal.kind]
    blank = head + struct.pack(">HHB", DIGEST, size, seal.kind) + data[HEADER_BYTES + 5 :]
    return sign(blank, HEADER_BYTES + 5, seal)


def batches(
    bindings: Iterable[Binding], count_max: int, seal: Seal | None = None
) -> Iterator[tuple[Binding, ...]]:
    """Cut bindings into messages: at most so many in one, and none too long."""
    room_max = MESSAGE_BYTES_MAX - HEADER_BYTES - (0 if seal is None else 5 + DIGEST_BYTES[seal.kind])
    batch: list[Binding] = []
    room = room_max
    for binding in bindings:
        size = sum(4 + len(data) for _, data in _binding_options(binding))
        if batch and (len(batch) >= count_max or size > room):
            yield tuple(batch)
            batch, room = [], room_max
        batch.append(binding)
        room -= size
    if batch:
        yield tuple(batch)


def _u32(value: int) -> bytes:
    return (value & 0xFFFF_FFFF).to_bytes(4, "big")


def _binding_options(binding: Binding) -> Options:
    """The options of one binding in ISC's order; what ISC never sends comes last."""
    options: Options = [(ADDRESS, _u32(binding.address)), (STATUS, bytes((binding.status,)))]
    for code, data in ((CLIENT_ID, binding.client_id), (HARDWARE, binding.hardware)):
        if data is not None:
            options.append((code, data))
    for code, instant in (
        (EXPIRES_AT, binding.expires_at), (POTENTIAL_AT, binding.potential_at),
        (STATE_SINCE, binding.changed_at), (SEEN_AT, binding.seen_at),
    ):  # fmt: skip
        if instant is not None:
            options.append((code, _u32(instant)))
    if binding.ip_flags:
        options.append((IP_FLAGS, binding.ip_flags.to_bytes(2, "big")))
    for code, data in (
        (DDNS, binding.ddns), (REQUEST_OPTIONS, binding.request_options),
        (REPLY_OPTIONS, binding.reply_options),
    ):  # fmt: skip
        if data is not None:
            options.append((code, data))
    return options


def _described(content: Content) -> tuple[int, Options]:
    """The type and the options of what is said."""
    match content:
        case PoolRequest():
            return POOLREQ, []
        case PoolResponse(transferred):
            return POOLRESP, [(ADDRESSES_TRANSFERRED, _u32(transferred))]
        case Update(bindings):
            return BNDUPD, [option for each in bindings for option in _binding_options(each)]
        case Acknowledgement(answers):
            return BNDACK, [option for each in answers for option in _answer_options(each)]
        case Connect():
            return CONNECT, _connect_options(content)
        case ConnectAnswer():
            return CONNECTACK, _connect_answer_options(content)
        case UpdateRequestAll():
            return UPDREQALL, []
        case UpdateRequest():
            return UPDREQ, []
        case UpdateDone():
            return UPDDONE, []
        case StateTold(state, flags, since):
            return STATE, [
                (SERVER_STATE, bytes((state,))), (SERVER_FLAGS, bytes((flags,))), (STATE_SINCE, _u32(since))
            ]  # fmt: skip
        case Contact():
            return CONTACT, []
        case Disconnect(reason, text):
            return DISCONNECT, [(REJECT_REASON, bytes((reason,))), *_text(text)]
        case Unknown(kind, data):
            return kind, [(VENDOR_OPTIONS, data)] if data else []


def _text(text: str) -> Options:
    return [(TEXT, text.encode("utf-8", "replace")[:255])] if text else []


def _answer_options(answer: Answer) -> Options:
    options: Options = [(ADDRESS, _u32(answer.address))]
    if answer.reason:
        options += [(REJECT_REASON, bytes((answer.reason,))), *_text(answer.text)]
    return options


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
    kind, time, xid, options = _opened(data)
    has_digest = bool(options) and options[0][0] == DIGEST
    if seal is None and has_digest:
        raise BadMessage(REASON_TEXTS[DIGEST_NOT_CONFIGURED], DIGEST_NOT_CONFIGURED)
    if seal is not None:
        if not has_digest:
            raise BadMessage(REASON_TEXTS[DIGEST_MISSING], DIGEST_MISSING)
        if options[0][1][:1] != bytes((seal.kind,)):
            raise BadMessage(REASON_TEXTS[DIGEST_NOT_SUPPORTED], DIGEST_NOT_SUPPORTED)
        if not check(data, data[3] + 5, seal):
            raise BadMessage(REASON_TEXTS[DIGEST_FAILED], DIGEST_FAILED)
    return Message(time, xid, _content(kind, options))


def relationship_of(data: bytes) -> bytes | None:
    """The relationship that a CONNECT or its answer names, unchecked; None of another message."""
    kind, _, _, options = _opened(data)
    if kind not in (CONNECT, CONNECTACK):
        return None
    return next((value for code, value in options if code == RELATIONSHIP), None)


def _opened(data: bytes) -> tuple[int, int, int, Options]:
    if len(data) < HEADER_BYTES:
        raise BadMessage(f"a message of {len(data)} bytes; its header alone has {HEADER_BYTES}")
    length, kind, offset, time, xid = struct.unpack_from(">HBBII", data)
    if length != len(data):
        raise BadMessage(f"a message of {len(data)} bytes says that it has {length}")
    if not HEADER_BYTES <= offset <= length:
        raise BadMessage(f"a payload offset of {offset} in a message of {length} bytes")
    options: Options = []
    at = offset
    while at < length:
        if length - at < 4:
            raise BadMessage(f"{length - at} bytes are left where an option begins")
        code, size = struct.unpack_from(">HH", data, at)
        at += 4
        if size > length - at:
            raise BadMessage(f"option {code} of {size} bytes goes beyond the message")
        fixed = _FIXED_SIZES.get(code)
        if fixed is not None and size != fixed:
            raise BadMessage(f"option {code} has {size} bytes in place of {fixed}")
        options.append((code, data[at : at + size]))
        at += size
    return kind, time, xid, options


def _content(kind: int, options: Options) -> Content:
    if kind in _READERS:
        return _READERS[kind](_once(options))
    if kind == BNDUPD:
        return Update(tuple(_binding(each) for each in _grouped(options)))
    if kind == BNDACK:
        return Acknowledgement(tuple(_answer(each) for each in _grouped(options)))
    if kind >= 128:
        return Unknown(kind, next((data for code, data in options if code == VENDOR_OPTIONS), b""))
    raise BadMessage(f"message type {kind} is none of the protocol")


def _once(options: Options) -> dict[int, bytes]:
    """Options by code; each at most once (section 6.2)."""
    found: dict[int, bytes] = {}
    for code, data in options:
        if code in found:
            raise BadMessage(f"option {code} stands twice in a message")
        found[code] = data
    return found


def _grouped(options: Options) -> list[dict[int, bytes]]:
    """The options of each address of a message that may have several (section 6.3)."""
    groups: list[Options] = []
    for code, data in options:
        if code == ADDRESS:
            groups.append([])
        if groups:
            groups[-1].append((code, data))
    if not groups:
        raise BadMessage("no address is named", MISSING_INFORMATION)
    return [_once(each) for each in groups]


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
    """The text for people; the partner's, so that nothing in it may end a line."""
    text = options.get(TEXT, b"")[:255].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "?" for each in text)


def _binding(options: dict[int, bytes]) -> Binding:
    return Binding(
        _must_number(options, ADDRESS, "the address"),
        _number(options, STATUS) or 0,
        options.get(CLIENT_ID),
        options.get(HARDWARE),
        _number(options, EXPIRES_AT),
        _number(options, POTENTIAL_AT),
        _number(options, STATE_SINCE),
        _number(options, SEEN_AT),
        _number(options, IP_FLAGS) or 0,
        options.get(REQUEST_OPTIONS),
        options.get(REPLY_OPTIONS),
        options.get(DDNS),
    )


def _answer(options: dict[int, bytes]) -> Answer:
    address = _must_number(options, ADDRESS, "the address")
    reason = _number(options, REJECT_REASON) or 0
    return Answer(address, reason, _read_text(options) if reason else "")


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
