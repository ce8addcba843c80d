"""Mail goes to Postfix, Exim and OpenSMTPD and comes from them; and a next hop may have any fault."""

from __future__ import annotations

import email
import imaplib
import os
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Protocol

import pytest

from interop import faulty_server
from interop.faulty_server import FaultyServer
from interop.mail_servers import PEERS, Certificate, Exim, OpenSmtpd, Peer, PeerPlan, Postfix

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not (os.geteuid() == 0 and (PEERS / "usr/sbin/exim4").exists())
        and not os.environ.get("HOLDFAST_PEERS_REQUIRED"),
        reason="needs root and the mail servers of .ci/install-peers",
    ),
]

ALICE = "alice@example.test"
BODY = b".dots\r\n..two\r\ngr\xc3\xbc\xc3\x9fe\r\n" + b"x" * 900 + b"\r\n\r\nend\r\n"
Until = Callable[[Callable[[], bool]], None]


class Server(Protocol):
    home: Path
    smtp: int
    submission: int
    imap: int
    passwords: dict[str, str]
    log: list[str]

    def start(self) -> None: ...
    def json(self, *words: str) -> object: ...
    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]: ...


def letter(subject: str, to: str = "") -> bytes:
    """A message with what is easily spoilt on the way."""
    header = f"From: Alice <{ALICE}>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x.test>\r\n"
    mime = (
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    return (header + mime + "\r\n").encode() + BODY


def change(server: Server, *words: str) -> None:
    """Change the organisation by a verb."""
    result = server.holdfast(*words, "--yes")
    assert result.returncode == 0, result.stdout + result.stderr


def retry_quickly(server: Server) -> None:
    """The test does not wait minutes for the second try."""
    change(server, "organisation", "set", "--glitch-retry", "1s", "--transient-retry", "1s", "--retry", "1s",
           "--message-retry", "1s")  # fmt: skip


def send_by(server: Server, port: int, *more: str) -> None:
    """Everything leaves by a smart host on loopback."""
    change(server, "connector", "add-send", "out", "--address-space", "*", "--smart-host", "[127.0.0.1]",
           "--port", str(port), *more)  # fmt: skip


def submit(server: Server, recipient: str, message: bytes, **options: list[str]) -> None:
    """Alice signs in and sends."""
    context = ssl.create_default_context(cafile=str(server.home / "tls" / "certificate.pem"))
    context.check_hostname = False
    with smtplib.SMTP("127.0.0.1", server.submission, timeout=60) as client:
        client.starttls(context=context)
        client.login(ALICE, server.passwords[ALICE])
        client.sendmail(ALICE, [recipient], message, ["BODY=8BITMIME"], options.get("rcpt", []))


def inbox(server: Server) -> list[bytes]:
    """What Alice has."""
    with imaplib.IMAP4("127.0.0.1", server.imap) as client:
        client.login(ALICE, server.passwords[ALICE])
        client.select("INBOX", readonly=True)
        _, answer = client.fetch("1:*", "(BODY.PEEK[])")
        return [part[1] for part in answer if isinstance(part, tuple)]


def body_of(message: bytes) -> bytes:
    """What comes after the header; a maildir has no CR."""
    return message.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1].replace(b"\n", b"\r\n")


def report_of(message: bytes) -> tuple[str, Message]:
    """The text for people of a delivery status notification, and the fields of its first recipient."""
    parsed = email.message_from_bytes(message)
    assert parsed.get_content_type() == "multipart/report", message
    parts = parsed.get_payload()
    text = parts[0].get_payload(decode=True).decode()
    return text, parts[1].get_payload()[1]


def make_certificate(directory: Path, name: str) -> Certificate:
    """A self-signed certificate, as most mail servers have."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    chain, key = directory / "chain.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True,
    )  # fmt: skip
    return Certificate(chain, key)


@pytest.fixture
def peer_folder() -> Iterator[Path]:
    """A folder that servers without rights can reach: pytest's own lie in one that only its owner sees."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="peer-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(params=[Postfix, Exim, OpenSmtpd], ids=lambda each: each.name)
def peer_class(request: pytest.FixtureRequest) -> type[Peer]:
    return request.param  # type: ignore[no-any-return]  # one of the three above


@pytest.fixture
def start_peer(peer_folder: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Peer]]:
    """Start a peer of a class; it is stopped after the test."""
    started: list[Peer] = []

    def start(peer_class: type[Peer], server: Server, *, tls: bool = False, more: str = "") -> Peer:
        certificate = make_certificate(peer_folder / "tls", "peer.test") if tls else None
        plan = PeerPlan(
            peer_folder / "peer", "peer.test", free_port(), server.smtp, certificate=certificate, more=more
        )
        started.append(peer_class(plan))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def test_mail_goes_to_them_whole_and_comes_back(
    server: Server, peer_class: type[Peer], start_peer: Callable[..., Peer], until: Until
) -> None:
    peer = start_peer(peer_class, server)
    send_by(server, peer.plan.port)
    submit(server, "bob@peer.test", letter("out"))
    until(lambda: len(peer.messages()) == 1)
    assert body_of(peer.messages()[0]) == BODY
    peer.send("bob@peer.test", ALICE, letter("in", ALICE))
    until(lambda: len(inbox(server)) == 1)
    assert body_of(inbox(server)[0]) == BODY
    assert b"peer.test" in inbox(server)[0].split(b"\r\n\r\n")[0]
    ledger = server.json("ledger")
    assert isinstance(ledger, dict)
    assert ledger["unaccounted"] == 0


def test_mail_travels_under_tls_where_it_is_offered(
    server: Server, peer_class: type[Peer], start_peer: Callable[..., Peer], until: Until
) -> None:
    peer = start_peer(peer_class, server, tls=True)
    send_by(server, peer.plan.port)
    submit(server, "bob@peer.test", letter("out"))
    until(lambda: len(peer.messages()) == 1)
    trace = peer.messages()[0].split(b"\n\n")[0].replace(b"\r", b"")
    assert b"TLS" in trace or b"ESMTPS" in trace or b"esmtps" in trace, trace
    peer.send("bob@peer.test", ALICE, letter("in", ALICE))
    until(lambda: len(inbox(server)) == 1)
    assert b"with ESMTPS" in inbox(server)[0]


def test_what_they_refuse_comes_back_with_their_words(
    server: Server, start_peer: Callable[..., Peer], until: Until
) -> None:
    peer = start_peer(Exim, server)
    send_by(server, peer.plan.port)
    submit(server, "nobody@peer.test", letter("refused"))
    until(lambda: len(inbox(server)) == 1)
    text, fields = report_of(inbox(server)[0])
    assert "nobody@peer.test" in text
    assert fields["Action"] == "failed"
    assert "and this text" in fields["Diagnostic-Code"]
    assert fields["Diagnostic-Code"].startswith("smtp; 550")
    assert peer.messages() == []


GREYLISTING = """judge:
  defer
    condition = ${{if !exists{{{folder}/seen-before}}}}
    condition = ${{run{{/usr/bin/touch {folder}/seen-before}}{{yes}}{{yes}}}}
    message = greylisted
  accept
"""


def test_greylisting_is_waited_for(
    server: Server, start_peer: Callable[..., Peer], until: Until, peer_folder: Path
) -> None:
    folder = peer_folder / "grey"
    folder.mkdir()
    folder.chmod(0o777)
    peer = start_peer(Exim, server, more=GREYLISTING.format(folder=folder))
    retry_quickly(server)
    send_by(server, peer.plan.port)
    submit(server, "bob@peer.test", letter("patience"))
    until(lambda: len(peer.messages()) == 1)
    assert (folder / "seen-before").exists()
    tracked = server.json("message", "track", "--subject", "patience")
    assert isinstance(tracked, dict)
    assert "DEFER" in [each["event"] for each in tracked["rows"]]


FAULTS = {
    "421 in mid-transaction": (faulty_server.closes_in_mid_transaction, 1),
    "drop after the final dot": (faulty_server.drops_after_the_dot, 1),
    "taken, and drop after the final dot": (faulty_server.takes_and_drops_after_the_dot, 2),
    "450 then 250": (faulty_server.greylists, 1),
    "HTTP": (faulty_server.speaks_http, 1),
    "more replies than commands": (faulty_server.answers_too_much, 1),
    "many lines, byte by byte": (faulty_server.says_many_lines, 1),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_next_hop_loses_nothing(server: Server, until: Until, name: str) -> None:
    fault, copy_count = FAULTS[name]
    hop = FaultyServer(fault)
    try:
        retry_quickly(server)
        send_by(server, hop.port)
        submit(server, "bob@peer.test", letter("fault"))
        until(lambda: len(hop.taken) >= copy_count and server.json("ledger")["queued"] == 0)  # type: ignore[index]  # a table
        assert len(hop.taken) == copy_count
        assert all(body_of(each) == BODY for each in hop.taken)
        assert server.json("ledger")["unaccounted"] == 0  # type: ignore[index]  # a table
    finally:
        hop.close()


BROKEN_TLS = "smtpd_tls_mandatory_protocols = TLSv1\nsmtpd_tls_protocols = TLSv1\n"


def test_broken_tls_is_gone_around_unless_tls_is_required(
    server: Server, start_peer: Callable[..., Peer], until: Until
) -> None:
    peer = start_peer(Postfix, server, tls=True, more=BROKEN_TLS)
    retry_quickly(server)
    send_by(server, peer.plan.port)
    submit(server, "bob@peer.test", letter("in the clear"))
    until(lambda: len(peer.messages()) == 1)
    change(server, "connector", "set", "out", "--tls", "encrypted")
    submit(server, "bob@peer.test", letter("never in the clear"))
    until(lambda: "DEFER" in str(server.json("message", "track", "--subject", "never in the clear")))
    assert len(peer.messages()) == 1
    assert server.json("ledger")["queued"] == 1  # type: ignore[index]  # a table


def test_a_certificate_that_nobody_signed_is_not_enough_where_a_valid_one_is_required(
    server: Server, start_peer: Callable[..., Peer], until: Until
) -> None:
    peer = start_peer(Exim, server, tls=True)
    retry_quickly(server)
    send_by(server, peer.plan.port, "--tls", "certificate")
    submit(server, "bob@peer.test", letter("verified only"))
    until(lambda: "DEFER" in str(server.json("message", "track", "--subject", "verified only")))
    assert peer.messages() == []
    change(server, "connector", "set", "out", "--tls", "encrypted")
    until(lambda: len(peer.messages()) == 1)
