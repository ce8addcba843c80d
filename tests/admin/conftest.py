"""A directory with the demonstration organisation, and verbs called on it as management calls them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.admin.catalogue import all_verbs, read_arguments
from holdfast.admin.context import Context, RoleState, Surroundings, Usage
from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.plan import plan_change
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import MailboxId

NOW = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    """The directory of ``tmp_path``, with example.test; no port is opened for metrics."""
    store = DirectoryStore.open(tmp_path / "directory.sqlite", writable=True)
    organisation = demonstration_organisation(
        server_name="demo",
        fqdn="demo.example.test",
        alice=MailboxId("a" * 32),
        bob=MailboxId("b" * 32),
        ports=DemonstrationPorts(),
    )
    servers = tuple(replace(each, metrics="") for each in organisation.servers)
    plan = plan_change(store.read(), replace(organisation, servers=servers))
    assert plan.problems == ()
    store.apply(plan, who="test", why="start", at=NOW)
    yield store
    store.close()


class World:
    """What the tests may set of the world around the verbs."""

    def __init__(self) -> None:
        self.server_name = "demo"
        self.usages: dict[MailboxId, Usage] | None = {}
        self.roles: list[RoleState] = []
        self.warnings: list[str] = []
        self.progress: list[tuple[int, int, str]] = []
        # What the transport role answers: verb and body in, body out; None while it does not run.
        self.transport: Callable[[str, bytes], bytes] | None = None
        # The same of the dhcp role.
        self.dhcp: Callable[[str, bytes], bytes] | None = None

    def ask(self, role: str, verb: str, body: bytes) -> bytes:
        answer = {"transport": self.transport, "dhcp": self.dhcp}.get(role)
        if answer is None:
            raise Unavailable(f"the {role} role is not running; see: holdfast status")
        return answer(verb, body)

    def usage(self, database: str, mailbox_ids: list[MailboxId]) -> list[Usage]:
        if self.usages is None:
            raise Unavailable("the mailbox database does not answer")
        return [self.usages.get(each, Usage(0, 0)) for each in mailbox_ids]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def call(store: DirectoryStore, world: World, tmp_path: Path) -> Callable[..., msgspec.Struct]:
    """``call("mailbox add", address="c@example.test")``; underscores stand for dashes."""

    def call(title: str, **given: Any) -> msgspec.Struct:
        verb = next((each for each in all_verbs() if each.title == title), None)
        assert verb is not None
        assert verb.perform is not None
        arguments = read_arguments(verb, {key.replace("_", "-"): value for key, value in given.items()})
        surroundings = Surroundings(tmp_path, world.server_name, lambda: world.roles, world.usage, world.ask)

        def progress(done: int, total: int, text: str) -> None:
            world.progress.append((done, total, text))

        context = Context(surroundings, store, "root", NOW, random.Random(1), progress)
        try:
            result = verb.perform(context, arguments)
        finally:
            world.warnings = context.warnings
        assert isinstance(result, verb.result)
        # What travels must come back as it was.
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(result), type=verb.result) == result
        return result

    return call
