"""``holdfast simulate --scenario dhcp``."""

from __future__ import annotations

import json

from holdfast.sim.command import main


def said(*words: str) -> tuple[int, str]:
    lines: list[str] = []
    code = main(list(words), lines.append)
    return code, "".join(lines)


def test_seeds_as_lines_and_as_json() -> None:
    code, text = said("--scenario", "dhcp-tiny", "--seeds", "0-2")
    assert code == 0
    assert [line.split(":")[0] for line in text.splitlines()] == [
        f"seed {n} scenario dhcp-tiny" for n in range(3)
    ]
    code, text = said("--scenario", "dhcp-tiny", "--seed", "1", "--json")
    assert json.loads(text)["failure"] is None
    code, text = said("--scenario", "dhcp-tiny", "--seed", "1", "--trace")
    assert "the server starts" in text


def test_what_is_for_mail_alone_is_refused() -> None:
    assert said("--scenario", "dhcp", "--seed", "1", "--shrink") == (2, "")


def test_two_partners_have_scenarios_of_their_own() -> None:
    printed: list[str] = []
    assert main(["--seed", "1", "--scenario", "dhcp-pair-tiny"], printed.append) == 0
    assert "".join(printed).startswith("seed 1 scenario dhcp-pair-tiny: ok, 4 clients")
