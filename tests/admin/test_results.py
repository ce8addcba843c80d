"""The result types."""

from __future__ import annotations

import inspect

from holdfast.admin import results
from holdfast.admin.catalogue import all_verbs


def test_every_result_is_documented_and_used() -> None:
    types = {
        each for _, each in inspect.getmembers(results, inspect.isclass) if issubclass(each, results.Result)
    }
    rows = {name for each in types for name in map(str, each.__annotations__.values())}
    for each in types - {results.Result}:
        assert each.__doc__
        used = any(verb.result is each for verb in all_verbs()) or any(each.__name__ in row for row in rows)
        assert used, each.__name__
