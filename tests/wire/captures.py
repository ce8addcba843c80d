"""Captured packets of the conformance cases: Ethernet frames out of pcap files."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DHCP = (ROOT / os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")).resolve() / "dhcp"


def captured(name: str) -> Path:
    """A file of the captures; without them the test is skipped."""
    if not DHCP.is_dir():
        pytest.skip("the conformance cases are not there (HOLDFAST_CONFORMANCE)")
    return DHCP / name


def frames_of(path: Path) -> list[bytes]:
    """The frames of a pcap file."""
    data = path.read_bytes()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at, frames = 24, []
    while at < len(data):
        _, _, size, _ = struct.unpack_from(f"{order}IIII", data, at)
        frames.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return frames
