"""The verbs about the Safety Net, asked of two servers that talk to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from admin.test_verbs_protection import Call, ask, pair
from drivers.test_protection_reader import add, write
from holdfast.admin import verbs_safety_net
from holdfast.drivers import transport_requests
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.transport.queue import FinishRecipients
from node.pair import Pair

__all__ = ("pair",)  # the fixture
USER1 = "user1@example.test"
# The made-up servers go by this machine's clock, verbs by that of their test: it is a little off.
SINCE = "2000-01-01"
UNTIL = "2100-01-01"


@pytest.fixture
def kept(pair: Pair) -> Pair:
    """user1 had three messages, and the mailbox database has lost two of them."""
    mail1 = pair.sides["mail1"]
    for number in range(3):
        mail1.send(USER1, number=number + 1, body=f"Subject: {number}\r\n\r\nx\r\n".encode())
        pair.move()
    mail1.mail = dict(list(mail1.mail.items())[:1])
    return pair


def deliver_soon(pair: Pair) -> None:
    """Have the mailbox databases answer whatever they are asked."""
    for side in pair.sides.values():
        perform = side.perform

        def answer(output: object, side: Any = side, perform: Any = perform) -> None:
            perform(output)
            if side.calls:
                pair.soon(side, side.deliver)

        side.perform = answer  # type: ignore[method-assign]  # of this one side


def test_what_is_kept_is_shown_without_the_transport_role_too(call: Call, tmp_path: Path, world: Any) -> None:
    write(tmp_path, add(1, None), FinishRecipients(1, (), "", kept=5000.0))
    shown = call("safety-net show")
    assert (shown.message_count, shown.size_bytes, shown.since_at) == (1, 4, 5000.0)
    assert (shown.hold_s, shown.resubmissions) == (2 * 86400.0, [])
    assert "what was delivered again is not known" in world.warnings[0]
    with pytest.raises(Unavailable, match="transport role is not running"):
        call("safety-net resubmit", database="DB01", since="1h")


def test_what_a_database_lacks_is_delivered_again(call: Call, kept: Pair, world: Any) -> None:
    deliver_soon(kept)
    done = call("safety-net resubmit", database="DB1", since=SINCE, until=UNTIL)
    assert (done.database, done.looked_at_message_count, done.resubmitted_message_count) == ("db1", 3, 2)
    assert (done.asked_by, done.state, world.warnings) == ("an administrator", "done", [])
    assert len(kept.sides["mail1"].mailbox("user1")) == 3
    (row,) = call("safety-net show").resubmissions
    assert row == done
    assert call("safety-net resubmit", database="db1", since=SINCE).resubmitted_message_count == 0


def test_a_database_of_another_server_is_said(call: Call, kept: Pair, world: Any) -> None:
    deliver_soon(kept)
    ask(world, kept.sides["mail2"])
    done = call("safety-net resubmit", database="db1", since=SINCE, until=UNTIL)
    assert done.resubmitted_message_count == 3
    assert "is on server mail1: it cannot be asked from here" in world.warnings[0]
    kept.wait(5.0)
    assert len(kept.sides["mail1"].mailbox("user1")) == 3


def test_one_that_takes_long_goes_on_by_itself(
    call: Call, kept: Pair, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_requests, "FOLLOW_S", 0.05)
    monkeypatch.setattr(verbs_safety_net, "STALLED_COUNT", 2)
    done = call("safety-net resubmit", database="db1", since=SINCE, until=UNTIL)
    assert (done.state, done.resubmitted_message_count) == ("checking", 0)
    assert "it goes on by itself (checking)" in world.warnings[0]
    assert (0, 0, "3 looked at, 0 delivered again") in world.progress


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"database": "db9", "since": "1h"}, 'no mailbox database "db9"'),
        ({"database": "db1", "since": "1h", "until": "2h"}, "--since is not before --until"),
        ({"database": "db1", "since": "soon"}, "is not a date and time"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Call, pair: Pair, given: dict[str, str], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        call("safety-net resubmit", **given)
