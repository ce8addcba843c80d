"""Sign-in: who may, and how long a guesser waits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.access.sign_in import (
    FORGOTTEN_AFTER_S,
    LONGEST_WAIT_S,
    REMEMBERED_MAX,
    FailureMemory,
    PlainCredentials,
    account_of,
    find_mailbox,
    is_loopback,
    parse_plain,
)
from holdfast.directory.model import DistributionGroup, Mailbox, MailboxDatabase, Organisation
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId

ALICE = Mailbox("alice@example.test", MailboxId("a"), "db1", aliases=("al@example.test",))
GONE = Mailbox("gone@example.test", MailboxId("g"), "db1", enabled=False)
ORGANISATION = Organisation(
    mailboxes=(ALICE, GONE),
    mailbox_databases=(MailboxDatabase("db1", "mail1"),),
    distribution_groups=(DistributionGroup("all@example.test", ("alice@example.test",)),),
)


def test_waits_grow_after_the_free_failures_and_end() -> None:
    memory = FailureMemory()
    waits = []
    for _ in range(10):
        waits.append(memory.wait_s(0.0, "192.0.2.1", "alice"))
        memory.failed(0.0, "192.0.2.1", "alice")
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, LONGEST_WAIT_S]
    assert memory.wait_s(FORGOTTEN_AFTER_S + 1, "192.0.2.1", "alice") == 0


def test_source_and_account_count_each_for_itself() -> None:
    memory = FailureMemory()
    for number in range(6):
        memory.failed(0.0, "192.0.2.1", f"user{number}")
        memory.failed(0.0, f"192.0.2.{10 + number}", "Alice")
    assert memory.wait_s(0.0, "192.0.2.1", "somebody") == 2
    assert memory.wait_s(0.0, "198.51.100.1", "ALICE") == 2
    assert memory.wait_s(0.0, "198.51.100.1", "somebody") == 0


def test_success_clears_and_old_failures_start_anew() -> None:
    memory = FailureMemory()
    for _ in range(8):
        memory.failed(0.0, "192.0.2.1", "alice")
    memory.succeeded("192.0.2.1", "alice")
    assert memory.wait_s(0.0, "192.0.2.1", "alice") == 0
    for _ in range(5):
        memory.failed(0.0, "192.0.2.1", "alice")
    memory.failed(FORGOTTEN_AFTER_S + 1, "192.0.2.1", "alice")
    assert memory.wait_s(FORGOTTEN_AFTER_S + 1, "192.0.2.1", "alice") == 0


def test_memory_is_bounded() -> None:
    memory = FailureMemory()
    for number in range(REMEMBERED_MAX):
        memory.failed(0.0, f"source {number}", f"account {number}")
    assert len(memory._failures) == REMEMBERED_MAX


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("alice@example.test", ALICE),
        ("AL@Example.Test", ALICE),
        ("gone@example.test", None),
        ("all@example.test", None),
        ("nobody@example.test", None),
    ],
)
def test_who_may_sign_in(user: str, found: Mailbox | None) -> None:
    assert find_mailbox(ORGANISATION, user) is found


def test_account_of_a_mailbox() -> None:
    account = account_of(ORGANISATION, MailboxId("a"))
    assert account is not None
    assert (account.database, account.quota_bytes) == ("db1", 2_469_396_480)
    assert account_of(ORGANISATION, MailboxId("g")) is None
    assert account_of(ORGANISATION, MailboxId("x")) is None


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("fe80::1%eth0", False),
        ("192.0.2.1", False),
        ("no address", False),
    ],
)
def test_loopback(address: str, local: bool) -> None:
    assert is_loopback(address) is local


def test_plain_messages() -> None:
    assert parse_plain(b"\0alice\0secret") == PlainCredentials("", "alice", "secret")
    assert parse_plain(b"bob\0alice\0s e c") == PlainCredentials("bob", "alice", "s e c")
    assert parse_plain(b"alice\0secret") == PlainCredentials("", "alice", "secret")


@pytest.mark.parametrize(
    "message",
    [b"", b"alice", b"a\0b\0c\0d", b"\0\0secret", b"\0alice\0", b"\0\xff\0x", b"\0a\0" + b"x" * 2000],
)
def test_malformed_plain_messages_are_refused(message: bytes) -> None:
    with pytest.raises(Refusal):
        parse_plain(message)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_credentials_or_refused(message: bytes) -> None:
    try:
        credentials = parse_plain(message)
    except Refusal:
        return
    assert credentials.user
    assert credentials.password
