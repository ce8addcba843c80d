"""The framing of the management socket, and its asking side on a real socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.drivers import management_socket as protocol
from holdfast.drivers.management_socket import (
    FRAME_BYTES_MAX,
    Ask,
    Finished,
    ManagementClient,
    Message,
    OrganisationChanged,
    Progress,
    RoleReport,
    StillWaiting,
    Unreachable,
    decode_to_client,
    decode_to_management,
    decode_to_role,
    encode_message,
    open_listener,
    read_frame,
    refusal_of,
    refused,
)
from holdfast.kernel.errors import Problem, Refusal


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        (
            decode_to_management,
            Ask("mailbox", "add", {"address": "a@b", "alias": ["c@d"], "n": 1, "x": None}),
        ),
        (decode_to_management, RoleReport(3, b"# text", {"state": "running", "n": 1, "s": 0.5})),
        (decode_to_role, OrganisationChanged(7)),
        (decode_to_client, Progress(1, 2, "x")),
        (decode_to_client, Finished(b"\x80", ["careful"])),
    ],
)
def test_messages_travel(decode: Callable[[bytes], Message], message: Message) -> None:
    frame = encode_message(message)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert decode(frame[4:]) == message


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    for decode in (decode_to_management, decode_to_role, decode_to_client):
        with suppress(Refusal):
            decode(body)


def test_a_refusal_travels_with_its_problems() -> None:
    refusal = Refusal("no", problems=(Problem("mailbox", "is odd", "make it even"),))
    again = refusal_of(refused(refusal))
    assert (again.text, again.problems) == (refusal.text, refusal.problems)


def _read(data: bytes) -> bytes | None:
    async def read() -> bytes | None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_frame(reader)

    return asyncio.run(read())


def test_frames_are_read_whole_or_not_at_all() -> None:
    assert _read(b"\0\0\0\x02hi") == b"hi"
    assert _read(b"\0\0\0\x09hi") is None
    assert _read(b"") is None
    with pytest.raises(Refusal, match="longer than"):
        _read((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


def _answering(listener: socket.socket, answer: Callable[[socket.socket], None]) -> threading.Thread:
    def serve() -> None:
        listener.setblocking(True)
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_home_with_a_long_path_can_be_reached(tmp_path: Path) -> None:
    home = tmp_path / ("d" * 100) / ("e" * 100)
    home.mkdir(parents=True)
    with open_listener(home) as listener:
        thread = _answering(listener, lambda connection: None)
        client = ManagementClient(home)
        with pytest.raises(Unreachable, match="closed the connection"):
            list(client.ask("status", "", {}))
        client.close()
        thread.join()


def test_progress_silence_and_the_end_are_heard(tmp_path: Path) -> None:
    go_on = threading.Event()

    def answer(connection: socket.socket) -> None:
        frames = encode_message(Progress(1, 2, "half")) + encode_message(Finished(b"\x80", []))
        connection.sendall(frames[:5])
        go_on.wait(10)
        connection.sendall(frames[5:])

    with open_listener(tmp_path) as listener:
        thread = _answering(listener, answer)
        client = ManagementClient(tmp_path)
        heard = []
        for message in client.ask("status", "", {}, patience_s=0.01):
            heard.append(message)
            go_on.set()
        client.close()
        thread.join()
    assert heard[0] == StillWaiting()
    assert heard[-2:] == [Progress(1, 2, "half"), Finished(b"\x80", [])]


def test_garbage_from_the_other_side_is_refused(tmp_path: Path) -> None:
    with open_listener(tmp_path) as listener:
        thread = _answering(listener, lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"))
        client = ManagementClient(tmp_path)
        with pytest.raises(Refusal, match="longer than"):
            list(client.ask("status", "", {}))
        client.close()
        thread.join()


def test_nobody_there_says_which_socket_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as unreachable:
        ManagementClient(tmp_path)
    assert str(protocol.management_socket(tmp_path)) in unreachable.value.text
    assert f"holdfast up --home {tmp_path}" in unreachable.value.text
