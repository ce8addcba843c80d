"""The catalogue as a whole, and how arguments are read."""

from __future__ import annotations

import io
import shlex
from contextlib import suppress

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.admin.catalogue import (
    CHANGE_ARGUMENTS,
    NOUNS,
    Argument,
    Arguments,
    Kind,
    Runs,
    Verb,
    all_verbs,
    find_verb,
    read_arguments,
    read_moment,
    read_value,
    verbs_of,
)
from holdfast.cli.main import complete
from holdfast.cli.tree import Tree
from holdfast.kernel.errors import Refusal

VERBS = all_verbs()
MISSING_FILES = tuple(
    f"cannot read {name}"
    for name in (
        "organisation.toml",
        "mail2.pem",
        "passwords.csv",
        "reservations.csv",
        "export.xml",
        "dhcpd.conf",
        "kea-dhcp4.conf",
        "dhcpd.leases",
    )
)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.title)
def test_every_verb_can_be_done_in_exactly_one_place(verb: Verb) -> None:
    assert (verb.perform is not None) == (verb.runs is Runs.SERVER)
    assert (verb.perform_local is not None) == (verb.runs is Runs.LOCAL)
    assert verb.summary.endswith(".")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.title)
def test_the_example_of_every_verb_is_a_command_line_of_that_verb(
    verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))  # where one asks for a password
    ran: list[Verb] = []
    tree = Tree(lambda verb, arguments, options: ran.append(verb), complete)
    line = verb.example.removeprefix('eval "$(').removesuffix(')"')
    words = shlex.split(line)
    assert words[0] == "holdfast"
    try:
        tree.main(words[1:], standalone_mode=False)
    except click.UsageError as error:
        # Only the file of the example is missing.
        assert str(error).startswith(MISSING_FILES)  # noqa: PT017  # most examples raise nothing
    else:
        assert ran == [verb]


def test_names_of_verbs_are_unique_and_known_to_their_noun() -> None:
    assert len({verb.title for verb in VERBS}) == len(VERBS)
    assert {verb.noun for verb in VERBS} == set(NOUNS)
    assert find_verb("mailbox", "explode") is None
    assert verbs_of("teapot") == ()


def test_every_verb_that_changes_the_organisation_has_a_plan_and_a_reason() -> None:
    for verb in VERBS:
        if verb.changes and verb.name not in ("set-password", "set-passwords", "set-secret"):
            assert set(CHANGE_ARGUMENTS) <= set(verb.arguments), verb.title


def test_completions_name_a_list_that_exists() -> None:
    for verb in VERBS:
        for argument in verb.arguments:
            if argument.completes:
                noun, rows, field = argument.completes.split(".")
                lists = find_verb(noun, "list")
                assert lists is not None
                row_type = lists.result.__annotations__[rows]
                assert row_type.startswith("list["), (verb.title, field)


GOOD = {
    Kind.SIZE: [("2GB", 2 << 30), (5, 5), ("0", 0)],
    Kind.SPAN: [("15m", 900.0), (2, 2.0)],
    Kind.COUNT: [("7", 7), (7, 7)],
    Kind.ADDRESS: [("Alice@EXAMPLE.test", "Alice@example.test")],
    Kind.DOMAIN: [("EXAMPLE.test", "example.test")],
    Kind.RANGE: [("192.0.2.0/24", "192.0.2.0/24")],
    Kind.IPV4: [(" 192.0.2.7", "192.0.2.7")],
    Kind.BINDING: [("127.0.0.1:25", "127.0.0.1:25"), ("[::1]:25", "[::1]:25")],
    Kind.MOMENT: [("2h", "2h"), ("2026-05-01", "2026-05-01")],
    Kind.FILE: [(["a.toml", "x"], ["a.toml", "x"])],
    Kind.DATA: [("a.xml\neJwDAAAAAAE=", "a.xml\neJwDAAAAAAE=")],
    Kind.FLAG: [(True, True)],
    Kind.PASSWORD: [("correct horse", "correct horse")],
}
BAD = {
    Kind.SIZE: ["many", -1, 1.5, True, [], 1 << 62],
    Kind.SPAN: ["soon", -1.0, float("nan"), None],
    Kind.COUNT: ["7x", "٣", "9" * 30, None],
    Kind.ADDRESS: ["alice", "a@@b..c", 5, "a\n@example.test"],
    Kind.DOMAIN: ["-x.test", ""],
    Kind.RANGE: ["everywhere"],
    Kind.IPV4: ["192.0.2.0/24", "::1"],
    Kind.BINDING: ["25", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "999.0.0.1:25", "[::zz]:25"],
    Kind.MOMENT: ["yesterday", "2026-13-01", "99999-01-01"],
    Kind.FILE: ["a.toml", ["a.toml"]],
    Kind.DATA: ["a.xml", ["a.xml", "x"], "x" * 2000],
    Kind.FLAG: ["yes"],
    Kind.PASSWORD: ["short", "x" * 2000, "tab\tin it..."],
    Kind.TEXT: ["x" * 20_000, "\x1b[31m"],
}


@pytest.mark.parametrize(
    ("kind", "raw", "value"), [(kind, *pair) for kind, pairs in GOOD.items() for pair in pairs]
)
def test_a_value_of_its_kind_is_read(kind: Kind, raw: object, value: object) -> None:
    assert read_value(Argument("x", kind, "help"), raw) == value  # type: ignore[arg-type]  # as it travels


@pytest.mark.parametrize(("kind", "raw"), [(kind, raw) for kind, raws in BAD.items() for raw in raws])
def test_a_value_that_is_not_of_its_kind_is_refused(kind: Kind, raw: object) -> None:
    with pytest.raises(Refusal):
        read_value(Argument("x", kind, "help"), raw)  # type: ignore[arg-type]  # as it travels


def test_a_choice_lists_its_words() -> None:
    argument = Argument("tls", Kind.CHOICE, "help", choices=("none", "starttls"))
    assert read_value(argument, "none") == "none"
    with pytest.raises(Refusal, match="none, starttls"):
        read_value(argument, "maybe")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(list(Kind)),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=60)
    | st.lists(st.text(max_size=5)),
)
def test_any_value_is_read_or_refused(kind: Kind, raw: object) -> None:
    with suppress(Refusal):
        read_value(Argument("x", kind, "help", choices=("a",)), raw)  # type: ignore[arg-type]  # as it travels


def test_unknown_missing_and_malformed_arguments_are_named() -> None:
    verb = find_verb("mailbox", "add")
    assert verb is not None
    with pytest.raises(Refusal, match='takes no argument "colour"'):
        read_arguments(verb, {"address": "a@example.test", "colour": "red"})
    with pytest.raises(Refusal, match="needs address"):
        read_arguments(verb, {})
    with pytest.raises(Refusal, match="quota: "):
        read_arguments(verb, {"address": "a@example.test", "quota": "big"})
    with pytest.raises(Refusal, match="alias: give a list"):
        read_arguments(verb, {"address": "a@example.test", "alias": "b@example.test"})
    member = find_verb("group", "add-member")
    assert member is not None
    with pytest.raises(Refusal, match="needs member"):
        read_arguments(member, {"address": "a@example.test", "member": []})


def test_arguments_are_given_by_type() -> None:
    arguments = Arguments({"a": "x", "b": None, "c": ["y"], "d": 3, "e": True, "f": 1.5})
    assert arguments.text("a") == "x"
    assert arguments.optional_text("b") is None
    assert arguments.texts("c") == ("y",)
    assert arguments.count("d") == arguments.optional_count("d") == 3
    assert arguments.optional_count("b") is None
    assert arguments.flag("e")
    assert arguments.optional_span_s("f") == 1.5
    assert arguments.given("a")
    assert not arguments.given("b")


def test_moments_are_local_dates_or_spans_ago() -> None:
    assert read_moment("2h", 10_000.0) == 2_800.0
    assert read_moment("2026-05-01T00:00:00+00:00", 0.0) == 1_777_593_600.0
