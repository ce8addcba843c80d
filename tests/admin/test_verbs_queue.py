"""The verbs about queues, asked of a real queue in memory as the transport role has it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.admin.verbs_queue import effects
from holdfast.directory.model import (
    AcceptedDomain,
    Mailbox,
    MailboxDatabase,
    Organisation,
    Resource,
    SendConnector,
    Server,
    Site,
)
from holdfast.drivers.queue_writer import QueueWriter
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.drivers.transport_requests import TransportRequests
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.node.administration import Administration
from holdfast.node.ports import CommitQueue, ReadQueued
from holdfast.node.transport import TransportNode
from holdfast.transport.back_pressure import BUILT_IN_THRESHOLDS, NO_PRESSURE, Level, Pressure, Reading
from holdfast.transport.queue import (
    AddMessage,
    HoldQueue,
    MarkMessage,
    QueuedMessage,
    RecoveredQueue,
)

NOW = 1_800_000_000.0
Call = Callable[..., Any]
COUNT = 1100  # several steps
_IMPORTED_MARKS = """
[[resource_threshold]]
resource = "queue-disk"
medium = 30
high = 40
high_to_medium = 35
medium_to_low = 20
"""


# Everything outside goes by DNS, alice's mail into her mailbox.
ORGANISATION = Organisation(
    servers=(Server("demo", "demo.example.test", "here", addresses=("192.0.2.1",)),),
    sites=(Site("here"),),
    accepted_domains=(AcceptedDomain("example.test"),),
    mailbox_databases=(MailboxDatabase("DB01", "demo"),),
    mailboxes=(Mailbox("alice@example.test", MailboxId("a" * 32), "DB01"),),
    send_connectors=(SendConnector("internet", ("*",), source_servers=("demo",)),),
)


def _message(number: int, recipient: str = "a@example.org", data: bytes | None = None) -> QueuedMessage:
    return QueuedMessage(
        number=number,
        network_message_id=NetworkMessageId(f"00000000-0000-4000-8000-{number:012d}"),
        received_at=NOW - 60,
        reverse_path="alice@example.test",
        recipients=(recipient,),
        size_bytes=9,
        data=data,
        message_id="<m>",
        subject="s",
        fingerprint=b"",
    )


class Transport:
    """The transport role without its process and its disk."""

    def __init__(self, world: Any) -> None:
        messages = tuple(_message(number) for number in range(1, COUNT + 1))
        self.node = TransportNode(ORGANISATION, "demo", RecoveredQueue(messages, 9000, {}), random.Random(1))
        self.node.started(NOW)
        self.written: list[MarkMessage | HoldQueue] = []
        self.commit_counts: list[int] = []
        requests = TransportRequests(self.node, self.drain)
        world.transport = lambda verb, body: asyncio.run(requests.answer(verb, body))

    @property
    def administration(self) -> Administration:
        return self.node.administration

    def mail_comes(self) -> None:
        """One message more for where the others go."""
        entry = self.node._queue.add(NOW, _message(self.node._queue.take_number()))
        self.node._delivery.route(NOW, entry, entry.remaining)

    def drain(self) -> None:
        outputs, self.node.outputs = self.node.outputs, []
        for output in outputs:
            if isinstance(output, CommitQueue):
                self.commit_counts.append(len(output.writes))
                self.written += [each for each in output.writes if isinstance(each, MarkMessage | HoldQueue)]
                self.node.queue_committed(NOW, output.writes)
            elif isinstance(output, ReadQueued):
                for number in output.numbers:
                    self.node.queued_read(NOW, number, b"Subject: s\r\n\r\n")
        if self.node.outputs:
            self.drain()


@pytest.fixture
def transport(world: Any) -> Transport:
    return Transport(world)


def test_the_queues_as_they_are(call: Call, transport: Transport, world: Any) -> None:
    shown = call("queue list")
    (row,) = shown.queues
    assert (shown.live, shown.message_count, world.warnings) == (True, COUNT, [])
    assert (row.queue, row.delivery_type, row.status, row.message_count) == (
        "dns:example.org",
        "dns",
        "ready",
        COUNT,
    )


def test_without_the_transport_role_the_database_is_read(call: Call, world: Any, tmp_path: Path) -> None:
    async def write() -> None:
        writer, _ = QueueWriter.open(tmp_path / "queue.sqlite", tmp_path / "tracking")
        committed = asyncio.Event()
        message = _message(1, "alice@example.test", b"x\r\n\r\n")
        writer.submit([AddMessage(message, "")], lambda *_: committed.set())
        await asyncio.wait_for(committed.wait(), 30)
        await asyncio.to_thread(writer.close, True)

    assert call("queue list").queues == []
    asyncio.run(write())
    shown = call("queue list")
    (row,) = shown.queues
    assert (shown.live, row.queue, row.status, row.message_count, row.oldest_s) == (
        False,
        "mailbox:DB01",
        "not running",
        1,
        60.0,
    )
    assert "the transport role is not running" in world.warnings[0]
    with pytest.raises(Unavailable, match="see: holdfast status"):
        call("queue show", queue="mailbox:DB01")


def test_a_queue_and_a_message_are_shown(call: Call, transport: Transport, world: Any) -> None:
    shown = call("queue show", queue="DNS:example.org", limit=2)
    assert (shown.queue, shown.connector, shown.message_count) == ("dns:example.org", "internet", COUNT)
    assert [row.number for row in shown.messages] == [1, 2]
    assert f"{COUNT} messages wait, the first 2 are shown" in world.warnings[0]
    shown = call("queue show", message="00000000-0000-4000-8000-000000000007")
    assert [(row.number, row.queue, row.recipients) for row in shown.messages] == [
        (7, "dns:example.org", ["a@example.org"])
    ]
    assert (shown.status, call("queue show", message="7").messages) == ("waiting", shown.messages)
    assert call("queue show", queue="poison").messages == []


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize(
    ("verb", "given", "text"),
    [
        ("queue show", {}, "name a queue"),
        ("queue show", {"queue": "dns:x"}, 'there is no queue "dns:x"'),
        ("queue show", {"queue": "dns:x", "message": "1"}, "not both"),
        ("queue show", {"message": "0" * 40}, "waits here"),
        ("queue show", {"message": "99999"}, "waits here"),
        ("queue hold", {}, "name a queue"),
        ("queue hold", {"queue": "dns:example.org", "message": ["1"]}, "not both"),
        ("queue hold", {"message": ["1", "x"]}, 'no message "x"'),
        ("queue release", {"queue": "dns:example.org"}, "is not held"),
        ("queue retry", {"queue": "poison"}, "waits for you"),
        ("queue remove", {"queue": "dns:x", "yes": True}, "no queue"),
        ("queue remove", {"queue": "dns:example.org"}, "add --yes"),
        ("queue redirect", {"queue": "dns:example.org"}, "name the host"),
        (
            "queue redirect",
            {"queue": "dns:example.org", "to": "not a host"},
            '"not a host" is no host .*domain',
        ),
        ("queue redirect", {"queue": "dns:example.org", "to": "mail2.example.org:0"}, "not a port"),
        ("queue redirect", {"queue": "dns:example.org", "to": "[::1"}, '"\\[::1" is no host .*literal'),
    ],
)
def test_what_cannot_be_done_is_said(call: Call, verb: str, given: dict[str, Any], text: str) -> None:
    with pytest.raises(Refusal, match=text):
        call(verb, **given)


def test_a_queue_is_held_released_and_tried_again(call: Call, transport: Transport) -> None:
    assert call("queue hold", queue="dns:example.org").message_count == COUNT
    assert call("queue list").queues[0].status == "suspended"
    assert call("queue release", queue="dns:example.org").done == "released"
    assert call("queue retry", queue="dns:example.org").done == "tried again"
    assert transport.written == [
        HoldQueue("dns:example.org", held=True),
        HoldQueue("dns:example.org", held=False),
    ]


def test_messages_are_held_and_released(call: Call, transport: Transport) -> None:
    assert call("queue hold", message=["3", "00000000-0000-4000-8000-000000000004"]).message_count == 2
    held = call("queue show", queue="held")
    assert [(row.number, row.state) for row in held.messages] == [(3, "held"), (4, "held")]
    assert call("queue show", message="3").status == "held"
    assert call("queue release", message=["3", "4"]).message_count == 2
    assert all(isinstance(write, MarkMessage) for write in transport.written)


def test_a_queue_is_removed_in_steps_with_progress(call: Call, transport: Transport, world: Any) -> None:
    with pytest.raises(Refusal) as raised:
        call("queue remove", queue="dns:example.org", no_bounce=True)
    assert f"{COUNT} messages would be given up for good; nobody is told" in raised.value.problems[0].text
    done = call("queue remove", queue="dns:example.org", yes=True)
    assert (done.done, done.message_count, done.busy_message_count) == ("removed with a bounce", COUNT, 0)
    assert [each[0] for each in world.progress] == [250, 500, 750, 1000, COUNT, COUNT]
    # Each with its bounce: senders of other mail are not made to wait for it.
    assert max(transport.commit_counts) < BUILT_IN_THRESHOLDS[Resource.UNCOMMITTED].medium
    assert {row.queue for row in call("queue list").queues if row.message_count} == {"mailbox:DB01"}


def test_messages_are_removed_without_a_bounce(call: Call, transport: Transport) -> None:
    with pytest.raises(Refusal) as raised:
        call("queue remove", message=["3", "4"])
    assert "2 messages would be given up for good; their senders get a bounce" in str(
        raised.value.problems[0]
    )
    done = call("queue remove", message=["3", "4"], no_bounce=True, yes=True)
    assert (done.done, done.message_count) == ("removed", 2)
    assert transport.node.queued_message_count == COUNT - 2


def test_the_hosts_of_a_queue_are_shown_with_how_they_are(call: Call, transport: Transport) -> None:
    call("queue redirect", queue="dns:example.org", to="192.0.2.9")
    (host,) = call("queue show", queue="smart-host:[192.0.2.9]").hosts
    assert (host.queue, host.host, host.address, host.port) == (
        "smart-host:[192.0.2.9]",
        "192.0.2.9",
        "192.0.2.9",
        25,
    )
    assert host.state in ("not tried yet", "up")
    assert call("queue show", queue="poison").hosts == []


def test_a_queue_is_redirected_and_back(call: Call, transport: Transport) -> None:
    done = call("queue redirect", queue="dns:example.org", to="Mail2.Example.ORG")
    assert (done.done, done.message_count) == ("redirected to mail2.example.org", COUNT)
    assert call("queue show", message="1").last_error == "redirected to mail2.example.org"
    assert call("queue redirect", message=["1"], undo=True).done == "no longer redirected"


@pytest.mark.parametrize(
    ("verb", "given"),
    [("queue redirect", {"to": "192.0.2.9"}), ("queue remove", {"yes": True, "no_bounce": True})],
)
def test_what_comes_while_a_queue_is_worked_off_stays(
    call: Call, transport: Transport, world: Any, verb: str, given: dict[str, Any]
) -> None:
    answer, steps = world.transport, []

    def answer_while_mail_comes(name: str, body: bytes) -> bytes:
        if name == verb.replace(" ", "."):
            steps.append(name)
            assert len(steps) < 10, "there is no end of it"
            transport.mail_comes()
        answered: bytes = answer(name, body)
        return answered

    world.transport = answer_while_mail_comes
    done = call(verb, queue="dns:example.org", **given)
    assert (done.message_count, done.busy_message_count) == (COUNT, 0)
    waiting = call("queue show", queue="dns:example.org").messages
    assert [row.number for row in waiting] == list(range(9000, 9000 + len(steps)))


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize("to", ["127.0.0.1:2525", "Demo.Example.Test:2525", "[::ffff:127.0.0.1]:2525"])
def test_mail_is_not_redirected_to_this_very_server(call: Call, to: str) -> None:
    for what in ({"queue": "dns:example.org"}, {"message": ["1"]}):
        with pytest.raises(Refusal, match=r"is this server itself \(receive connector \"internet\" listens"):
            call("queue redirect", to=to, **what)
    assert call("queue show", message="1").messages[0].queue == "dns:example.org"
    assert call("queue redirect", message=["1"], to="127.0.0.1:2599").message_count == 1


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("192.0.2.9", "[192.0.2.9]"),
        ("2001:DB8::9", "[2001:db8::9]"),
        ("[2001:DB8::9]:587", "[2001:db8::9]:587"),
        ("192.0.2.9:2525", "[192.0.2.9]:2525"),
        ("Mail2.Example.ORG:587", "mail2.example.org:587"),
        ("mail2.example.org:25", "mail2.example.org"),
    ],
)
def test_hosts_are_named_in_many_ways(call: Call, given: str, host: str) -> None:
    assert call("queue redirect", message=["2"], to=given).done == f"redirected to {host}"
    assert call("queue show", message="2").messages[0].queue == f"smart-host:{host}"


def test_back_pressure_is_shown(call: Call, transport: Transport) -> None:
    shown = call("pressure show")
    assert (shown.level, shown.effects) == ("low", ["none"])
    assert {row.value for row in shown.resources} == {None}
    readings = {Resource.QUEUE_DISK: Reading(97.0), Resource.SUBMISSION_QUEUE: Reading(15000)}
    transport.administration.sampled(NOW, readings)
    shown = call("pressure show")
    rows = {row.resource: row for row in shown.resources}
    assert shown.level == "high"
    assert (rows["queue-disk"].refuses, rows["submission-queue"].refuses) == ("yes", "after 299 looks more")
    assert (rows["queue-disk"].value, rows["queue-disk"].medium, rows["queue-disk"].unit) == (97.0, 96, "%")


def test_marks_below_the_present_use_say_what_they_would_do_and_want_a_yes(
    call: Call, transport: Transport, world: Any, store: DirectoryStore
) -> None:
    readings = {
        Resource.QUEUE_DISK: Reading(45.25, 1 << 40),
        Resource.SYSTEM_MEMORY: Reading(60.0),
        Resource.UNCOMMITTED: Reading(4.0),
    }
    transport.administration.sampled(NOW, readings)
    low = {"medium": "30", "high": "40", "high-to-medium": "35", "medium-to-low": "20"}
    for resource, given, told in (
        (
            "queue-disk",
            low,
            "queue-disk is at 45.25 % on this server now, which is high by these marks (medium from 30, high "
            "from 40); at once: mail from everybody is put off (452 4.3.1); nothing is routed anew",
        ),
        ("queue-disk", low | {"high": "50", "history-count": "30"}, "in 60 s: mail from outside is put off"),
        ("system-memory", low, "at once: nothing is routed anew by itself; no shadow copies are taken"),
        ("uncommitted", dict.fromkeys(low, "4"), "is at 4 messages on this server now, which is high by"),
    ):
        given = {key.replace("-", "_"): value for key, value in given.items()}
        with pytest.raises(Refusal, match="the change is dangerous") as caught:
            call("threshold set", resource=resource, **given)
        (problem,) = caught.value.problems
        assert told in problem.text
        assert problem.advice == "add --yes to do it all the same"
    with pytest.raises(Refusal, match="dangerous"):
        call(
            "organisation import",
            file=["one.toml", call("organisation export").text + _IMPORTED_MARKS],
        )
    high = {"medium": "98", "high": "99", "high_to_medium": "98", "medium_to_low": "97"}
    assert call("threshold set", resource="queue-disk", **high).applied  # nothing happens by these
    transport.administration.follow(store.read())
    # The disk fills; the built-in marks would put mail off.
    transport.administration.sampled(NOW, {Resource.QUEUE_DISK: Reading(97.5, 1 << 40)})
    with pytest.raises(Refusal, match="dangerous"):
        call("threshold remove", resource="queue-disk")
    assert call("threshold remove", resource="queue-disk", yes=True).applied
    world.transport = None
    assert call(
        "threshold set", resource="queue-disk", **{k.replace("-", "_"): v for k, v in low.items()}
    ).applied
    assert (
        "what these marks do to mail now is not known: the transport role is not running" in world.warnings[0]
    )


def test_what_back_pressure_does_in_words() -> None:
    assert effects(NO_PRESSURE) == ["none"]
    everything = Pressure(Level.HIGH, 55.0, True, True, True, True, True, "queue-disk is high at 99 %")
    assert effects(everything) == [
        "mail from everybody is put off (452 4.3.1): queue-disk is high at 99 %",
        "each message is answered 55 s later",
        "nothing is sent to next hops",
        "nothing is routed anew by itself",
        "no shadow copies are taken",
    ]
    assert "mail from outside" in effects(Pressure(Level.MEDIUM, refuse_outside=True))[0]
