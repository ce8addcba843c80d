"""Connections of a server with its partners."""

from __future__ import annotations

import pytest

from holdfast.kernel.errors import Refusal
from holdfast.node.failover import Command, Partners


def test_a_server_without_partners_takes_no_connection_and_no_order() -> None:
    partners = Partners((), 0.0)
    assert partners.accepted(1.0, "10.0.0.9") is None
    assert partners.status(1.0) == []
    assert partners.deadline() is None
    with pytest.raises(Refusal, match='no failover relationship "office"; it has none'):
        partners.command(1.0, "office", Command.PARTNER_DOWN)
