"""The store protocol: frames and what they carry."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.wire import store
from holdfast.wire.framing import FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameReader

ALICE = MailboxId("alice")
OPERATIONS: list[store.Operation] = [
    store.Deliver([store.Delivery(NetworkMessageId("n"), b"\x00\xff", 1.5, [store.Target(ALICE, b"p", 9)])]),
    store.FetchMessages(ALICE, 1, [1, 2], store.Part.HEADER),
    store.FetchMessages(ALICE, 1, [1, 2], store.Part.ALL, 1000),
    store.FetchSlice(ALICE, 1, 2, 3, 4),
    store.StoreFlags(ALICE, 1, [], store.FlagAction.REPLACE, ["\\Seen"]),
    store.Expunge(ALICE, 1, None),
    store.FindMissing([(NetworkMessageId("n"), ALICE)]),
    store.Watch(ALICE, 1, False),
]
ANSWERS: list[store.Answer] = [
    store.Delivered([[store.Outcome.DUPLICATE]]),
    store.Changes(4, [1], [store.MessageState(2, ("\\Seen",), 4)], [], True),
    store.Slice(b"abc"),
    store.Missing([0], None),
    store.Missing([], 1.5),
    store.Messages([store.StoredMessage(1, "i", 1.0, 3, 2, b"abc")], False),
    store.Refused(store.RefusalReason.OVERQUOTA, "full"),
    store.Changed(1, 2),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_requests_come_out_as_they_went_in(operation: store.Operation) -> None:
    request = store.Request(3, operation)
    assert store.decode_request(store.encode_frame(request)[FRAME_HEADER_BYTES:]) == request


@pytest.mark.parametrize("answer", ANSWERS)
def test_responses_come_out_as_they_went_in(answer: store.Answer) -> None:
    response = store.Response(3, answer)
    assert store.decode_response(store.encode_frame(response)[FRAME_HEADER_BYTES:]) == response


@given(st.lists(st.binary(max_size=20), max_size=5), st.lists(st.integers(1, 9), min_size=1))
def test_frames_are_cut_wherever_the_stream_is_split(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    reader, found, start, turn = FrameReader(), [], 0, 0
    while start < len(stream):
        size = cuts[turn % len(cuts)]
        found += reader.feed(stream[start : start + size])
        start, turn = start + size, turn + 1
    assert found == bodies


def test_a_frame_that_is_too_long_is_refused_at_its_header() -> None:
    with pytest.raises(Refusal):
        FrameReader().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    for decode in (store.decode_request, store.decode_response):
        try:
            decode(data)
        except Refusal:
            continue
    try:
        FrameReader().feed(data)
    except Refusal:
        return


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


@given(
    st.sampled_from(["Deliver", "OpenFolder", "StoreFlags", "Changed", "Folder"]),
    st.lists(anything, max_size=7),
)
def test_any_structure_is_parsed_or_refused(name: str, fields: list[object]) -> None:
    body = msgspec.msgpack.encode([1, [name, *fields]])
    for decode in (store.decode_request, store.decode_response):
        try:
            decode(body)
        except Refusal:
            continue


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(Refusal):
        store.decode_request(b"\x92\x01" + b"\x91" * 100_000)
