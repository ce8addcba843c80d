"""Certificates of the servers of a lab."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from holdfast.lab.pairs import ensure_pair


def test_a_pair_is_made_once_and_fits(tmp_path: Path) -> None:
    home = tmp_path / "mail1"
    pem = ensure_pair(home, "mail1.lab.test")
    assert ensure_pair(home, "mail1.lab.test") == pem
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home / "tls" / "certificate.pem", home / "tls" / "key.pem")
    assert stat.S_IMODE((home / "tls" / "key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_half_a_pair_is_made_anew(tmp_path: Path) -> None:
    pem = ensure_pair(tmp_path, "mail1.lab.test")
    (tmp_path / "tls" / "key.pem").unlink()
    assert ensure_pair(tmp_path, "mail1.lab.test") != pem
