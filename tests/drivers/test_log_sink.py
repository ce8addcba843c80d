"""Log events become lines, whatever they carry and wherever they go."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

from holdfast.drivers.events import PORT_NOT_OPENED, ROLE_BROKEN
from holdfast.drivers.log_sink import FIELD_CHARACTERS_MAX, LogSink
from holdfast.kernel.events import LogEvent, happened

EVENT = happened(PORT_NOT_OPENED, role="transport", host="127.0.0.1", port=25, reason="held by process 812")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _sink(stream: io.StringIO) -> LogSink:
    return LogSink("transport", stream, clock=lambda: 1_800_000_000.0)


def test_a_file_gets_one_json_object_per_line() -> None:
    stream = io.StringIO()
    _sink(stream).write(EVENT)
    line = json.loads(stream.getvalue())
    assert line["time"] == "2027-01-15T08:00:00.000Z"
    assert (line["id"], line["severity"], line["role"]) == ("DRV-0001", "error", "transport")
    assert line["fields"]["port"] == 25
    assert "held by process 812" in line["message"]
    assert stream.getvalue().count("\n") == 1


def test_a_terminal_gets_coloured_text_that_cannot_command_it() -> None:
    stream = Terminal()
    _sink(stream).write(happened(ROLE_BROKEN, role="access", error="\x1b]0;owned\x07 \udcff"))
    text = stream.getvalue()
    assert "DRV-0105" in text
    assert "broken: " in text
    assert "\x1b]0" not in text
    assert text.endswith("\x1b[0m\n")


def test_what_a_peer_sent_is_bounded_and_always_utf_8() -> None:
    stream = io.StringIO()
    _sink(stream).write(happened(ROLE_BROKEN, role="access", error="\udcff\n" * FIELD_CHARACTERS_MAX))
    assert len(stream.getvalue()) < 30 * FIELD_CHARACTERS_MAX
    assert json.loads(stream.getvalue())["fields"]["error"].startswith("\\udcff")


def test_an_event_without_its_fields_still_tells_its_id() -> None:
    stream = io.StringIO()
    _sink(stream).write(LogEvent(PORT_NOT_OPENED, {}))
    assert json.loads(stream.getvalue())["id"] == "DRV-0001"


def test_a_full_disk_is_counted_and_told_later() -> None:
    class Disk(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    disk = Disk()
    sink = _sink(disk)
    sink.write(EVENT)
    sink.write(EVENT)
    disk.full = False
    sink.write(EVENT)
    first, second = (json.loads(line) for line in disk.getvalue().splitlines())
    assert (first["id"], first["fields"]["lost_count"]) == ("DRV-0006", 2)
    assert second["id"] == "DRV-0001"


def test_a_device_that_is_full_or_closed_raises_nothing() -> None:
    # Python tries once more at close; this is about write.
    with suppress(OSError), Path("/dev/full").open("w") as full:
        sink = LogSink("transport", full)
        sink.write(EVENT)
        sink.write(EVENT)
    closed = io.StringIO()
    closed.close()
    LogSink("transport", closed).write(EVENT)
