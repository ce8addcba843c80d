"""A lab in network namespaces: cables that are cut both ways or one way, two labs at once, nothing left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.lab import processes
from holdfast.lab.laboratory import Lab
from holdfast.lab.network import OUTSIDE, prefix_of

pytestmark = [pytest.mark.interop, pytest.mark.process]

TWO_SITES = "name,site,mailboxes\nmail1,North,1\nmail2,South,1\n"
ONE_SITE = "name,site,mailboxes\nmail1,North,1\nmail2,North,1\n"


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[list[Lab]]:
    """Labs that are taken down after the test; making namespaces takes root and two programs."""
    missing = [
        each for each in ("ip", "nft") if shutil.which(each, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]
    if os.geteuid() != 0 or missing:
        what = f"{missing[0]} is not installed" if missing else "only root can make network namespaces"
        assert not os.environ.get("HOLDFAST_PEERS_REQUIRED"), what
        pytest.skip(what)
    made = [Lab(tmp_path / "one"), Lab(tmp_path / "two")]
    yield made
    for lab in made:
        lab.destroy()


def namespaces(lab: Lab) -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [each for each in listed.split() if each.startswith(prefix_of(lab.lab_id))]


def reaches(lab: Lab, source: str, target: str) -> bool:
    """Whether a connection to the SMTP port of a server can be made from another place."""
    address = lab.sheet.machine(target).address
    probe = f"import socket; socket.create_connection(('{address}', 25), 1).close()"
    command, environment = lab.exec_command(source, (sys.executable, "-c", probe))
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("sheet", [TWO_SITES, ONE_SITE], ids=["two sites", "one site"])
def test_cables_are_cut_and_heal(labs: list[Lab], sheet: str) -> None:
    lab = labs[0]
    lab.up(sheet, "lab.csv", loopback=False, say=lambda _: None)
    everywhere = [("mail1", "mail2"), ("mail2", "mail1"), (OUTSIDE, "mail1"), (OUTSIDE, "mail2")]
    assert all(reaches(lab, *each) for each in everywhere)

    lab.cut("mail1", "mail2", one_way=False)
    assert [reaches(lab, *each) for each in everywhere] == [False, False, True, True]
    lab.heal("mail1", "mail2")
    assert all(reaches(lab, *each) for each in everywhere)

    # One way is enough to make a connection impossible, also towards who can still send.
    lab.cut("mail1", "mail2", one_way=True)
    assert [reaches(lab, *each) for each in everywhere] == [False, False, True, True]
    lab.heal()
    lab.cut("mail1", "", one_way=False)
    assert [reaches(lab, *each) for each in everywhere] == [False, False, False, True]
    assert lab.kept.cuts
    lab.heal("mail1")
    assert lab.kept.cuts == []
    assert all(reaches(lab, *each) for each in everywhere)


def test_two_labs_with_the_same_addresses_do_not_meet_and_leave_nothing(labs: list[Lab]) -> None:
    one, two = labs
    one.up(TWO_SITES, "lab.csv", loopback=False, say=lambda _: None)
    two.up(TWO_SITES, "lab.csv", loopback=False, say=lambda _: None)
    assert [each.address for each in one.sheet.machines] == [each.address for each in two.sheet.machines]
    one.kill("mail1")
    assert not reaches(one, OUTSIDE, "mail1")
    assert reaches(two, OUTSIDE, "mail1")
    one.down()
    assert (namespaces(one), processes.find(one.lab_id)) == ([], [])
    assert reaches(two, OUTSIDE, "mail1")

    # The lab's own process died in the middle: what it left is found and taken down.
    del two
    after_a_crash = Lab(labs[1].state)
    assert after_a_crash.down() >= 10
    assert namespaces(after_a_crash) == []
