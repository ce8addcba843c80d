"""The commands of docs/operate/dhcp-scopes.md, done one after the other on a new organisation."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
from click.testing import CliRunner
from tests.admin.conftest import NOW, World
from tests.admin.dhcp_answers import DhcpRole, lease
from tests.test_documents import ROOT, commands_of

from holdfast.admin.catalogue import ArgumentValue, Verb, read_arguments
from holdfast.admin.context import Context, Surroundings
from holdfast.cli.tree import Options, Tree
from holdfast.drivers.sqlite_directory import DirectoryStore


def test_every_command_of_the_page_does_what_it_says(
    store: DirectoryStore, world: World, tmp_path: Path
) -> None:
    page = ROOT / "docs" / "operate" / "dhcp-scopes.md"
    results: dict[str, msgspec.Struct] = {}
    surroundings = Surroundings(tmp_path, "demo", list, world.usage, world.ask)
    world.dhcp = DhcpRole(
        lease("192.0.2.10", "00:1a:2b:00:00:01", host_name="desk-1"), lease("192.0.2.77", state="declined")
    )

    def run(verb: Verb, given: dict[str, ArgumentValue], options: Options) -> None:
        context = Context(surroundings, store, "root", NOW, random.Random(1), lambda done, total, text: None)
        assert verb.perform is not None
        results[verb.title] = verb.perform(context, read_arguments(verb, given))

    tree = Tree(run, lambda argument, incomplete: [])
    commands = commands_of(page)
    assert len(commands) > 30
    for command in commands:
        result = CliRunner().invoke(tree, _words(command))
        assert result.exit_code == 0, f"{command}: {result.output} {result.exception!r}"
        if command.startswith("holdfast dhcp lease find"):
            assert len(results["dhcp lease find"].leases) == 1, command  # type: ignore[attr-defined] # a LeaseList
    organisation = store.read()
    assert organisation.scopes == organisation.reservations == ()
    assert [each.name for each in organisation.dhcp_classes] == ["Phones"]
    told = {each.code: each.text for each in results["dhcp option list"].options}  # type: ignore[attr-defined] # an OptionList
    assert told[12] == "front-door"
    assert told[121] == "10.0.0.0/8 192.0.2.254, default 192.0.2.1"
    assert told[42] == "192.0.2.3"


def _words(command: str) -> list[str]:
    import shlex

    return shlex.split(command, comments=True)[1:]
