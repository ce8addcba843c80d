"""DNS servers of the tests: zones as tables, changed as RFC 2136 says, and who answers for them."""

from __future__ import annotations

from dhcp.conversations import World
from holdfast.wire.dns_update import Change, Condition, DnsUpdate, Do, If, UpdateAnswer, UpdateOutcome

DOWN = UpdateAnswer(UpdateOutcome.FAILED, "192.0.2.53: no answer within 3 s", 1460)


class MadeUpDns:
    """All zones.

    Attributes:
        records: by name and type.
        down: zones that nobody answers for; "" stands for all.
        updates: what came, also without an answer.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], set[str]] = {}
        self.down: set[str] = set()
        self.updates: list[DnsUpdate] = []

    def of(self, name: str) -> dict[str, set[str]]:
        """What a name has, without its DHCID."""
        return {
            kind: data for (owner, kind), data in self.records.items() if owner == name and kind != "DHCID"
        }

    def names(self) -> set[str]:
        return {name for name, _ in self.records}

    def answer(self, update: DnsUpdate) -> UpdateAnswer:
        self.updates.append(update)
        if self.down & {"", update.zone}:
            return DOWN
        for owner in (*(each.name for each in update.conditions), *(each.name for each in update.changes)):
            assert owner.endswith(f".{update.zone}"), (owner, update.zone)
        for condition in update.conditions:
            fault = self._fault(condition)
            if fault is not None:
                return UpdateAnswer(fault)
        for change in update.changes:
            self._change(change)
        return UpdateAnswer(UpdateOutcome.DONE)

    def _fault(self, condition: Condition) -> UpdateOutcome | None:
        kind, name, record_type, data = condition
        used = name in self.names()
        there = self.records.get((name, record_type))
        match kind:
            case If.NAME_UNUSED:
                return UpdateOutcome.NAME_USED if used else None
            case If.NAME_USED:
                return None if used else UpdateOutcome.NO_NAME
            case If.NO_RECORD:
                return UpdateOutcome.RECORD_THERE if there else None
            case If.RECORD_IS:
                return None if there == {data} else UpdateOutcome.OTHER_RECORD

    def _change(self, change: Change) -> None:
        key = (change.name, change.record_type)
        match change.kind:
            case Do.ADD:
                self.records.setdefault(key, set()).add(change.data)
            case Do.DELETE_RECORD:
                self.records.get(key, set()).discard(change.data)
            case Do.DELETE_ALL:
                self.records.pop(key, None)
        if not self.records.get(key, True):
            del self.records[key]


def let_dns_work(world: World, dns: MadeUpDns, *, seconds: float = 1.0) -> None:
    """Answer what the server sends, and let it write down what came of it."""
    server = world.server
    for _ in range(1000):
        while server.registrar.updates:
            update = server.registrar.updates.pop(0)
            server.registrar.answered(world.now, update.number, dns.answer(update))
        if seconds <= 0:
            return
        step = min(seconds, 0.25)
        seconds -= step
        world.now += step
        if (due := server.deadline()) is not None and due <= world.now:
            server.timer(world.now)
            world.commit()
    raise AssertionError("it does not come to an end")
