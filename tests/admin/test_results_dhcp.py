"""Results about DHCP are shown like all results, and lists of them are tables."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.admin import results_dhcp
from holdfast.admin.results import Result
from holdfast.cli.render import show

TYPES = [
    each
    for each in vars(results_dhcp).values()
    if isinstance(each, type) and issubclass(each, Result) and each.__module__ == results_dhcp.__name__
]


@pytest.mark.parametrize("result", TYPES, ids=lambda each: each.__name__)
def test_every_result_has_a_schema_and_says_what_it_is(result: type[Result]) -> None:
    assert result.__doc__
    assert msgspec.json.schema(result)
    for field in msgspec.structs.fields(result):
        assert not field.name.endswith(("_seconds", "_ms", "_kb"))


def test_scopes_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    row = results_dhcp.ScopeRow(
        "office", "192.0.2.0/24", "192.0.2.10-192.0.2.29", "demo", True, "", None, 2, 20, None, None
    )
    show(results_dhcp.ScopeList([row]))
    head, line = capsys.readouterr().out.splitlines()
    assert "leased" in head
    assert line.split()[:4] == ["office", "192.0.2.0/24", "192.0.2.10-192.0.2.29", "demo"]
