"""The end of a message, however it is cut; what is kept; what is unstuffed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.transport.session_data import DataFault, DataReader, refusal_of

CASES = {
    "nothing": (b".\r\n", b"", None),
    "one line": (b"a\r\n.\r\n", b"a\r\n", None),
    "dots unstuffed": (b"..a\r\n.b\r\n...\r\n.\r\n", b".a\r\nb\r\n..\r\n", None),
    "dots inside a line": (b"a.b\r\nc.\r\n.\r\n", b"a.b\r\nc.\r\n", None),
    "eight bits": (b"\xff\xe4\r\n.\r\n", b"\xff\xe4\r\n", None),
    "bare LF": (b"a\nb\r\n.\r\n", b"", DataFault.BARE_LINE_END),
    "bare CR": (b"a\rb\r\n.\r\n", b"", DataFault.BARE_LINE_END),
    "LF first": (b"\n.\r\n\r\n.\r\n", b"", DataFault.BARE_LINE_END),
    "CR CR LF": (b"a\r\r\n.\r\n", b"", DataFault.BARE_LINE_END),
    "NUL": (b"a\0\r\n.\r\n", b"", DataFault.NUL),
    "NUL and bare LF": (b"a\0\nb\r\n.\r\n", b"", DataFault.BARE_LINE_END),
    "too large": (b"a" * 100 + b"\r\n.\r\n", b"", DataFault.TOO_LARGE),
    "too large with bare LF after": (b"a" * 100 + b"\n.\r\n\r\n.\r\n", b"", DataFault.BARE_LINE_END),
    "as large as allowed": (b"a" * 48 + b"\r\n.\r\n", b"a" * 48 + b"\r\n", None),
    # RFC 1870 section 3: the dots that quote do not count; found by the simulator.
    "as large as allowed, quoted": (b"." + b"." * 48 + b"\r\n.\r\n", b"." * 48 + b"\r\n", None),
    "one byte more, quoted": (b"." + b"." * 49 + b"\r\n.\r\n", b"", DataFault.TOO_LARGE),
    "one byte more": (b"a" * 49 + b"\r\n.\r\n", b"", DataFault.TOO_LARGE),
}


@pytest.mark.parametrize("fault", DataFault)
def test_each_fault_has_an_answer(fault: DataFault) -> None:
    assert refusal_of(fault).code in (452, 521, 552, 554)
    assert refusal_of(fault) is not refusal_of(fault)


def read(data: bytes, sizes: list[int]) -> tuple[DataReader, int]:
    """Feed pieces of the given sizes, over and over; return the reader and where the end was."""
    reader = DataReader(50)
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        turn += 1
        end = reader.feed(b"##" + data[at : at + size], 2)
        assert reader.kept_bytes <= 75  # a quoting dot belongs to a line of at least two bytes more
        if end >= 0:
            return reader, at + end - 2
        at += size
    return reader, -1


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize("name", CASES)
def test_message(name: str, size: int) -> None:
    data, message, fault = CASES[name]
    reader, end = read(data + b"QUIT\r\n", [size])
    assert end == len(data)
    assert reader.fault is fault
    if fault is None:
        assert reader.message() == message


def reference(data: bytes) -> tuple[int, DataFault | None, bytes]:
    """The same rules, said in the plainest way."""
    found = (b"\r\n" + data).find(b"\r\n.\r\n")
    if found < 0:
        return -1, None, b""
    end = found + 3
    text = data[:end]
    message = data[: end - 3]
    if re.search(rb"\r(?!\n)|(?<!\r)\n", text):
        return end, DataFault.BARE_LINE_END, b""
    if b"\0" in text:
        return end, DataFault.NUL, b""
    message = b"\r\n".join(line.removeprefix(b".") for line in message.split(b"\r\n"))
    return (end, DataFault.TOO_LARGE, b"") if len(message) > 50 else (end, None, message)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"\r\n.\r\n", b"a", b"\0", b"abcdefgh" * 3])),
    st.lists(st.integers(1, 9), min_size=1),
)
def test_any_bytes_in_any_pieces_read_as_in_one(parts: list[bytes], sizes: list[int]) -> None:
    data = b"".join(parts)
    reader, end = read(data, sizes)
    expected_end, fault, message = reference(data)
    assert end == expected_end
    if end >= 0:
        assert reader.fault is fault
        if fault is None:
            assert reader.message() == message


def test_a_message_that_is_crowded_out_keeps_nothing_and_is_read_to_its_end() -> None:
    reader = DataReader(50)
    assert reader.feed(b"abc\r\n", 0) == -1
    reader.crowd_out()
    assert reader.kept_bytes == 0
    assert reader.feed(b"def\r\n.\r\n", 0) == 8
    assert reader.kept_bytes == 0
    assert reader.fault is DataFault.CROWDED_OUT
