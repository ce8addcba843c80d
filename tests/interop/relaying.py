"""A server of ours that sends mail out: what all tests of that do with it."""

from __future__ import annotations

import email
import imaplib
import os
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Protocol

import pytest

from interop.mail_servers import PEERS, Certificate

needs_mail_servers = pytest.mark.skipif(
    not (os.geteuid() == 0 and (PEERS / "usr/sbin/exim4").exists())
    and not os.environ.get("HOLDFAST_PEERS_REQUIRED"),
    reason="needs root and the mail servers of .ci/install-peers",
)

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


def queued_count(server: Server) -> int:
    """How many recipients wait."""
    ledger = server.json("ledger")
    assert isinstance(ledger, dict)
    assert ledger["unaccounted"] == 0
    return int(ledger["queued"])


def submit(
    server: Server, recipient: str, message: bytes, mail: tuple[str, ...] = (), rcpt: tuple[str, ...] = ()
) -> None:
    """Alice signs in and sends; with parameters of MAIL and RCPT."""
    context = ssl.create_default_context(cafile=str(server.home / "tls" / "certificate.pem"))
    context.check_hostname = False
    with smtplib.SMTP("127.0.0.1", server.submission, timeout=60) as client:
        client.starttls(context=context)
        client.login(ALICE, server.passwords[ALICE])
        client.sendmail(ALICE, [recipient], message, ["BODY=8BITMIME", *mail], list(rcpt))


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


def text_of(message: bytes) -> bytes:
    """The body as it reads; for a next hop without 8BITMIME it is encoded (RFC 6152 section 3)."""
    text = email.message_from_bytes(message).get_payload(decode=True)
    assert isinstance(text, bytes)
    return text


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
