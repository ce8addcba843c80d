"""What the verbs about subnets give back."""

from __future__ import annotations

import msgspec

from holdfast.admin.results_ip import SubnetAnswer


def test_only_what_was_asked_is_in_an_answer() -> None:
    assert msgspec.json.encode(SubnetAnswer(subnets=["10.0.0.0/8"])) == b'{"subnets":["10.0.0.0/8"]}'
