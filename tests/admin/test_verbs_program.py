"""Verbs that the command line does itself."""

from __future__ import annotations

from holdfast.admin.catalogue import Runs
from holdfast.admin.verbs_dhcp_client import VERBS as DHCP_CLIENT_VERBS
from holdfast.admin.verbs_drill import VERBS as DRILL_VERBS
from holdfast.admin.verbs_lab import VERBS as LAB_VERBS
from holdfast.admin.verbs_program import VERBS
from holdfast.cli.main import _PROGRAMS


def test_the_command_line_has_a_program_for_each() -> None:
    assert {verb.noun for verb in (*VERBS, *LAB_VERBS, *DRILL_VERBS, *DHCP_CLIENT_VERBS)} == set(_PROGRAMS)
    assert all(verb.runs is Runs.PROGRAM for verb in VERBS)
