"""Relays ask who has an address, or which address somebody has (RFC 4388)."""

from __future__ import annotations

import pytest

from dhcp.conversations import Client, World, organisation, packed, reservation, scope
from holdfast.dhcp.replies import Where
from holdfast.directory.dhcp import DhcpServer
from holdfast.wire.dhcp4 import MESSAGE_NAMES, Message

ALLOWED = DhcpServer("ns1", lease_query=True)
RELAY = "10.0.0.3"


def world(*scopes: object, **more: object) -> World:
    return World(organisation(*scopes, server=ALLOWED, **more))  # type: ignore[arg-type]  # passed on as they are


def query(**changes: object) -> Message:
    options = changes.pop("options", {})
    message = Client(0, giaddr=RELAY).message(10, options)  # type: ignore[arg-type]  # a table of options
    return message._replace(**{"hardware": b"", "hardware_type": 0} | changes)  # type: ignore[arg-type]  # as above


def told(made: World, asked: Message) -> tuple[str, Message]:
    (answer,) = made.say(asked)
    assert (answer.reply.where, answer.reply.address) == (Where.RELAY, packed(RELAY))
    return MESSAGE_NAMES[answer.message.options[53][0]], answer.message


def test_by_address() -> None:
    made = world(reservations=(reservation("10.0.0.99", "02:00:00:00:00:77"),))
    client = Client(5)
    assert client.gets(made, {12: b"host", 82: b"\x01\x01p"}) == "10.0.0.10"
    made.later(600)
    kind, message = told(made, query(ciaddr=packed("10.0.0.10"), options={55: b"\x33\x5b\x0c\x52"}))
    assert (kind, message.ciaddr, message.hardware) == ("LEASEACTIVE", packed("10.0.0.10"), client.mac)
    assert {code: message.options[code] for code in (51, 91, 12, 82)} == {
        51: (3002).to_bytes(4, "big"), 91: (600).to_bytes(4, "big"), 12: b"host", 82: b"\x01\x01p",
    }  # fmt: skip
    assert told(made, query(ciaddr=packed("10.0.0.11")))[0] == "LEASEUNASSIGNED"
    assert told(made, query(ciaddr=packed("10.0.0.99")))[0] == "LEASEUNASSIGNED"
    assert told(made, query(ciaddr=packed("10.0.0.200")))[0] == "LEASEUNKNOWN"
    assert told(made, query(ciaddr=packed("10.9.9.9")))[0] == "LEASEUNKNOWN"


def test_by_hardware_address_and_by_identifier() -> None:
    made = world(scope(), scope("lab", "10.5.0.0/24", "10.5.0.10-10.5.0.19"))
    client = Client(5, client_id=b"\xff\0\0\0\1id")
    client.gets(made)
    made.later(10)
    client.giaddr = packed("10.5.0.1")
    client.gets(made)
    kind, message = told(made, query(hardware=client.mac, hardware_type=1))
    assert (kind, message.ciaddr) == ("LEASEACTIVE", packed("10.5.0.10"))
    assert message.options[92] == packed("10.5.0.10") + packed("10.0.0.10")
    assert message.options[61] == client.client_id
    assert told(made, query(options={61: client.client_id}))[0] == "LEASEACTIVE"
    assert told(made, query(options={61: b"\0nobody"}))[0] == "LEASEUNKNOWN"
    made.say(client.release("10.5.0.10")._replace(giaddr=packed("10.5.0.1")))
    assert told(made, query(options={61: client.client_id}))[1].ciaddr == packed("10.0.0.10")


@pytest.mark.parametrize(
    ("declared", "asked", "reason"),
    [
        (organisation(), query(ciaddr=packed("10.0.0.10")), "lease query not allowed"),
        (
            organisation(server=ALLOWED),
            query(ciaddr=packed("10.0.0.10"), giaddr=bytes(4)),
            "lease query not allowed",
        ),
        (
            organisation(server=ALLOWED),
            query(ciaddr=packed("10.0.0.10"), giaddr=packed("10.7.0.1")),
            "no scope",
        ),
    ],
)
def test_nobody_else_is_told(declared: object, asked: Message, reason: str) -> None:
    made = World(declared)  # type: ignore[arg-type]  # an organisation
    assert made.say(asked) == []
    assert made.server.dropped == {reason: 1}
