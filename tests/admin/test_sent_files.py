"""Large files on their way from the asker to management."""

from __future__ import annotations

import base64
import io
import zlib
from pathlib import Path

import pytest

from holdfast.admin import sent_files
from holdfast.admin.sent_files import SentFile, check_packed, pack_file, unpack_files
from holdfast.kernel.errors import Refusal


def test_any_bytes_arrive_as_they_were(tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    (tmp_path / "a.xml").write_bytes(data)
    packed = pack_file(str(tmp_path / "a.xml"))
    assert len(packed) < len(data) // 10
    assert unpack_files([check_packed(packed)]) == [SentFile("a.xml", data)]


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    assert unpack_files([pack_file("-")]) == [SentFile("standard input", b"abc")]


def test_what_cannot_be_read_or_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refusal, match=r"cannot read .*: No such file"):
        pack_file(str(tmp_path / "gone"))
    monkeypatch.setattr(sent_files, "FILE_BYTES_MAX", 10)
    (tmp_path / "a").write_bytes(b"x" * 11)
    with pytest.raises(Refusal, match="is larger than 10 bytes"):
        pack_file(str(tmp_path / "a"))
    bomb = "a\n" + base64.b64encode(zlib.compress(b"\0" * 1_000_000)).decode()
    with pytest.raises(Refusal, match="is larger than 10 bytes"):
        unpack_files([bomb])
    monkeypatch.setattr(sent_files, "SENT_CHARACTERS_MAX", 5)
    with pytest.raises(Refusal, match="larger than"):
        check_packed("a\n12345")


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        ("a\n!!", "arrived damaged"),
        ("a\neJw=", "arrived in part"),
        ("a\nQUJD", "arrived damaged"),
        ("a\n", "in part"),
    ],
)
def test_what_is_not_as_it_was_sent_is_refused(packed: str, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        unpack_files([packed])
