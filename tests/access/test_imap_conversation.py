"""What commands share: refusals of the store, sets of messages, news."""

from __future__ import annotations

import pytest

from holdfast.access.imap_conversation import Conversation, SessionSettings
from holdfast.wire import store

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


def test_password_only_over_tls_or_from_this_machine() -> None:
    for tls_active, local_client, allowed in [
        (False, False, False),
        (True, False, True),
        (False, True, True),
    ]:
        conversation = Conversation(
            SessionSettings(), tls_active=tls_active, tls_offered=True, local_client=local_client
        )
        assert conversation.password_allowed is allowed


@pytest.mark.parametrize("reason", list(store.RefusalReason))
def test_refusal_of_the_store_becomes_a_code(reason: store.RefusalReason, world) -> None:
    client = world.sign_in()
    world.refusals[store.ListFolders] = store.Refused(reason, "That is\r\n* BYE für you.")
    assert client.do('t LIST "" *') == [f"t NO [{reason.value}] LIST failed. That is * BYE f?r you."]


def test_news_that_cannot_be_read_now_come_later(world) -> None:
    client, other = world.sign_in(), world.sign_in()
    client.do("t SELECT INBOX")
    other.append("INBOX", MESSAGE)
    world.refusals[store.ReadChanges] = store.Refused(store.RefusalReason.UNAVAILABLE, "later")
    assert client.do("t NOOP") == ["t OK NOOP completed."]
    world.refusals.clear()
    assert client.do("t NOOP")[0] == "* 1 EXISTS"


def test_folder_that_is_gone_ends_the_session(world) -> None:
    client, other = world.sign_in(), world.sign_in()
    client.do("t CREATE a")
    client.do("t SELECT a")
    other.do("t DELETE a")
    assert client.do("t NOOP") == ["* BYE Selected mailbox has been deleted"]
    assert client.closed
    client = world.sign_in()
    client.do("t SELECT INBOX")
    world.refusals[store.ReadChanges] = store.Refused(store.RefusalReason.NONEXISTENT, "gone")
    assert client.do("t NOOP") == ["* BYE Selected mailbox has been deleted"]


def test_number_of_a_message_that_came_just_now(world) -> None:
    client, other = world.sign_in(), world.sign_in()
    client.do("t SELECT INBOX")
    other.append("INBOX", MESSAGE)
    assert client.do("t FETCH 1 UID") == [
        "* 1 EXISTS",
        "* 1 RECENT",
        "* 1 FETCH (UID 1)",
        "t OK FETCH completed.",
    ]
    assert client.do("t FETCH 2 UID") == ["t BAD FETCH failed. Invalid messageset."]


def test_expunge_waits_while_the_client_counts(world) -> None:
    client, other = world.sign_in(), world.sign_in()
    for _ in range(3):
        client.append("INBOX", MESSAGE)
    client.do("t SELECT INBOX")
    other.do("t SELECT INBOX")
    other.do("t STORE 1 FLAGS.SILENT (\\Deleted)")
    other.do("t EXPUNGE")
    for command in ("FETCH 2 UID", "SEARCH 2", "STORE 2 +FLAGS.SILENT (\\Seen)"):
        assert not any("EXPUNGE" in line for line in client.do(f"t {command}"))
    assert client.do("t UID FETCH 3 UID")[1] == "* 1 EXPUNGE"
    assert client.do("t FETCH 2 UID")[0] == "* 2 FETCH (UID 3)"
