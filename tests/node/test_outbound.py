"""Connections to next hops: how many, what is given to each, and what becomes of messages when they fail."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import RequiredTls, SendConnector, SendTls
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Connect
from holdfast.transport.queue import Failure, NextHopKey
from holdfast.transport.tracking import parse_lines
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType
from node.next_hops import ORGANISATION, Hop, Talk, TlsHop, World, data_of, known, queued


def test_a_message_for_outside_is_handed_to_the_smart_host() -> None:
    world = World(queued(1, "bob@other.test"))
    hop = Hop()
    world.make_hop = lambda _: hop
    world.move()
    assert hop.taken == [data_of(1)]
    assert world.noted == [1]
    world.commit()
    assert world.noted == []
    assert not world.disk
    assert world.event_ids() == ["LOAD", "SEND"]


def test_a_connection_is_used_again_and_ends_when_nothing_is_left() -> None:
    world = World(*(queued(number, "bob@other.test") for number in range(1, 6)))
    made: list[Connect] = []

    def make(connect: Connect) -> Hop:
        made.append(connect)
        return Hop()

    world.make_hop = make
    world.settle()
    assert not world.disk
    assert len(made) < 5
    world.wait(10.0)
    assert world.node.idle()
    world.wait(300.0)
    assert world.node.deadline() is None


# --- a next hop that is away ----------------------------------------------------------------------


def refused(_: Connect) -> str:
    return "the connection was refused"


def test_a_queue_is_tried_again_by_schedule_and_goes_on_when_the_next_hop_is_back() -> None:
    world = World(queued(1, "bob@other.test"))
    tries: list[float] = []

    def away(_: Connect) -> str:
        tries.append(world.now)
        return "the connection was refused"

    world.make_hop = away
    world.move()
    world.wait(3 * 3600.0)
    waits = [round(second - first) for first, second in itertools.pairwise(tries)]
    assert waits[:12] == [60] * 4 + [300] * 6 + [600] * 2
    assert world.event_ids() == ["LOAD", "DEFER"]
    assert "TRN-0330" in world.log
    world.make_hop = lambda _: Hop()
    world.wait(700.0)
    assert world.event_ids()[-1] == "SEND"
    assert not world.disk
    world.wait(10.0)
    assert world.node.idle()


def test_what_waits_too_long_is_returned_and_its_sender_is_told_before_once() -> None:
    world = World(queued(1, "bob@other.test", sender="carol@elsewhere.test"))
    world.make_hop = refused
    world.move()
    world.wait(2 * 86400.0 + 700.0)
    assert world.event_ids().count("FAIL") == 1
    # Both reports wait for the same next hop.
    subjects = [each for each in world.disk.values() if each.reverse_path == ""]
    assert len(subjects) == 2
    assert world.ledger()[:2] == (0, 2)


def test_a_next_hop_that_refuses_us_at_the_door_is_tried_again() -> None:
    world = World(queued(1, "bob@other.test"))

    class Rude(Hop):
        def command(self, talk: Talk, line: str) -> bytes:
            return b"554 5.7.1 go away\r\n"

    world.make_hop = lambda _: Rude()
    world.move()
    assert world.disk[1].recipients == ("bob@other.test",)
    assert world.log == ["TRN-0104", "TRN-0370", "TRN-0330"]
    world.make_hop = lambda _: Hop()
    world.wait(61.0)
    assert not world.disk


# --- one message ------------------------------------------------------------------------------------


def test_recipients_are_settled_one_by_one() -> None:
    world = World(queued(1, "a@other.test", "b@other.test", "c@other.test"))
    hop = Hop()
    hop.rcpt = {"b@other.test": "550 5.1.1 no such user", "c@other.test": "450 4.2.0 greylisted"}
    world.make_hop = lambda _: hop
    world.settle()
    assert world.disk[1].recipients == ("c@other.test",)
    assert sorted(world.event_ids()[1:5]) == ["DEFER", "DSN", "FAIL", "SEND"]
    (waits,) = world.node.administration.show_message(world.now, "1").parts
    assert (waits.failure_count, waits.last_error) == (1, "192.0.2.9 said: 450 4.2.0 greylisted")
    hop.rcpt = {}
    world.wait(899.0)
    assert len(hop.taken) == 1
    world.wait(2.0)
    assert len(hop.taken) == 2
    assert 1 not in world.disk
    assert world.noted == []


def test_one_message_that_is_put_off_does_not_hold_the_others() -> None:
    world = World(queued(1, "slow@other.test"), *(queued(n, "bob@other.test") for n in range(2, 6)))
    hop = Hop()
    hop.rcpt = {"slow@other.test": "450 4.2.0 later"}
    world.make_hop = lambda _: hop
    world.settle()
    assert list(world.disk) == [1]
    assert len(hop.taken) == 4


def test_recipients_above_what_the_next_hop_takes_go_in_another_transaction_at_once() -> None:
    world = World(queued(1, "a@other.test", "b@other.test"))
    hop = Hop()
    hop.rcpt = {"b@other.test": "452 4.5.3 too many recipients"}
    world.make_hop = lambda _: hop
    hop.heard_all = hop.rcpt.clear  # type: ignore[method-assign]  # it changes its mind after a message
    world.settle()
    assert len(hop.taken) == 2
    assert not world.disk


def test_a_connection_lost_after_the_final_dot_makes_a_second_copy_and_says_so() -> None:
    world = World(queued(1, "bob@other.test"))
    hop = Hop()
    hop.answers["message"] = "silence"
    world.make_hop = lambda _: hop
    world.move()
    assert world.noted == [1]
    world.do(world.node.connection_lost, ConnectionId(-1), "the connection was reset")
    assert world.node.doubtful_message_count == 1
    assert world.noted == [1]  # a crash now would lose the line that counts it
    world.commit()
    assert world.noted == []
    assert "TRN-0331" in world.log
    hop.answers.clear()
    world.settle()
    assert world.event_ids()[:3] == ["LOAD", "DEFER", "DEFER"]
    world.wait(120.0)
    assert len(hop.taken) == 1
    assert not world.disk


def test_a_silent_next_hop_is_given_up() -> None:
    world = World(queued(1, "bob@other.test"))

    class Silent(Hop):
        def command(self, talk: Talk, line: str) -> bytes:
            return b""

    world.make_hop = lambda _: Silent()
    world.move()
    world.wait(301.0)
    assert "TRN-0330" in world.log
    assert list(world.disk) == [1]


# --- limits ------------------------------------------------------------------------------------------


def test_connections_are_bounded_and_carry_so_many_messages_each() -> None:
    connector = SendConnector(
        "out",
        ("*",),
        ("192.0.2.9",),
        message_count_per_connection_max=3,
        connection_count_per_domain_max=2,
    )
    organisation = replace(ORGANISATION, send_connectors=(connector,))
    world = World(*(queued(n, "bob@other.test") for n in range(1, 13)), organisation=organisation)
    hops: list[Hop] = []

    def make(_: Connect) -> Hop:
        hops.append(Hop())
        assert len(world.hops) <= 2
        return hops[-1]

    world.make_hop = make
    world.settle()
    world.wait(30.0)
    assert not world.disk
    assert all(len(hop.taken) <= 3 for hop in hops)
    assert all(hop.said[-1] == "QUIT" for hop in hops if len(hop.taken) == 3)


@pytest.mark.parametrize(
    "limits", [{"outbound_connection_count_max": 1}, {"outbound_connection_rate_max": 1}]
)
def test_the_limits_of_the_whole_server_let_queues_wait(limits: dict[str, int]) -> None:
    connectors = tuple(SendConnector(f"out{n}", (f"d{n}.test",), (f"192.0.2.{n}",)) for n in (1, 2))
    organisation = replace(ORGANISATION, send_connectors=connectors, **limits)  # type: ignore[arg-type]  # all int
    world = World(
        queued(1, "a@d1.test"),
        queued(2, "a@d2.test"),
        organisation=organisation,
    )
    world.settle()
    assert list(world.disk) == [2]
    world.wait(90.0)
    assert not world.disk


def test_a_connection_that_carried_all_it_may_is_replaced_without_counting_as_new() -> None:
    connector = replace(
        ORGANISATION.send_connectors[0],
        message_count_per_connection_max=2,
        connection_count_per_domain_max=1,
    )
    organisation = replace(ORGANISATION, send_connectors=(connector,), outbound_connection_rate_max=2)
    world = World(*(queued(n, "bob@other.test") for n in range(1, 13)), organisation=organisation)
    world.settle()
    assert not world.disk


def test_a_stop_ends_idle_connections_and_waits_for_answers() -> None:
    world = World(queued(1, "bob@other.test"))
    hop = Hop()
    hop.answers["message"] = "silence"
    world.make_hop = lambda _: hop
    world.move()
    world.do(world.node.stopping)
    assert not world.node.idle()
    world.do(world.node.bytes_received, ConnectionId(-1), b"250 2.0.0 ok\r\n")
    world.settle()
    assert world.node.idle()
    assert not world.disk


# --- what survives a crash -----------------------------------------------------------------------------


def test_what_was_in_flight_at_a_kill_is_told_of_and_sent_again() -> None:
    world = World(queued(1, "bob@other.test"), queued(2, "bob@other.test"), in_flight=(1, 99))
    world.noted = [1, 99]
    assert "TRN-0332" in world.log
    assert world.node.doubtful_message_count == 1
    world.settle()
    assert world.noted == []
    doubtful = [e for text in world.tracking for e in parse_lines(text) if "twice" in e.recipient_status]
    assert [e.internal_message_id for e in doubtful] == ["1"]
    assert not world.disk


def test_a_message_over_which_the_process_died_twice_is_set_aside_until_it_is_released() -> None:
    world = World(
        queued(1, "bob@other.test"),
        queued(2, "bob@other.test"),
        queued(3, "bob@other.test"),
        crash_counts={1: 2, 2: 1, 77: 5},
    )
    world.settle()
    assert list(world.disk) == [1]
    assert world.disk[1].marks.poison
    assert "TRN-0334" in world.log
    world.wait(5 * 86400.0)
    assert list(world.disk) == [1]
    assert "FAIL" not in world.event_ids()
    again = World(*world.disk.values(), crash_counts={1: 2})
    again.settle()
    assert list(again.disk) == [1]


def test_the_message_at_work_is_known_while_something_breaks() -> None:
    world = World(queued(1, "bob@other.test"))
    seen: list[int] = []

    class Broken(Exception):
        pass

    class BrokenRoutes:
        def route(self, recipient: str, size_bytes: int, redirect: str = "") -> Failure:
            seen.append(world.node.message_at_work)
            raise Broken

        def profile(self, key: NextHopKey) -> None:
            return None

    world.node._delivery.router = BrokenRoutes()
    with pytest.raises(Broken):
        world.node._delivery.route(world.now, world.node._queue[1], ("bob@other.test",))
    assert seen == [1]
    assert world.node.message_at_work == 1


# --- another organisation ---------------------------------------------------------------------------------


def test_mail_without_a_way_waits_until_there_is_one() -> None:
    nowhere = replace(ORGANISATION, send_connectors=())
    world = World(queued(1, "bob@other.test"), organisation=nowhere)
    world.settle()
    assert list(world.disk) == [1]
    world.do(world.node.organisation_changed, ORGANISATION)
    world.settle()
    assert not world.disk


def test_mail_that_waits_follows_another_connector() -> None:
    world = World(queued(1, "bob@other.test"))
    world.make_hop = refused
    world.move()
    connector = SendConnector("new", ("other.test",), ("192.0.2.77",))
    organisation = replace(ORGANISATION, send_connectors=(*ORGANISATION.send_connectors, connector))
    reached: list[str] = []

    def make(connect: Connect) -> Hop:
        reached.append(connect.address)
        return Hop()

    world.make_hop = make
    world.do(world.node.organisation_changed, organisation)
    world.settle()
    assert reached == ["192.0.2.77"]
    assert not world.disk


def test_mail_whose_connector_is_gone_is_unreachable_and_expires() -> None:
    world = World(queued(1, "bob@other.test"))
    world.make_hop = refused
    world.move()
    world.do(world.node.organisation_changed, replace(ORGANISATION, send_connectors=()))
    world.wait(2 * 86400.0 + 100.0)
    assert "FAIL" in world.event_ids()
    assert 1 not in world.disk


@given(st.lists(st.sampled_from(["ok", "4xx", "5xx", "drop", "dot", "down", "commit", "fail"]), max_size=25))
@settings(max_examples=60, deadline=None)
def test_no_weather_of_next_hops_loses_mail(weather: list[str]) -> None:
    world = World(*(queued(n, f"u{n}@other.test", "x@other.test") for n in range(1, 6)))
    hop = Hop()
    up = True
    world.make_hop = lambda _: hop if up else "the connection was refused"
    for each in weather:
        up = each != "down"
        hop.answers.pop("message", None)
        hop.rcpt = {}
        if each == "4xx":
            hop.rcpt = {"x@other.test": "450 4.2.0 later"}
        elif each == "5xx":
            hop.rcpt = {"u1@other.test": "550 5.1.1 no"}
        elif each == "dot":
            hop.answers["message"] = "silence"
        if each == "fail":
            commits, world.commits = world.commits, []
            for writes in commits:
                world.do(world.node.queue_failed, writes, Unavailable("full"))
        elif each == "commit":
            world.commit()
        else:
            world.move()
        if each in ("drop", "dot"):
            for number in list(world.hops):
                world.do(world.node.connection_lost, ConnectionId(number), "the connection was reset")
            world.hops.clear()
        world.now += 70.0
        world.do(world.node.timer)
    up = True
    hop.answers.clear()
    hop.rcpt = {}
    world.settle()
    world.wait(3 * 3600.0)
    world.settle()
    assert all(not message.reverse_path for message in world.disk.values())  # bounces to our own user
    assert world.ledger()[:1] == (0,)
    assert world.noted == []


# --- names and TLS ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [None, "the handshake failed"])
def test_where_nobody_demands_tls_its_failure_costs_a_connection_and_no_mail(problem: str | None) -> None:
    world = World(queued(1, "bob@other.test"))
    world.tls_problem = problem
    hop = TlsHop()
    world.make_hop = lambda _: hop
    world.settle()
    assert len(hop.taken) == 1
    assert hop.said.count("STARTTLS") == 1
    assert not world.disk


def test_where_tls_is_demanded_nothing_is_sent_without_it() -> None:
    connector = SendConnector("out", ("*",), ("192.0.2.9",), tls=SendTls.ENCRYPTED)
    world = World(
        queued(1, "bob@other.test"), organisation=replace(ORGANISATION, send_connectors=(connector,))
    )
    world.tls_problem = "the handshake failed"
    hop = TlsHop()
    world.make_hop = lambda _: hop
    world.settle()
    assert hop.taken == []
    assert list(world.disk) == [1]
    assert "TRN-0330" in world.log
    world.tls_problem = None
    world.wait(61.0)
    assert len(hop.taken) == 1


ONE_AT_A_TIME = SendConnector("out", ("*",), ("192.0.2.9",), connection_count_per_domain_max=1)


@pytest.mark.parametrize(
    ("change", "connection_count"),
    [
        ({"name": "another name"}, 1),
        ({"send_connectors": (replace(ONE_AT_A_TIME, tls=SendTls.ENCRYPTED),)}, 2),
        ({"send_connectors": (replace(ONE_AT_A_TIME, fqdn="new.example.test"),)}, 2),
        ({"required_tls": (RequiredTls("other.test"),)}, 2),
        ({"dane": False}, 2),
    ],
)
def test_a_connection_that_stands_is_not_used_where_another_kind_is_asked_for_now(
    change: dict[str, object], connection_count: int
) -> None:
    # Found with Postfix: the connection had been made in the clear, and TLS was required from now on.
    organisation = replace(ORGANISATION, message_retry_s=2.0, send_connectors=(ONE_AT_A_TIME,))
    world = World(queued(1, "bob@other.test"), queued(2, "late@other.test"), organisation=organisation)
    hop = Hop()
    hop.rcpt["late@other.test"] = "450 4.2.0 later"
    made: list[Connect] = []

    def make(connect: Connect) -> Hop:
        made.append(connect)
        return hop

    world.make_hop = make
    world.settle()
    assert (len(hop.taken), len(made)) == (1, 1)
    hop.rcpt.clear()
    world.do(world.node.organisation_changed, replace(organisation, **change))  # type: ignore[arg-type]  # fields of it
    world.wait(3.0)
    assert len(made) == connection_count


BY_DNS = replace(ORGANISATION, send_connectors=(SendConnector("dns", ("*",)),))


def test_a_domain_is_looked_up_once_for_all_that_waits() -> None:
    world = World(*(queued(n, "bob@other.test") for n in range(1, 4)), organisation=BY_DNS)
    world.names = known(
        ("other.test", RecordType.MX, MxRecord(10, "mx.other.test")),
        ("mx.other.test", RecordType.A, "203.1.113.9"),
    )
    reached: list[str] = []

    def make(connect: Connect) -> Hop:
        reached.append(connect.address)
        return Hop()

    world.make_hop = make
    world.settle()
    assert set(reached) == {"203.1.113.9"}
    assert not world.disk


def test_mail_for_a_domain_that_is_not_there_is_returned() -> None:
    world = World(queued(1, "bob@nowhere.test"), organisation=BY_DNS)
    world.settle()
    assert 1 not in world.disk
    assert "FAIL" in world.event_ids()


def test_a_domain_whose_names_cannot_be_asked_for_is_tried_again() -> None:
    world = World(queued(1, "bob@other.test"), organisation=BY_DNS)
    question = Question("other.test", RecordType.MX)
    world.names = {question: Answer(question, Outcome.FAILED, ttl_s=5.0, reason="SERVFAIL")}
    world.settle()
    assert list(world.disk) == [1]
    assert "TRN-0330" in world.log
    world.names = known(
        ("other.test", RecordType.MX, MxRecord(10, "mx.other.test")),
        ("mx.other.test", RecordType.A, "203.1.113.9"),
    )
    world.wait(121.0)
    assert not world.disk


def test_the_mail_of_other_domains_goes_to_a_host_that_lacks_the_tls_which_one_domain_needs() -> None:
    organisation = replace(BY_DNS, required_tls=(RequiredTls("strict.test", SendTls.ENCRYPTED),))
    hosted = [(each, RecordType.MX, MxRecord(10, "mx.hoster.test")) for each in ("strict.test", "other.test")]
    names = known(*hosted, ("mx.hoster.test", RecordType.A, "203.1.113.9"))
    world = World(queued(1, "bob@strict.test"), queued(2, "bob@other.test"), organisation=organisation)
    world.names = names
    hop = Hop()  # without STARTTLS
    world.make_hop = lambda _: hop
    world.settle()
    assert list(world.disk) == [1]
    assert any("4.7.5" in line for line in world.tracking)
    hop = TlsHop()
    world.wait(61.0)
    assert not world.disk


def test_a_host_without_the_tls_that_is_needed_is_passed_over_for_the_next_one() -> None:
    organisation = replace(BY_DNS, required_tls=(RequiredTls("strict.test", SendTls.ENCRYPTED),))
    world = World(*(queued(n, "bob@strict.test") for n in range(1, 4)), organisation=organisation)
    mx = Question("strict.test", RecordType.MX)
    exchangers = (MxRecord(10, "old.strict.test"), MxRecord(20, "new.strict.test"))
    world.names = known(
        ("old.strict.test", RecordType.A, "203.1.113.9"), ("new.strict.test", RecordType.A, "203.1.113.10")
    ) | {mx: Answer(mx, Outcome.FOUND, exchangers, mx.name, ttl_s=300.0)}
    hops = {"203.1.113.9": Hop(), "203.1.113.10": TlsHop()}
    world.make_hop = lambda connect: hops[connect.address]
    world.settle()
    assert not world.disk
    assert len(hops["203.1.113.10"].taken) == 3


def test_a_next_hop_that_says_no_more_is_left() -> None:
    world = World(queued(1, "bob@other.test"))
    hop = Hop()
    hop.answers["message"] = "silence"
    world.make_hop = lambda _: hop
    world.move()
    world.do(world.node.connection_ended, ConnectionId(-1))
    assert world.node.doubtful_message_count == 1
    hop.answers.clear()
    world.wait(120.0)
    assert not world.disk
