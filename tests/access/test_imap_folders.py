"""Dialogs of the commands about folders."""

from __future__ import annotations

import pytest

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"

# Each: what the client says, and the end of the tagged answer.
DIALOGS = {
    "create makes the folders above": [
        ("CREATE a/b/c", "OK [MAILBOXID (F10)] CREATE completed."),
        ("CREATE a/b/", "NO [ALREADYEXISTS]"),
        ("CREATE inbox", "NO [ALREADYEXISTS]"),
        ("CREATE inbox/child", "OK [MAILBOXID"),
        ("SELECT INBOX/child", "OK [READ-WRITE]"),
    ],
    "names that cannot be": [
        ("CREATE //", "BAD CREATE failed. Illegal arguments"),
        ("CREATE /a", "BAD"),
        ("CREATE a//b", "BAD"),
        ("CREATE #news", "NO [CANNOT]"),
        (f"CREATE {'x' * 201}", "BAD CREATE failed. Illegal arguments: too long"),
        (f"CREATE {'/'.join(['x' * 150] * 8)}", "BAD"),
        ("CREATE", "BAD"),
        ("CREATE a b", "BAD"),
        ("CREATE &bad", "BAD"),
        ("RENAME INBOX ''//", "BAD"),
    ],
    "a name that is encoded without need is kept as it is read": [
        ("CREATE &AGE-", "OK"),
        ("CREATE a", "NO [ALREADYEXISTS]"),
        ("SELECT a", "OK"),
    ],
    "rename": [
        ("CREATE a/b", "OK"),
        ("RENAME a x", "OK RENAME completed."),
        ("SELECT a/b", "NO [NONEXISTENT] SELECT failed."),
        ("SELECT x/b", "OK"),
        ("RENAME nothing y", "NO [NONEXISTENT]"),
        ("RENAME x INBOX", "NO [ALREADYEXISTS]"),
    ],
    "delete": [
        ("DELETE INBOX", "NO [CANNOT] DELETE failed. Deleting INBOX is forbidden."),
        ("DELETE nothing", "NO [NONEXISTENT]"),
        ("CREATE a/b", "OK"),
        ("DELETE a", "OK"),
        ("SELECT a", "NO [NONEXISTENT]"),
        ("DELETE a/b", "OK"),
    ],
    "deleting the selected folder leaves none selected": [
        ("CREATE a", "OK"),
        ("SELECT a", "OK"),
        ("DELETE a", "OK DELETE completed."),
        ("CHECK", "NO CHECK failed. Command not valid in this state."),
    ],
    "a select that fails leaves none selected": [
        ("SELECT INBOX", "OK"),
        ("SELECT nothing", "NO"),
        ("CLOSE", "NO CLOSE failed. Command not valid in this state."),
    ],
    "unselect and close": [
        ("SELECT INBOX", "OK"),
        ("UNSELECT", "OK UNSELECT completed."),
        ("EXAMINE INBOX", "OK [READ-ONLY] EXAMINE completed."),
        ("EXPUNGE", "NO EXPUNGE failed. Mailbox is read only."),
        ("CLOSE", "OK CLOSE completed."),
    ],
    "subscribe": [
        ("SUBSCRIBE not/yet", "OK SUBSCRIBE completed."),
        ("UNSUBSCRIBE not/yet", "OK UNSUBSCRIBE completed."),
        ("SUBSCRIBE a//b", "BAD"),
    ],
    "status": [
        ("STATUS nothing (MESSAGES)", "NO [NONEXISTENT] STATUS failed. Mailbox not found."),
        ("STATUS INBOX (WEATHER)", "BAD"),
        ("STATUS INBOX ()", "BAD"),
    ],
    "namespace": [("NAMESPACE", "OK NAMESPACE completed."), ("NAMESPACE x", "BAD")],
}


@pytest.mark.parametrize("name", DIALOGS)
def test_dialog(name: str, world) -> None:
    client = world.sign_in()
    for command, wanted in DIALOGS[name]:
        assert client.do(f"t {command}")[-1].startswith(f"t {wanted}"), command


def test_status_says_items_in_one_order(world) -> None:
    client = world.sign_in()
    client.append("INBOX", MESSAGE, "(\\Seen \\Deleted)")
    client.append("INBOX", MESSAGE)
    lines = client.do("t STATUS inbox (UNSEEN DELETED SIZE MESSAGES RECENT UIDNEXT UIDVALIDITY)")
    assert lines[0] == (
        f'* STATUS "INBOX" (MESSAGES 2 SIZE {2 * len(MESSAGE)} DELETED 1 RECENT 2 UIDNEXT 3 '
        "UIDVALIDITY 1000000000 UNSEEN 1)"
    )


def test_select_lines_come_in_order(world) -> None:
    client = world.sign_in()
    client.append("INBOX", MESSAGE, "(\\Seen $Work)")
    client.append("INBOX", MESSAGE)
    flags = "\\Answered \\Deleted \\Draft \\Flagged \\Seen"
    first = client.do("t SELECT INBOX")
    assert first == [
        "* OK [MAILBOXID (F1)] Ok",
        f"* FLAGS ({flags} $Work)",
        "* 2 EXISTS",
        "* 2 RECENT",
        "* OK [UIDVALIDITY 1000000000] UIDs valid",
        "* OK [UNSEEN 2] Message 2 is the first unseen",
        f"* OK [PERMANENTFLAGS ({flags} $Work \\*)] Limited",
        "* OK [HIGHESTMODSEQ 2] Highest",
        "* OK [UIDNEXT 3] Predicted next UID",
        "t OK [READ-WRITE] SELECT completed.",
    ]
    # The same session still finds them recent, another one does not.
    assert "* 2 RECENT" in client.do("t SELECT INBOX")
    assert "* 0 RECENT" in world.sign_in().do("t SELECT INBOX")


def test_examine_claims_nothing(world) -> None:
    client = world.sign_in()
    client.append("INBOX", MESSAGE)
    lines = client.do("t EXAMINE INBOX")
    assert "* 1 RECENT" in lines
    assert "* OK [PERMANENTFLAGS (\\Answered \\Deleted \\Draft \\Flagged \\Seen)] Limited" in lines
    assert "* 1 RECENT" in world.sign_in().do("t SELECT INBOX")


def test_close_removes_deleted_messages_without_a_word(world) -> None:
    client = world.sign_in()
    client.append("INBOX", MESSAGE, "(\\Deleted)")
    client.append("INBOX", MESSAGE)
    client.do("t SELECT INBOX")
    assert client.do("t CLOSE") == ["t OK CLOSE completed."]
    assert "* 1 EXISTS" in client.do("t EXAMINE INBOX")


def test_names_outside_ascii(world) -> None:
    client = world.sign_in()
    client.do("t CREATE Entw&APw-rfe")
    assert client.do('t LIST "" "Entw*"')[0] == '* LIST (\\HasNoChildren) "/" "Entw&APw-rfe"'
    assert client.do("t CREATE Entw&APw-rfe")[-1].isascii()


def test_renaming_the_inbox_sends_others_who_selected_it_away(world) -> None:
    renamer, idler, reader = (world.sign_in() for _ in range(3))
    for client in (renamer, idler, reader):
        client.append("INBOX", MESSAGE)
        client.do("t SELECT INBOX")
    idler.do("i IDLE")
    assert renamer.do("t RENAME INBOX old") == ["t OK RENAME completed."]
    assert idler.lines() == ["* BYE Selected mailbox has been deleted"]
    assert reader.do("t FETCH 1 BODY[]")[-1].startswith(("t NO", "* BYE"))
    assert renamer.do("t CHECK") == ["t NO CHECK failed. Command not valid in this state."]
    assert "* OK [UIDNEXT 1] Predicted next UID" in renamer.do("t SELECT INBOX")


def test_mail_can_be_read_while_the_disk_is_full(world) -> None:
    # It happened: SELECT claims the recent messages, which is a write, and was refused.
    client = world.sign_in()
    client.append("INBOX", MESSAGE)
    world.full = True
    lines = client.do("t SELECT INBOX")
    assert "* 1 EXISTS" in lines
    assert lines[-1] == "t OK [READ-WRITE] SELECT completed."
    other = world.sign_in()
    other.append("INBOX", MESSAGE)
    assert "* 2 EXISTS" in client.do("t NOOP")
