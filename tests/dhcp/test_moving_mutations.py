"""Whatever a file says is taken over, noted or refused by name; what is taken over can go out again."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhcp.moving_samples import EMPTY, ISC, KEA, WINDOWS
from dhcp.mutations import of_elements, of_nodes, of_statements
from dhcp.round_trips import NOW, WRITERS
from holdfast.dhcp.departing import Departure
from holdfast.dhcp.migrate_isc import arrive_from_isc
from holdfast.dhcp.migrate_kea import arrive_from_kea
from holdfast.dhcp.migrate_plan import plan_arrival
from holdfast.dhcp.migrate_windows import arrive_from_windows
from holdfast.dhcp.moving import Arrival
from holdfast.directory.checks import check_organisation
from holdfast.kernel.errors import Refusal
from holdfast.wire import isc_conf, kea_config, windows_dhcp_export
from holdfast.wire.kea_config import Configuration
from holdfast.wire.windows_dhcp_export import Export

STATEMENTS = isc_conf.read_configuration(ISC)
ROOT = kea_config.read_configuration(KEA).root
EXPORT = windows_dhcp_export.read_export(WINDOWS)


def isc(rng: random.Random, rate: float) -> Arrival:
    return arrive_from_isc(of_statements(STATEMENTS, rng, rate), server="dhcp1")


def kea(rng: random.Random, rate: float) -> Arrival:
    return arrive_from_kea(Configuration(of_nodes(ROOT, rng, rate), ()), name="k", server="dhcp1")[0]


def windows(rng: random.Random, rate: float) -> Arrival:
    leases = [
        each._replace(fields={key: value for key, value in each.fields.items() if rng.random() > rate})
        for each in EXPORT.leases
    ]
    return arrive_from_windows(Export(of_elements(EXPORT.root, rng, rate), leases), name="w", server="dhcp1")


@pytest.mark.parametrize("read", [isc, kea, windows], ids=lambda each: each.__name__)
@given(seed=st.integers(0, 1 << 32), rate=st.sampled_from([0.003, 0.01, 0.03, 0.1]))
@settings(max_examples=150, deadline=None)
def test_a_file_with_wrong_places(
    read: Callable[[random.Random, float], Arrival], seed: int, rate: float
) -> None:
    try:
        arrival = read(random.Random(seed), rate)
    except Refusal:
        return
    assert all(each.place and each.reason for each in arrival.notes)
    plan = plan_arrival(EMPTY, arrival, NOW)
    if plan.conflicts or list(check_organisation(plan.after)):
        return  # the administrator is told, and nothing is changed
    departure = Departure(plan.after, plan.after.dhcp_server("dhcp1"), plan.after.scopes)
    for write in WRITERS.values():
        write(departure, plan.leases)
