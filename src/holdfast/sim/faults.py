"""Faults: what goes wrong, when, and how it all ends when the liveness phase begins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from holdfast.sim.checkers import MailChecker
from holdfast.sim.disk import Weather
from holdfast.sim.network import Network
from holdfast.sim.next_hops import NextHops
from holdfast.sim.post import sender_place
from holdfast.sim.process import Process
from holdfast.sim.scenario import Rates
from holdfast.sim.schedule import EVERYTHING, Schedule
from holdfast.sim.servers import MailServer
from holdfast.sim.world import World, some

ROLLING_STEP_S = 2.0  # between looks at whether a server that was restarted is back


class Victims(Protocol):
    """The parts of a simulation that faults happen to."""

    world: World
    rates: Rates
    network: Network
    hops: NextHops
    servers: list[MailServer]
    checker: MailChecker

    def disk_lost(self, server: MailServer, down_s: float) -> None:
        """A server loses its disk and is down for a while."""

    def dead(self, server: MailServer) -> None:
        """A server never comes back, and the others are told."""

    @property
    def left_alone_takes_nothing(self) -> bool:
        """Whether a copy is required and one server is not enough for it."""


# What a fault does, once everything about it is drawn.
Effect = Callable[[], None]


class Faults:
    """Draws when each kind of fault happens, and lets it happen.

    Attributes:
        happened: what took place, by its number, in words.
    """

    def __init__(self, victims: Victims, schedule: Schedule = EVERYTHING) -> None:
        self.happened: dict[int, str] = {}
        self._schedule = schedule
        self._drawn_count = 0
        self._victims = victims
        self._world = victims.world
        self._luck = victims.world.luck("faults")
        self._stopped = False
        self._rolling = False
        self._lost_disk_count = 0

    def begin(self) -> None:
        """Let every kind of fault happen at its rate from now on."""
        victims, rates = self._victims, self._victims.rates
        self._again(rates.crash_every_s, lambda: self._crash(self._server().transport))
        self._again(rates.store_crash_every_s, lambda: self._crash(self._server().mailbox))
        self._again(rates.stop_every_s, lambda: self._stop(self._server().transport))
        self._again(rates.store_stop_every_s, lambda: self._stop(self._server().mailbox))
        self._again(rates.reset_every_s, lambda: ("a connection is reset", victims.network.reset_one))
        self._again(rates.partition_every_s, self._partition)
        self._again(rates.full_every_s, lambda: self._fill(self._server().queue_disk))
        self._again(rates.store_full_every_s, lambda: self._fill(self._server().store_disk))
        self._again(rates.slow_every_s, lambda: self._slow(self._server().queue_disk))
        self._again(rates.store_slow_every_s, lambda: self._slow(self._server().store_disk))
        self._again(rates.clock_jump_every_s, self._jump_clock)
        self._again(rates.hop_down_every_s, lambda: ("a next hop is down", victims.hops.go_down))
        self._again(rates.server_crash_every_s, self._crash_server)
        if len(victims.servers) > 1:
            self._again(rates.link_every_s, self._part_servers)
            self._again(rates.slow_link_every_s, self._slow_link)
            self._again(rates.declare_every_s, self._declare)
        self._again(rates.disk_loss_every_s, self._lose_disk)
        self._again(rates.rolling_restart_every_s, self._roll)
        if rates.clock_drift:
            for server in victims.servers:
                server.drift(self._luck.uniform(-1.0, 1.0) * rates.clock_drift)

    def stop(self) -> None:
        """No more faults; what is down comes back by itself, what is held up goes on."""
        self._stopped = True
        victims = self._victims
        if len(victims.servers) > 1 and self._luck.random() < victims.rates.dead_rate:
            server = self._server()
            # With two disks lost at once nothing is promised, and where copies are required a server that is
            # left alone takes nothing.
            if not self._lost_disk_count and not victims.left_alone_takes_nothing:
                victims.dead(server)
        victims.network.heal()
        self._victims.hops.grow_calm()
        for server in self._victims.servers:
            server.transport.calm = True
            server.transport.names.calm = True
            for weather in (server.queue_disk.weather, server.store_disk.weather):
                weather.full_until = weather.slow_until = 0.0

    def _again(self, every_s: float, draw: Callable[[], tuple[str, Effect]]) -> None:
        if every_s <= 0:
            return

        def happen() -> None:
            if not self._stopped:
                self._drawn_count += 1
                words, effect = draw()
                if self._schedule.has_fault(self._drawn_count):
                    self.happened[self._drawn_count] = f"{self._world.elapsed_s:.6f} {words}"
                    effect()
                self._again(every_s, draw)

        self._world.after(some(self._luck, every_s), "", happen)

    def _server(self) -> MailServer:
        """Draw a server."""
        servers = self._victims.servers
        return servers[self._luck.randrange(len(servers))] if len(servers) > 1 else servers[0]

    # --- processes and machines --------------------------------------------------------------

    def _crash(self, process: Process) -> tuple[str, Effect]:
        def effect() -> None:
            process.crash()
            self._victims.checker.check_durable()

        return f"{process.name} dies", effect

    @staticmethod
    def _stop(process: Process) -> tuple[str, Effect]:
        return f"{process.name} is asked to stop", process.stop

    def _crash_server(self) -> tuple[str, Effect]:
        server = self._server()
        span_s = some(self._luck, self._victims.rates.server_down_s)
        words = f"server {server.name} loses its power for {span_s:.3f} s"

        def effect() -> None:
            self._world.note(f"fault: {words}")
            server.crash(span_s)
            self._victims.checker.check_durable()

        return words, effect

    def _lose_disk(self) -> tuple[str, Effect]:
        server = self._server()
        span_s = some(self._luck, self._victims.rates.server_down_s)
        words = f"server {server.name} loses its disk, and is down for {span_s:.3f} s"

        def effect() -> None:
            if self._lost_disk_count < self._victims.rates.disk_loss_count_max:
                self._lost_disk_count += 1
                self._world.note(f"fault: {words}")
                self._victims.disk_lost(server, span_s)
                self._victims.checker.check_durable()

        return words, effect

    def _declare(self) -> tuple[str, Effect]:
        """An administrator at one server declares another one lost, whether it is or not."""
        near, far = self._two_servers()
        words = f"server {far.name} is declared lost at {near.name}"

        def effect() -> None:
            self._world.note(f"fault: {words}")
            near.transport.declare_lost(far.name)

        return words, effect

    def _roll(self) -> tuple[str, Effect]:
        """Restart one server after the other, each once the one before is back."""

        def effect() -> None:
            if not self._rolling:
                self._rolling = True
                self._world.note("every server is restarted, one after the other")
                self._roll_on(0)

        return "every server is restarted, one after the other", effect

    def _roll_on(self, index: int) -> None:
        if index == len(self._victims.servers):
            self._rolling = False
            return
        processes = self._victims.servers[index].processes
        lives = [process.incarnation for process in processes]
        for process in processes:
            process.stop()

        def look() -> None:
            if all(
                process.up and process.incarnation > life
                for process, life in zip(processes, lives, strict=True)
            ):
                self._roll_on(index + 1)
            else:
                self._world.after(ROLLING_STEP_S, "", look)

        self._world.after(ROLLING_STEP_S, "", look)

    def _jump_clock(self) -> tuple[str, Effect]:
        span_s = self._luck.uniform(-1.0, 1.0) * self._victims.rates.clock_jump_s
        server = self._server()
        if len(self._victims.servers) > 1:
            return f"the clock of {server.name} jumps by {span_s:.3f} s", partial(server.jump_clock, span_s)
        process: Process = server.transport if self._luck.random() < 0.7 else server.mailbox
        return f"the clock of {process.name} jumps by {span_s:.3f} s", partial(process.jump_clock, span_s)

    # --- the network ---------------------------------------------------------------------------

    def _partition(self) -> tuple[str, Effect]:
        rates = self._victims.rates
        span_s = some(self._luck, rates.partition_s)
        sender = sender_place(self._luck.randrange(max(1, rates.sender_count)))
        server = self._server()
        far = sender if self._luck.random() < 0.7 else server.mailbox.name
        return self._parted((server.place, server.place), (far, far), span_s)

    def _two_servers(self) -> tuple[MailServer, MailServer]:
        servers = self._victims.servers
        first = self._luck.randrange(len(servers))
        second = (first + 1 + self._luck.randrange(len(servers) - 1)) % len(servers)
        return servers[first], servers[second]

    def _part_servers(self) -> tuple[str, Effect]:
        near, far = self._two_servers()
        span_s = some(self._luck, self._victims.rates.link_s)
        return self._parted((near.name, near.place), (far.name, far.place), span_s)

    def _parted(self, near: tuple[str, str], far: tuple[str, str], span_s: float) -> tuple[str, Effect]:
        """Hold up what goes from one place to another, back, or both; each end is a name and a place."""
        way = self._luck.randrange(3)
        arrow = ("both ways", f"to {near[0]}", f"to {far[0]}")[way]
        words = f"{near[0]} and {far[0]} parted for {span_s:.3f} s, {arrow}"

        def effect() -> None:
            self._world.note(f"fault: {words}")
            if way != 1:
                self._victims.network.hold(near[1], far[1], span_s)
            if way != 2:
                self._victims.network.hold(far[1], near[1], span_s)

        return words, effect

    def _slow_link(self) -> tuple[str, Effect]:
        near, far = self._two_servers()
        span_s = some(self._luck, self._victims.rates.slow_link_s)
        words = f"the link from {near.name} to {far.name} is slow for {span_s:.3f} s"

        def effect() -> None:
            self._world.note(f"fault: {words}")
            self._victims.network.slow(near.place, far.place, span_s)

        return words, effect

    # --- disks ---------------------------------------------------------------------------------

    def _fill(self, disk: Disk) -> tuple[str, Effect]:
        span_s = some(self._luck, self._victims.rates.full_s)
        words = f"{disk.name} is full for {span_s:.3f} s"

        def effect() -> None:
            self._world.note(f"fault: {words}")
            disk.weather.full_until = self._world.now + span_s

        return words, effect

    def _slow(self, disk: Disk) -> tuple[str, Effect]:
        span_s = some(self._luck, self._victims.rates.slow_s)
        words = f"{disk.name} is slow for {span_s:.3f} s"

        def effect() -> None:
            self._world.note(f"fault: {words}")
            disk.weather.slow_until = self._world.now + span_s

        return words, effect


class Disk(Protocol):
    """What faults know of a disk."""

    name: str
    weather: Weather
