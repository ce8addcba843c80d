"""TLS reports from the connection to the queue: a node that delivers by DNS, and a day that ends."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.directory.model import AcceptedDomain, Organisation, RequiredTls, SendConnector, SendTls, Server
from holdfast.kernel.ids import ConnectionId, NetworkMessageId
from holdfast.node.ports import (
    Close,
    CommitQueue,
    Connect,
    FetchPolicy,
    ReadQueued,
    Resolve,
    Send,
    StartTls,
    TransportOutput,
)
from holdfast.node.transport import TransportNode
from holdfast.transport.kept import KeptFile
from holdfast.transport.queue import AddMessage, QueuedMessage, RecoveredQueue
from holdfast.transport.tls_policy import TlsFacts
from holdfast.transport.tls_report import PATH
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, Record, RecordType

NOON = 1_775_044_800.0  # 2026-04-01 12:00 UTC
DAY = 86_400.0
ORGANISATION = Organisation(
    name="Our Company",
    servers=(Server("mail1", "mail1.example.test", "here"),),
    accepted_domains=(AcceptedDomain("example.test"),),
    send_connectors=(SendConnector("internet", ("*",)),),
    tls_reports=True,
)
ZONE: dict[Question, tuple[Record, ...]] = {
    Question("example.org", RecordType.MX): (MxRecord(10, "mx.example.org"),),
    Question("mx.example.org", RecordType.A): ("8.8.8.8",),
    Question("_smtp._tls.example.org", RecordType.TXT): ("v=TLSRPTv1; rua=mailto:tls@example.org",),
}
STS = {Question("_mta-sts.example.org", RecordType.TXT): ("v=STSv1; id=1",)}
POLICY = b"version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\n"
GOOD = TlsFacts("TLSv1.3", "suite", verified=True)


class World:
    """A node with one message for example.org, its DNS, and a next hop that takes everything."""

    def __init__(
        self,
        organisation: Organisation = ORGANISATION,
        zone: dict[Question, tuple[Record, ...]] = ZONE,
        *,
        offers: bytes = b"250-mx\r\n250 STARTTLS\r\n",
        facts: TlsFacts | str = GOOD,
        policy: bytes | None = POLICY,
    ) -> None:
        message = QueuedMessage(
            1,
            NetworkMessageId("m1"),
            NOON,
            "a@example.test",
            ("x@example.org",),
            20,
            None,
            "<1@x>",
            "s",
            b"f",
        )
        self.zone, self.offers, self.facts, self.policy = zone, offers, facts, policy
        self.now = NOON
        self.done: list[TransportOutput] = []
        self.node = TransportNode(organisation, "mail1", RecoveredQueue((message,), 2, {}), random.Random(1))
        self.node.restore_counts(None)
        self.node.started(self.now)
        self.run()

    def run(self) -> None:
        while self.node.outputs:
            outputs, self.node.outputs = self.node.outputs, []
            for output in outputs:
                self.done.append(output)
                self.perform(output)

    def perform(self, output: TransportOutput) -> None:
        node, now = self.node, self.now
        match output:
            case CommitQueue():
                node.queue_committed(now, output.writes)
            case ReadQueued():
                for number in output.numbers:
                    node.queued_read(now, number, b"Subject: s\r\n\r\nbody\r\n")
            case Resolve():
                records = self.zone.get(output.question, ())
                outcome = Outcome.FOUND if records else Outcome.NO_DATA
                node.resolved(now, Answer(output.question, outcome, records, ttl_s=3600.0))
            case FetchPolicy():
                node.policy_fetched(now, output.domain, self.policy, "" if self.policy else "answered 404")
            case Connect():
                node.outbound_connected(now, output.connection_id, "192.0.2.1")
                node.bytes_received(now, output.connection_id, b"220 mx ESMTP\r\n")
            case StartTls():
                if isinstance(self.facts, TlsFacts):
                    self.offers = b"250 mx\r\n"
                    node.tls_started(now, output.connection_id, self.facts)
                else:
                    node.connection_lost(now, output.connection_id, self.facts)
            case Send():
                self.answer(output.connection_id, output.data)
            case Close():
                node.connection_lost(now, output.connection_id)
            case _:
                pass

    def answer(self, connection_id: ConnectionId, data: bytes) -> None:
        for line in data.split(b"\r\n"):
            reply = b""
            if line.startswith(b"EHLO"):
                reply = self.offers
            elif line == b"STARTTLS":
                reply = b"220 go on\r\n"
            elif line == b"DATA":
                reply = b"354 go on\r\n"
            elif line.startswith((b"MAIL", b"RCPT")) or line == b".":
                reply = b"250 ok\r\n"
            if reply:
                self.node.bytes_received(self.now, connection_id, reply)

    def until(self, now: float) -> None:
        """Let time pass; the node is called when it wants to be, at most so often."""
        for _ in range(5000):
            due = self.node.deadline()
            if due is None or due > now:
                break
            self.now = max(self.now, due)
            self.node.timer(self.now)
            self.run()
        self.now = now
        self.node.timer(now)
        self.run()

    def counts(self) -> dict[str, tuple[int, int, list[str]]]:
        """What was counted for example.org, by policy: successes, failures, kinds of failure."""
        self.node.stopping(self.now)
        self.run()
        kept = [each for each in self.done if isinstance(each, KeptFile) and each.path == PATH]
        assert kept[-1].data is not None
        (day,) = json.loads(kept[-1].data)["days"].values()
        return {
            policy: (row[2], row[3], [failure[0] for failure in row[4]])
            for policy, row in day["example.org"].items()
        }


@pytest.mark.parametrize(
    ("world", "counts"),
    [
        (World, {"no-policy-found": (1, 0, [])}),
        (lambda: World(offers=b"250 mx\r\n"), {"no-policy-found": (0, 1, ["starttls-not-supported"])}),
        # In the clear after a handshake that failed: counted once.
        (
            lambda: World(facts="TLS failed: wrong version number"),
            {"no-policy-found": (0, 1, ["validation-failure"])},
        ),
        (lambda: World(zone={**ZONE, **STS}), {"sts": (1, 0, [])}),
        (
            lambda: World(
                zone={**ZONE, **STS},
                policy=POLICY.replace(b"enforce", b"testing"),
                facts=TlsFacts("TLSv1.3", "suite", False, "the certificate expired on 2026-01-01"),
            ),
            {"sts": (0, 1, ["certificate-expired"])},
        ),
        (
            lambda: World(zone={**ZONE, **STS}, policy=None),
            {"sts": (0, 1, ["sts-policy-fetch-error"]), "no-policy-found": (1, 0, [])},
        ),
    ],
    ids=["TLS", "not offered", "handshake failed", "MTA-STS", "testing", "policy not to be had"],
)
def test_each_connection_is_counted_once(
    world: Callable[[], World], counts: dict[str, tuple[int, int, list[str]]]
) -> None:
    assert world().counts() == counts


def test_hosts_that_a_policy_does_not_name_are_counted() -> None:
    world = World(zone={**ZONE, **STS}, policy=POLICY.replace(b"mx.example.org", b"other.example"))
    successes, failures, kinds = world.counts()["sts"]
    assert (successes, kinds) == (0, ["validation-failure"])
    assert failures >= 1


def test_what_tls_is_required_for_fails_and_is_counted() -> None:
    required = replace(ORGANISATION, required_tls=(RequiredTls("example.org", SendTls.ENCRYPTED),))
    world = World(required, offers=b"250 mx\r\n")
    assert world.counts()["no-policy-found"][2] == ["starttls-not-supported"]


def test_mail_to_a_smart_host_is_not_counted() -> None:
    smart = replace(ORGANISATION, send_connectors=(SendConnector("smart", ("*",), ("[192.0.2.9]",)),))
    world = World(smart)
    assert any(isinstance(each, StartTls) for each in world.done)
    world.node.stopping(world.now)
    assert not any(isinstance(each, KeptFile) for each in world.node.outputs)


def test_the_day_after_a_report_goes_out() -> None:
    world = World()
    world.done.clear()
    world.until(NOON + DAY)
    writes = [write for each in world.done if isinstance(each, CommitQueue) for write in each.writes]
    (report,) = [write for write in writes if isinstance(write, AddMessage)]
    assert report.message.recipients == ("tls@example.org",)
    assert report.message.reverse_path == ""
    assert report.message.data is not None
    assert b"TLS-Report-Domain: example.org\r\n" in report.message.data
    assert "RECEIVE" in report.tracking
    sent = b"".join(each.data for each in world.done if isinstance(each, Send))
    assert b"RCPT TO:<tls@example.org>" in sent


def test_counts_survive_a_restart() -> None:
    world = World()
    world.until(NOON + 600)
    (kept,) = [each for each in world.done if isinstance(each, KeptFile) and each.path == PATH]
    other = TransportNode(ORGANISATION, "mail1", RecoveredQueue((), 2, {}), random.Random(1))
    other.restore_counts(kept.data)
    assert other.deadline() is not None


def test_a_stop_waits_for_no_report() -> None:
    world = World()
    world.node.stopping(world.now)
    world.now += 60.0
    world.node.timer(world.now)
    deadline = world.node.deadline()
    assert deadline is None or deadline > world.now
