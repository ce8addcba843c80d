"""Handshakes in words; what they give is seen in test_tcp.py and test_outbound.py."""

from __future__ import annotations

import ssl

import pytest

from holdfast.drivers.handshake import handshake_problem


def tls_error(kind: type[ssl.SSLError], **more: str) -> ssl.SSLError:
    error = kind(1, "words of OpenSSL")
    for name, value in more.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            tls_error(ssl.SSLCertVerificationError, verify_message="certificate has expired"),
            "the certificate is not valid: certificate has expired",
        ),
        (tls_error(ssl.SSLError, reason="WRONG_VERSION_NUMBER"), "TLS failed: wrong version number"),
        (TimeoutError(), "the TLS handshake took longer than 30 s"),
        (
            ConnectionAbortedError("SSL handshake is taking longer than 30 s"),
            "the TLS handshake took longer than 30 s",
        ),
        (UnicodeError("label too long"), "TLS cannot carry the server's name: label too long"),
        (ConnectionResetError(), "the other side closed the connection during the TLS handshake"),
    ],
)
def test_reasons_have_words(error: Exception, words: str) -> None:
    assert handshake_problem(error) == words
