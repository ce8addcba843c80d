from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.framing import FRAME_BYTES_MAX, FrameReader, write_frame


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(min_value=1, max_value=9))
def test_frames_are_the_same_however_the_stream_is_cut(bodies: list[bytes], width: int) -> None:
    stream = b"".join(write_frame(each) for each in bodies)
    reader = FrameReader()
    found = [body for at in range(0, len(stream), width) for body in reader.feed(stream[at : at + width])]
    assert found == bodies


def test_a_frame_that_would_take_all_memory_is_refused() -> None:
    with pytest.raises(Refusal, match="is longer than"):
        FrameReader().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
