"""Files that are too large, or no text: how the asker sends them and how management reads them.

The asker compresses a file while it reads it, so that half a gigabyte of leases travels in one message;
neither side holds more than the compressed file and, in management, the one that is being read.
"""

from __future__ import annotations

import base64
import binascii
import sys
import zlib
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from holdfast.kernel.errors import Refusal

FILE_BYTES_MAX = 512 << 20
# All files of one call, compressed and written as text, fit into a message of the management socket.
SENT_CHARACTERS_MAX = 48 << 20
_READ_BYTES = 1 << 20
_LEVEL = 1  # lists of leases shrink by ten times at once, and little more with patience


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as management has it: its name without folders, and its bytes."""

    name: str
    data: bytes


def pack_file(name: str) -> str:
    """Read a file (``-`` is standard input) as it travels.

    Raises:
        Refusal: it cannot be read, or is too large.
    """
    packer = zlib.compressobj(_LEVEL)
    parts: list[bytes] = []
    size = 0
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as stream:
            while block := stream.read(_READ_BYTES):
                size += len(block)
                if size > FILE_BYTES_MAX:
                    raise Refusal(f"{name} is larger than {FILE_BYTES_MAX} bytes")
                parts.append(packer.compress(block))
    except OSError as error:
        raise Refusal(f"cannot read {name}: {error.strerror}") from None
    parts.append(packer.flush())
    shown = "standard input" if name == "-" else Path(name).name
    return f"{shown}\n{base64.b64encode(b''.join(parts)).decode()}"


def check_packed(text: str) -> str:
    """Refuse what ``pack_file`` did not make, before it is unpacked.

    Raises:
        Refusal: it is too large, or has no name.
    """
    if len(text) > SENT_CHARACTERS_MAX:
        raise Refusal(f"the file is larger than {SENT_CHARACTERS_MAX * 3 // 4} bytes, compressed")
    if "\n" not in text[:1000]:
        raise Refusal("give the name of a file")
    return text


def unpack_files(texts: Iterable[str]) -> list[SentFile]:
    """Read files that were sent.

    Raises:
        Refusal: one is not as ``pack_file`` makes it, or too large.
    """
    return [_unpacked(text) for text in texts]


def _unpacked(text: str) -> SentFile:
    name, _, packed = text.partition("\n")
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(base64.b64decode(packed, validate=True), FILE_BYTES_MAX + 1)
    except (zlib.error, binascii.Error, ValueError):
        raise Refusal(f"{name[:100]} arrived damaged; send it again") from None
    if len(data) > FILE_BYTES_MAX:
        raise Refusal(f"{name[:100]} is larger than {FILE_BYTES_MAX} bytes")
    if not unpacker.eof:
        raise Refusal(f"{name[:100]} arrived in part; send it again")
    return SentFile(name, data)
