"""What all sessions hold of messages while clients do not read."""

from __future__ import annotations

import pytest

from holdfast.access import imap_reading
from holdfast.access.imap_reading import pieces_of
from holdfast.wire import store

SIZE = 3 << 20


def test_a_range_is_cut_into_pieces() -> None:
    size = imap_reading.PIECE_BYTES
    assert list(pieces_of(5, 2 * size + 1)) == [(5, size), (5 + size, size), (5 + 2 * size, 1)]
    assert list(pieces_of(5, 0)) == []


@pytest.mark.parametrize(
    "items", ["BODY.PEEK[]", "RFC822", "(BODY.PEEK[1] BODYSTRUCTURE)", "BODY.PEEK[]<1.9999999>"]
)
def test_clients_that_do_not_read_make_us_hold_a_piece_each(items: str, world) -> None:
    message = b"Subject: big\r\n\r\n" + b"x" * SIZE
    clients = [world.sign_in() for _ in range(12)]
    clients[0].append("INBOX", message)
    for client in clients:
        client.do("t SELECT INBOX")
        client.sends.clear()
    world.hold_drain = True
    for client in clients:
        client.send(f"t FETCH 1:* {items}\r\n".encode())
    assert all(sum(client.sends) < 2 * imap_reading.PIECE_BYTES for client in clients)
    assert world.node._budget.used_bytes <= 12 * imap_reading.PIECE_SHARE_BYTES
    for client in clients[1:]:
        client.drop()
    assert world.node._budget.used_bytes == imap_reading.PIECE_SHARE_BYTES
    while world.held:
        world.drain_one()
    assert b"x" * 1000 in clients[0].inbox
    assert clients[0].lines()[-1] == "t OK FETCH completed."
    assert world.node._budget.used_bytes == 0


def test_who_wants_a_body_waits_for_a_turn_and_others_go_on(make_world) -> None:
    world = make_world()
    alice = [world.sign_in() for _ in range(40)]
    bob = world.sign_in("bob@example.test")
    for client in (alice[0], bob):
        client.append("INBOX", b"Subject: big\r\n\r\n" + b"x" * (1 << 20))
    for client in (*alice, bob):
        client.do("t SELECT INBOX")
        client.sends.clear()
    world.hold_drain = True
    for client in alice:
        client.send(b"t FETCH 1 BODY.PEEK[]\r\n")
    served = [client for client in alice if client.sends]
    assert len(served) == 28, "a quarter of what there is for one mailbox"
    waiting = next(client for client in alice if not client.sends)
    bob.send(b"t FETCH 1 BODY.PEEK[]\r\n")
    assert bob.sends, "another mailbox has its own"
    served[0].drop()
    assert waiting.sends, "the next one's turn"


def test_search_in_a_large_message_holds_it_for_a_moment(world) -> None:
    client = world.sign_in()
    client.append("INBOX", b"Subject: big\r\n\r\n" + b"x" * SIZE + b" needle")
    client.append("INBOX", b"Subject: small\r\n\r\nneedle")
    client.do("t SELECT INBOX")
    world.operations.clear()
    assert client.do("t SEARCH BODY needle")[0] == "* SEARCH 1 2"
    asked = [each.bytes_max for each in world.operations if isinstance(each, store.FetchMessages)]
    assert asked.count(0) == 1, "one message was read whole"
    assert world.node._budget.used_bytes == 0
    world.refusals[store.FetchMessages] = store.Refused(store.RefusalReason.UNAVAILABLE, "away")
    assert client.do("t SEARCH BODY needle")[-1].startswith("t NO [UNAVAILABLE]")
    assert world.node._budget.used_bytes == 0
