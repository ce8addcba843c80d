"""What the dhcp role tells of failover; without the role a verb goes on and says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.admin.conftest import World
from tests.admin.failover_answers import PairRole, state
from tests.admin.test_verbs_dhcp_failover import servers  # noqa: F401  # the fixture

from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


@pytest.mark.usefixtures("servers")
def test_states_come_from_the_role(call: Call, world: World) -> None:
    call("dhcp failover create", name="pair", partner="second", yes=True)
    world.dhcp = PairRole(state(state="PARTNER-DOWN"))
    assert call("dhcp failover list").relationships[0].state == "PARTNER-DOWN"
    assert world.warnings == []
    world.dhcp = None
    assert call("dhcp failover list").relationships[0].state == ""
    assert "how the relationship goes is not known: the dhcp role is not running" in world.warnings[0]


@pytest.mark.usefixtures("servers")
def test_the_role_reads_a_secret_that_was_set(call: Call, world: World) -> None:
    world.dhcp = role = PairRole(state())
    call("dhcp failover create", name="pair", partner="second", secret="open sesame", yes=True)
    call("dhcp failover set-secret", name="pair", secret="another one")
    assert role.reread_count == 2

    def refuses(verb: str, body: bytes) -> bytes:
        raise Refusal("it runs another version")

    world.dhcp = refuses
    call("dhcp failover set-secret", name="pair", forget=True)
    assert "does not know of the secret yet: it runs another version" in world.warnings[-1]
