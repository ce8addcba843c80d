"""Messages in chunks: cut anywhere, the same faults as after DATA."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.transport.session_chunks import ChunkReader, refusal_of_chunk
from holdfast.transport.session_data import DataFault


def read(chunks: list[bytes], bytes_max: int = 1000) -> bytes | DataFault:
    reader = ChunkReader(bytes_max)
    for chunk in chunks:
        reader.add(chunk)
        assert reader.kept_bytes <= bytes_max
    reader.end()
    return reader.fault or reader.message()


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([], b""),
        ([b""], b""),
        ([b"a\r\n.\r\n..b"], b"a\r\n.\r\n..b\r\n"),
        ([b"a\r", b"\nb"], b"a\r\nb\r\n"),
        ([b"a\r", b"", b"\n"], b"a\r\n"),
        ([b"a\r", b"b"], DataFault.BARE_LINE_END),
        ([b"a\r"], DataFault.BARE_LINE_END),
        ([b"a", b"\n"], DataFault.BARE_LINE_END),
        ([b"\n"], DataFault.BARE_LINE_END),
        ([b"a\0"], DataFault.NUL),
        ([b"a" * 600, b"a" * 400], b"a" * 1000 + b"\r\n"),
        ([b"a" * 600, b"a" * 401], DataFault.TOO_LARGE),
    ],
)
def test_chunks(chunks: list[bytes], message: bytes | DataFault) -> None:
    assert read(chunks) == message


@given(st.lists(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n"])).map(b"".join), max_size=6))
def test_cuts_change_nothing(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    found = read(chunks)
    if re.search(rb"\r(?!\n)|(?<!\r)\n", whole):
        assert found is DataFault.BARE_LINE_END
    else:
        assert found == (whole if whole[-1:] in (b"\n", b"") else whole + b"\r\n")


def test_a_bare_line_end_is_no_reason_to_close() -> None:
    assert refusal_of_chunk(DataFault.BARE_LINE_END).code == 554
    assert refusal_of_chunk(DataFault.TOO_LARGE).code == 552
