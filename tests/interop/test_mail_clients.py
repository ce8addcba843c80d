"""A message goes in by a real sender and is read back by real mail clients, byte for byte.

Senders: swaks and Postfix's smtp-source. Readers: Python's imaplib, mbsync
(isync) and mutt, all over real sockets against a server under ``holdfast up``.
"""

from __future__ import annotations

import imaplib
import os
import re
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

pytestmark = pytest.mark.interop

ALICE, BOB = "alice@example.test", "bob@example.test"
# Odd on purpose: dots that must be stuffed, an 8-bit line, trailing blanks, an empty last line.
MESSAGE = (
    b"From: Somebody <somebody@outside.example>\r\n"
    b"To: Alice <alice@example.test>\r\n"
    b"Subject: interop\r\n"
    b"Message-ID: <interop-1@outside.example>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
    b"\r\n"
    b".a line that begins with a dot\r\n"
    b"..two\r\n"
    b"gr\xc3\xbc\xc3\x9fe  \r\n"
    b"\t\r\n"
    b"last line\r\n"
    b"\r\n"
)
PATIENCE_S = 60


class Server(Protocol):
    home: Path
    smtp: int
    submission: int
    submission_tls: int
    imap: int
    imap_tls: int
    metrics: int
    passwords: dict[str, str]

    def json(self, *words: str) -> object: ...
    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]: ...


def run(*words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    result = subprocess.run(words, capture_output=True, timeout=PATIENCE_S, check=False, **options)  # type: ignore[call-overload]  # options are Popen's own
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def without_trace(stored: bytes) -> bytes:
    """What is left when the headers that delivery put on top are taken off."""
    for name in (b"Return-Path:", b"Delivered-To:", b"Received:"):
        assert name in stored.split(b"\r\n\r\n")[0], stored
    start = stored.index(b"From: ")
    for line in stored[:start].split(b"\r\n"):
        trace = (b"Return-Path:", b"Delivered-To:", b"Received:", b" ", b"\t")
        assert not line or line.startswith(trace), line
    return stored[start:]


def read_by_imaplib(server: Server, address: str, *, wanted: int) -> list[bytes]:
    """Wait with IDLE's poor man's version, NOOP, until so many messages are there, then fetch them."""
    with imaplib.IMAP4("127.0.0.1", server.imap) as client:
        client.login(address, server.passwords[address])
        client.select("INBOX")
        for _ in range(200):
            _, counts = client.status("INBOX", "(MESSAGES)")
            if f"MESSAGES {wanted})".encode() in counts[0]:
                break
            client.noop()
        client.select("INBOX")
        _, answer = client.fetch("1:*", "(BODY.PEEK[])")
        return [part[1] for part in answer if isinstance(part, tuple)]


def send_by_swaks(server: Server, peer: Callable[[str], str], tmp_path: Path) -> None:
    data = tmp_path / "message"
    # swaks sends a dot-free "data" as given with line ends of its own; it adds one line end at the end.
    data.write_bytes(MESSAGE.replace(b"\r\n", b"\n").removesuffix(b"\n"))
    run(
        peer("swaks"), "--server", "127.0.0.1", "--port", str(server.smtp),
        "--from", "somebody@outside.example", "--to", ALICE, "--data", f"@{data}",
    )  # fmt: skip


def send_by_smtplib(server: Server) -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        client.sendmail("somebody@outside.example", [ALICE], MESSAGE)


def test_swaks_to_imaplib(server: Server, peer: Callable[[str], str], tmp_path: Path) -> None:
    send_by_swaks(server, peer, tmp_path)
    stored = read_by_imaplib(server, ALICE, wanted=1)
    assert [without_trace(each) for each in stored] == [MESSAGE]
    assert server.json("ledger")["unaccounted"] in (0, [])  # type: ignore[index]  # JSON


def test_smtp_source_to_imaplib(server: Server, peer: Callable[[str], str]) -> None:
    run(
        peer("smtp-source"), "-s", "10", "-m", "200", "-l", "5000", "-f", "load@outside.example", "-t", ALICE,
        f"127.0.0.1:{server.smtp}",
    )  # fmt: skip
    stored = read_by_imaplib(server, ALICE, wanted=200)
    assert len(stored) == 200
    assert len(set(stored)) == 200


def test_mbsync_reads_byte_for_byte(server: Server, peer: Callable[[str], str], tmp_path: Path) -> None:
    send_by_smtplib(server)
    read_by_imaplib(server, ALICE, wanted=1)
    maildir = tmp_path / "maildir"
    maildir.mkdir()
    configuration = tmp_path / "mbsyncrc"
    configuration.write_text(
        "IMAPAccount holdfast\nHost 127.0.0.1\n"
        f"Port {server.imap}\nUser {ALICE}\nPass {server.passwords[ALICE]}\nSSLType None\nAuthMechs LOGIN\n\n"
        "IMAPStore remote\nAccount holdfast\n\n"
        f"MaildirStore local\nPath {maildir}/\nInbox {maildir}/INBOX\nSubFolders Verbatim\n\n"
        "Channel all\nFar :remote:\nNear :local:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n"
    )
    run(peer("mbsync"), "-c", str(configuration), "all")
    files = [path for name in ("new", "cur") for path in (maildir / "INBOX" / name).iterdir()]
    assert len(files) == 1
    # mbsync writes local line ends and puts a mark of its own, X-TUID, behind the header.
    stored = without_trace(files[0].read_bytes().replace(b"\n", b"\r\n"))
    assert re.sub(rb"X-TUID: \S+\r\n", b"", stored) == MESSAGE
    assert {"Drafts", "Sent Items", "Deleted Items", "Junk", "Archive"} <= {p.name for p in maildir.iterdir()}

    # The way back: a message laid into the maildir and a flag set there reach the server.
    (maildir / "INBOX" / "new" / "1.local").write_bytes(b"Subject: from the maildir\n\nhello\n")
    seen = files[0].parent.parent / "cur" / (files[0].name.split(":")[0] + ":2,S")
    files[0].rename(seen)
    run(peer("mbsync"), "-c", str(configuration), "all")
    with imaplib.IMAP4("127.0.0.1", server.imap) as client:
        client.login(ALICE, server.passwords[ALICE])
        client.select("INBOX")
        assert client.search(None, "SUBJECT", '"from the maildir"')[1] == [b"2"]
        assert client.search(None, "SEEN", "HEADER", "Message-ID", "interop-1")[1] == [b"1"]


def test_mutt_saves_byte_for_byte(server: Server, peer: Callable[[str], str], tmp_path: Path) -> None:
    send_by_smtplib(server)
    read_by_imaplib(server, ALICE, wanted=1)
    saved = tmp_path / "saved"
    rc = tmp_path / "muttrc"
    rc.write_text(
        f'set imap_user="{ALICE}"\nset imap_pass="{server.passwords[ALICE]}"\nset ssl_starttls=no\n'
        "set ssl_force_tls=no\nset mbox_type=Maildir\nset confirmappend=no\nset confirmcreate=no\n"
        'set header_cache=""\nset copy=no\nset quit=yes\nset move=no\nset record=""\nset delete=no\n'
        f'set folder="{tmp_path}"\n'
    )
    command = f'push "<copy-message>{saved}<enter><quit>"'
    environment = {**os.environ, "TERM": "xterm", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    run(
        "script", "-qec",
        f"{peer('mutt')} -F {rc} -f imap://127.0.0.1:{server.imap}/INBOX -e '{command}'", "/dev/null",
        env=environment, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    files = [path for name in ("new", "cur") for path in (saved / name).iterdir()]
    assert len(files) == 1
    # mutt writes local line ends and puts its own count of bytes and lines behind the header.
    stored = without_trace(files[0].read_bytes().replace(b"\n", b"\r\n"))
    assert re.sub(rb"(Content-Length|Lines|Status): \w+\r\n", b"", stored) == MESSAGE


def test_submission_needs_a_sign_in_and_ones_own_sender(server: Server) -> None:
    context = ssl._create_unverified_context()
    with smtplib.SMTP("127.0.0.1", server.submission) as client:
        client.starttls(context=context)
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail(BOB, [ALICE], "Subject: not signed in\r\n\r\n")
        client.login(BOB, server.passwords[BOB])
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail(ALICE, [BOB], "Subject: not mine\r\n\r\n")
        client.sendmail(BOB, [ALICE], "Subject: signed in\r\n\r\nhello\r\n")
    with smtplib.SMTP_SSL("127.0.0.1", server.submission_tls, context=context) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(BOB, "wrong")
        client.login(BOB, server.passwords[BOB])
        client.sendmail(BOB, [ALICE], "Subject: signed in again\r\n\r\nhello\r\n")
    assert len(read_by_imaplib(server, ALICE, wanted=2)) == 2


def test_imap_over_starttls_and_tls(server: Server) -> None:
    context = ssl._create_unverified_context()
    with imaplib.IMAP4("127.0.0.1", server.imap) as client:
        client.starttls(context)
        assert client.login(ALICE, server.passwords[ALICE])[0] == "OK"
    with imaplib.IMAP4_SSL("127.0.0.1", server.imap_tls, ssl_context=context) as client:
        assert client.login(ALICE, server.passwords[ALICE])[0] == "OK"
        assert client.create("INBOX")[0] == "NO"
