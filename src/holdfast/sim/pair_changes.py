"""What an administrator changes while two failover partners run: who shares the scope, and how.

Each server has a configuration of its own, as the verbs write it there, and
hears of a change at its own moment; one that is off hears of it when it starts.
The administrator does what docs/operate/dhcp-failover.md asks for, and no more:

* A scope leaves first at the server that shall not lease it any more, then at
  its keeper; and never with a keeper that may not know what the other leased.
* It joins again once the other one has it written down that it left; in a
  relationship of which the keeper is the primary.
* Split, mode and reserve are set on both, one change after the other; reservations likewise.

Source: docs/decisions/0025, "Scopes that join and leave".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from holdfast.dhcp.failover_states import State
from holdfast.directory.dhcp import Reservation
from holdfast.directory.failover import FailoverMode
from holdfast.directory.model import Organisation
from holdfast.sim.dhcp_clients import hardware_of
from holdfast.sim.pair_checker import PairChecker
from holdfast.sim.pair_machine import PairMachine, partner_address
from holdfast.sim.pair_rates import ChangedRates, ReservedRates
from holdfast.sim.world import World, some

LOOK_AGAIN_S = 1.0
_SPLITS = (0, 1, 50, 80, 99, 100)


@dataclass(frozen=True, slots=True)
class Declared:
    """The configuration of one server.

    Attributes:
        keeper: the number of the server that the scope belongs to; the primary, where it is shared.
        has_relationship: whether there is one; without the scope it may be.
        is_shared: whether the scope is in it.
        is_standby: whether it is a hot standby.
        split_percent, reserve_percent, mclt_s: as in the relationship.
        reserved: reserved addresses, each with the number of its client.
    """

    keeper: int
    has_relationship: bool
    is_shared: bool
    is_standby: bool
    split_percent: int
    reserve_percent: int
    mclt_s: float
    # Not in what a run says of other changes: traces stay as they were.
    reserved: tuple[tuple[int, int], ...] = field(default=(), repr=False)


Change = Callable[[Declared], Declared]


def written(base: Organisation, declared: Declared) -> Organisation:
    """The organisation that has the scope and the relationship of ``base`` as they are declared."""
    (scope,), (relationship,) = base.scopes, base.failover_relationships
    numbers = (declared.keeper, 3 - declared.keeper)
    changed = replace(
        relationship,
        servers=tuple(f"ns{number}" for number in numbers),
        addresses=tuple(map(partner_address, numbers)),
        scopes=(scope.name,) if declared.is_shared else (),
        mode=FailoverMode.HOT_STANDBY if declared.is_standby else FailoverMode.LOAD_BALANCE,
        split_percent=declared.split_percent,
        reserve_percent=declared.reserve_percent,
        mclt_s=declared.mclt_s,
    )
    return replace(
        base,
        scopes=(replace(scope, server=f"ns{declared.keeper}"),),
        failover_relationships=(changed,) if declared.has_relationship else (),
        reservations=tuple(
            Reservation(scope.name, IPv4Address(address), hardware_of(client).hex(":"))
            for address, client in declared.reserved
        ),
    )


class Administrator:
    """Changes both servers, one thing after the other.

    Attributes:
        declared: what each server was told, by its number.
    """

    def __init__(
        self,
        world: World,
        rates: ChangedRates,
        base: Organisation,
        machines: list[PairMachine],
        checker: PairChecker,
        cut: Callable[[], None],
    ) -> None:
        """Find them as ``base`` says; ``cut`` parts them, so that one knows what the other does not."""
        self._cut = cut
        self._world = world
        self._rates = rates
        self._base = base
        self._machines = {each.number: each for each in machines}
        self._checker = checker
        self._luck = world.luck("administrator")
        self._is_last = False  # faults have stopped: the scope joins for good, or stays away
        self._stays_alone = rates.alone_rate > 0.5
        self._is_telling = False
        self._is_away = False  # the scope has left, and is to join again
        first = Declared(
            1, True, True, rates.standby_rate > 0.5, rates.split_percent, rates.reserve_percent, rates.mclt_s
        )  # fmt: skip
        self.declared = {1: first, 2: first}

    @property
    def is_busy(self) -> bool:
        """Whether somebody has still to be told something, faults having stopped."""
        return self._is_telling or (self._is_away and not self._stays_alone)

    @property
    def keeper(self) -> PairMachine | None:
        """Who leases the scope alone in the end; None where it is shared."""
        declared = self.declared[1]
        return None if declared.is_shared else self._machines[declared.keeper]

    # When

    def begin(self) -> None:
        """Change things from now on."""
        self._again(self._rates.change_every_s, self._set)
        self._again(self._rates.leave_every_s, self._leave)
        if isinstance(self._rates, ReservedRates):
            self._again(self._rates.reserve_every_s, self._reserve)

    def _again(self, every_s: float, what: Callable[[], None]) -> None:
        if every_s <= 0:
            return

        def happen() -> None:
            if not self._is_last:
                what()
                self._again(every_s, what)

        self._world.after(some(self._luck, every_s), "", happen)

    def grow_calm(self) -> None:
        """Begin nothing new; what is under way is done to its end, soon."""
        self._is_last = True
        self._later(0.0, self._join)

    def _later(self, wait_s: float, what: Callable[[], None]) -> None:
        self._world.after(min(wait_s, LOOK_AGAIN_S) if self._is_last else wait_s, "", what)

    # What

    def _tell(self, number: int, change: Change) -> None:
        machine = self._machines[number]
        self.declared[number] = change(self.declared[number])
        self._world.note(f"{machine.name} is told: {self.declared[number]}")
        machine.change(written(self._base, self.declared[number]))

    def _tell_both(self, change: Change, numbers: tuple[int, int], done: Callable[[], None]) -> None:
        """Tell one server, and then the other, once the first one goes by it or is off."""
        first, second = numbers
        self._tell(first, change)

        def go_on() -> None:
            if self._machines[first].is_behind:
                self._later(LOOK_AGAIN_S, go_on)
                return
            self._tell(second, change)
            done()

        self._later(some(self._luck, self._rates.apart_s), go_on)

    def _any_order(self) -> tuple[int, int]:
        return (1, 2) if self._luck.random() < 0.5 else (2, 1)

    def _done(self) -> None:
        self._is_telling = False

    def _set(self) -> None:
        """Another split, mode or reserve."""
        if self._is_telling:
            return
        self._is_telling = True
        luck = self._luck
        is_standby = luck.random() < 0.3
        split = _SPLITS[luck.randrange(len(_SPLITS))]
        reserve = luck.randrange(101)

        def change(before: Declared) -> Declared:
            return replace(
                before, is_standby=is_standby, split_percent=split, reserve_percent=reserve
            )  # fmt: skip

        self._tell_both(change, self._any_order(), self._done)

    def _reserve(self) -> None:
        """An address is reserved for a client, or for another one, or no longer."""
        if self._is_telling:
            return
        self._is_telling = True
        luck, pool = self._luck, self._base.scopes[0].pool
        assert pool is not None
        reserved = dict(self.declared[1].reserved)
        if reserved and luck.random() < 0.5:
            address = sorted(reserved)[luck.randrange(len(reserved))]
        else:
            address = int(pool.first) + luck.randrange(pool.address_count)
        is_removed = reserved.pop(address, None) is not None and luck.random() < 0.6
        if not is_removed:
            client = luck.randrange(self._rates.client_count)
            reserved = {each: owner for each, owner in reserved.items() if owner != client} | {
                address: client
            }
        wanted = tuple(sorted(reserved.items()))
        self._world.note(f"reserved: {wanted}")
        self._tell_both(lambda before: replace(before, reserved=wanted), self._any_order(), self._done)

    def _leave(self) -> None:
        """The scope is shared no longer; after a while it is again."""
        before = self.declared[1]
        if self._is_telling or not before.is_shared:
            return
        luck = self._luck
        keeper = before.keeper if luck.random() < 0.5 else 3 - before.keeper
        if not self._may_keep(keeper):
            return
        self._is_telling = True
        if luck.random() < self._rates.parted_rate:
            self._cut()
            self._world.after(some(luck, self._rates.cut_s), "", lambda: self._let_leave(keeper))
        else:
            self._let_leave(keeper)

    def _let_leave(self, keeper: int) -> None:
        if self._is_last or not self._may_keep(keeper):
            self._done()
            return
        before = self.declared[1]
        is_deleted = keeper != before.keeper or self._luck.random() < self._rates.delete_rate

        def change(declared: Declared) -> Declared:
            return replace(declared, keeper=keeper, is_shared=False, has_relationship=not is_deleted)

        leaver = 3 - keeper
        self._tell_both(change, (leaver, keeper), self._left)

    def _may_keep(self, keeper: int) -> bool:
        """Whether a server can lease alone: the other one knows of nothing that it could not wait for."""
        one, other = self._machines[keeper], self._machines[3 - keeper]
        if self._checker.leased_alone(other) or one.has_lost:
            return False
        is_primary = self.declared[1].keeper == keeper
        return is_primary or (one.shares and other.state != State.PARTNER_DOWN)

    def _left(self) -> None:
        self._is_telling, self._is_away = False, True
        away_s = self._luck.uniform(0.0, 2.0) * self._rates.away_mclt * self._rates.mclt_s
        self._later(away_s, self._join)

    def _join(self) -> None:
        if not self._is_away or (self._is_last and self._stays_alone):
            return
        leaver = self._machines[3 - self.declared[1].keeper]
        if self._is_telling or not leaver.has_left:
            self._later(LOOK_AGAIN_S, self._join)
            return
        self._is_telling, self._is_away = True, False

        def change(declared: Declared) -> Declared:
            return replace(declared, is_shared=True, has_relationship=True)

        self._tell_both(change, self._any_order(), self._done)
