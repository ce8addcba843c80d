"""Cut a byte stream into frames: four bytes of length (big endian) and that many bytes.

Source: docs/decisions/0005; used by ``wire.store`` and ``wire.shadow``.
"""

from __future__ import annotations

from holdfast.kernel.errors import Refusal

FRAME_HEADER_BYTES = 4
FRAME_BYTES_MAX = 256 << 20  # bounds the memory that one peer can make us take


def write_frame(body: bytes) -> bytes:
    """One frame, length first."""
    assert len(body) <= FRAME_BYTES_MAX
    return len(body).to_bytes(FRAME_HEADER_BYTES, "big") + body


class FrameReader:
    """Cuts a byte stream into frame bodies, with bounded memory."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return every complete frame body.

        Raises:
            Refusal: a frame announces more than ``FRAME_BYTES_MAX``.
        """
        self._buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= FRAME_HEADER_BYTES:
            size = int.from_bytes(self._buffer[start : start + FRAME_HEADER_BYTES], "big")
            if size > FRAME_BYTES_MAX:
                raise Refusal(f"a frame of {size} bytes is longer than {FRAME_BYTES_MAX}")
            end = start + FRAME_HEADER_BYTES + size
            if end > len(self._buffer):
                break
            bodies.append(bytes(self._buffer[start + FRAME_HEADER_BYTES : end]))
            start = end
        if start:
            del self._buffer[:start]
        return bodies
