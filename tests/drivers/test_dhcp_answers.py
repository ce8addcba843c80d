"""What the dhcp role tells management of its leases."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
import pytest

from dhcp.conversations import NOW, Client, World, organisation, reservation, scope
from holdfast.dhcp.moving import LeaseState as ArrivingState
from holdfast.dhcp.moving import MovedLease
from holdfast.drivers import dhcp_answers
from holdfast.drivers.dhcp_answers import DhcpAnswers
from holdfast.drivers.dhcp_requests import (
    COUNT_SCOPES,
    IMPORT_LEASES,
    LIST_LEASES,
    REMOVE_LEASES,
    RETRY_DNS,
    SHOW_DNS,
    SHOW_POOL,
    DnsQuestion,
    ImportLeases,
    LeaseQuestion,
    Leases,
    LeasesImported,
    PoolQuestion,
    RemoveLeases,
)
from holdfast.drivers.role_requests import Nothing, RequestKind
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.node.dhcp import CommitLeases, DhcpNode

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Role:
    """A node with some leases, and a disk that may be full."""

    def __init__(self) -> None:
        declared = organisation(
            scope(), scope("lab", "10.5.0.0/16", "10.5.0.10-10.5.200.0"),
            reservations=(reservation("10.0.0.12", "02:00:00:00:00:03"),),
        )  # fmt: skip
        world = World(declared)
        for number in range(4):
            Client(number).gets(world, {12: b"Host-%d" % number, 82: b"\x01\x01p"})
        self.node = DhcpNode(declared, "ns1", list(world.disk.values()))
        self.disk_is_full = False
        self.answers = DhcpAnswers(self.node, self.drain, lambda: NOW)
        self.answers.clock_offset_s = 100.0

    def drain(self) -> None:
        while self.node.outputs:
            outputs, self.node.outputs = self.node.outputs, []
            for output in outputs:
                if isinstance(output, CommitLeases):
                    if self.disk_is_full:
                        self.node.commit_failed(NOW, "disk full")
                    else:
                        self.node.leases_committed(NOW)

    def ask(self, kind: RequestKind[Question, Answer], question: Question) -> Answer:
        return kind.ask(lambda _, verb, body: asyncio.run(self.answers.answer(verb, body)), question)


def found(leases: Leases) -> list[str]:
    return [each.address for each in leases.leases]


def test_leases_by_everything_that_is_known_of_them() -> None:
    role = Role()
    every = role.ask(LIST_LEASES, LeaseQuestion())
    assert found(every) == ["10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13"]
    first = every.leases[0]
    assert (first.scope, first.state, first.mac, first.host_name, first.relay, first.reserved) == (
        "office", "active", "02:00:00:00:00:00", "Host-0", "01:01:70", False,
    )  # fmt: skip
    assert first.ends_at == NOW + 3602 + 100
    for question, addresses in (
        (LeaseQuestion(host_name="host-1"), ["10.0.0.11"]),
        (LeaseQuestion(mac="02000000"), found(every)),
        (LeaseQuestion(mac="020000000003"), ["10.0.0.12"]),
        (LeaseQuestion(scopes=("lab",)), []),
        (LeaseQuestion(states=("declined",)), []),
        (LeaseQuestion(addresses=("10.0.0.11", "10.0.0.99", "x")), ["10.0.0.11"]),
        (LeaseQuestion(after="10.0.0.11"), ["10.0.0.12", "10.0.0.13"]),
    ):
        assert found(role.ask(LIST_LEASES, question)) == addresses, question
    assert role.ask(LIST_LEASES, LeaseQuestion(mac="020000000003")).leases[0].reserved


def test_many_leases_in_pieces_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dhcp_answers, "PIECE_COUNT", 7)
    role = Role()
    for number in range(150):
        lease = role.node.server.table.leases[0x0A00000A]
        role.node.server.put(lease._replace(address=0x0A05000A + number, hardware=b"\x01%06d" % number))
    seen: list[str] = []
    after = ""
    while True:
        answer = role.ask(LIST_LEASES, LeaseQuestion(scopes=("lab",), after=after, count_max=20))
        seen += found(answer)
        if not answer.more:
            break
        after = seen[-1]
    assert len(seen) == len(set(seen)) == 150


def test_a_list_goes_on_in_its_order_and_begins_anew_later() -> None:
    role = Role()
    first = role.ask(LIST_LEASES, LeaseQuestion(count_max=1))
    assert first.more
    lease = role.node.server.table.leases[0x0A00000A]
    role.node.server.put(lease._replace(address=0x0A05000A, hardware=b"\x01late__"))
    after = found(first)[-1]
    assert "10.5.0.10" not in found(role.ask(LIST_LEASES, LeaseQuestion(after=after)))
    # That was the last piece: the order is made again.
    assert "10.5.0.10" in found(role.ask(LIST_LEASES, LeaseQuestion(after=after)))


def test_offers_are_shown_and_pools_counted() -> None:
    role = Role()
    state = role.node.server.table.scopes[0]
    state.offers.make(b"\x01" + Client(9).mac, 0x0A00000F, NOW + 60)
    (offered,) = role.ask(LIST_LEASES, LeaseQuestion(states=("offered",))).leases
    assert (offered.address, offered.mac, offered.ends_at) == ("10.0.0.15", "02:00:00:00:00:09", NOW + 160)
    runs = role.ask(SHOW_POOL, PoolQuestion("office")).runs
    assert [(each.first & 0xFF, each.last & 0xFF, each.state) for each in runs] == [
        (10, 13, "active"), (15, 15, "offered"),
    ]  # fmt: skip
    office, lab = role.ask(COUNT_SCOPES, Nothing()).scopes
    assert (office.active_count, office.offered_count, office.declined_count, office.free_count) == (
        4,
        1,
        0,
        5,
    )
    assert lab.free_count == 51191
    with pytest.raises(Refusal, match='does not lease scope "none"'):
        role.ask(SHOW_POOL, PoolQuestion("none"))


def test_leases_are_removed_durably_or_not_at_all() -> None:
    role = Role()
    role.disk_is_full = True
    with pytest.raises(Unavailable, match="nothing was removed"):
        role.ask(REMOVE_LEASES, RemoveLeases(("10.0.0.10",)))
    role.disk_is_full = False
    answer = role.ask(REMOVE_LEASES, RemoveLeases(("10.0.0.10", "10.0.0.77", "x")))
    assert (answer.removed, answer.unknown) == (("10.0.0.10",), ("10.0.0.77", "x"))
    assert "10.0.0.10" not in found(role.ask(LIST_LEASES, LeaseQuestion()))


def test_what_is_not_known_is_refused() -> None:
    role = Role()
    with pytest.raises(Refusal, match="another version"):
        asyncio.run(role.answers.answer("nonsense", b""))
    with pytest.raises(Refusal, match="not a request"):
        asyncio.run(role.answers.answer(LIST_LEASES.name, msgspec.msgpack.encode(7)))


def arriving(*addresses: int) -> tuple[MovedLease, ...]:
    """Leases to clients that nobody here knows, until a thousand seconds from now by the wall clock."""
    return tuple(
        MovedLease(each, ArrivingState.ACTIVE, 1, bytes((6, 0, 0, 0, 0, each & 255)), b"", 0.0, NOW + 1100.0)
        for each in addresses
    )


def test_leases_arrive_in_parts_and_all_at_once() -> None:
    role = Role()
    first, second = 0x0A000050, 0x0A050050
    assert role.ask(IMPORT_LEASES, ImportLeases("a", 0, False, arriving(first))) == LeasesImported(0, ())
    assert role.ask(LIST_LEASES, LeaseQuestion(addresses=("10.0.0.80",))).leases == ()
    taken = next(iter(role.node.server.table.leases))
    last = ImportLeases("a", 1, True, arriving(second, taken))
    done = role.ask(IMPORT_LEASES, last)
    assert (done.imported_count, len(done.kept)) == (2, 1)
    (shown,) = role.ask(LIST_LEASES, LeaseQuestion(addresses=("10.0.0.80",))).leases
    assert (shown.state, shown.mac, shown.ends_at) == ("active", "06:00:00:00:00:50", NOW + 1100.0)
    with pytest.raises(Refusal, match="a part of the import is missing"):
        role.ask(IMPORT_LEASES, last)


def test_leases_that_cannot_be_written_do_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    role = Role()
    role.disk_is_full = True
    question = ImportLeases("a", 0, True, arriving(0x0A000050))
    for _ in range(2):
        with pytest.raises(Unavailable, match="leases cannot be written now"):
            role.ask(IMPORT_LEASES, question)
    assert 0x0A000050 not in role.node.server.table.leases
    monkeypatch.setattr(dhcp_answers, "IMPORT_COUNT_MAX", 0)
    with pytest.raises(Refusal, match="import scope by scope"):
        role.ask(IMPORT_LEASES, question)


def test_how_names_in_dns_stand_is_told_and_zones_are_asked_at_once() -> None:
    role = Role()
    registrar = role.node.server.registrar
    registrar.zones.of_name("desk.example.test").failed(NOW, "answers REFUSED", 9005)
    state = role.ask(SHOW_DNS, DnsQuestion())
    assert (state.is_on, [(each.zone, each.reason) for each in state.zones]) == (
        False,
        [("example.test", "answers REFUSED")],
    )
    assert role.ask(RETRY_DNS, Nothing()).zone_count == 1
    assert registrar.zones.of_name("desk.example.test").is_open(NOW)
