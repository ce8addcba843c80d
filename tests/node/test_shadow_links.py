from __future__ import annotations

from dataclasses import replace

from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Peer
from holdfast.wire import shadow
from node.pair import Pair

USER1 = "user1@example.test"


def linked() -> Pair:
    pair = Pair()
    pair.wait(1.0)
    return pair


def test_a_silent_partner_is_given_up_after_three_heartbeats_and_found_again() -> None:
    pair = linked()
    mail1, mail2 = pair.sides.values()
    pair.hold_wire = True
    pair.wait(7.0)
    assert not mail1.protection.usable("mail2")
    assert any("it was silent for 6 s" in each for each in mail1.log)
    pair.hold_wire = False
    pair._wire.clear()
    for side in (mail1, mail2):
        side.wires.clear()
    pair.wait(20.0)
    assert mail1.protection.usable("mail2")
    assert mail2.protection.usable("mail1")


def test_links_live_on_heartbeats_alone() -> None:
    pair = linked()
    mail1, _ = pair.sides.values()
    connection = mail1.node._shadows.links.out["mail2"].connection_id
    pair.wait(600.0)
    assert mail1.node._shadows.links.out["mail2"].connection_id == connection


def test_a_server_that_is_no_longer_declared_has_no_link() -> None:
    pair = linked()
    mail1, _ = pair.sides.values()
    pair.change(servers=(pair.organisation.servers[0], replace(pair.organisation.servers[1], certificate="")))
    pair.wait(1.0)
    assert not mail1.node._shadows.links.out
    assert mail1.send(USER1) == b""
    pair.move()
    assert mail1.said[1].startswith(b"250 ")  # one server alone: no copy is a matter


def test_a_stranger_is_not_told_that_there_are_shadow_copies() -> None:
    pair = linked()
    mail1, _ = pair.sides.values()
    peer = Peer("198.51.100.9", 1, "192.0.2.1", 26, tls=False)
    mail1.said[5] = b""
    mail1.do(mail1.node.connection_opened, ConnectionId(5), "in mail1", peer)
    mail1.say(b"EHLO x\r\n", 5)
    assert b"XHOLDFAST" not in mail1.said[5]
    assert mail1.say(b"XSHADOW 1 mail2 " + b"a" * 32 + b"\r\n", 5).startswith(b"500 ")


def test_nonsense_on_a_link_ends_it_and_a_new_one_begins() -> None:
    pair = linked()
    mail1, mail2 = pair.sides.values()
    links = mail2.node._shadows.links
    (incoming,) = links.incoming
    mail2.do(mail2.node.bytes_received, incoming, shadow.encode_frame(shadow.Pong()))
    assert any("not a frame of a primary" in each for each in mail2.log)
    pair.wait(5.0)
    assert mail1.protection.usable("mail2")


def test_much_that_is_not_answered_waits_here() -> None:
    pair = linked()
    mail1, mail2 = pair.sides.values()
    mail2.hold_commits = True
    big = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n"
    big += (b"y" * 70 + b"\r\n") * 50_000
    for number in range(1, 12):
        mail1.send(USER1, number=number, body=big)
    pair.move()
    assert 0 < len(mail2.node._shadows.held._primaries["mail1"].copies) < 11
    mail2.hold_commits = False
    pair.move()
    assert all(mail1.said[number].startswith(b"250 ") for number in range(1, 12))


def test_a_partner_that_comes_back_is_tried_at_once() -> None:
    pair = linked()
    mail1, mail2 = pair.sides.values()
    mail2.die()
    pair.wait(120.0)
    mail2.start()
    pair.wait(0.5)
    assert mail1.protection.usable("mail2")
