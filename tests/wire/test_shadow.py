from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import NetworkMessageId
from holdfast.wire import shadow

COPY = shadow.Copy(
    7, NetworkMessageId("id"), 1.5, "s@x", ("a@x", "b@x"), "<m>", "subject", b"f", b"", b"data\r\n"
)
PRIMARY = [
    COPY, shadow.Finished((1,), (2, 3)), shadow.AnswersRead((b"f",)), shadow.Noted((1,)), shadow.Ping(),
    shadow.Narrowed(7, ("b@x",)),
]  # fmt: skip
HOLDER = [
    shadow.Held((1, 2)), shadow.NotHeld((1,), "full"), shadow.Discarded((1,)), shadow.Holding((1,), True),
    shadow.TookOver((4,)), shadow.Pong(),
]  # fmt: skip


@pytest.mark.parametrize("frame", PRIMARY)
def test_what_a_primary_says_is_read_back(frame: shadow.PrimaryFrame) -> None:
    assert shadow.decode_primary(shadow.encode_frame(frame)[4:]) == frame


@pytest.mark.parametrize("frame", HOLDER)
def test_what_a_holder_says_is_read_back(frame: shadow.HolderFrame) -> None:
    assert shadow.decode_holder(shadow.encode_frame(frame)[4:]) == frame


def test_nobody_speaks_the_other_sides_words() -> None:
    with pytest.raises(Refusal, match="not a frame of a primary"):
        shadow.decode_primary(shadow.encode_frame(shadow.Held((1,)))[4:])
    with pytest.raises(Refusal, match="not a frame of a holder"):
        shadow.decode_holder(shadow.encode_frame(COPY)[4:])


def test_an_address_that_is_no_unicode_cannot_be_copied() -> None:
    with pytest.raises(Refusal, match="not valid Unicode"):
        shadow.encode_frame(msgspec.structs.replace(COPY, reverse_path="\ud800@x"))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for decode in (shadow.decode_primary, shadow.decode_holder):
        try:
            decode(data)
        except Refusal:
            continue
