"""The dhcp node: one commit at a time, answers after it, and what arrives meanwhile waits."""

from __future__ import annotations

from dhcp.conversations import LINK, NOW, Client, option, organisation, scope
from holdfast.dhcp.desk import Arrival
from holdfast.dhcp.lease import Lease
from holdfast.directory.dhcp import DhcpServer
from holdfast.node import dhcp
from holdfast.node.dhcp import (
    AskAddress,
    CommitLeases,
    DhcpLog,
    DhcpNode,
    DhcpOutput,
    SendReplies,
    UpdateDns,
    WriteRecords,
)
from holdfast.wire.dhcp4 import Message, encode_message, read_message
from holdfast.wire.dns_update import UpdateAnswer, UpdateOutcome


def node(*scopes: object, **more: object) -> DhcpNode:
    made = DhcpNode(organisation(*scopes, **more), "ns1", [])  # type: ignore[arg-type]  # passed on as they are
    made.links_changed([LINK])
    return made


def arrival(*messages: Message) -> list[Arrival]:
    return [Arrival(encode_message(each), 2, bytes(4), False) for each in messages]


def took(made: DhcpNode) -> list[DhcpOutput]:
    outputs, made.outputs = made.outputs, []
    return outputs


def kinds(outputs: list[DhcpOutput]) -> list[str]:
    return [type(each).__name__ for each in outputs]


def offered(made: DhcpNode, client: Client) -> str:
    made.datagrams_received(NOW, arrival(client.discover()))
    (output,) = took(made)
    assert isinstance(output, SendReplies)
    return ".".join(map(str, read_message(output.replies[0].data).yiaddr))


def test_offers_at_once_then_one_commit_then_all_acks() -> None:
    made = node()
    clients = [Client(number) for number in range(3)]
    addresses = [offered(made, each) for each in clients]
    batch = [each.select(address) for each, address in zip(clients, addresses, strict=True)]
    made.datagrams_received(NOW, arrival(*batch, Client(9).discover()))
    outputs = took(made)
    assert kinds(outputs) == ["SendReplies", "CommitLeases"]
    assert isinstance(outputs[1], CommitLeases)
    assert len(outputs[1].leases) == 3
    assert not made.idle()
    made.leases_committed(NOW)
    outputs = took(made)
    assert kinds(outputs) == ["SendReplies", "WriteRecords"]
    assert isinstance(outputs[0], SendReplies)
    assert [read_message(each.data).options[53] for each in outputs[0].replies] == [b"\x05"] * 3
    assert made.idle()


def test_what_arrives_during_a_commit_waits_and_is_bounded() -> None:
    made = node()
    client = Client(1)
    address = offered(made, client)
    made.datagrams_received(NOW, arrival(client.select(address)))
    took(made)
    made.datagrams_received(NOW, arrival(client.renew(address)) * (dhcp.INBOX_COUNT_MAX + 5))
    assert took(made) == []
    assert made.server.dropped == {"overload": 5}
    made.leases_committed(NOW)
    assert kinds(took(made)) == ["SendReplies", "WriteRecords", "CommitLeases"]


def test_a_commit_that_fails_answers_nobody_and_is_tried_every_second() -> None:
    made = node()
    client = Client(1)
    address = offered(made, client)
    made.datagrams_received(NOW, arrival(client.select(address)))
    took(made)
    made.commit_failed(NOW, "disk full")
    (said,) = took(made)
    assert isinstance(said, DhcpLog)
    assert (said.event.kind.event_id, said.event.fields["reply_count"]) == ("DHC-0201", 1)
    assert not made.durable
    made.datagrams_received(NOW, arrival(Client(2).discover()))
    assert took(made) == [], "nothing is offered that could not be given"
    # A request is tried all the same: it may be the first that works again.
    made.datagrams_received(NOW, arrival(client.select(address)))
    assert kinds(took(made)) == ["CommitLeases"]
    made.commit_failed(NOW, "disk full")
    assert took(made) == [], "said once"
    assert made.deadline() is not None
    made.timer(NOW + 0.5)
    assert took(made) == []
    made.timer(NOW + 1.1)
    (question,) = took(made)
    assert question == CommitLeases([])
    made.leases_committed(NOW + 1.1)
    assert kinds(took(made)) == ["DhcpLog"]
    assert made.durable
    assert offered(made, Client(2))


def test_a_change_during_a_commit_takes_effect_after_it() -> None:
    made = node()
    client = Client(1)
    address = offered(made, client)
    made.datagrams_received(NOW, arrival(client.select(address)))
    made.organisation_changed(NOW, organisation(scope(enabled=False)))
    assert made.server.table.scopes
    made.leases_committed(NOW)
    assert made.server.table.scopes == []


def test_a_probe_is_asked_for_and_its_answer_waits_for_a_commit() -> None:
    made = node(server=DhcpServer("ns1", probe_count=1))
    made.datagrams_received(NOW, arrival(Client(1).discover(), Client(2).discover()))
    first, second = took(made)
    assert isinstance(first, AskAddress)
    assert isinstance(second, AskAddress)
    made.probe_answered(NOW, first.probe.number, in_use=True)
    outputs = took(made)
    assert kinds(outputs) == ["DhcpLog", "CommitLeases"] or kinds(outputs) == [
        "AskAddress",
        "DhcpLog",
        "CommitLeases",
    ]
    made.probe_answered(NOW, second.probe.number, in_use=False)
    assert took(made) == []
    made.leases_committed(NOW)
    assert "SendReplies" in kinds(took(made))


def test_leases_are_ended_and_taken_away() -> None:
    made = node()
    client = Client(1)
    address = offered(made, client)
    made.datagrams_received(NOW, arrival(client.select(address)))
    made.leases_committed(NOW)
    took(made)
    number = next(iter(made.server.table.leases))
    assert made.take_away(NOW, [number, number + 1]) == [number]
    (output,) = took(made)
    assert isinstance(output, CommitLeases)
    made.leases_committed(NOW)
    (records,) = took(made)
    assert isinstance(records, WriteRecords)
    made.datagrams_received(NOW, arrival(client.select(address)))
    made.leases_committed(NOW)
    took(made)
    deadline = made.deadline()
    assert deadline is not None
    made.timer(deadline)
    assert kinds(took(made)) == ["CommitLeases"]


def test_what_was_durable_is_known_at_the_start() -> None:
    lease = Lease(0x0A00000A, 2, 0, b"\x01" + Client(1).mac, b"", int(NOW), int(NOW) + 99, int(NOW), int(NOW))
    made = DhcpNode(organisation(), "ns1", [lease])
    made.links_changed([LINK])
    assert offered(made, Client(1)) == "10.0.0.10"
    assert offered(made, Client(2)) == "10.0.0.11"


def test_what_cannot_be_served_is_said() -> None:
    made = node(scope(options=(option(3, "x"),)))
    assert kinds(took(made)) == ["DhcpLog"]


def test_names_are_registered_after_the_commit_and_what_came_of_it_waits_for_the_next() -> None:
    made = node(
        scope(options=(option(15, "example.test"),), dns_without_request=True),
        server=DhcpServer("ns1", dns_servers=("192.0.2.53",)),
    )
    client, name = Client(1), {12: b"desk"}
    made.datagrams_received(NOW, arrival(client.discover(name)))
    took(made)
    made.datagrams_received(NOW, arrival(client.select("10.0.0.10", name)))
    assert kinds(took(made)) == ["CommitLeases"]
    made.leases_committed(NOW)
    outputs = took(made)
    assert kinds(outputs) == ["SendReplies", "UpdateDns", "WriteRecords"]
    update = next(each.update for each in outputs if isinstance(each, UpdateDns))
    # Another client's lease is being written when the answer comes: it waits.
    made.datagrams_received(NOW, arrival(Client(2).discover()))
    made.datagrams_received(NOW, arrival(Client(2).select("10.0.0.11")))
    took(made)
    made.dns_answered(NOW, update.number, UpdateAnswer(UpdateOutcome.DONE))
    assert took(made) == []
    made.leases_committed(NOW)
    (reverse,) = [each.update for each in took(made) if isinstance(each, UpdateDns)]
    assert reverse.zone == "0.0.10.in-addr.arpa"
    made.dns_answered(
        NOW, reverse.number, UpdateAnswer(UpdateOutcome.FAILED, "192.0.2.53: answers REFUSED", 9005)
    )
    assert "DhcpLog" in kinds(took(made))
    assert made.retry_dns(NOW + 0.1) == 1
    assert "UpdateDns" in kinds(took(made))
