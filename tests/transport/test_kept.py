"""Small files that a role keeps."""

from __future__ import annotations

from holdfast.transport.kept import KeptFile


def test_a_file_without_data_is_one_to_remove() -> None:
    assert KeptFile("sts/example.org.json", None) != KeptFile("sts/example.org.json", b"")
