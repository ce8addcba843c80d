"""kill -9 of the dhcp role under load: every lease that was acknowledged is there, none is leased twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from crash.dhcp_load import DhcpLoad
from dhcp_service import free_udp_port, organisation, running
from holdfast.dhcp.lease import ACTIVE, address_text
from holdfast.drivers.sqlite_leases import LEASE_FILE, read_leases

pytestmark = pytest.mark.process


def test_every_acknowledged_lease_outlives_a_kill_and_none_is_leased_twice(
    tmp_path: Path, crash_luck: random.Random, request: pytest.FixtureRequest
) -> None:
    port = free_udp_port()
    load = DhcpLoad(port, crash_luck)
    with running(tmp_path, organisation(port)) as role:
        load.start()
        try:
            for _ in range(request.config.getoption("--crashes")):
                load.wait_for_more(crash_luck.randint(1, 1500))
                role.kill()
                durable = {
                    address_text(each.address): each.hardware
                    for each in read_leases(tmp_path / LEASE_FILE)
                    if each.status == ACTIVE
                }
                # The load goes on saying things, but nobody answers: what it holds only gets less.
                lost = [
                    f"{address} of {client.mac.hex()}"
                    for address, client in list(load.held.items())
                    if durable.get(address) != b"\x01" + client.mac and load.held.get(address) is client
                ]
                assert lost == []
                assert load.faults == []
                role.start()
            load.wait_for_more(500)
        finally:
            load.stop()
        assert load.faults == []
        assert role.stop() == 0
        assert '"severity":"broken"' not in role.log()
