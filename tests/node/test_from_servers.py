"""A message that comes from another server of ours is the same message here, and no younger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.directory.model import ReceiveConnector, Server, Usage
from holdfast.directory.server_certificates import write_certificates
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Peer, StartTls
from holdfast.transport.tls_policy import TlsFacts
from holdfast.transport.tracking import EventId, parse_lines
from node.conftest import ALICE, BODY, CAROL, ORGANISATION

if TYPE_CHECKING:
    from node.conftest import World

MakeWorld = Callable[..., "World"]
OTHER = Server(
    "mail2",
    "mail2.example.test",
    "here",
    addresses=("192.0.2.2",),
    certificate=write_certificates((b"\x30\x01a",)),
)
TWO = replace(
    ORGANISATION,
    servers=(*ORGANISATION.servers, OTHER),
    receive_connectors=(
        *ORGANISATION.receive_connectors,
        ReceiveConnector("servers", "mail1", ("192.0.2.1:26",), (), Usage.INTERNAL, tarpit_s=0.0),
    ),
)
THERE = Peer("192.0.2.2", 1234, "192.0.2.1", 26, tls=False)
ID = "5a0c7c4e-6d3a-4b7c-9f10-3f1d5f6a7b8c"
KNOWN = TlsFacts("TLSv1.3", "AES", verified=True, server="mail2")


def from_mail2(world: World, facts: TlsFacts) -> bytes:
    """Begin as mail2 does; returns what EHLO offers under TLS."""
    world.do(world.node.organisation_changed, TWO)
    world.connect(connector="servers", peer=THERE)
    world.say(b"EHLO mail2.example.test\r\n")
    world.say(b"STARTTLS\r\n")
    assert StartTls(ConnectionId(1), "servers", of_servers=True) in world.flow
    world.do(world.node.tls_started, ConnectionId(1), facts)
    return world.say(b"EHLO mail2.example.test\r\n")


def send(world: World, parameters: bytes) -> bytes:
    world.say(
        b"MAIL FROM:<carol@example.test>" + parameters + b"\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
    )
    return world.say(BODY + b".\r\n")


@pytest.mark.parametrize("told", [True, False])
def test_its_age_and_what_its_sender_was_told_count_on(make_world: MakeWorld, told: bool) -> None:
    world = make_world()
    assert b"XHOLDFAST 1\r\n" in from_mail2(world, KNOWN)
    world.do(world.node.store_connected, "db2")  # that of its sender; Alice's is away
    age = f" XHOLDFAST-ID={ID} XHOLDFAST-AGE={47 * 3_600_000}{' XHOLDFAST-TOLD' if told else ''}"
    assert send(world, age.encode()) == b""
    world.commit()
    world.lose()
    (message,) = world.disk.values()
    assert (message.network_message_id, message.marks.delay_told) == (ID, told)
    world.wait(7200.0)
    world.read()
    world.settle()
    reports = world.mailbox(CAROL)
    actions = [b"Action: delayed" if b"Action: delayed" in each else b"Action: failed" for each in reports]
    assert actions == ([b"Action: failed"] if told else [b"Action: delayed", b"Action: failed"])
    assert not world.disk


def test_it_reaches_its_mailbox_under_the_id_that_it_had(make_world: MakeWorld) -> None:
    world = make_world()
    from_mail2(world, KNOWN)
    world.connect_stores()
    send(world, f" XHOLDFAST-ID={ID} XHOLDFAST-AGE=5000".encode())
    world.settle()
    assert len(world.mailbox(ALICE)) == 1
    events = [event for text in world.tracking for event in parse_lines(text)]
    assert {event.network_message_id for event in events} == {ID}
    (came,) = [event for event in events if event.event_id is EventId.RECEIVE]
    assert came.custom_data == "S:TransferredFrom=mail2"


def test_who_shows_no_certificate_is_nobody_although_it_comes_from_there(make_world: MakeWorld) -> None:
    world = make_world()
    offered = from_mail2(world, TlsFacts("TLSv1.3", "AES", verified=False))
    assert b"XHOLDFAST" not in offered
    answer = world.say(b"MAIL FROM:<carol@example.test>\r\n")
    assert answer == b"550 5.7.1 this service is not for you\r\n"
