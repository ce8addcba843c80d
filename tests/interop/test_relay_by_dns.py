"""Where mail goes by DNS, with a whole server: exchangers, fail-over of smart hosts, what leads nowhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.dns_server import INSTALLED, Knot, Unbound
from interop.faulty_server import Conversation, FaultyServer
from interop.relaying import (
    BODY,
    Server,
    Until,
    body_of,
    change,
    inbox,
    letter,
    queued_count,
    report_of,
    retry_quickly,
    submit,
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not INSTALLED and not os.environ.get("HOLDFAST_PEERS_REQUIRED"), reason="Knot is not installed"
    ),
]

HUNDRED = "\n".join(
    f"many MX {number} mx{number:03}.many\nmx{number:03}.many A 127.0.0.2" for number in range(100)
)
ZONE = f"""$TTL 1
good MX 10 dead
good MX 20 a
null MX 0 .
inside MX 10 a
ring1 CNAME ring2
ring2 CNAME ring1
oxford.smarthost MX 10 a
oxford.smarthost MX 20 b
both.smarthost MX 10 a
both.smarthost MX 10 b
a A 127.0.0.2
b A 127.0.0.3
dead A 127.0.0.4
{HUNDRED}
"""


@pytest.fixture
def knot(tmp_path: Path) -> Iterator[Knot]:
    server = Knot(tmp_path / "knot", {"zone.test": ZONE})
    yield server
    server.stop()


@pytest.fixture
def hosts(free_port: Callable[[], int]) -> Iterator[tuple[FaultyServer, FaultyServer]]:
    """Two next hops with one port on two addresses."""
    port = free_port()
    made = [FaultyServer(Conversation.behave, address=each, port=port) for each in ("127.0.0.2", "127.0.0.3")]
    yield made[0], made[1]
    for each in made:
        each.close()


def tracked(server: Server, subject: str) -> str:
    """What the tracking log says of a message."""
    return str(server.json("message", "track", "--subject", subject))


def send_by_name(server: Server, knot: Knot, smart_host: str, port: int) -> None:
    """Everything leaves by a smart host whose name Knot knows; each message makes a choice of its own."""
    change(server, "organisation", "set", "--resolver-address", knot.resolver_address)
    change(server, "connector", "add-send", "out", "--address-space", "*", "--port", str(port),
           "--smart-host", smart_host, "--message-count-per-connection-max", "1")  # fmt: skip


def test_mail_finds_its_exchanger_or_its_sender_hears_why(
    server: Server, knot: Knot, hosts: tuple[FaultyServer, FaultyServer], until: Until
) -> None:
    host, port = hosts[0], str(hosts[0].port)
    retry_quickly(server)
    change(server, "organisation", "set", "--resolver-address", knot.resolver_address)
    change(server, "connector", "add-send", "dns", "--address-space", "*", "--port", port,
           "--private-range", "127.0.0.0/8")  # fmt: skip
    change(server, "connector", "add-send", "strict", "--address-space", "inside.zone.test", "--port", port)
    for domain in ("good", "many", "null", "inside", "ring1"):
        submit(server, f"bob@{domain}.zone.test", letter(domain))
    until(lambda: len(host.taken) == 2)
    assert all(body_of(each) == BODY for each in host.taken)
    until(lambda: len(inbox(server)) == 2)
    reports = [report_of(each)[1] for each in inbox(server)]
    assert {each["Final-Recipient"]: each["Status"] for each in reports} == {
        "rfc822; bob@null.zone.test": "5.1.10",
        "rfc822; bob@inside.zone.test": "5.4.4",
    }
    # A ring may be undone: the message waits, and nothing else waits for it.
    assert queued_count(server) == 1
    assert "4.4.3" in tracked(server, "ring1")


def test_what_cannot_be_asked_for_now_is_asked_for_later(
    server: Server, knot: Knot, hosts: tuple[FaultyServer, FaultyServer], until: Until, tmp_path: Path
) -> None:
    host = hosts[0]
    retry_quickly(server)
    # SERVFAIL for all of a zone whose signatures are not those that it must have.
    failing = Unbound(tmp_path / "unbound", knot, {"zone.test": "zone.test. DS 1 13 2 " + "00" * 32})
    try:
        change(server, "organisation", "set", "--resolver-address", failing.resolver_address)
        change(server, "connector", "add-send", "dns", "--address-space", "*", "--port", str(host.port),
               "--private-range", "127.0.0.0/8")  # fmt: skip
        submit(server, "bob@good.zone.test", letter("servfail"))
        until(lambda: "4.4.3" in tracked(server, "servfail"))
        assert host.taken == []
    finally:
        failing.stop()
    change(server, "organisation", "set", "--resolver-address", knot.resolver_address)
    until(lambda: len(host.taken) == 1)


def test_a_smart_host_fails_over_and_comes_back(
    server: Server, knot: Knot, hosts: tuple[FaultyServer, FaultyServer], until: Until
) -> None:
    first, second = hosts
    retry_quickly(server)
    send_by_name(server, knot, "oxford.smarthost.zone.test", first.port)
    for number in range(4):
        submit(server, "bob@else.test", letter(f"first-{number}"))
    until(lambda: len(first.taken) == 4)
    first.close()
    for number in range(4):
        submit(server, "bob@else.test", letter(f"second-{number}"))
    until(lambda: len(second.taken) == 4)
    again = FaultyServer(Conversation.behave, address=first.address, port=first.port)
    try:
        # Back by itself: what comes after its rest goes to the first one again.
        until(lambda: _sent_to(server, again))
        count = len(second.taken)
        for number in range(3):
            submit(server, "bob@else.test", letter(f"again-{number}"))
        until(lambda: queued_count(server) == 0)
        assert len(second.taken) == count
        assert len(first.taken) == 4
    finally:
        again.close()


def _sent_to(server: Server, host: FaultyServer) -> bool:
    submit(server, "bob@else.test", letter("probe"))
    return bool(host.taken)


def test_hosts_of_one_preference_share_the_mail(
    server: Server, knot: Knot, hosts: tuple[FaultyServer, FaultyServer], until: Until
) -> None:
    send_by_name(server, knot, "both.smarthost.zone.test", hosts[0].port)
    for number in range(10):
        submit(server, "bob@else.test", letter(f"shared-{number}"))
    until(lambda: len(hosts[0].taken) + len(hosts[1].taken) == 10)
    assert len(hosts[0].taken) == len(hosts[1].taken) == 5
