"""Verbs that the command line does itself."""

from __future__ import annotations

from holdfast.admin.catalogue import Runs
from holdfast.admin.verbs_program import VERBS
from holdfast.cli.main import _PROGRAMS


def test_the_command_line_has_a_program_for_each() -> None:
    assert {verb.noun for verb in VERBS} == set(_PROGRAMS)
    assert all(verb.runs is Runs.PROGRAM for verb in VERBS)
