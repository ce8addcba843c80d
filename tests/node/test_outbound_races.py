"""What goes wrong while mail leaves: full disks, lost notes, changes, clocks, next hops that boast."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Connect
from node.next_hops import ORGANISATION, Hop, Talk, World, data_of, queued


def refused(_: Connect) -> str:
    return "the connection was refused"


def fail_writes(world: World) -> None:
    """Let the disk be full for all that is to be written now."""
    commits, world.commits = world.commits, []
    for writes in commits:
        world.do(world.node.queue_failed, writes, Unavailable("full"))


def test_a_line_survives_a_disk_that_is_full_for_long() -> None:
    world = World(queued(1, "bob@other.test"))
    world.make_hop = refused
    for _ in range(3):
        fail_writes(world)
        world.now += 31.0
        world.do(world.node.timer)
    world.settle()
    assert world.event_ids() == ["LOAD", "DEFER"]


def test_nothing_more_is_sent_while_it_cannot_be_written_down_what_was() -> None:
    world = World(*(queued(n, "bob@other.test") for n in range(1, 60)))
    world.commit()
    hop = Hop()
    world.make_hop = lambda _: hop
    hop.heard_all = lambda: fail_writes(world)  # type: ignore[method-assign]  # full from the first message on
    for _ in range(20):
        world.move()
        fail_writes(world)
        world.now += 31.0
        world.do(world.node.timer)
    assert 0 < len(hop.taken) < 30  # those that were under way
    assert len(world.noted) == len(hop.taken)
    hop.heard_all = lambda: None  # type: ignore[method-assign]  # there is room again
    world.settle()
    world.wait(60.0)
    assert len(hop.taken) == 59
    assert not world.disk
    assert world.noted == []


def test_notes_of_an_earlier_life_stay_until_it_is_written_down_which_messages_they_name() -> None:
    world = World(queued(1, "bob@other.test"), in_flight=(1,))
    world.noted = [1]
    world.make_hop = refused
    fail_writes(world)
    world.settle()
    assert world.noted == [1]
    world.wait(31.0)
    assert world.noted == []


def test_a_host_that_offers_chunking_and_does_not_know_it_gets_data_from_then_on() -> None:
    world = World(*(queued(n, "bob@other.test") for n in range(1, 4)))

    class Boastful(Hop):
        def command(self, talk: Talk, line: str) -> bytes:
            answer = super().command(talk, line)
            if line.startswith("EHLO"):
                return answer.replace(b"250-", b"250-CHUNKING\r\n250-", 1)
            return b"502 5.5.1 what\r\n" if line.startswith("BDAT") else answer

    hop = Boastful()
    world.make_hop = lambda _: hop
    world.settle()
    world.wait(130.0)
    assert not world.disk
    assert sorted(hop.taken) == [data_of(n) for n in range(1, 4)]
    assert world.ledger()[0] == 0


def test_what_is_given_back_after_its_connector_was_removed_finds_another_way() -> None:
    world = World(*(queued(n, "bob@other.test") for n in range(1, 5)))
    hop = Hop()
    hop.answers["message"] = "silence"
    world.make_hop = lambda _: hop
    world.settle()
    (before,) = ORGANISATION.send_connectors
    after = replace(ORGANISATION, send_connectors=(replace(before, name="new"),))
    world.do(world.node.organisation_changed, after)
    hop.answers.clear()
    for number in list(world.hops):
        del world.hops[number]
        world.do(world.node.connection_lost, ConnectionId(number), "the connection was reset")
    world.settle()
    world.wait(130.0)
    assert not world.disk
    assert world.ledger()[0] == 0


def test_a_clock_that_was_wrong_for_one_message_holds_up_the_age_of_no_other() -> None:
    ahead = 1_700_000_000.0 + 400 * 86400.0
    world = World(queued(1, "bob@other.test", at=ahead), queued(2, "bob@other.test"))
    world.make_hop = refused
    world.move()
    world.wait(2 * 86400.0 + 700.0)
    assert world.event_ids().count("FAIL") == 2
    assert 1 not in world.disk
    assert 2 not in world.disk


class Few(Hop):
    """Takes one recipient of each message, and says to each of the others that it has had enough."""

    words = "452 4.5.3 <{}>: too many recipients"

    def command(self, talk: Talk, line: str) -> bytes:
        if line.startswith("RCPT") and talk.recipients:
            return self.words.format(line.partition("<")[2].partition(">")[0]).encode() + b"\r\n"
        return super().command(talk, line)


@pytest.mark.parametrize(
    "words",
    [
        # A reply that names each recipient made all but the last of them wait until the next start.
        "452 4.5.3 <{}>: too many recipients",
        # RFC 5321 section 4.5.3.1.10: without a status of its own, and as RFC 821 had it.
        "452 too many recipients",
        "552 too many recipients",
        "552 5.5.3 {} is one too many",
    ],
)
def test_whatever_way_a_next_hop_says_too_many_recipients_all_of_them_get_the_message(words: str) -> None:
    names = tuple(f"{name}@other.test" for name in "abcdef")
    world = World(queued(1, *names))
    hop = Few()
    hop.words = words
    world.make_hop = lambda _: hop
    world.settle()
    assert len(hop.taken) == len(names)
    assert not world.disk
    assert set(world.event_ids()) == {"LOAD", "SEND"}


def test_a_recipient_that_is_refused_alone_with_552_fails() -> None:
    world = World(queued(1, "a@other.test", "full@other.test"))
    hop = Hop()
    hop.rcpt = {"full@other.test": "552 mailbox full"}
    world.make_hop = lambda _: hop
    world.settle()
    assert hop.taken == [data_of(1)]
    assert world.event_ids().count("FAIL") == 1


def test_too_many_recipients_of_a_message_that_is_put_off_are_tried_again() -> None:
    world = World(queued(1, "a@other.test", "b@other.test"))
    hop = Few()
    hop.words = "552 too many recipients"
    hop.answers["message"] = "451 4.7.1 greylisted"
    world.make_hop = lambda _: hop
    world.settle()
    assert set(world.disk[1].recipients) == {"a@other.test", "b@other.test"}
    hop.answers.clear()
    world.wait(1000.0)
    assert len(hop.taken) == 2
    assert not world.disk
