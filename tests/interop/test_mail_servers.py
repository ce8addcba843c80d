"""Mail goes to Postfix, Exim and OpenSMTPD and comes from them; and a next hop may have any fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from interop import faulty_server
from interop.faulty_server import FaultyServer
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
    text_of,
)

pytestmark = [pytest.mark.interop, needs_mail_servers]


@pytest.fixture(params=[Postfix, Exim, OpenSmtpd], ids=lambda each: each.name)
def peer_class(request: pytest.FixtureRequest) -> type[Peer]:
    return request.param  # type: ignore[no-any-return]  # one of the three above


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
    assert queued_count(server) == 0


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


# The fault, the copies that it takes to deliver one message, whether who takes the first offers 8BITMIME.
FAULTS = {
    "421 in mid-transaction": (faulty_server.closes_in_mid_transaction, 1, True),
    "drop after the final dot": (faulty_server.drops_after_the_dot, 1, True),
    "taken, and drop after the final dot": (faulty_server.takes_and_drops_after_the_dot, 2, False),
    "450 then 250": (faulty_server.greylists, 1, True),
    "HTTP": (faulty_server.speaks_http, 1, True),
    "more replies than commands": (faulty_server.answers_too_much, 1, True),
    "many lines, byte by byte": (faulty_server.says_many_lines, 1, False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_next_hop_loses_nothing(server: Server, until: Until, name: str) -> None:
    fault, copy_count, offers_8bit = FAULTS[name]
    hop = FaultyServer(fault)
    try:
        retry_quickly(server)
        send_by(server, hop.port)
        submit(server, "bob@peer.test", letter("fault"))
        until(lambda: len(hop.taken) >= copy_count and queued_count(server) == 0)
        assert len(hop.taken) == copy_count
        assert all(text_of(each) == BODY for each in hop.taken)
        assert offers_8bit or hop.taken[0].isascii()
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
    assert queued_count(server) == 1


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
