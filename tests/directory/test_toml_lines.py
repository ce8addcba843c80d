"""Every table and key of a TOML text is found at its line, and odd texts do no harm."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.toml_lines import KEY_PARTS_MAX, NESTING_MAX, TooDeep, map_lines

TEXT = '''# a comment with [[brackets]] and "quotes"
title = "x # no comment" # comment
[organisation]
name = """
[[not_a_table]]
quoted \\""" still inside
more""""
'quoted key'.inner = 1

[[server]]
name = 'a'
imap = [ # comment with ] in it
  { bind = "1:1" }, # ]
  { bind = """]
[[server]]
""" },
]
fqdn = '''

MORE = """'''
= [[
'''
site = "b"
[[server]]
[[server.imap]]
bind = "x"
[[server.imap]]
"b\\"d" = "y"
[server.sub]
z = 1
"""


def test_tables_and_keys_have_lines() -> None:
    text = TEXT + MORE
    tomllib.loads(text)
    lines = map_lines(text)
    expected = {
        ("title",): 2,
        ("organisation",): 3,
        ("organisation", "name"): 4,
        ("organisation", "quoted key", "inner"): 8,
        ("server", 0): 10,
        ("server", 0, "name"): 11,
        ("server", 0, "imap"): 12,
        ("server", 0, "fqdn"): 18,
        ("server", 0, "site"): 21,
        ("server", 1): 22,
        ("server", 1, "imap", 0): 23,
        ("server", 1, "imap", 0, "bind"): 24,
        ("server", 1, "imap", 1): 25,
        ("server", 1, "sub", "z"): 28,
    }
    assert {path: lines.line_of(path) for path in expected} == expected


def test_what_has_no_line_gets_that_of_what_is_around_it() -> None:
    lines = map_lines('\n[[mailbox]]\nimap = [{ bind = "x" }]\n')
    assert lines.line_of(("mailbox", 0, "imap", 0, "bind")) == 3
    assert lines.line_of(("mailbox", 0, "absent")) == 2
    assert lines.line_of(("absent",)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a = ",
        "[",
        "[[",
        "= 1",
        "a.",
        "a = '''",
        'a = """',
        'a = "',
        "a = 'x",
        "a = ]]]\nb = 1",
        '"a = 1',
        "€ = 1",
    ],
)
def test_broken_text_is_left_to_the_parser(text: str) -> None:
    assert map_lines(text).line_of(("zzz",)) == 1


@pytest.mark.parametrize(
    "text",
    ["a = 1\n" + ".".join(["b"] * (KEY_PARTS_MAX + 1)) + " = 1", "a = 1\nb = " + "[" * (NESTING_MAX + 1)],
)
def test_too_deep_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(TooDeep) as caught:
        map_lines(text)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    "text", ['"' * 200_000, "a = " + '"\\' * 100_000, "a='" * 100_000, "[" * 200_000, "\n#" * 99_999]
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    try:
        map_lines(text)
    except TooDeep:
        return


@settings(max_examples=300)
@given(st.text(alphabet="ab1=.[]{}\"'\\\n #,\t", max_size=60))
def test_every_key_of_what_the_parser_reads_has_a_line(text: str) -> None:
    try:
        lines = map_lines(text)
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, TooDeep):
        return
    for key in data:
        line = text.split("\n")[lines.line_of((key,)) - 1]
        assert not key or key[0] in line or "\\" in line
