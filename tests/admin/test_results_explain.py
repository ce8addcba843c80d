"""Results of explanations have a schema and say what they are."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.admin import results_explain
from holdfast.admin.results import Result

TYPES = [
    each
    for each in vars(results_explain).values()
    if isinstance(each, type) and issubclass(each, Result) and each is not Result
]


@pytest.mark.parametrize("result", TYPES, ids=lambda each: each.__name__)
def test_every_result_has_a_schema_and_says_what_it_is(result: type[Result]) -> None:
    assert result.__doc__
    assert msgspec.json.schema(result)
