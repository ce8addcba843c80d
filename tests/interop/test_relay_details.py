"""What is easily lost between two servers: line ends, chunks, reports, sign-in, names outside ASCII."""

from __future__ import annotations

import csv
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from interop.faulty_server import Conversation, FaultyServer
from interop.mail_servers import Exim, OpenSmtpd, Peer, Postfix
from interop.relaying import (
    ALICE,
    BODY,
    Server,
    Until,
    body_of,
    change,
    inbox,
    letter,
    needs_mail_servers,
    queued_count,
    report_of,
    retry_quickly,
    send_by,
    submit,
)

pytestmark = [pytest.mark.interop, needs_mail_servers]

CONFORMANCE = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance"))
VARIANTS = CONFORMANCE / "smtp" / "end-of-data-variants.csv"


def variants() -> list[tuple[str, bytes, bool]]:
    """Name, bytes, and whether they end a message."""
    with VARIANTS.open(encoding="utf-8") as file:
        return [
            (
                row["id"],
                row["bytes_c_escaped"].encode().decode("unicode_escape").encode("latin-1"),
                row["must_end_data"] == "yes",
            )
            for row in csv.DictReader(file)
        ]


class Dialog:
    """An SMTP client that sends any bytes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._input = self._socket.makefile("rb")
        self.reply()
        self.say(b"EHLO client.test\r\n")

    def reply(self) -> int:
        """Read one reply and return its code."""
        while (line := self._input.readline())[3:4] == b"-":
            pass
        assert line, "the server has hung up"
        return int(line[:3])

    def say(self, text: bytes) -> int:
        """Send bytes and read one reply."""
        self._socket.sendall(text)
        return self.reply()

    def envelope(self) -> None:
        """Begin a transaction."""
        assert self.say(b"MAIL FROM:<mallory@outside.test>\r\n") == 250
        assert self.say(b"RCPT TO:<bob@peer.test>\r\n") == 250

    def close(self) -> None:
        """Hang up."""
        self._input.close()
        self._socket.close()


SMUGGLED = (
    b"MAIL FROM:<admin@peer.test>\r\nRCPT TO:<bob@peer.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
)


def hand_in(port: int, name: str, variant: bytes, *, chunks: bool) -> int:
    """Send a message with a variant of the final dot in it, and what it would smuggle behind it."""
    text = b"Subject: " + name.encode() + b"\r\n\r\nfirst" + variant + SMUGGLED
    client = Dialog(port)
    try:
        client.envelope()
        if chunks:
            return client.say(b"BDAT %d LAST\r\n" % len(text) + text)
        assert client.say(b"DATA\r\n") == 354
        return client.say(text)
    finally:
        client.close()


@pytest.mark.parametrize("peer_class", [Postfix, Exim, OpenSmtpd], ids=lambda each: each.name)
def test_what_is_relayed_smuggles_nothing(
    server: Server, peer_class: type[Peer], start_peer: Callable[..., Peer], until: Until
) -> None:
    peer = start_peer(peer_class, server)
    change(server, "connector", "allow-relay", "lab", "--remote-range", "127.0.0.1")
    change(server, "connector", "set", "lab", "--tarpit", "0s")
    send_by(server, peer.plan.port)
    taken_count = 0
    for name, variant, ends in variants():
        for chunks in (False, True):
            # In a chunk no bytes end a message; by DATA the true ending makes two honest messages.
            if ends and not chunks:
                continue
            code = hand_in(server.smtp, name, variant, chunks=chunks)
            assert code == 250 or code >= 500, (name, chunks, code)
            taken_count += code == 250
    assert taken_count >= 1
    until(lambda: queued_count(server) == 0)
    until(lambda: len(peer.messages()) >= taken_count)
    subjects = [line for each in peer.messages() for line in each.split(b"\n\n")[0].splitlines()]
    assert len(peer.messages()) == taken_count
    assert not [line for line in subjects if line.strip() == b"Subject: smuggled"]


def test_chunks_come_in_and_go_out(server: Server, start_peer: Callable[..., Peer], until: Until) -> None:
    peer = start_peer(Exim, server)
    change(server, "connector", "allow-relay", "lab", "--remote-range", "127.0.0.1")
    send_by(server, peer.plan.port)
    client = Dialog(server.smtp)
    text = letter("chunks")
    client.envelope()
    for start in range(0, len(text), 100):
        piece = text[start : start + 100]
        assert client.say(b"BDAT %d\r\n" % len(piece) + piece) == 250
    assert client.say(b"BDAT 0 LAST\r\n") == 250
    client.close()
    until(lambda: len(peer.messages()) == 1)
    assert body_of(peer.messages()[0]) == BODY
    # Exim writes K for a message that came by BDAT.
    arrival = next(line for line in peer.log_text().splitlines() if " <= " in line)
    assert " K " in arrival, arrival


SIGN_IN = """begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${if and{{eq{$auth2}{holdfast}}{eq{$auth3}{right words}}}}
  server_set_id = $auth2
  server_advertise_condition = ${if def:tls_in_cipher}
"""
WHO_SIGNED_IN = "judge:\n  require authenticated = *\n  accept\n"


def test_we_sign_in_to_a_smart_host(
    server: Server, start_peer: Callable[..., Peer], until: Until, tmp_path: Path
) -> None:
    peer = start_peer(Exim, server, tls=True, more=WHO_SIGNED_IN, sections=SIGN_IN)
    retry_quickly(server)
    send_by(server, peer.plan.port, "--auth", "basic-require-tls", "--user", "holdfast")
    password = tmp_path / "password"
    for words in ("wrong words", "right words"):
        password.write_text(words + "\n", encoding="utf-8")
        set_password = server.holdfast("connector", "set-password", "out", "--password-file", str(password))
        assert set_password.returncode == 0, set_password.stderr
        if words == "wrong words":
            submit(server, "bob@peer.test", letter("signed in"))
            until(lambda: "535" in str(server.json("message", "track", "--subject", "signed in")))
            assert peer.messages() == []
    until(lambda: len(peer.messages()) == 1)
    assert "A=plain:holdfast" in peer.log_text()


def test_headers_in_utf_8_go_to_who_knows_them_and_come_back_from_who_does_not(
    server: Server, start_peer: Callable[..., Peer], until: Until
) -> None:
    peer = start_peer(Postfix, server)
    old = FaultyServer(Conversation.behave)
    try:
        send_by(server, peer.plan.port)
        change(server, "connector", "add-send", "old", "--address-space", "old.test",
               "--smart-host", "[127.0.0.1]", "--port", str(old.port))  # fmt: skip
        text = letter("x").replace(b"Subject: x", "Subject: Grüße".encode())
        submit(server, "bob@peer.test", text, ("SMTPUTF8",))
        until(lambda: len(peer.messages()) == 1)
        assert "Subject: Grüße".encode() in peer.messages()[0]
        submit(server, "bob@old.test", text, ("SMTPUTF8",))
        until(lambda: len(inbox(server)) == 1)
        _, fields = report_of(inbox(server)[0])
        assert (fields["Action"], fields["Status"][:3]) == ("failed", "5.6")
        assert old.taken == []
    finally:
        old.close()


def test_a_report_of_success_comes_from_who_knows_reports_else_from_us(
    server: Server, start_peer: Callable[..., Peer], until: Until
) -> None:
    peer = start_peer(Postfix, server)
    old = FaultyServer(Conversation.behave)
    try:
        send_by(server, peer.plan.port)
        change(server, "connector", "add-send", "old", "--address-space", "old.test",
               "--smart-host", "[127.0.0.1]", "--port", str(old.port))  # fmt: skip
        submit(server, "bob@peer.test", letter("yes"), ("ENVID=one",), ("NOTIFY=SUCCESS",))
        until(lambda: len(inbox(server)) == 1)
        report = inbox(server)[0]
        assert b"Reporting-MTA: dns; postfix.peer.test" in report
        assert b"Original-Envelope-Id: one" in report
        assert report_of(report)[1]["Action"] == "delivered"
        submit(server, "bob@old.test", letter("passed on"), (), ("NOTIFY=SUCCESS",))
        until(lambda: len(inbox(server)) == 2)
        _, fields = report_of(inbox(server)[1])
        assert (fields["Action"], fields["Final-Recipient"]) == ("relayed", "rfc822; bob@old.test")
        submit(server, "bob@peer.test", letter("never"), (), ("NOTIFY=NEVER",))
        until(lambda: len(peer.messages()) == 2)
        assert len(inbox(server)) == 2
        assert ALICE in str(server.json("message", "track", "--subject", "never"))
    finally:
        old.close()
