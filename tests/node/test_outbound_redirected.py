"""Mail that an administrator sends to another host: what was required of its own way holds there, too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import Organisation, RequiredTls, SendConnector, SendTls
from holdfast.kernel.errors import Refusal
from holdfast.node.administration import QueueTarget
from holdfast.transport.tls_policy import TlsFacts
from holdfast.wire.dns_answers import MxRecord, RecordType
from node.next_hops import ORGANISATION, Hop, TlsHop, World, data_of, known, queued

OUT = SendConnector("out", ("*",), ("192.0.2.9",))


def organisation(connector: SendConnector, *required: RequiredTls) -> Organisation:
    return replace(ORGANISATION, send_connectors=(connector,), required_tls=required)


def waiting(asked: Organisation) -> World:
    """Message 1 waits, since the next hop does not answer."""
    world = World(queued(1, "bob@other.test"), organisation=asked)
    world.names = known(
        ("relay.test", RecordType.MX, MxRecord(10, "relay.test")),
        ("relay.test", RecordType.A, "203.1.113.9"),
    )
    world.make_hop = lambda _: "the connection was refused"
    world.settle()
    assert 1 in world.disk
    return world


def redirect(world: World, host: str) -> str:
    """Send message 1 to a host; returns the queue that it is in then."""
    world.node.administration.redirect(world.now, QueueTarget(numbers=(1,)), host)
    (part,) = world.node.administration.show_message(world.now, "1").parts
    world.do(world.node.administered)
    world.settle()
    return part.queue


ENCRYPTED = (
    organisation(OUT, RequiredTls("*.test", SendTls.ENCRYPTED)),
    organisation(replace(OUT, tls=SendTls.ENCRYPTED)),
    organisation(replace(OUT, implicit_tls=True)),
    organisation(replace(OUT, tls=SendTls.ENCRYPTED), RequiredTls("other.test", SendTls.OPPORTUNISTIC)),
)


@pytest.mark.parametrize("asked", ENCRYPTED)
@pytest.mark.parametrize("host", ["relay.test", "[203.1.113.9]:2600"])
def test_required_tls_holds_where_it_was_redirected_to(asked: Organisation, host: str) -> None:
    world = waiting(asked)
    hop = Hop()  # without STARTTLS
    world.make_hop = lambda _: hop
    assert redirect(world, host) == f"smart-host:{host};tls=encrypted"
    assert hop.said
    assert hop.taken == []
    (part,) = world.node.administration.show_message(world.now, "1").parts
    assert "does not offer STARTTLS; needed by: the way that the mail was redirected from" in part.last_error
    world.make_hop = lambda _: TlsHop()
    world.wait(61.0)
    assert not world.disk


CERTIFICATE = (
    organisation(OUT, RequiredTls("other.test", SendTls.DOMAIN, "mail.other.test")),
    organisation(replace(OUT, tls=SendTls.CERTIFICATE), RequiredTls("other.test", SendTls.ENCRYPTED)),
    organisation(replace(OUT, tls=SendTls.DOMAIN, tls_domain="out.test")),
)


@pytest.mark.parametrize("asked", CERTIFICATE)
def test_where_a_certificate_is_required_the_other_host_needs_a_valid_one(asked: Organisation) -> None:
    world = waiting(asked)
    hop = TlsHop()
    world.make_hop = lambda _: hop
    assert redirect(world, "relay.test") == "smart-host:relay.test;tls=certificate"
    assert hop.taken == []  # its certificate is for another name
    world.tls_facts = TlsFacts("TLSv1.3", "AES", verified=True)
    world.wait(61.0)
    assert hop.taken == [data_of(1)]


@pytest.mark.parametrize("asked", CERTIFICATE)
def test_an_address_has_no_name_that_a_certificate_could_be_for(asked: Organisation) -> None:
    world = waiting(asked)
    with pytest.raises(Refusal, match=r"mail to bob@other\.test must go to a host with a valid certificate"):
        redirect(world, "[203.1.113.9]:2600")
    (part,) = world.node.administration.show_message(world.now, "1").parts
    assert part.queue == "smart-host:out" or part.queue.startswith("smart-host:out;")


def test_where_nothing_is_required_it_goes_in_the_clear() -> None:
    world = waiting(organisation(OUT, RequiredTls("else.test", SendTls.CERTIFICATE)))
    world.make_hop = lambda _: Hop()
    redirect(world, "[203.1.113.9]")
    assert not world.disk


def test_tls_that_is_required_later_holds_for_what_was_redirected_before() -> None:
    world = waiting(organisation(OUT))
    assert redirect(world, "relay.test") == "smart-host:relay.test"
    world.make_hop = lambda _: Hop()
    world.do(world.node.organisation_changed, organisation(OUT, RequiredTls("other.test", SendTls.ENCRYPTED)))
    world.wait(61.0)
    (part,) = world.node.administration.show_message(world.now, "1").parts
    assert part.queue == "smart-host:relay.test;tls=encrypted"
