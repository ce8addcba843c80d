"""The failover protocol on the wire: ISC's messages return byte for byte; any bytes parse or are refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.captures import captured, frames_of

from holdfast.kernel.errors import Refusal
from holdfast.wire.failover import (
    MESSAGE_BYTES_MAX,
    STATE,
    BadMessage,
    MessageReader,
    batches,
    read_message,
    relationship_of,
    write_message,
)
from holdfast.wire.failover_digest import HMAC_MD5, HMAC_SHA256, Seal
from holdfast.wire.failover_messages import (
    DIGEST_FAILED,
    DIGEST_MISSING,
    DIGEST_NOT_CONFIGURED,
    DIGEST_NOT_SUPPORTED,
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

BUCKETS = b"\xff" * 16 + bytes(16)
CONNECT = Connect(b"office", 10, 8, b"isc-4.4.3-P1", 1, 0, 60, BUCKETS)
ACTIVE = Binding(0x0A4D0064, 2, b"\x01abc", b"\x01\x02\x00\x00\x00\x00\x01", 2000, 3000, 1000, 1500, 1)
EXAMPLES: list[Content] = [
    PoolRequest(),
    PoolResponse(17),
    Update((ACTIVE,)),
    Update((ACTIVE, Binding(0x0A4D0065, 7))),
    Update((Binding(1, 2, request_options=b"\x63\x82\x53\x63\x0c\x01a", reply_options=b"x", ddns=b"\0\1"),)),
    Acknowledgement((Answer(0x0A4D0064),)),
    Acknowledgement((Answer(1, 2, "invalid state transition"), Answer(2))),
    CONNECT,
    CONNECT._replace(delayed_service_s=3, vendor_options=b"abc", tls=None),
    ConnectAnswer(b"office", 10, 8, b"isc-4.4.3-P1", 1, 0),
    ConnectAnswer(b"office", 10, 8, b"holdfast-1", 1, None, vendor_options=b""),
    ConnectAnswer(b"office", 0, 0, b"", 1, None, 8, "who are you?"),
    UpdateRequestAll(),
    UpdateRequest(),
    UpdateDone(),
    StateTold(254, 1, 1795220239),
    Contact(),
    Disconnect(17, "nothing was heard for 3 s"),
    Unknown(200),
    Unknown(201, b"data"),
]  # fmt: skip


def payloads(name: str) -> list[bytes]:
    """What the two servers of a capture said, connection by connection and side by side."""
    streams: dict[tuple[bytes, bytes, bytes], tuple[int, MessageReader]] = {}
    messages: list[bytes] = []
    for frame in frames_of(captured(name)):
        ip = frame[14:]
        if frame[12:14] != b"\x08\x00" or ip[9] != 6:
            continue
        tcp = ip[(ip[0] & 15) * 4 : int.from_bytes(ip[2:4], "big")]
        data = tcp[(tcp[12] >> 4) * 4 :]
        if not data:
            continue
        key = (ip[12:20], tcp[:2], tcp[2:4])
        sequence = int.from_bytes(tcp[4:8], "big")
        expected, reader = streams.get(key, (sequence, MessageReader()))
        assert sequence == expected, "the capture has each segment once and in order"
        streams[key] = (sequence + len(data), reader)
        messages += reader.feed(data)
    return messages


def test_what_isc_says_is_said_in_the_same_bytes() -> None:
    """The whole recorded life of a pair of ISC servers: every message is read, and written as it was."""
    messages = payloads("isc-failover-run/failover.pcap")
    assert len(messages) == 968
    for data in messages:
        assert write_message(read_message(data)) == data
    kinds = {type(read_message(data).content) for data in messages}
    assert kinds >= {
        Connect,
        ConnectAnswer,
        StateTold,
        Update,
        Acknowledgement,
        UpdateRequestAll,
        UpdateDone,
        Contact,
    }


@pytest.mark.parametrize("content", EXAMPLES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("seal", [None, Seal(HMAC_MD5, b"secret"), Seal(HMAC_SHA256, b"secret")])
def test_every_message_survives(content: Content, seal: Seal | None) -> None:
    message = Message(1795220239, 4711, content)
    assert read_message(write_message(message, seal), seal) == message


def test_the_bytes_of_a_state_message() -> None:
    data = write_message(Message(1795220239, 2, StateTold(6, 0, 0x6B00E30F)))
    assert data == bytes.fromhex("001e0a0c6b00e30f00000002 001800010600170001000019 00046b00e30f")


def test_any_order_of_options_is_read() -> None:
    head = struct.pack(">HBBII", 30, STATE, 12, 5, 6)
    data = head + bytes.fromhex("00190004000000070017000101 0018000102")
    assert read_message(data) == Message(5, 6, StateTold(2, 1, 7))


def test_unknown_options_and_a_longer_header_are_skipped() -> None:
    data = write_message(Message(1, 2, Contact()))
    longer = struct.pack(">HBBII", 22, 11, 16, 1, 2) + bytes(4) + struct.pack(">HHH", 999, 2, 5)
    assert read_message(longer) == read_message(data)


REFUSED = {
    "shorter than its header": b"\x00\x0c\x0b",
    "another length than it says": struct.pack(">HBBII", 13, 11, 12, 0, 0),
    "the draft's printed payload offset": struct.pack(">HBBII", 12, 11, 8, 0, 0),
    "a payload offset beyond its end": struct.pack(">HBBII", 12, 11, 13, 0, 0),
    "an option that goes beyond its end": struct.pack(">HBBIIHH", 16, 11, 12, 0, 0, 1, 4),
    "half an option's head": struct.pack(">HBBII", 14, 11, 12, 0, 0) + b"\0\1",
    "an option of the wrong size": struct.pack(">HBBIIHHB", 17, 2, 12, 0, 0, 1, 1, 0),
    "an option twice": struct.pack(">HBBIIHHIHHI", 28, 2, 12, 0, 0, 1, 4, 0, 1, 4, 0),
    "an update of nothing": struct.pack(">HBBII", 12, 3, 12, 0, 0),
    "a CONNECT without a name": struct.pack(">HBBII", 12, 5, 12, 0, 0),
    "a type that must be known": struct.pack(">HBBII", 12, 13, 12, 0, 0),
    "type 0": struct.pack(">HBBII", 12, 0, 12, 0, 0),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        read_message(data)


def test_a_stream_is_cut_wherever_it_breaks() -> None:
    stream = b"".join(write_message(Message(1, at, each)) for at, each in enumerate(EXAMPLES))
    for step in (1, 7, 100, len(stream)):
        reader = MessageReader()
        found = [each for at in range(0, len(stream), step) for each in reader.feed(stream[at : at + step])]
        assert [read_message(each).content for each in found] == EXAMPLES


@pytest.mark.parametrize("length", [0, 11, 2049, 65535])
def test_a_length_that_no_message_has_ends_the_stream(length: int) -> None:
    with pytest.raises(BadMessage, match=f"{length} bytes"):
        MessageReader().feed(length.to_bytes(2, "big"))


@given(st.binary(max_size=300), st.sampled_from([None, Seal(HMAC_MD5, b"k"), Seal(HMAC_SHA256, b"k")]))
def test_any_bytes_are_read_or_refused(data: bytes, seal: Seal | None) -> None:
    try:
        message = read_message(data, seal)
    except BadMessage:
        return
    write_message(message)


@given(st.sampled_from(EXAMPLES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_any_change_of_a_message_is_read_or_refused(content: Content, changes: list[tuple[int, int]]) -> None:
    data = bytearray(write_message(Message(1, 2, content)))
    for at, value in changes:
        data[at % len(data)] = value
    try:
        message = read_message(bytes(data))
    except BadMessage:
        return
    assert read_message(write_message(message)) == message


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_any_stream_is_cut_or_refused(pieces: list[bytes]) -> None:
    reader = MessageReader()
    try:
        for piece in pieces:
            for message in reader.feed(piece):
                assert len(message) == int.from_bytes(message[:2], "big")
    except BadMessage:
        pass


@pytest.mark.parametrize("kind", [HMAC_MD5, HMAC_SHA256])
def test_a_digest_is_checked(kind: int) -> None:
    """Each byte counts, and so does the secret."""
    seal = Seal(kind, b"secret")
    data = write_message(Message(7, 8, StateTold(2, 0, 9)), seal)
    reasons = set()
    for at in range(12, len(data)):
        changed = bytes(each ^ (1 if place == at else 0) for place, each in enumerate(data))
        with pytest.raises(BadMessage) as caught:
            read_message(changed, seal)
        reasons.add(caught.value.reason)
    assert DIGEST_FAILED in reasons
    with pytest.raises(BadMessage) as caught:
        read_message(data, Seal(kind, b"another"))
    assert caught.value.reason == DIGEST_FAILED


def test_a_digest_that_is_missing_or_unexpected_has_its_reason() -> None:
    seal = Seal(HMAC_MD5, b"secret")
    message = Message(7, 8, Contact())
    with pytest.raises(BadMessage) as missing:
        read_message(write_message(message), seal)
    with pytest.raises(BadMessage) as unexpected:
        read_message(write_message(message, seal))
    with pytest.raises(BadMessage) as other:
        read_message(write_message(message, Seal(HMAC_SHA256, b"secret")), seal)
    assert missing.value.reason == DIGEST_MISSING
    assert unexpected.value.reason == DIGEST_NOT_CONFIGURED
    assert other.value.reason == DIGEST_NOT_SUPPORTED


def test_the_name_is_known_before_the_digest_can_be() -> None:
    data = write_message(Message(7, 8, CONNECT), Seal(HMAC_MD5, b"secret"))
    assert relationship_of(data) == b"office"
    assert relationship_of(write_message(Message(7, 8, Contact()))) is None


def test_updates_are_cut_by_number_and_by_size() -> None:
    bindings = [ACTIVE._replace(address=each) for each in range(100)]
    assert [count for count, _ in batches(bindings[:3], 1)] == [1, 1, 1]
    seal = Seal(HMAC_SHA256, b"secret")
    cut = list(batches(bindings, 1000, seal))
    written = [write_message(Message(0, 0, each), seal) for _, each in cut]
    read = [read_message(each, seal).content for each in written]
    assert [len(each.bindings) for each in read if isinstance(each, Update)] == [count for count, _ in cut]
    assert [each for update in read if isinstance(update, Update) for each in update.bindings] == bindings
    sizes = list(map(len, written))
    assert len(cut) > 2
    assert max(sizes) <= MESSAGE_BYTES_MAX
    assert min(sizes[:-1]) > MESSAGE_BYTES_MAX - 100


def test_an_option_of_a_binding_or_an_answer_stands_once() -> None:
    address = struct.pack(">HHI", 2, 4, 1)
    for kind, option in (
        (3, struct.pack(">HHB", 3, 1, 2)),
        (4, struct.pack(">HHB", 21, 1, 2)),
        (4, b"\0\x10\0\0"),
    ):
        for options in (address + option, address + option + option):
            data = struct.pack(">HBBII", 12 + len(options), kind, 12, 0, 0) + options
            if options.endswith(option + option):
                with pytest.raises(BadMessage, match="twice"):
                    read_message(data)
            else:
                read_message(data)


def test_what_would_be_too_long_is_refused() -> None:
    with pytest.raises(Refusal, match="longer than 2048"):
        write_message(Message(0, 0, CONNECT._replace(relationship=bytes(2100))))


def test_a_partners_text_ends_no_line() -> None:
    data = write_message(Message(0, 0, Disconnect(254, "a\nb\x1b[31m")))
    assert read_message(data).content == Disconnect(254, "a?b?[31m")
