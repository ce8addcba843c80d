"""The commands of docs/operate/dhcp-failover.md, done one after the other on the organisation of the page."""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec
from click.testing import CliRunner
from tests.admin.conftest import NOW, World
from tests.admin.failover_answers import PairRole, state
from tests.test_documents import ROOT, commands_of

from holdfast.admin.catalogue import ArgumentValue, Verb, read_arguments
from holdfast.admin.context import Context, Surroundings
from holdfast.cli.tree import Options, Tree
from holdfast.directory.model import Organisation
from holdfast.directory.plan import plan_change
from holdfast.directory.replicate import shared_part, write_part
from holdfast.directory.toml_format import read_organisation
from holdfast.drivers.failover_requests import ASK_PARTNER, SharedTold
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.ids import MailboxId

PAGE = ROOT / "docs" / "operate" / "dhcp-failover.md"


def of_the_page() -> Organisation:
    (text,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return read_organisation(text, "page", existing=Organisation(), new_id=lambda: MailboxId("0" * 32))


class PartnerRole(PairRole):
    """A role whose partner has the same."""

    def __init__(self, shared: Callable[[], str]) -> None:
        super().__init__(state(), state(state="PARTNER-DOWN"))
        self.shared = shared

    def __call__(self, verb: str, body: bytes) -> bytes:
        if verb == ASK_PARTNER.name:
            return msgspec.msgpack.encode(SharedTold(self.shared()))
        return super().__call__(verb, body)


def test_every_command_of_the_page_does_what_it_says(world: World, tmp_path: Path) -> None:
    store = DirectoryStore.open(tmp_path / "page.sqlite", writable=True)
    plan = plan_change(store.read(), of_the_page())
    assert plan.problems == ()
    store.apply(plan, who="test", why="", at=NOW)
    written = tmp_path / "pair.toml"

    def shared() -> str:
        organisation = store.read()
        return write_part(shared_part(organisation, organisation.failover_relationships[0]))

    world.dhcp = role = PartnerRole(shared)
    surroundings = Surroundings(tmp_path, "ns1", list, world.usage, world.ask)
    results: dict[str, msgspec.Struct] = {}

    def run(verb: Verb, given: dict[str, ArgumentValue], options: Options) -> None:
        context = Context(surroundings, store, "root", NOW, random.Random(1), lambda done, total, text: None)
        assert verb.perform is not None
        results[verb.title] = verb.perform(context, read_arguments(verb, given))

    tree = Tree(run, lambda argument, incomplete: [])
    commands = commands_of(PAGE)
    assert len(commands) > 15
    seen = []
    for command in commands:
        words = [str(written) if each == written.name else each for each in shlex.split(command)[1:]]
        if store.read().failover_relationships:
            written.write_text(shared(), "utf-8")
        result = CliRunner().invoke(tree, words, input="open sesame\n")
        assert result.exit_code == 0, f"{command}: {result.output} {result.exception!r}"
        seen.append(" ".join(words[:3]))
    assert [each.command for each in role.ordered] == ["partner-down", "recover", "shutdown", "resume"]
    assert role.reread_count == 2
    assert store.read().failover_relationships == ()
    assert [each.name for each in store.read().scopes] == ["office", "lab"]
    assert {"dhcp failover create", "dhcp failover show", "dhcp failover delete"} <= set(seen)
    store.close()
