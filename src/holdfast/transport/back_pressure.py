"""Back pressure: when resources run short, take less mail, in steps, before anything breaks.

Every two seconds each resource is looked at. Its level rises at one mark and
falls at a lower one, so that it does not flap. What follows from the levels is
one value, ``Pressure``, that the doors and the queue go by. Nothing accepted is
ever given up: who is refused hears 452 4.3.1 and tries again.

Two choices where the sources say little. A disk's marks are for large disks; on
a smaller one all four come down together, so that at the high mark 500 MB of the
queue's disk (1,152 MB of the log's) are left; of a disk that is smaller than
four times that, a quarter. And memory that other programs use refuses no mail,
since refusing would free none of it: it only pauses what can wait.

Source: exchange-behaviour BP.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.directory.model import Resource, ResourceThreshold
from holdfast.kernel.events import LogEvent, happened
from holdfast.transport import events

SAMPLE_INTERVAL_S = 2.0

DELAY_FIRST_S = 10.0
DELAY_STEP_S = 5.0
DELAY_MAX_S = 55.0

MEGABYTE = 1 << 20
DISK_RESERVES_BYTES = {Resource.QUEUE_DISK: 500 * MEGABYTE, Resource.LOG_DISK: 1152 * MEGABYTE}
RESERVE_SHARE_MAX = 0.25  # of a small disk; otherwise one of 400 MB would never take mail

# Exchange's marks: low to medium, medium to high, high to medium, medium to low, and looks before refusing.
BUILT_IN_THRESHOLDS = {
    each.resource: each
    for each in (
        ResourceThreshold(Resource.QUEUE_DISK, 96, 99, 97, 94),
        ResourceThreshold(Resource.LOG_DISK, 89, 99, 90, 80),
        ResourceThreshold(Resource.PROCESS_MEMORY, 72, 75, 73, 71, history_count=30),
        ResourceThreshold(Resource.SYSTEM_MEMORY, 88, 94, 89, 84),
        ResourceThreshold(Resource.SUBMISSION_QUEUE, 9_999, 15_000, 10_000, 2_000, history_count=300),
        ResourceThreshold(Resource.UNCOMMITTED, 999, 1_500, 1_000, 800, history_count=10),
    )
}
# More of these is relieved by taking mail more slowly, long before any is refused.
DELAYING = (Resource.SUBMISSION_QUEUE, Resource.UNCOMMITTED)
NEVER_REFUSING = (Resource.SYSTEM_MEMORY,)


class Level(enum.IntEnum):
    """How short a resource is."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2

    @property
    def word(self) -> str:
        """As people read it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a resource is used, in the unit of its marks: percent, or messages.

    Attributes:
        size_bytes: of a disk, the size of its file system; 0 leaves the marks as they are.
    """

    value: float
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pressure:
    """What is to be done now.

    Attributes:
        level: the highest level of any resource.
        delay_s: how long every 250 to a message is held, in seconds.
        refuse_outside: MAIL FROM of whoever is neither a server nor a signed-in user of ours: 452 4.3.1.
        refuse_all: MAIL FROM of everybody: 452 4.3.1.
        resubmits_paused: nothing is routed anew but what an administrator wants.
        shadows_refused: no shadow copies of other servers' messages are taken.
        outbound_stopped: nothing is sent to next hops.
        reason: which resource refuses mail, for the log; empty when none does.
    """

    level: Level = Level.LOW
    delay_s: float = 0.0
    refuse_outside: bool = False
    refuse_all: bool = False
    resubmits_paused: bool = False
    shadows_refused: bool = False
    outbound_stopped: bool = False
    reason: str = ""


NO_PRESSURE = Pressure()


@dataclass(frozen=True, slots=True)
class ResourceState:
    """One resource as it is now.

    Attributes:
        threshold: the marks that hold for it, after the size of its disk.
        value: None before it was first read.
        pressed_count: looks in a row at which it was medium or high.
        since: since when it has this level, on the steady clock.
        refuses: whether it is a reason to refuse mail, now.
        size_bytes: as it was read last.
    """

    threshold: ResourceThreshold
    value: float | None = None
    level: Level = Level.LOW
    pressed_count: int = 0
    since: float = 0.0
    refuses: bool = False
    size_bytes: int = 0


class BackPressure:
    """The levels of all resources of one transport role."""

    def __init__(self) -> None:
        self.pressure = NO_PRESSURE
        self._own: dict[Resource, ResourceThreshold] = {}
        self._states = {resource: ResourceState(marks) for resource, marks in BUILT_IN_THRESHOLDS.items()}

    def follow(self, thresholds: Iterable[ResourceThreshold]) -> None:
        """Go by the administrator's marks; they hold from the next look on, whatever the disk's size."""
        self._own = {each.resource: each for each in thresholds}

    def states(self) -> tuple[ResourceState, ...]:
        """All resources as they are now, in the order of ``Resource``."""
        return tuple(self._states[resource] for resource in Resource)

    def sampled(self, now: float, readings: Mapping[Resource, Reading]) -> list[LogEvent]:
        """Take one look at the resources.

        Args:
            now: on the steady clock; looks come every ``SAMPLE_INTERVAL_S``.
            readings: what was read; a resource that could not be read keeps its level.

        Returns:
            What the administrator should know.
        """
        happenings: list[LogEvent] = []
        for resource, reading in readings.items():
            before = self._states[resource]
            after = _judged(now, before, reading, self._own.get(resource))
            self._states[resource] = after
            if after.level is not before.level:
                happenings.append(_level_changed(before, after))
        before_pressure = self.pressure
        self.pressure = conclude(self._states.values())
        happenings += _refusing_changed(before_pressure, self.pressure)
        return happenings


def conclude(states: Iterable[ResourceState]) -> Pressure:
    """What follows from the levels of these resources."""
    known = list(states)
    level = max((each.level for each in known), default=Level.LOW)
    if not level:
        return NO_PRESSURE
    refusing = [each for each in known if each.refuses]
    # The worst first, so that the reason that is given is the one to mend.
    refusing.sort(key=lambda each: -each.level)
    delaying = [each for each in known if each.threshold.resource in DELAYING]
    return Pressure(
        level=level,
        delay_s=max((_delay_s(each) for each in delaying), default=0.0),
        refuse_outside=bool(refusing),
        refuse_all=any(each.level is Level.HIGH for each in refusing),
        resubmits_paused=True,
        shadows_refused=True,
        outbound_stopped=any(
            each.level is Level.HIGH and each.threshold.resource is Resource.UNCOMMITTED for each in known
        ),
        reason=_text(refusing[0]) if refusing else "",
    )


def foreseen(state: ResourceState, own: ResourceThreshold | None) -> ResourceState:
    """What the next look finds if a resource is used as now and has other marks; None: the built-in ones."""
    if state.value is None:
        return state
    return _judged(state.since, state, Reading(state.value, state.size_bytes), own)


def _judged(
    now: float, before: ResourceState, reading: Reading, own: ResourceThreshold | None
) -> ResourceState:
    resource = before.threshold.resource
    marks = own or _for_disk_size(BUILT_IN_THRESHOLDS[resource], reading.size_bytes)
    level = _level(before.level, reading.value, marks)
    pressed_count = before.pressed_count + 1 if level else 0
    return ResourceState(
        marks,
        reading.value,
        level,
        pressed_count,
        since=before.since if level is before.level and before.value is not None else now,
        refuses=bool(level) and pressed_count >= marks.history_count and resource not in NEVER_REFUSING,
        size_bytes=reading.size_bytes,
    )


def _level(before: Level, value: float, marks: ResourceThreshold) -> Level:
    """The level that follows; up and down have marks of their own."""
    if value >= marks.high or (before is Level.HIGH and value >= marks.high_to_medium):
        return Level.HIGH
    if value >= marks.medium or (before is not Level.LOW and value >= marks.medium_to_low):
        return Level.MEDIUM
    return Level.LOW


def _for_disk_size(marks: ResourceThreshold, size_bytes: int) -> ResourceThreshold:
    """The marks on a disk of this size: all four come down by what the high one has to."""
    reserve_bytes = DISK_RESERVES_BYTES.get(marks.resource, 0)
    if not reserve_bytes or size_bytes <= 0:
        return marks
    reserve_bytes = min(reserve_bytes, int(size_bytes * RESERVE_SHARE_MAX))
    lower = marks.high - 100.0 * (size_bytes - reserve_bytes) / size_bytes
    if lower <= 0:
        return marks
    return ResourceThreshold(
        marks.resource,
        medium=marks.medium - lower,
        high=marks.high - lower,
        high_to_medium=marks.high_to_medium - lower,
        medium_to_low=marks.medium_to_low - lower,
        history_count=marks.history_count,
    )


def _delay_s(state: ResourceState) -> float:
    if not state.pressed_count:
        return 0.0
    return min(DELAY_MAX_S, DELAY_FIRST_S + DELAY_STEP_S * (state.pressed_count - 1))


def unit_of(resource: Resource) -> str:
    """The unit of a resource's marks, as it follows a number."""
    return " messages" if resource in DELAYING else " %"


def _text(state: ResourceState) -> str:
    resource = state.threshold.resource
    return f"{resource.value} is {state.level.word} at {_plain(state.value or 0.0)}{unit_of(resource)}"


def _level_changed(before: ResourceState, after: ResourceState) -> LogEvent:
    kind = {
        Level.LOW: events.RESOURCE_LOW,
        Level.MEDIUM: events.RESOURCE_MEDIUM,
        Level.HIGH: events.RESOURCE_HIGH,
    }[after.level]
    marks = after.threshold
    # The mark that was crossed, and the one at which it ends again.
    mark = {
        Level.LOW: marks.medium_to_low,
        Level.MEDIUM: marks.medium if before.level is Level.LOW else marks.high_to_medium,
        Level.HIGH: marks.high,
    }[after.level]
    return happened(
        kind,
        resource=marks.resource.value,
        value=_plain(after.value or 0.0),
        unit=unit_of(marks.resource).strip(),
        mark=_plain(mark),
        before=before.level.word,
    )


def _plain(value: float) -> int | float:
    """One place after the point where there is any."""
    return int(value) if value == int(value) else round(value, 1)


def _refusing_changed(before: Pressure, after: Pressure) -> list[LogEvent]:
    if (before.refuse_outside, before.refuse_all) == (after.refuse_outside, after.refuse_all):
        return []
    if not after.refuse_outside:
        return [happened(events.MAIL_TAKEN_AGAIN)]
    whom = "everybody" if after.refuse_all else "outside"
    return [happened(events.MAIL_PUT_OFF, whom=whom, reason=after.reason)]
