"""Faults: what goes wrong, when, and how it all ends when the liveness phase begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from holdfast.sim.checkers import MailChecker
from holdfast.sim.disk import QueueDisk, Weather
from holdfast.sim.mailbox_process import MailboxDisk, MailboxProcess
from holdfast.sim.network import Network
from holdfast.sim.next_hops import NextHops
from holdfast.sim.post import sender_place
from holdfast.sim.process import Process
from holdfast.sim.scenario import Rates
from holdfast.sim.transport_process import PLACE, TransportProcess
from holdfast.sim.world import World, some


class Victims(Protocol):
    """The parts of a simulation that faults happen to."""

    world: World
    rates: Rates
    network: Network
    hops: NextHops
    queue_disk: QueueDisk
    store_disk: MailboxDisk
    transport: TransportProcess
    mailbox: MailboxProcess
    checker: MailChecker


class Faults:
    """Draws when each kind of fault happens, and lets it happen."""

    def __init__(self, victims: Victims) -> None:
        self._victims = victims
        self._world = victims.world
        self._luck = victims.world.luck("faults")
        self._stopped = False

    def begin(self) -> None:
        """Let every kind of fault happen at its rate from now on."""
        victims, rates = self._victims, self._victims.rates
        self._again(rates.crash_every_s, lambda: self._crash(victims.transport))
        self._again(rates.store_crash_every_s, lambda: self._crash(victims.mailbox))
        self._again(rates.stop_every_s, victims.transport.stop)
        self._again(rates.store_stop_every_s, victims.mailbox.stop)
        self._again(rates.reset_every_s, victims.network.reset_one)
        self._again(rates.partition_every_s, self._partition)
        self._again(rates.full_every_s, lambda: self._fill("queue disk", victims.queue_disk.weather))
        self._again(rates.store_full_every_s, lambda: self._fill("store disk", victims.store_disk.weather))
        self._again(rates.slow_every_s, lambda: self._slow("queue disk", victims.queue_disk.weather))
        self._again(rates.store_slow_every_s, lambda: self._slow("store disk", victims.store_disk.weather))
        self._again(rates.clock_jump_every_s, self._jump_clock)
        self._again(rates.hop_down_every_s, victims.hops.go_down)

    def stop(self) -> None:
        """No more faults; what is down comes back by itself, what is held up goes on."""
        self._stopped = True
        self._victims.network.heal()
        self._victims.transport.calm = True
        self._victims.transport.names.calm = True
        self._victims.hops.grow_calm()
        for weather in (self._victims.queue_disk.weather, self._victims.store_disk.weather):
            weather.full_until = weather.slow_until = 0.0

    def _again(self, every_s: float, action: Callable[[], None]) -> None:
        if every_s <= 0:
            return

        def happen() -> None:
            if not self._stopped:
                action()
                self._again(every_s, action)

        self._world.after(some(self._luck, every_s), "", happen)

    def _crash(self, process: Process) -> None:
        process.crash()
        self._victims.checker.check_durable()

    def _partition(self) -> None:
        rates, network = self._victims.rates, self._victims.network
        span_s = some(self._luck, rates.partition_s)
        sender = sender_place(self._luck.randrange(max(1, rates.sender_count)))
        far = sender if self._luck.random() < 0.7 else self._victims.mailbox.name
        way = self._luck.randrange(3)
        self._world.note(f"fault: {PLACE} and {far} parted for {span_s:.3f} s, way {way}")
        if way != 1:
            network.hold(PLACE, far, span_s)
        if way != 2:
            network.hold(far, PLACE, span_s)

    def _fill(self, name: str, weather: Weather) -> None:
        span_s = some(self._luck, self._victims.rates.full_s)
        self._world.note(f"fault: {name} is full for {span_s:.3f} s")
        weather.full_until = self._world.now + span_s

    def _slow(self, name: str, weather: Weather) -> None:
        span_s = some(self._luck, self._victims.rates.slow_s)
        self._world.note(f"fault: {name} is slow for {span_s:.3f} s")
        weather.slow_until = self._world.now + span_s

    def _jump_clock(self) -> None:
        span_s = self._luck.uniform(-1.0, 1.0) * self._victims.rates.clock_jump_s
        process: Process = self._victims.transport if self._luck.random() < 0.7 else self._victims.mailbox
        process.jump_clock(span_s)
