"""Mailbox verbs on a real directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.admin.context import Usage
from holdfast.drivers.passwords import verify_password
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId

Call = Callable[..., Any]


def test_add_makes_a_mailbox_with_a_password_that_is_shown_once(call: Call, store: DirectoryStore) -> None:
    added = call(
        "mailbox add", address="carol@example.test", quota="2GB", alias=["c@example.test"], why="new here"
    )
    assert added.applied
    assert added.database == "DB01"
    mailbox = store.read().recipients["c@example.test"]
    assert mailbox.address == "carol@example.test"
    assert mailbox.quota_bytes == 2 << 30
    assert verify_password(store.secret(added.mailbox_id), added.password)
    assert store.history(1)[0].why == "new here"
    assert store.history(1)[0].who == "root"


def test_a_given_password_is_not_shown_again(call: Call, store: DirectoryStore) -> None:
    added = call("mailbox add", address="carol@example.test", password="correct horse")
    assert added.password is None
    assert verify_password(store.secret(added.mailbox_id), "correct horse")


def test_the_plan_of_add_changes_nothing(call: Call, store: DirectoryStore) -> None:
    planned = call("mailbox add", address="carol@example.test", plan=True)
    assert not planned.applied
    assert planned.password is None
    assert any("carol@example.test" in each for each in planned.changes)
    assert store.revision() == 1
    assert store.secret(planned.mailbox_id) is None


def test_what_is_there_already_or_not_ours_is_refused_with_all_problems(call: Call) -> None:
    with pytest.raises(Refusal, match="there already"):
        call("mailbox add", address="Alice@example.test")
    with pytest.raises(Refusal, match="nothing was changed") as refused:
        call("mailbox add", address="x@elsewhere.test", alias=["bob@example.test"])
    assert len(refused.value.problems) >= 2
    with pytest.raises(Refusal):
        call("mailbox add", address="y@example.test", database="DB99")


def test_list_shows_sizes_and_says_when_they_are_not_known(call: Call, world: Any) -> None:
    world.usages = {MailboxId("a" * 32): Usage(1000, 3)}
    rows = call("mailbox list").mailboxes
    assert [(row.address, row.size_bytes, row.message_count) for row in rows] == [
        ("alice@example.test", 1000, 3),
        ("bob@example.test", 0, 0),
    ]
    world.usages = None
    assert call("mailbox list", database="DB01").mailboxes[0].size_bytes is None
    assert "DB01" in world.warnings[0]
    assert call("mailbox list", database="other").mailboxes == []


def test_show_finds_by_alias_and_names_the_nearest(call: Call) -> None:
    call("mailbox add", address="carol@example.test", alias=["c@example.test"])
    call("group add", address="team@example.test", member=["c@example.test"])
    shown = call("mailbox show", address="C@example.test")
    assert shown.address == "carol@example.test"
    assert shown.has_password
    assert shown.quota_from == "database"
    assert shown.groups == ["team@example.test"]
    with pytest.raises(Refusal, match=r'did you mean "carol@example\.test"'):
        call("mailbox show", address="carrol@example.test")
    with pytest.raises(Refusal, match="is a group"):
        call("mailbox show", address="team@example.test")


def test_set_changes_what_is_given_and_nothing_else(call: Call, store: DirectoryStore) -> None:
    before = store.read().recipients["alice@example.test"]
    call(
        "mailbox set",
        address="alice@example.test",
        new_address="alice.a@example.test",
        add_alias=["alice@example.test"],
        quota="5GB",
        display_name="Alice A.",
        enabled="no",
        yes=True,
    )
    after = store.read().recipients["alice@example.test"]
    assert after.mailbox_id == before.mailbox_id
    assert (after.address, after.aliases) == ("alice.a@example.test", ("alice@example.test",))
    assert (after.quota_bytes, after.display_name, after.enabled) == (5 << 30, "Alice A.", False)
    call(
        "mailbox set",
        address="alice@example.test",
        database_quota=True,
        remove_alias=["Alice@example.test"],
        yes=True,
    )
    after = store.read().recipients["alice.a@example.test"]
    assert (after.aliases, after.quota_bytes) == ((), None)


def test_set_refuses_contradictions_and_aliases_that_are_not_there(call: Call) -> None:
    with pytest.raises(Refusal, match="contradict"):
        call("mailbox set", address="alice@example.test", quota="1GB", database_quota=True)
    with pytest.raises(Refusal, match=r'no alias "x@example\.test"'):
        call("mailbox set", address="alice@example.test", remove_alias=["x@example.test"])


def test_set_without_a_change_makes_no_revision(call: Call, store: DirectoryStore) -> None:
    changed = call("mailbox set", address="alice@example.test")
    assert (changed.applied, changed.changes, store.revision()) == (False, [], 1)


def test_remove_is_dangerous(call: Call, store: DirectoryStore) -> None:
    with pytest.raises(Refusal, match="dangerous") as refused:
        call("mailbox remove", address="bob@example.test")
    assert "--yes" in refused.value.problems[0].advice
    planned = call("mailbox remove", address="bob@example.test", plan=True)
    assert planned.dangers
    assert call("mailbox remove", address="bob@example.test", yes=True).applied
    assert "bob@example.test" not in store.read().recipients


def test_set_password(call: Call, store: DirectoryStore) -> None:
    made = call("mailbox set-password", address="alice@example.test")
    assert verify_password(store.secret(MailboxId("a" * 32)), made.password)
    given = call("mailbox set-password", address="alice@example.test", password="correct horse")
    assert given.password is None
    assert verify_password(store.secret(MailboxId("a" * 32)), "correct horse")
    assert store.revision() == 1


def test_language_of_delivery_reports(call: Call) -> None:
    call("mailbox set", address="alice@example.test", language="de")
    assert call("mailbox show", address="alice@example.test").language == "de"
    with pytest.raises(Refusal, match="nothing was changed"):
        call("mailbox set", address="alice@example.test", language="German!")
    call("mailbox set", address="alice@example.test", language="")
    assert call("mailbox show", address="alice@example.test").language == ""


def test_passwords_of_many_are_set_together_or_not_at_all(call: Call, store: DirectoryStore) -> None:
    alice, bob = (store.read().recipients[f"{name}@example.test"] for name in ("alice", "bob"))
    for text, what in (
        (
            "alice@example.test,correct horse\nnobody@example.test,correct horse\n",
            "line 2: there is no mailbox",
        ),
        ("alice@example.test,correct horse\nbob@example.test,short\n", "line 2 is not an address"),
        ("alice@example.test correct horse\n", "line 1 is not an address"),
    ):
        with pytest.raises(Refusal, match=what):
            call("mailbox set-passwords", file=["passwords.csv", text])
    assert store.secret(alice.mailbox_id) is None
    text = "alice@example.test,correct, horse\n\nbob@example.test,battery staple\n"
    assert call("mailbox set-passwords", file=["passwords.csv", text]).mailbox_count == 2
    assert verify_password(store.secret(alice.mailbox_id), "correct, horse")
    assert verify_password(store.secret(bob.mailbox_id), "battery staple")
