"""A client is taken for a server of ours by the certificate that the directory has, whatever else it says."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from certificates.made import DAY, NOW, Issued, make_authority, make_self_signed
from holdfast.drivers.server_trust import ask_for_known, client_certificate

ROOT = make_authority()
KNOWN = {
    "self-signed": make_self_signed("mail1.example.test"),
    "of an authority, for servers only": ROOT.issue("mail1.example.test"),
    "without a purpose": ROOT.issue("mail1.example.test", purposes=()),
    "expired": ROOT.issue("mail1.example.test", not_before=NOW - 3 * DAY, not_after=NOW - DAY),
    "not valid yet": ROOT.issue("mail1.example.test", not_before=NOW + DAY, not_after=NOW + 3 * DAY),
}
UNKNOWN: dict[str, Callable[[], Issued]] = {
    "self-signed": lambda: make_self_signed("mail1.example.test"),
    "of another authority": lambda: make_authority("Other").issue("mail1.example.test"),
    "another one of the same authority": lambda: make_authority("Only one is known").issue("x.test"),
}


def handshake(directory: Path, known: list[Issued], shown: Issued | None) -> bytes:
    """What a server sees of a client that shows a certificate; raises what the server's side says."""
    server_context = make_self_signed("mail2.example.test").context(directory)
    ask_for_known(server_context, [each.der for each in known])
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    if shown is not None:
        shown.write(directory, "client")
        client_context.load_cert_chain(directory / "client.pem", directory / "client.key.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client_certificate(server)


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_is_taken_whatever_it_says(tmp_path: Path, name: str) -> None:
    assert handshake(tmp_path, list(KNOWN.values()), KNOWN[name]) == KNOWN[name].der


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_ends_the_handshake(tmp_path: Path, name: str) -> None:
    known = list(KNOWN.values())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, known, UNKNOWN[name]())


def test_a_whole_chain_may_be_given_and_only_what_is_shown_counts(tmp_path: Path) -> None:
    middle = ROOT.issue("Middle", authority=True)
    leaf, other = middle.issue("mail1.example.test"), middle.issue("x.example.test")
    chain = [leaf, middle, ROOT]
    assert handshake(tmp_path, chain, leaf) == leaf.der
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, chain, other)


def test_what_is_no_certificate_is_passed_over(tmp_path: Path) -> None:
    context = make_self_signed("mail2.example.test").context(tmp_path)
    ask_for_known(context, [b"\x30\x01a", ROOT.der])
    assert context.get_ca_certs(binary_form=True) == [ROOT.der]


def test_a_client_without_one_comes_in_as_nobody(tmp_path: Path) -> None:
    assert handshake(tmp_path, list(KNOWN.values()), None) == b""


def test_where_none_is_known_none_is_asked_for(tmp_path: Path) -> None:
    assert handshake(tmp_path, [], KNOWN["expired"]) == b""
