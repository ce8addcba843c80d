"""Failed handshakes in the log: seen, and not drowning it."""

from __future__ import annotations

import io
import json

from holdfast.drivers.handshake_log import HandshakeLog
from holdfast.drivers.log_sink import LogSink


def test_one_line_a_minute() -> None:
    stream = io.StringIO()
    handshakes = HandshakeLog(LogSink("transport", stream))
    for number in range(5):
        handshakes.failed(f"192.0.2.{number}", "inbound", "no shared cipher")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert "192.0.2.0" in lines[0]
    assert "no shared cipher" in lines[0]


def test_a_server_that_is_not_known_is_told_beside_all_the_others() -> None:
    stream = io.StringIO()
    handshakes = HandshakeLog(LogSink("transport", stream))
    for number in range(4):
        handshakes.failed(f"192.0.2.{number}", "internal", "it is not known", of_server=number % 2 == 1)
    assert [json.loads(line)["id"] for line in stream.getvalue().splitlines()] == ["DRV-0320", "DRV-0325"]
