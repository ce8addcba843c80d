"""What the documents name exists: links, modules of the flows, decisions, and commands with their options."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from holdfast.cli.tree import Tree
from holdfast.directory.model import Organisation
from holdfast.directory.plan import plan_change
from holdfast.directory.toml_format import read_organisation
from holdfast.kernel.ids import MailboxId
from holdfast.transport.shadow_partners import shadow_partners
from node.pair import CERTIFICATES

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "holdfast"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "packaging").glob("*.md")])
FLOW_LINES_MAX = 70
PLACEHOLDER = re.compile(r"\.\.\.|…|\b[A-Z]{4,}\b")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_each_flow_is_short_and_names_modules_that_exist() -> None:
    flows = re.split(r"^## ", text_of(ROOT / "docs" / "flow.md"), flags=re.MULTILINE)[1:]
    room = ""
    for flow in flows:
        assert flow.count("\n") < FLOW_LINES_MAX, flow[:40]
        for module in re.findall(r"`([a-z_0-9/]+\.py)`", flow):
            # A module without its room is in the room that was named before it.
            room = module.rpartition("/")[0] or room
            assert (SOURCE / room / Path(module).name).exists(), module


def test_decisions_have_numbers_of_their_own_and_those_that_are_cited_exist() -> None:
    numbers = Counter(path.name[:4] for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [number for number, count in numbers.items() if count > 1] == []
    citing = [*SOURCE.rglob("*.py"), *PAGES]
    cited = {
        (number, name_of(path))
        for path in citing
        for number in re.findall(r"decisions?[/ ](\d{4})\b", text_of(path))
    }
    assert sorted((number, name) for number, name in cited if number not in numbers) == []


def commands_of(page: Path) -> list[str]:
    """The ``holdfast`` commands in the code blocks of a page, without what follows them."""
    found = []
    # Blocks of other languages are taken as well: else their end would be the beginning of the next one.
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), flags=re.DOTALL | re.MULTILINE)
    for block in (text for language, text in blocks if not language):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            command = re.split(r"\s{3,}", line)[0]
            if command.startswith("holdfast ") and not PLACEHOLDER.search(command):
                found.append(command)
    return found


COMMANDS = [
    (name_of(page), command)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs" / "operate").glob("*.md")))
    for command in commands_of(page)
]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_commands_are_understood(page: str, command: str) -> None:
    done = []
    tree = Tree(lambda verb, arguments, options: done.append(verb.title), lambda argument, incomplete: [])
    words = shlex.split(command, comments=True)[1:]
    result = CliRunner().invoke(tree, words, input="a long password\na long password\n")
    if re.search(r"cannot read [a-z0-9]+\.(toml|pem): No such file", result.output):
        return  # understood: the page has the reader write the file first
    assert result.exit_code == 0, f"{page}: {result.output}"
    assert len(done) == 1


def test_the_organisation_of_two_servers_is_whole_and_they_protect_each_other() -> None:
    (text,) = re.findall(
        r"^```toml\n(.*?)^```", text_of(ROOT / "docs/operate/two-servers.md"), re.DOTALL | re.M
    )
    found = read_organisation(text, "page", existing=Organisation(), new_id=lambda: MailboxId("0" * 32))
    servers = tuple(replace(each, certificate=CERTIFICATES[each.name]) for each in found.servers)
    found = replace(found, servers=servers)
    assert plan_change(Organisation(), found).problems == ()
    partners = {each.name: [other.name for other in shadow_partners(found, each)] for each in servers}
    assert partners == {"mail1": ["mail2"], "mail2": ["mail1"]}
