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
from holdfast.node.hop_description import describe_hop, retry_hosts
from holdfast.node.outbound import NextHops
from holdfast.node.ports import Resolve
from holdfast.node.transport import TransportNode
from holdfast.transport.delivery import Delivery
from holdfast.transport.hop_profile import HopProfile
from holdfast.transport.host_health import Choice
from holdfast.transport.next_hop import Host, HostList, find_hosts
from holdfast.transport.queue import DeliveryType, NextHopKey, Queue, RecoveredQueue
from holdfast.transport.route import Router
from holdfast.transport.tls_policy import HostRefused, TlsDemand, TlsPending, TlsPolicies
from holdfast.transport.tracking import TrackingWriter
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType
from holdfast.wire.tls_report import PolicyType, ResultType

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


@pytest.fixture
def next_hops() -> tuple[NextHops, Router]:
    """The connections of a node, without the node."""
    router = Router(ORGANISATION, "mail1")
    tracking = TrackingWriter("s", with_subject=True)
    queue = Queue(RecoveredQueue((), 1, {}))
    delivery = Delivery(queue, ORGANISATION, router, tracking, random.Random(1))
    return NextHops(delivery, ORGANISATION, random.Random(1)), router


def test_a_host_that_is_down_says_since_when_and_until_when(next_hops: tuple[NextHops, Router]) -> None:
    hops, router = next_hops
    profile = router.profile(SMART)
    assert profile is not None
    found = find_hosts(5.0, hops.names, profile)
    assert isinstance(found, HostList)
    choice = hops.health.choose(5.0, found)
    assert isinstance(choice, Choice)
    hops.health.failed(5.0, choice, "connection refused")
    (down,) = [each for each in describe_hop(15.0, hops, profile).hosts if each.state == "down"]
    assert (down.reason, down.state_s, down.retry_s) == ("connection refused", 10.0, 50.0)
    retry_hosts(15.0, hops, profile)
    (down,) = [each for each in describe_hop(15.0, hops, profile).hosts if each.state == "down"]
    assert down.retry_s == 0.0


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        (HostRefused("its TLSA is unreadable", ResultType.TLSA_INVALID, PolicyType.TLSA), "not used: its"),
        (TlsPending(), "not known yet"),
    ],
)
def test_a_host_whose_tls_is_not_settled_says_so(
    next_hops: tuple[NextHops, Router], demand: TlsPending | HostRefused, words: str
) -> None:
    class Policies(TlsPolicies):
        """Answers the same whatever it is asked."""

        def demand(
            self, now: float, profile: HopProfile, domain: str, host: Host
        ) -> TlsDemand | TlsPending | HostRefused:
            return demand

    hops, router = next_hops
    profile = router.profile(SMART)
    assert profile is not None
    hops.tls = Policies(hops.names, hops.policies)
    hop = describe_hop(5.0, hops, profile)
    assert all(each.tls.startswith(words) for each in hop.hosts)
    assert bool(hop.pending) == isinstance(demand, TlsPending)
