"""Whether a certificate's name is the one that was meant; the table of curl is read from where it lies."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.certificates.names import names_match, presented_name_matches

ROOT = Path(__file__).parents[2]
CONFORMANCE = (ROOT / os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")).resolve() / "certs"


def test_the_table_of_curl() -> None:
    path = CONFORMANCE / "curl-hostcheck.csv"
    if not path.exists():
        pytest.skip("the conformance cases are not there (HOLDFAST_CONFORMANCE)")
    wrong: list[str] = []
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        host, pattern = (_unescaped(row[key]) for key in ("host", "pattern_c_escaped"))
        if presented_name_matches(pattern, host) is not (row["match"] == "yes"):
            wrong.append(f"{host!r} {pattern!r} should be {row['match']}")
    assert len(rows) > 30
    assert not wrong


def _unescaped(text: str) -> str:
    return text.encode("latin-1").decode("unicode_escape")


@pytest.mark.parametrize(
    ("presented", "wanted", "matches"),
    [
        (("mx.example.org",), ("mx.example.org",), True),
        (("MX.Example.org.",), ("mx.example.org",), True),
        (("*.example.org",), ("mx.example.org",), True),
        (("mx.example.org",), ("*.example.org",), True),
        (("*.example.org",), ("*.example.org",), True),
        (("a.b.example.org",), ("*.example.org",), False),
        (("example.org",), ("*.example.org",), False),
        (("mx.example.net", "mx.example.org"), ("other.example", "mx.example.org"), True),
        ((), ("mx.example.org",), False),
        (("mx.example.org",), (), False),
        (("",), ("*.",), False),
    ],
)
def test_names_and_patterns(presented: tuple[str, ...], wanted: tuple[str, ...], matches: bool) -> None:
    assert names_match(presented, wanted) is matches


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_texts_match_or_do_not(presented: str, wanted: str) -> None:
    assert names_match([presented], [wanted]) in (True, False)
