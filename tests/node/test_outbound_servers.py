"""Mail between servers of ours: to the right one or to nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import (
    Mailbox,
    MailboxDatabase,
    Organisation,
    ReceiveConnector,
    Server,
    Site,
    Usage,
)
from holdfast.directory.server_certificates import write_certificates
from holdfast.kernel.ids import MailboxId
from holdfast.transport.tls_policy import TlsFacts
from holdfast.transport.tracking import EventId, parse_lines
from node.next_hops import ORGANISATION, SENDER, Hop, Talk, TlsHop, World, data_of, queued

CERTIFICATE = b"\x30\x01a"
MAIL2 = Server("mail2", "mail2.example.test", "here", addresses=("192.0.2.2",))
KNOWN = replace(MAIL2, certificate=write_certificates((CERTIFICATE,)))
BOB = "bob@example.test"


def two_servers(other: Server) -> Organisation:
    """Alice's mailbox here, Bob's at the other."""
    return replace(
        ORGANISATION,
        sites=(Site("here"),),
        servers=(*ORGANISATION.servers, other),
        receive_connectors=(ReceiveConnector("in2", "mail2", ("192.0.2.2:25",), (), Usage.INTERNAL),),
        mailbox_databases=(*ORGANISATION.mailbox_databases, MailboxDatabase("db2", "mail2")),
        mailboxes=(*ORGANISATION.mailboxes, Mailbox(BOB, MailboxId("bob"), "db2")),
    )


class OtherServer(TlsHop):
    """Offers STARTTLS until it has begun."""

    def command(self, talk: Talk, line: str) -> bytes:
        if line.startswith("EHLO") and "STARTTLS" in self.said:
            return Hop.command(self, talk, line)
        return super().command(talk, line)


def test_nothing_is_said_to_what_does_not_prove_to_be_the_server() -> None:
    world = World(queued(1, BOB), organisation=two_servers(KNOWN))
    hops: list[OtherServer] = []

    def make(_: object) -> Hop:
        hops.append(OtherServer())
        return hops[-1]

    world.make_hop = make
    world.tls_problem = "the certificate is not one by which server mail2 is known: SHA-256 00"
    world.settle()
    assert [each.said for each in hops] == [["EHLO mail1.example.test", "STARTTLS"]]
    assert world.log.count("TRN-0340") == 1
    assert "TRN-0341" not in world.log
    # It is tried again, and taken for itself once it proves to be itself.
    world.tls_problem, world.tls_facts = None, TlsFacts("TLSv1.3", "AES", verified=True, server="mail2")
    world.wait(120.0)
    assert hops[-1].taken == [data_of(1)]
    assert not world.disk


def test_facts_that_prove_nothing_open_no_door() -> None:
    world = World(queued(1, BOB), organisation=two_servers(KNOWN))
    world.make_hop = lambda _: OtherServer()
    world.settle()  # TLS is on, but the driver has compared nothing
    assert world.disk
    assert "TRN-0340" in world.log


@pytest.mark.parametrize("offers", ["STARTTLS", "nothing"])
def test_a_server_without_a_certificate_gets_its_mail_as_before_and_that_is_told_once(offers: str) -> None:
    organisation = two_servers(MAIL2)
    world = World(queued(1, BOB), organisation=organisation)
    world.make_hop = lambda _: OtherServer() if offers == "STARTTLS" else Hop()
    world.settle()
    # Its connector offers TLS by the directory, so what does not offer it is not it.
    assert bool(world.disk) is (offers == "nothing")
    world.do(world.node.organisation_changed, replace(organisation, name="renamed"))
    assert world.log.count("TRN-0341") == 1


class KnowsUs(OtherServer):
    """Offers what is for servers of ours, under TLS."""

    def command(self, talk: Talk, line: str) -> bytes:
        if line.startswith("EHLO") and "STARTTLS" in self.said:
            self.said.append(line)
            return b"250-mail2.example.test\r\n250-PIPELINING\r\n250 XHOLDFAST 7\r\n"
        return super().command(talk, line)


def test_a_message_goes_on_as_the_same_one_with_its_age() -> None:
    message = queued(1, BOB, "carol@elsewhere.test", at=1_699_990_000.0)
    world = World(message, organisation=two_servers(KNOWN))
    world.tls_facts = TlsFacts("TLSv1.3", "AES", verified=True, server="mail2")
    hops: dict[str, Hop] = {}
    world.make_hop = lambda connect: hops.setdefault(
        connect.address, KnowsUs() if connect.address == "192.0.2.2" else Hop()
    )
    world.settle()
    world.wait(10.0)
    assert not world.disk
    (mail,) = [each for each in hops["192.0.2.2"].said if each.startswith("MAIL")]
    assert mail == f"MAIL FROM:<{SENDER}> XHOLDFAST-ID=nmid-1 XHOLDFAST-AGE=10000000"
    # To others nothing of it is said.
    (mail,) = [each for each in hops["192.0.2.9"].said if each.startswith("MAIL")]
    assert mail == f"MAIL FROM:<{SENDER}>"
    details = {
        event.recipients: event.custom_data.partition(";")[0]
        for text in world.tracking
        for event in parse_lines(text)
        if event.event_id is EventId.SEND
    }
    assert details[(BOB,)] == "S:TransferredTo=mail2"
    assert details[("carol@elsewhere.test",)].startswith("S:RemoteHost=")


def test_a_server_that_knows_nothing_of_it_gets_the_mail_all_the_same() -> None:
    world = World(queued(1, BOB), organisation=two_servers(KNOWN))
    world.tls_facts = TlsFacts("TLSv1.3", "AES", verified=True, server="mail2")
    hop = OtherServer()
    world.make_hop = lambda _: hop
    world.settle()
    assert hop.taken == [data_of(1)]
    assert not any("XHOLDFAST" in each for each in hop.said)
