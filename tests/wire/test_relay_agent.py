"""What relays add to a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire import relay_agent
from holdfast.wire.relay_agent import encode_relay_agent, read_relay_agent


def test_sub_options_are_read_and_unknown_ones_kept() -> None:
    value = b"\x01\x04port\x02\x03mac\x05\x04\x0a\x01\x00\x00\x97\x01\x00"
    found = read_relay_agent(value)
    assert found == {
        relay_agent.CIRCUIT_ID: b"port",
        relay_agent.REMOTE_ID: b"mac",
        relay_agent.LINK_SELECTION: b"\x0a\x01\x00\x00",
        151: b"\x00",
    }
    assert encode_relay_agent(found) == value
    assert read_relay_agent(b"") == {}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x01", "runs over its end"),
        (b"\x01\x05port", "runs over its end"),
        (b"\x01\x01a\x01\x01b", "occurs twice"),
        (b"\x05\x03abc", "is no IPv4 address"),
        (b"\x0b\x05abcde", "is no IPv4 address"),
    ],
)
def test_what_is_malformed_is_refused(value: bytes, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        read_relay_agent(value)


def test_a_long_value_is_refused() -> None:
    with pytest.raises(Refusal, match="256 bytes"):
        encode_relay_agent({1: bytes(256)})


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    try:
        found = read_relay_agent(value)
    except Refusal:
        return
    assert encode_relay_agent(found) == value
