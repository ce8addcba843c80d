"""What the client wants done: the types carry what the tables of test_client.py show."""

from __future__ import annotations

from typing import get_args

from dhcp.client_world import words
from dhcp.test_client import PATHS, World
from holdfast.dhcp import client_outputs
from holdfast.dhcp.client_outputs import Output, Told


def test_every_output_happens_on_some_path() -> None:
    seen: set[type] = set()

    class Watching(World):
        def take(self, outputs: list[Output]) -> None:
            seen.update(type(each) for each in outputs)
            super().take(outputs)

    for options, steps, _, _ in PATHS.values():
        world = Watching(**options)
        for at, happening in steps:
            world.happen(at, happening)
    assert seen == set(get_args(client_outputs.Output))


def test_each_output_has_its_words() -> None:
    assert words(client_outputs.ForgetLease()) == "forget"
    assert Told("bound", "lease", "text").lease is None
