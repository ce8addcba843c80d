"""Answers that come in pieces look like those that were held."""

from __future__ import annotations

import json

import pytest

from holdfast.admin.results_ip import SubnetAnswer
from holdfast.admin.streaming import Stream
from holdfast.cli.render import as_json


@pytest.mark.parametrize("pieces", [["a"], ["a\nb", "c"], []], ids=str)
def test_streamed_json_is_that_of_the_whole_result(pieces: list[str]) -> None:
    text = "".join(Stream("subnets", iter(pieces)).as_json())
    lines = "\n".join(pieces).split("\n") if pieces else []
    assert json.loads(text) == {"subnets": lines}
    if lines:
        assert text == as_json(SubnetAnswer(subnets=lines)) + "\n"
    assert "".join(Stream("subnets", iter(pieces)).as_lines()) == "".join(line + "\n" for line in lines)
