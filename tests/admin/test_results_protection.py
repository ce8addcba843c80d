"""Results about shadow copies are shown like all results: units in their names, nothing but plain values."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.admin import results_protection
from holdfast.admin.results import Result

TYPES = [
    each
    for each in vars(results_protection).values()
    if isinstance(each, type) and issubclass(each, Result) and each is not Result
]


@pytest.mark.parametrize("result", TYPES, ids=lambda each: each.__name__)
def test_every_result_has_a_schema_and_says_what_it_is(result: type[Result]) -> None:
    assert result.__doc__
    assert msgspec.json.schema(result)
    for field in msgspec.structs.fields(result):
        assert not field.name.endswith(("_seconds", "_ms", "_kb"))
