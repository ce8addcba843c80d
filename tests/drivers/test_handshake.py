"""Handshakes in words; what they give is seen in test_tcp.py and test_outbound.py."""

from __future__ import annotations

import ssl

import pytest

from holdfast.drivers.handshake import HandshakesUnderWay, handshake_problem


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


class Stranger:
    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_whoever_only_opens_connections_gets_no_more_than_its_places() -> None:
    under_way = HandshakesUnderWay(count_max=5, per_source_max=3)
    flood = [Stranger() for _ in range(10)]
    for each in flood:
        under_way.begins(each, "192.0.2.1")
    assert [each.aborted for each in flood] == [True] * 7 + [False] * 3
    others = [Stranger() for _ in range(3)]
    for number, each in enumerate(others):
        under_way.begins(each, f"192.0.2.{number + 2}")
    # The places of all are taken: the oldest makes room, and nobody who has just come.
    assert [each.aborted for each in flood[7:]] == [True, False, False]
    assert not any(each.aborted for each in others)


def test_the_place_of_a_handshake_that_is_done_is_free_again() -> None:
    under_way = HandshakesUnderWay(count_max=2, per_source_max=1)
    for _ in range(5):
        client = Stranger()
        under_way.begins(client, "192.0.2.1")
        under_way.ended(client)
        under_way.ended(client)
        assert not client.aborted
