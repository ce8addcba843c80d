"""The self-signed certificate and the contexts that serve with it."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from holdfast.drivers import tls
from holdfast.kernel.errors import Unavailable


def test_first_start_makes_a_certificate_that_only_we_may_read(tmp_path: Path) -> None:
    assert tls.ensure_certificate(tmp_path / "tls", ("mail.example.test",))
    for name in (tls.CERTIFICATE_FILE, tls.KEY_FILE):
        assert stat.S_IMODE((tmp_path / "tls" / name).stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate((tmp_path / "tls" / tls.CERTIFICATE_FILE).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mail.example.test"]
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime.days == tls.CERTIFICATE_DAYS
    assert tls.server_context(tmp_path / "tls").minimum_version is ssl.TLSVersion.TLSv1_2


def test_second_start_keeps_the_certificate(tmp_path: Path) -> None:
    tls.ensure_certificate(tmp_path, ("one.example.test",))
    before = (tmp_path / tls.CERTIFICATE_FILE).read_bytes()
    assert not tls.ensure_certificate(tmp_path, ("two.example.test",))
    assert (tmp_path / tls.CERTIFICATE_FILE).read_bytes() == before


def test_a_key_of_another_certificate_is_refused_with_advice(tmp_path: Path) -> None:
    tls.ensure_certificate(tmp_path / "one", ("one.example.test",))
    tls.ensure_certificate(tmp_path / "two", ("two.example.test",))
    (tmp_path / "two" / tls.KEY_FILE).rename(tmp_path / "one" / tls.KEY_FILE)
    with pytest.raises(Unavailable, match=r"cannot be used.*remove both"):
        tls.server_context(tmp_path / "one")


def test_a_long_name_fits_the_common_name(tmp_path: Path) -> None:
    name = ".".join(["label" * 5] * 4)
    assert len(name) > 64
    assert tls.ensure_certificate(tmp_path, (name,))
