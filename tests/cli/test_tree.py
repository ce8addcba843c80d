"""The command tree is the catalogue."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from holdfast.admin.catalogue import ArgumentValue, Verb, all_verbs
from holdfast.cli.main import complete
from holdfast.cli.tree import Options, Tree, _read_file, default_home, is_local, output_file


@pytest.fixture
def asked() -> list[tuple[Verb, dict[str, ArgumentValue], Options]]:
    return []


@pytest.fixture
def tree(asked: list[tuple[Verb, dict[str, ArgumentValue], Options]]) -> Tree:
    return Tree(lambda verb, arguments, options: asked.append((verb, arguments, options)), complete)


def test_every_verb_is_a_command_with_help_and_json(tree: Tree) -> None:
    for verb in all_verbs():
        result = CliRunner().invoke(tree, [*verb.title.split(), "--help"])
        assert result.exit_code == 0, verb.title
        assert verb.summary.split()[0] in result.output
        assert "--json" in result.output


def test_arguments_are_read_by_kind(
    tree: Tree, asked: list[tuple[Verb, dict[str, ArgumentValue], Options]]
) -> None:
    words = "mailbox add Carol@EXAMPLE.test --quota 2GB --alias a@example.test --alias b@example.test --plan"
    result = CliRunner().invoke(tree, [*words.split(), "--home", "/x", "--json"])
    assert result.exit_code == 0, result.output
    verb, arguments, options = asked[0]
    assert verb.title == "mailbox add"
    assert arguments == {
        "address": "Carol@example.test",
        "quota": 2 << 30,
        "alias": ["a@example.test", "b@example.test"],
        "plan": True,
    }
    assert (options.home, options.json) == (Path("/x"), True)


def test_a_file_is_read_here_and_an_output_stays_here(
    tree: Tree, asked: list[tuple[Verb, dict[str, ArgumentValue], Options]]
) -> None:
    result = CliRunner().invoke(tree, ["organisation", "import", "-"], input="name = 'x'\n")
    assert result.exit_code == 0, result.output
    assert asked[0][1] == {"file": ["-", "name = 'x'\n"]}
    CliRunner().invoke(tree, ["organisation", "export", "out.toml"])
    verb, arguments, _ = asked[1]
    assert output_file(verb, arguments) == Path("out.toml")
    assert arguments == {}
    assert output_file(verb, arguments) is None


def test_a_file_that_is_no_text_is_named(tree: Tree, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xff\xfe")
    result = CliRunner().invoke(tree, ["organisation", "import", str(file)])
    assert result.exit_code == 2
    assert "not UTF-8" in result.output


def test_home_is_the_nearest_that_was_said(
    tree: Tree,
    asked: list[tuple[Verb, dict[str, ArgumentValue], Options]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOLDFAST_HOME", raising=False)
    assert default_home() == Path("/var/lib/holdfast")
    (tmp_path / ".holdfast").mkdir()
    assert Options(None, json=False).home == Path(".holdfast")
    monkeypatch.setenv("HOLDFAST_HOME", "/from/environment")
    for words in (["status"], ["--home", "/root", "status"], ["--home", "/root", "status", "--home", "/own"]):
        CliRunner().invoke(tree, words)
    assert [str(options.home) for _, _, options in asked] == ["/from/environment", "/root", "/own"]


def test_completion_offers_files_and_names(tree: Tree) -> None:
    from click.shell_completion import ShellComplete

    def words(line: str, incomplete: str) -> list[tuple[str, str]]:
        shell = ShellComplete(tree, {}, "holdfast", "_HOLDFAST_COMPLETE")
        return [(each.type, each.value) for each in shell.get_completions(line.split(), incomplete)]

    assert ("plain", "mailbox") in words("", "mail")
    assert ("plain", "starttls") in words("connector set internet --tls", "st")
    assert words("organisation import", "x") == [("file", "x")]


def test_programs_and_local_verbs_need_no_server() -> None:
    local = {verb.noun for verb in all_verbs() if is_local(verb)}
    dhcp = {"dhcp client", "dhcp probe"}
    assert local == {"up", "simulate", "completion", "explain", "version", "ip", "lab", "drill"} | dhcp


def test_an_unknown_noun_is_no_command(tree: Tree) -> None:
    assert tree.get_command(click.Context(tree), "teapot") is None


def test_a_file_without_an_end_is_refused() -> None:
    # It happened: `organisation import /dev/zero` read until it was killed.
    with pytest.raises(click.UsageError, match="larger than"):
        _read_file("/dev/zero")


def test_noun_of_two_words_is_a_group_below_the_first(
    tree: Tree, asked: list[tuple[Verb, dict[str, ArgumentValue], Options]]
) -> None:
    result = CliRunner().invoke(tree, ["dhcp", "scope", "show", "office", "--json"])
    assert result.exit_code == 0, result.output
    ((verb, arguments, options),) = asked
    assert (verb.noun, verb.name, arguments, options.json) == ("dhcp scope", "show", {"name": "office"}, True)


def test_value_that_begins_with_a_minus_goes_behind_two(
    tree: Tree, asked: list[tuple[Verb, dict[str, ArgumentValue], Options]]
) -> None:
    words = ["dhcp", "option", "set", "time-offset", "--scope", "office", "--", "-3600"]
    assert CliRunner().invoke(tree, words).exit_code == 0
    assert asked[0][1] == {"option": "time-offset", "value": ["-3600"], "scope": "office"}


def test_help_lists_what_is_below_a_noun_beside_its_own_verbs(tree: Tree) -> None:
    below = CliRunner().invoke(tree, ["dhcp", "--help"]).output
    assert "Subnets whose addresses are leased." in below
    assert "Let a server lease addresses." in below
    top = CliRunner().invoke(tree, ["--help"]).output
    assert "Leases of addresses: servers" in top
    assert "Subnets whose addresses are leased." not in top


def test_words_that_are_no_noun_below_another_are_refused(tree: Tree) -> None:
    assert CliRunner().invoke(tree, ["dhcp", "scopes"]).exit_code == 2
    assert CliRunner().invoke(tree, ["dhcp scope", "list"]).exit_code == 2
