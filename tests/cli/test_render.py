"""Results for people and for programs."""

from __future__ import annotations

import json
import sys

import pytest

from holdfast.admin.results import (
    Checked,
    DomainList,
    History,
    HistoryRow,
    Ledger,
    MailboxList,
    MailboxRow,
    SiteList,
    SiteRow,
    Text,
    Tracked,
    TrackedRow,
)
from holdfast.admin.results_queue import Exported
from holdfast.cli.render import as_json, as_text, show

Capture = pytest.CaptureFixture[str]


def test_json_is_what_the_type_says() -> None:
    ledger = Ledger(4, 2, 1, 0, 1, 0, 0, 0, 0, [])
    assert json.loads(as_json(ledger)) == {
        "accepted": 4,
        "delivered": 2,
        "relayed": 1,
        "transferred_out": 0,
        "queued": 1,
        "bounced": 0,
        "dropped": 0,
        "transferred_in": 0,
        "unaccounted": 0,
        "missing": [],
        "protected_message_count": 0,
        "unprotected_message_count": 0,
        "unprotected_since_at": None,
    }


def test_a_ledger_is_lines(capsys: Capture) -> None:
    show(Ledger(4, 2, 1, 0, 1, 0, 0, 0, 0, []))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["unaccounted:", "0"] in lines


def test_lists_are_tables_that_nothing_is_cut_from(capsys: Capture) -> None:
    row = MailboxRow("a" * 300 + "@example.test", "[bold]x\x1b[31m", "DB01", True, 2 << 30, None, 12)
    show(MailboxList([row]))
    out = capsys.readouterr().out
    assert row.address in out
    assert "[bold]x�[31m" in out
    assert "2.00 GB" in out
    assert "\x1b" not in out
    assert "yes" in out


def test_a_long_subject_of_one_message_does_not_widen_every_row(capsys: Capture) -> None:
    rows = [
        TrackedRow(
            0.0, "RECEIVE", "SMTP", "a@b.example", ["c@d.example"], subject, 1, "", "id", f"<{local}@b>"
        )
        for subject, local in (("x" * 3000, "y" * 990), ("z" * 120, "y" * 300))
    ]
    tracked = Tracked(rows, complete=True)
    show(tracked)
    out = capsys.readouterr().out
    assert "x" * 119 + "…" in out
    assert "x" * 120 not in out
    assert "z" * 120 in out
    assert rows[1].message_id in out
    assert max(map(len, out.splitlines())) < 700
    assert json.loads(as_json(tracked))["rows"][0]["subject"] == rows[0].subject


def test_an_empty_list_says_so(capsys: Capture) -> None:
    show(DomainList([]))
    assert capsys.readouterr().out == "no domains\n"
    show(Checked(4, 0, []))
    assert capsys.readouterr().out == "revision: 4\nproblems: 0\n"


def test_long_lists_in_a_cell_go_below_each_other(capsys: Capture) -> None:
    show(History([HistoryRow(2, 0.0, "root", "", ["x" * 40, "y" * 40])]))
    assert len(capsys.readouterr().out.splitlines()) == 3
    show(SiteList([SiteRow("s", ["192.0.2.0/24", "198.51.100.0/24"], [])]))
    assert "192.0.2.0/24, 198.51.100.0/24" in capsys.readouterr().out


def test_a_text_keeps_its_lines(capsys: Capture) -> None:
    show(Text("a = 1\nb = 2\n"))
    assert capsys.readouterr().out == "a = 1\nb = 2\n"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("size_bytes", 2048, "2.00 KB"),
        ("uptime_s", 90.0, "1.5m"),
        ("uptime_s", 5.0, "5s"),
        ("uptime_s", 0.25, "0.2s"),
        ("uptime_s", 172800.0, "2.0d"),
        ("clock_difference_s", -172800.0, "-2.0d"),
        ("clock_difference_s", -0.25, "-0.2s"),
        ("expires_in_s", 86407.8, "1.0d"),
        ("expires_in_s", -86407.8, "expired 1.0d ago"),
        ("at", 1e30, "1e+30"),
        ("enabled", False, "no"),
        ("why", "", "-"),
        ("pid", None, "-"),
    ],
)
def test_a_name_says_how_a_value_is_shown(name: str, value: object, text: str) -> None:
    assert as_text(name, value) == text


def test_instants_are_local_time() -> None:
    assert as_text("received_at", 1_800_000_000.0).startswith("2027-01-1")


def test_a_message_is_printed_byte_for_byte_but_not_to_a_terminal(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = Exported(b"Subject: \x1b[31mred\r\n\r\n\xff\r\n")
    show(message)
    assert capfdbinary.readouterr().out == message.data
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show(message)
    sys.stdout.flush()
    out = capfdbinary.readouterr().out
    assert b"\x1b" not in out
    assert b"[31mred\n\n" in out
