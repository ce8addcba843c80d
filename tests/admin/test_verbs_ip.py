"""``holdfast ip subnet`` from words to output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cli.main import DONE, REFUSED, run

Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *words: str) -> str:
    assert run(["ip", "subnet", *words]) == DONE
    return capsys.readouterr().out


def test_listing_is_made_for_pipes_and_for_json(capsys: Capture) -> None:
    assert said(capsys, "192.0.2.0/30") == "192.0.2.1\n192.0.2.2\n"
    assert said(capsys, "192.0.2.0/30", "--all").count("\n") == 4
    assert json.loads(said(capsys, "10.0.0.0/20", "--json"))["addresses"][4092:] == [
        "10.0.15.253",
        "10.0.15.254",
    ]
    assert said(capsys, "10.0.0.0/8", "--split", "9") == "10.0.0.0/9\n10.128.0.0/9\n"
    assert said(capsys, "10.0.0.0/24", "10.0.1.0/24", "--merge") == "10.0.0.0/23\n"
    assert said(capsys, "10.0.0.0/24", "--next-free", "24", "--inside", "10.0.0.0/16") == "10.0.1.0/24\n"
    assert said(capsys, "--next-free", "24", "--inside", "10.0.0.0/16") == "10.0.0.0/24\n"


def test_counts_are_exact_also_where_they_exceed_64_bits(capsys: Capture) -> None:
    counted = json.loads(said(capsys, "2001:db8::/32", "2001:db9::/128", "--count", "--json"))
    assert counted["host_count"] == 1 << 96
    assert counted["counts"][0]["address_count"] == 1 << 96
    table = said(capsys, "10.0.0.0/12", "--count")
    assert "10.15.255.254" in table
    assert "1048574" in table


def test_containment(capsys: Capture) -> None:
    rows = json.loads(said(capsys, "10.0.0.0/24", "10.0.0.0/8", "--contains", "10.0.0.7", "--json"))[
        "holders"
    ]
    assert rows == [{"wanted": "10.0.0.7", "inside": ["10.0.0.0/24", "10.0.0.0/8"], "partly_inside": []}]
    assert "no addresses" not in said(capsys, "10.0.0.0/24", "--contains", "10.0.0.7")


def test_subnets_come_from_a_file_too(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "subnets"
    file.write_text("# ours\n10.0.1.0/24\n\n10.0.0.0/24 # here\n")
    assert said(capsys, "10.0.2.0/23", "--file", str(file), "--merge") == "10.0.0.0/22\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("10.0.0.1/8",), "names a host"),
        (("10.0.0.0/8", "::/0"), "give them in two calls"),
        ((), "give at least one subnet"),
        (("10.0.0.0/8", "--count", "--merge"), "--count and --merge are two questions"),
        (("10.0.0.0/8", "--inside", "10.0.0.0/8"), "--inside goes with --next-free"),
        (("10.0.0.0/8", "--next-free", "24"), "--next-free needs --inside"),
        (("10.0.0.0/8", "--all", "--count"), "--all lists addresses"),
        (("10.0.0.0/8", "--split", "7"), "give a prefix from 8 to 32"),
    ],
)
def test_what_cannot_be_answered_says_what_to_do(
    words: tuple[str, ...], expected: str, capsys: Capture
) -> None:
    assert run(["ip", "subnet", *words]) == REFUSED
    said = capsys.readouterr()
    assert expected in said.err
    assert said.out == ""


def test_a_reader_that_has_enough_ends_the_listing() -> None:
    command = [sys.executable, "-m", "holdfast.cli.main", "ip", "subnet", "::/0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"::1\n"
        process.stdout.close()
        assert process.wait(60) == DONE
        assert process.stderr.read() == b""
