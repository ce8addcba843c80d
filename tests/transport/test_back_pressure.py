"""Back pressure as tables: exact marks, hysteresis, history, disks of any size, and what follows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import Resource, ResourceThreshold
from holdfast.transport.back_pressure import (
    BUILT_IN_THRESHOLDS,
    NO_PRESSURE,
    BackPressure,
    Level,
    Pressure,
    Reading,
)

L, M, H = Level.LOW, Level.MEDIUM, Level.HIGH
Q, G, P, S, N, U = (
    Resource.QUEUE_DISK,
    Resource.LOG_DISK,
    Resource.PROCESS_MEMORY,
    Resource.SYSTEM_MEMORY,
    Resource.SUBMISSION_QUEUE,
    Resource.UNCOMMITTED,
)
TERABYTE = 1 << 40
GIGABYTE = 1 << 30


def run(machine: BackPressure, resource: Resource, values: list[float], size_bytes: int = 0) -> list[Level]:
    levels = []
    for at, value in enumerate(values):
        machine.sampled(2.0 * at, {resource: Reading(value, size_bytes)})
        levels.append(next(each for each in machine.states() if each.threshold.resource is resource).level)
    return levels


# Each row of exchange-behaviour BP, crossed upwards and downwards exactly at its marks.
MARKS: dict[Resource, list[tuple[float, Level]]] = {
    Q: [(95.9, L), (96, M), (94, M), (98.9, M), (99, H), (97, H), (96.9, M), (94, M), (93.9, L), (95.9, L)],
    G: [(88.9, L), (89, M), (80, M), (98.9, M), (99, H), (90, H), (89.9, M), (80, M), (79.9, L), (88.9, L)],
    P: [(71.9, L), (72, M), (71, M), (74.9, M), (75, H), (73, H), (72.9, M), (71, M), (70.9, L), (71.9, L)],
    S: [(87.9, L), (88, M), (84, M), (93.9, M), (94, H), (89, H), (88.9, M), (84, M), (83.9, L), (87.9, L)],
    N: [(9998, L), (9999, M), (2000, M), (14999, M), (15000, H), (10000, H), (9999, M), (2000, M), (1999, L)],
    U: [
        (998, L),
        (999, M),
        (800, M),
        (1499, M),
        (1500, H),
        (1000, H),
        (999, M),
        (800, M),
        (799, L),
        (998, L),
    ],
}


@pytest.mark.parametrize("resource", Resource, ids=lambda each: each.value)
def test_levels_change_exactly_at_the_marks(resource: Resource) -> None:
    table = MARKS[resource]
    assert run(BackPressure(), resource, [value for value, _ in table]) == [level for _, level in table]


def test_a_value_that_flaps_between_two_marks_changes_nothing() -> None:
    machine = BackPressure()
    happened_count = 0
    for at in range(100):
        happened_count += len(machine.sampled(2.0 * at, {Q: Reading(95.0 if at % 2 else 96.5)}))
    assert happened_count == 2  # medium, and that mail from outside is put off; then never again


def test_from_low_straight_to_high_and_back() -> None:
    assert run(BackPressure(), Q, [50, 99.5, 50]) == [L, H, L]


def test_disks_of_any_size_keep_their_reserve() -> None:
    # 20 GB: at the high mark 500 MB are left, and the other marks come down by as much.
    high = 100 * (20 * GIGABYTE - (500 << 20)) / (20 * GIGABYTE)
    lower = 99 - high
    machine = BackPressure()
    assert run(machine, Q, [95.9 - lower, 96 - lower, high - 0.01, high], 20 * GIGABYTE) == [L, M, M, H]
    assert run(BackPressure(), Q, [98.9, 99], TERABYTE) == [M, H]  # large: the table holds
    # The log's reserve is larger.
    high = 100 * (20 * GIGABYTE - (1152 << 20)) / (20 * GIGABYTE)
    assert run(BackPressure(), G, [high - 0.01, high], 20 * GIGABYTE) == [M, H]
    # 400 MB: of a disk smaller than the reserve a quarter is kept, so that it takes mail at all.
    assert run(BackPressure(), Q, [0, 71.9, 72, 74.9, 75], 400 << 20) == [L, L, M, M, H]


def test_the_administrators_marks_replace_ours_whatever_the_size() -> None:
    machine = BackPressure()
    machine.follow((ResourceThreshold(Q, 50, 60, 55, 45, history_count=2),))
    assert run(machine, Q, [49.9, 50, 45, 60, 55, 54.9, 44.9], 400 << 20) == [L, M, M, H, H, M, L]
    refuses = []
    for at in range(2):
        machine.sampled(2.0 * at, {Q: Reading(50)})
        refuses.append(machine.pressure.refuse_outside)
    assert refuses == [False, True]
    machine.follow(())
    assert run(machine, Q, [50]) == [L]
    assert machine.pressure == NO_PRESSURE


def pressed(resource: Resource, value: float, count: int) -> Pressure:
    machine = BackPressure()
    for at in range(count):
        machine.sampled(2.0 * at, {resource: Reading(value)})
    return machine.pressure


EFFECTS: dict[str, tuple[Pressure, tuple[Level, float, bool, bool, bool]]] = {
    # level, delay_s, refuse_outside, refuse_all, outbound_stopped
    "queue disk medium": (pressed(Q, 96, 1), (M, 0, True, False, False)),
    "queue disk high": (pressed(Q, 99, 1), (H, 0, True, True, False)),
    "log disk medium": (pressed(G, 89, 1), (M, 0, True, False, False)),
    "process memory, 29 looks": (pressed(P, 75, 29), (H, 0, False, False, False)),
    "process memory, 30 looks": (pressed(P, 75, 30), (H, 0, True, True, False)),
    "process memory medium, 30 looks": (pressed(P, 72, 30), (M, 0, True, False, False)),
    "memory of others refuses nothing": (pressed(S, 100, 500), (H, 0, False, False, False)),
    "submission queue delays at once": (pressed(N, 9999, 1), (M, 10, False, False, False)),
    "in steps": (pressed(N, 9999, 2), (M, 15, False, False, False)),
    "to its longest": (pressed(N, 9999, 10), (M, 55, False, False, False)),
    "and stays there": (pressed(N, 15000, 299), (H, 55, False, False, False)),
    "until ten minutes have passed": (pressed(N, 9999, 300), (M, 55, True, False, False)),
    "submission queue high": (pressed(N, 15000, 300), (H, 55, True, True, False)),
    "uncommitted medium": (pressed(U, 999, 9), (M, 50, False, False, False)),
    "uncommitted medium for long": (pressed(U, 999, 10), (M, 55, True, False, False)),
    "uncommitted high stops outbound at once": (pressed(U, 1500, 1), (H, 10, False, False, True)),
    "uncommitted high for long": (pressed(U, 1500, 10), (H, 55, True, True, True)),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_what_follows(name: str) -> None:
    pressure, expected = EFFECTS[name]
    assert (
        pressure.level,
        pressure.delay_s,
        pressure.refuse_outside,
        pressure.refuse_all,
        pressure.outbound_stopped,
    ) == expected
    assert pressure.resubmits_paused
    assert pressure.shadows_refused


def test_history_begins_anew_when_the_level_was_low() -> None:
    machine = BackPressure()
    for at in range(40):
        machine.sampled(2.0 * at, {P: Reading(70.0 if at == 20 else 75.0)})
        assert not machine.pressure.refuse_outside
    assert machine.pressure.level is H


def test_what_is_said() -> None:
    machine = BackPressure()

    def said(**readings: float) -> list[tuple[str, str]]:
        taken = {Resource[name.upper()]: Reading(value) for name, value in readings.items()}
        return [
            (event.kind.event_id, event.kind.text.format(**event.fields))
            for event in machine.sampled(7.0, taken)
        ]

    assert said(queue_disk=50.0, log_disk=50.0) == []
    assert said(queue_disk=96.24) == [
        ("TRN-0400", "queue-disk is short: 96.2 % (mark 96), level medium, was low"),
        ("TRN-0403", "mail from outside is put off (452 4.3.1): queue-disk is medium at 96.2 %"),
    ]
    assert said(queue_disk=99.0, log_disk=89.0) == [
        ("TRN-0401", "queue-disk is nearly used up: 99 % (mark 99), level high, was medium"),
        ("TRN-0400", "log-disk is short: 89 % (mark 89), level medium, was low"),
        ("TRN-0403", "mail from everybody is put off (452 4.3.1): queue-disk is high at 99 %"),
    ]
    assert said() == []  # nothing could be read: all stays as it is
    assert machine.pressure.refuse_all
    assert said(queue_disk=96.9, log_disk=10.0) == [
        ("TRN-0400", "queue-disk is short: 96.9 % (mark 97), level medium, was high"),
        ("TRN-0402", "log-disk is no longer short: 10 % (below 80), was medium"),
        ("TRN-0403", "mail from outside is put off (452 4.3.1): queue-disk is medium at 96.9 %"),
    ]
    assert said(queue_disk=10.0, uncommitted=999.0) == [
        ("TRN-0402", "queue-disk is no longer short: 10 % (below 94), was medium"),
        ("TRN-0400", "uncommitted is short: 999 messages (mark 999), level medium, was low"),
        ("TRN-0404", "mail is taken again from everybody"),
    ]
    state = next(each for each in machine.states() if each.threshold.resource is Q)
    assert (state.level, state.value, state.pressed_count, state.since) == (L, 10.0, 0, 7.0)


@given(st.sampled_from(Resource), st.lists(st.floats(0, 20_000), max_size=60), st.integers(0, 1 << 44))
@settings(max_examples=100)
def test_any_readings_give_a_sound_pressure(resource: Resource, values: list[float], size_bytes: int) -> None:
    machine = BackPressure()
    for at, value in enumerate(values):
        machine.sampled(2.0 * at, {resource: Reading(value, size_bytes)})
        pressure = machine.pressure
        assert 0.0 <= pressure.delay_s <= 55.0
        assert pressure.refuse_outside or not pressure.refuse_all
        assert bool(pressure.reason) == pressure.refuse_outside
        assert (pressure.level is L) == (pressure == NO_PRESSURE)
    marks = machine.states()[list(Resource).index(resource)].threshold
    assert 0 < marks.medium_to_low <= marks.medium <= marks.high
    assert marks.medium_to_low <= marks.high_to_medium <= marks.high
    assert marks.history_count == BUILT_IN_THRESHOLDS[resource].history_count
