"""The self-signed certificate."""

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
    assert certificate.subject.rfc4514_string() == "CN=mail"
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime.days == tls.CERTIFICATE_DAYS
    load(tmp_path / "tls")


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
    load(tmp_path)


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
        load(directory)


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be made"):
        tls.ensure_certificate(tmp_path / "file" / "tls", ("a.example.test",))


def test_one_that_gets_other_names_keeps_its_key(tmp_path: Path) -> None:
    # TLSA records with usage 3 and selector 1 name the key: they must outlive a connector that is added.
    tls.ensure_certificate(tmp_path, ("one.example.test",))
    before = (tmp_path / tls.KEY_FILE).read_bytes()
    assert tls.ensure_certificate(tmp_path, ("one.example.test", "two.example.test"))
    assert (tmp_path / tls.KEY_FILE).read_bytes() == before
    load(tmp_path)
    (tmp_path / tls.KEY_FILE).write_text("broken")
    assert tls.ensure_certificate(tmp_path, ("three.example.test",))
    load(tmp_path)


def test_the_pair_of_last_resort_is_in_one_file(tmp_path: Path) -> None:
    tls.ensure_fallback(tmp_path / "tls", ("mail.example.test",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls" / tls.FALLBACK_FILE)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be made"):
        tls.ensure_fallback(tmp_path / "file" / "tls", ("a.example.test",))


def load(directory: Path) -> None:
    """See that certificate and key belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / tls.CERTIFICATE_FILE, directory / tls.KEY_FILE)


def test_a_long_name_fits_the_common_name(tmp_path: Path) -> None:
    name = ".".join(["label" * 5] * 4)
    assert len(name) > 64
    assert tls.ensure_certificate(tmp_path, (name,))
