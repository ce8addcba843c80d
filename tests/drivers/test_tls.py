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
    assert not tls.ensure_certificate(tmp_path, ("one.example.test",))
    assert (tmp_path / tls.CERTIFICATE_FILE).read_bytes() == before


def test_one_that_we_made_follows_our_name_and_another_s_does_not(tmp_path: Path) -> None:
    # It happened: a server that was declared after its first start kept "localhost".
    assert tls.ensure_certificate(tmp_path, ("localhost",))
    assert tls.ensure_certificate(tmp_path, ("mail.example.test",))
    tls.ensure_certificate(tmp_path / "other", ("bought.example.test",))
    for name in (tls.CERTIFICATE_FILE, tls.KEY_FILE):
        (tmp_path / "other" / name).rename(tmp_path / name)
    assert not tls.ensure_certificate(tmp_path, ("again.example.test",))
    tls.server_context(tmp_path)


def test_two_roles_that_start_at_once_make_one_pair(tmp_path: Path) -> None:
    # It happened: the pair of two makers did not belong together.
    from concurrent.futures import ThreadPoolExecutor

    for number in range(10):
        directory = tmp_path / str(number)
        with ThreadPoolExecutor(4) as threads:
            makers = [
                threads.submit(tls.ensure_certificate, directory, ("a.example.test",)) for _ in range(4)
            ]
            made = [maker.result() for maker in makers]
        assert made.count(True) == 1
        tls.server_context(directory)


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be made"):
        tls.ensure_certificate(tmp_path / "file" / "tls", ("a.example.test",))


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
