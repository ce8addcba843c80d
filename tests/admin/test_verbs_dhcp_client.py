"""The verbs that are a DHCP client."""

from __future__ import annotations

from holdfast.admin.catalogue import Runs, find_verb, read_arguments
from holdfast.admin.verbs_dhcp_client import VERBS


def test_they_are_programs_of_the_command_line_and_change_nothing() -> None:
    assert [verb.title for verb in VERBS] == ["dhcp client", "dhcp probe"]
    assert all(verb.runs is Runs.PROGRAM and not verb.changes for verb in VERBS)


def test_an_interface_alone_is_enough() -> None:
    client, probe = find_verb("dhcp client", ""), find_verb("dhcp probe", "")
    assert client is not None
    assert probe is not None
    given = read_arguments(client, {"interface": "eth1"})
    assert not given.flag("configure"), "the machine is left as it is"
    assert given.optional_span_s("for") is None
    assert read_arguments(probe, {}).optional_span_s("wait") == 5.0
