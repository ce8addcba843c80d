"""The next hop of a queue as it is now: hosts, health, TLS; DNS that is being asked."""

from __future__ import annotations

import random

import pytest

from holdfast.directory.model import (
    AcceptedDomain,
    Organisation,
    SendConnector,
    SendTls,
    Server,
    Site,
)
from holdfast.node.ports import Resolve
from holdfast.node.transport import TransportNode
from holdfast.transport.queue import DeliveryType, NextHopKey, RecoveredQueue
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType

ORGANISATION = Organisation(
    servers=(Server("mail1", "mail1.example.test", "here", addresses=("192.0.2.1",)),),
    sites=(Site("here"),),
    accepted_domains=(AcceptedDomain("example.test"),),
    dane=False,
    mta_sts=False,
    send_connectors=(
        SendConnector(
            "smart", ("*",), smart_hosts=("[192.0.2.7]", "[192.0.2.8]"), port=587, tls=SendTls.CERTIFICATE
        ),
        SendConnector("internet", ("*",)),
    ),
)
SMART = NextHopKey(DeliveryType.SMART_HOST, "[192.0.2.7],[192.0.2.8]", "smart")
DNS = NextHopKey(DeliveryType.DNS, "example.org", "internet")


@pytest.fixture
def node() -> TransportNode:
    node = TransportNode(ORGANISATION, "mail1", RecoveredQueue((), 1, {}), random.Random(1))
    node.started(0.0)
    node.outputs = []
    return node


def test_smart_hosts_need_no_dns(node: TransportNode) -> None:
    hop = node.administration.describe_hop(5.0, SMART)
    assert hop is not None
    assert (hop.pending, hop.failure, hop.found_by) == ((), "", "smart host")
    assert [(each.address, each.port, each.state, each.state_s) for each in hop.hosts] == [
        ("192.0.2.7", 587, "not tried yet", None),
        ("192.0.2.8", 587, "not tried yet", None),
    ]
    assert hop.hosts[0].certificate_names == ("192.0.2.7",)
    assert hop.hosts[0].tls.startswith("verified: ")


def test_dns_is_asked_and_then_known(node: TransportNode) -> None:
    hop = node.administration.describe_hop(5.0, DNS)
    assert hop is not None
    assert hop.pending == ("DNS: example.org MX",)
    node.administered(5.0)
    assert node.outputs == [Resolve(Question("example.org", RecordType.MX))]
    for question, records in (
        (Question("example.org", RecordType.MX), (MxRecord(10, "mx.example.org"),)),
        (Question("mx.example.org", RecordType.A), ("203.0.114.5",)),
        (Question("mx.example.org", RecordType.AAAA), ()),
    ):
        node.administration.describe_hop(5.0, DNS)
        node.administered(5.0)
        outcome = Outcome.FOUND if records else Outcome.NO_DATA
        node.resolved(5.0, Answer(question, outcome, records, question.name, ttl_s=60.0))
    hop = node.administration.describe_hop(5.0, DNS)
    assert hop is not None
    assert (hop.found_by, [(each.name, each.address, each.preference) for each in hop.hosts]) == (
        "MX",
        [("mx.example.org", "203.0.114.5", 10)],
    )
    assert hop.hosts[0].tls.startswith("opportunistic")


def test_a_domain_that_takes_no_mail_says_so(node: TransportNode) -> None:
    node.administration.describe_hop(5.0, DNS)
    node.administered(5.0)
    question = Question("example.org", RecordType.MX)
    node.resolved(5.0, Answer(question, Outcome.FOUND, (MxRecord(0, ""),), "example.org", ttl_s=60.0))
    hop = node.administration.describe_hop(5.0, DNS)
    assert hop is not None
    assert hop.failure.startswith("5.1.10 ")
    assert hop.failure.endswith("; it fails")


def test_where_nothing_leads(node: TransportNode) -> None:
    assert node.administration.describe_hop(5.0, NextHopKey(DeliveryType.DNS, "x", "gone")) is None
    assert node.administration.describe_hop(5.0, NextHopKey(DeliveryType.MAILBOX, "db")) is None
