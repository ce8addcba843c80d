"""Apache James's IMAP scripts against AccessNode on tables in memory.

The scripts are read from where they lie (HOLDFAST_CONFORMANCE). The wording of
OK, NO, BAD, BYE and + is loosened, the meaning is not: tags, states, response
codes that a script names, order and every data item have to be as written.
James's hierarchy delimiter is "." and ours is "/", so names are rewritten, and
the folders that every mailbox of ours has from the start are passed over.

``james_scripts.toml`` says for each script in which state of a session it
begins, or why it does not apply; a script in neither list fails the test, and
so does a listed one that passes.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

CONFORMANCE = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance"))
SCRIPTS = CONFORMANCE / "imap" / "james-mpt"
LISTED = tomllib.loads((Path(__file__).parent / "james_scripts.toml").read_text())

OWN_FOLDERS = ("Archive", "Deleted Items", "Drafts", "Junk", "Outbox", "Sent Items")
NAMING = re.compile(
    r"(\S+ (?:create|delete|rename|select|examine|list|lsub|subscribe|unsubscribe|status|append)) (.*)",
    re.IGNORECASE,
)
TAGGED = re.compile(r"([^ ]+|\\\*) (OK|NO|BAD|BYE)\b(.*)")
CODE = re.compile(r" (\\\[.*\\?\])(?: .*|\.\*|$)")


def scripts() -> dict[str, Path]:
    root = "org/apache/james/imap/scripts/"
    return {
        str(path).partition(root)[2].removesuffix(".test"): path for path in sorted(SCRIPTS.rglob("*.test"))
    }


def client_line(line: str) -> str:
    """Rewrite James's delimiter in the names of folders."""
    line = line.replace("LOGIN imapuser@domain", "LOGIN imapuser")
    match = NAMING.fullmatch(line)
    if match is None:
        return line
    names = match[2].replace("&AC4-", "/").replace(".", "/")
    return f"{match[1]} {names}"


def expectation(line: str) -> re.Pattern[str]:
    """Read the regular expression of a line of the server's, with the wording loosened."""
    if re.match(r"\\\* (LIST|LSUB|STATUS)", line):
        line = re.sub(r"\\\.", "/", line)
        line = re.sub(r"\.(?![*+?])", "/", line)
    if line.startswith("\\+"):
        return re.compile(r"\+.*")
    match = TAGGED.fullmatch(line)
    if match is None:
        return re.compile(line)
    who, status, rest = match.groups()
    code = CODE.match(rest)
    if code is None:
        return re.compile(rf"{who} {status}\b.*")
    return re.compile(rf"{who} {status} {code[1]}.*")


class ScriptError(Exception):
    """What the server said is not what the script expects."""


class Run:
    """One run of one script."""

    def __init__(self, world, name: str, begin: str) -> None:
        self.world = world
        self.name = name
        self.begin = begin
        self.clients = {}
        self.lines = {}
        self.current = 1
        self.reinit = False

    def client(self):
        if self.current not in self.clients:
            client = self.world.connect()
            self.clients[self.current] = client
            self.lines[self.current] = []
            if self.begin != "bare" or self.reinit:
                client.lines()
            if self.begin not in ("bare", "greeted") and not self.reinit:
                client.do("a LOGIN imapuser password")
            if self.current == 1 and not self.reinit:
                self.prepare(client)
            self.take(client)
        return self.clients[self.current]

    def prepare(self, client) -> None:
        if self.begin == "prepared":
            self.run((scripts()["SelectedStateSetup"]).read_text())
        if self.begin == "inbox selected":
            client.do("a SELECT INBOX")
        for command in LISTED["setup"].get(self.name, []):
            assert " OK " in client.do(f"a {command}")[-1]

    def take(self, client) -> None:
        for line in client.lines():
            kept = re.match(r'\* (?:LIST|LSUB|STATUS) .*"([^"]*)"', line)
            own = re.search(r'"(' + "|".join(OWN_FOLDERS) + r')"', line)
            if not (kept and own and line.startswith(("* LIST", "* LSUB", "* STATUS"))):
                self.lines[self.current].append(line)

    def send(self, line: str) -> None:
        client = self.client()
        assert not self.lines[self.current], f"nobody expected {self.lines[self.current]}"
        if client.closed:
            raise ScriptError("the server has closed the session")
        client.send(client_line(line).encode() + b"\r\n")
        self.take(client)

    def next_line(self, wanted: object) -> str:
        self.client()
        if not self.lines[self.current]:
            raise ScriptError(f"{wanted} is missing")
        return self.lines[self.current].pop(0)

    def expect(self, line: str) -> None:
        pattern = expectation(line)
        got = self.next_line(line)
        if not pattern.fullmatch(got):
            raise ScriptError(f"expected {line!r}, got {got!r}")

    def expect_any_order(self, lines: list[str]) -> None:
        waiting = [expectation(line) for line in lines]
        while waiting:
            got = self.next_line([pattern.pattern for pattern in waiting])
            found = next((pattern for pattern in waiting if pattern.fullmatch(got)), None)
            if found is None:
                raise ScriptError(f"{got!r} is none of {[pattern.pattern for pattern in waiting]}")
            waiting.remove(found)

    def run(self, text: str) -> None:
        block: list[str] | None = None
        for line in text.split("\n"):
            line = line.rstrip("\r")
            if block is not None:
                if line.strip() == "}":
                    self.expect_any_order(block)
                    block = None
                elif line.startswith("S:"):
                    block.append(line[3:])
            elif line.startswith("C:"):
                self.send(line[3:])
            elif line.startswith("S:"):
                self.expect(line[3:])
            elif line.startswith("SUB {"):
                block = []
            elif line.startswith("SESSION:"):
                self.client()
                self.current = int(line.split(":")[1])
            elif line.startswith("REINIT"):
                self.reinit = True
                self.clients.clear()
            elif line.strip() and not line.startswith(("#", "TIMER", "LOG", "WAIT", "AWAIT", "}")):
                raise AssertionError(f"directive {line!r} is not known")
        leftover = [line for lines in self.lines.values() for line in lines]
        if leftover and not any(client.closed for client in self.clients.values()):
            raise ScriptError(f"{leftover} was not expected")


def run_script(world, name: str, begin: str) -> str:
    """Run a script and return what went wrong, or nothing."""
    try:
        Run(world, name, begin).run(scripts()[name].read_text())
    except (ScriptError, AssertionError) as error:
        return f"{name}: {error}"
    return ""


pytestmark = pytest.mark.skipif(not SCRIPTS.is_dir(), reason=f"no conformance data at {CONFORMANCE}")

PASSING = {name: begin for begin, names in LISTED["begin"].items() for name in names}
OTHERS = {name: reason for reason, names in LISTED["others"].items() for name in names}


@pytest.mark.parametrize("name", sorted(PASSING))
def test_script(name: str, world) -> None:
    assert run_script(world, name, PASSING[name]) == ""


def test_every_script_is_listed_once() -> None:
    assert sorted([*PASSING, *OTHERS]) == sorted(scripts())


def test_scripts_that_do_not_apply_really_fail(make_world) -> None:
    begins = LISTED["begin"]
    unexpected = [
        name for name in OTHERS if any(run_script(make_world(), name, begin) == "" for begin in begins)
    ]
    assert unexpected == []
