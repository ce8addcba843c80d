"""The verb of the drill belongs to the command line alone."""

from __future__ import annotations

from holdfast.admin.catalogue import Runs
from holdfast.admin.verbs_drill import VERBS


def test_it_needs_no_server_and_every_argument_is_an_option() -> None:
    for verb in VERBS:
        assert verb.runs is Runs.PROGRAM
        assert not any(each.positional or each.required for each in verb.arguments)
