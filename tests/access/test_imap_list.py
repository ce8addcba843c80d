"""LIST and LSUB."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.access.imap_list import matches


@pytest.mark.parametrize(
    ("name", "pattern", "wanted"),
    [
        ("INBOX", "inbox", True),
        ("INBOX", "%", True),
        ("INBOX/a", "%", False),
        ("INBOX/a", "*", True),
        ("INBOX/a", "INBOX/%", True),
        ("a/b/c", "a/%/c", True),
        ("a/b/c", "a%c", False),
        ("a/b/c", "a*c", True),
        ("abc", "a%%c", True),
        ("abc", "", False),
        ("", "", True),
        ("a/b", "%/%", True),
        ("work", "Work", False),
    ],
)
def test_patterns(name: str, pattern: str, wanted: bool) -> None:
    assert matches(name, pattern) is wanted


@settings(max_examples=200, deadline=None)
@given(st.text("ab/", max_size=12), st.text("ab/*", max_size=10))
def test_star_is_a_shell_star(name: str, pattern: str) -> None:
    assert matches(name, pattern) == fnmatch.fnmatchcase(name, pattern)


def names(lines: list[str]) -> list[str]:
    return [line.split(' "/" ')[1].strip('"') for line in lines[:-1]]


def test_special_use_folders_are_there_from_the_start(world) -> None:
    lines = world.sign_in().do('t LIST "" *')
    assert '* LIST (\\HasNoChildren \\Sent) "/" "Sent Items"' in lines
    assert lines[0] == '* LIST (\\HasNoChildren) "/" "INBOX"'
    special = world.sign_in().do('t LIST (SPECIAL-USE) "" * RETURN (SPECIAL-USE)')
    assert names(special) == ["Archive", "Deleted Items", "Drafts", "Junk", "Sent Items"]


def test_extended_list(world) -> None:
    client = world.sign_in()
    for command in ["CREATE a/b/c", "SUBSCRIBE a/b/c", "SUBSCRIBE lost/x", "DELETE a/b"]:
        assert client.do(f"t {command}")[-1].startswith("t OK")
    for name in ("INBOX", "Archive", "Deleted Items", "Drafts", "Junk", "Outbox", "Sent Items"):
        client.do(f't UNSUBSCRIBE "{name}"')
    assert client.do('t LIST (SUBSCRIBED) "" *')[:-1] == [
        '* LIST (\\HasNoChildren \\Subscribed) "/" "a/b/c"',
        '* LIST (\\Subscribed \\NonExistent) "/" "lost/x"',
    ]
    assert client.do('t LIST (SUBSCRIBED RECURSIVEMATCH) "" %')[:-1] == [
        '* LIST (\\HasChildren) "/" "a" ("CHILDINFO" ("SUBSCRIBED"))'
    ]
    assert names(client.do('t LIST "" (a% "Sent*")')) == ["Sent Items", "a"]
    assert client.do('t LIST "" a/b RETURN (STATUS (MESSAGES) CHILDREN)')[:-1] == [
        '* LIST (\\HasChildren \\Noselect) "/" "a/b"'
    ]
    assert client.do('t LIST "" Drafts RETURN (SUBSCRIBED STATUS (MESSAGES))')[:-1] == [
        '* LIST (\\HasNoChildren \\Drafts) "/" "Drafts"',
        '* STATUS "Drafts" (MESSAGES 0)',
    ]
    assert client.do('t LIST (SPECIAL-USE RECURSIVEMATCH) "" %/nothing')[-1].startswith("t OK")


def test_lsub(world) -> None:
    client = world.sign_in()
    client.do("t SUBSCRIBE a/b/c")
    client.do("t SUBSCRIBE a/b")
    assert client.do('t LSUB "" a/*')[:-1] == ['* LSUB () "/" "a/b"', '* LSUB () "/" "a/b/c"']
    assert client.do('t LSUB "" a%')[:-1] == ['* LSUB (\\Noselect) "/" "a"']
    assert client.do("t LSUB a/ %")[:-1] == ['* LSUB () "/" "a/b"']
    assert client.do('t LSUB "" ""')[:-1] == ['* LSUB (\\Noselect) "/" ""']


@pytest.mark.parametrize(
    "command",
    [
        "LIST",
        'LIST ""',
        'LIST (NOTHING) "" *',
        'LIST (RECURSIVEMATCH) "" *',
        'LIST "" * RETURN (NOTHING)',
        'LIST "" * RETURN (STATUS (NOTHING))',
        'LSUB (SUBSCRIBED) "" *',
        'LSUB "" (a b)',
        f'LIST "" {"x" * 600}',
    ],
)
def test_malformed(command: str, world) -> None:
    assert world.sign_in().do(f"t {command}")[-1].startswith("t BAD")


def test_an_ampersand_in_a_pattern_may_mean_itself(world) -> None:
    client = world.sign_in()
    client.do('t CREATE "R&-D"')
    assert client.do('t LIST "" "R&*"')[0].endswith('"R&-D"')
    assert client.do('t LIST "" "&*"') == ["t OK LIST completed."]


def test_a_level_that_rename_did_not_make_is_listed_only_where_levels_are_asked_for(world) -> None:
    client = world.sign_in()
    client.do("t CREATE one")
    client.do("t RENAME one high/two")
    assert client.do('t LIST "" "h*"') == ['* LIST (\\HasNoChildren) "/" "high/two"', "t OK LIST completed."]
    assert client.do('t LIST "" "h%"')[0] == '* LIST (\\HasChildren \\Noselect) "/" "high"'
    client.do("t SUBSCRIBE high/two")
    assert client.do('t LIST (SUBSCRIBED RECURSIVEMATCH) "" "h%"')[0] == (
        '* LIST (\\HasChildren \\Noselect) "/" "high" ("CHILDINFO" ("SUBSCRIBED"))'
    )
    client.do("t DELETE high/two")
    assert client.do('t LIST "" "h%"') == ["t OK LIST completed."]
