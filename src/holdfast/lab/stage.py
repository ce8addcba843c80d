"""Where a drill takes place: which servers and mailboxes take part, and how one of them is hit."""

from __future__ import annotations

import asyncio
import json
from typing import Protocol

from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab.declare import addresses_of
from holdfast.lab.drill_plan import Blow, Orders
from holdfast.lab.laboratory import Lab
from holdfast.lab.sheet import Machine

TRACK_LIMIT = 1_000_000  # lines of a tracking log that are asked for at once


class Stage(Protocol):
    """What a drill needs of the servers that it is about; all of it blocks."""

    machines: tuple[Machine, ...]
    mailboxes: dict[str, Machine]

    def passwords(self) -> dict[str, str]:
        """The passwords of the mailboxes."""

    def check(self, orders: Orders) -> None:
        """Refuse what cannot be done here."""

    def hit(self, name: str, orders: Orders) -> None:
        """Do to a server what is ordered."""

    def undo(self, name: str, orders: Orders) -> None:
        """Begin to bring it back."""

    def serves(self, name: str) -> bool:
        """Whether a server listens everywhere it should."""

    def manage(self, name: str, *words: str) -> str:
        """Run a management verb on a server; raises Refusal and Unavailable."""

    def where_to_look(self, name: str) -> str:
        """What to look at when a server does not come back."""


async def said(stage: Stage, name: str, words: tuple[str, ...], notes: list[str]) -> dict[str, object]:
    """What a verb says as JSON; nothing, with a note, where the server does not answer."""
    try:
        text = await asyncio.to_thread(stage.manage, name, *words, "--json")
    except (Refusal, Unavailable) as error:
        notes.append(f"{name} did not say `{' '.join(words[:2])}`: {error.text}")
        return {}
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


class LabStage:
    """A lab that is up."""

    def __init__(self, lab: Lab) -> None:
        """Take the servers that run now.

        Raises:
            Refusal: there is no mailbox to send to.
        """
        self._lab = lab
        up = {each.name for each in lab.status() if each.process_count}
        self.machines = tuple(each for each in lab.sheet.machines if each.name in up)
        self.mailboxes = {address: each for each in self.machines for address in addresses_of(each)}
        if not self.mailboxes:
            raise Refusal("the lab has no mailboxes to send to; give a server the role mailbox")

    def passwords(self) -> dict[str, str]:
        """The passwords of the mailboxes."""
        return self._lab.passwords()

    def check(self, orders: Orders) -> None:
        """Refuse a cut that cannot be made."""
        if orders.other and not self._lab.sheet.of_site(orders.other):
            self._lab.sheet.machine(orders.other)

    def hit(self, name: str, orders: Orders) -> None:
        """Kill, freeze or cut off a server."""
        match orders.blow:
            case Blow.KILL:
                self._lab.kill(name)
                if orders.lose_queue:
                    self._lab.lose_queue(name)
            case Blow.FREEZE:
                self._lab.freeze(name)
            case Blow.CUT:
                self._lab.cut(name, orders.other, one_way=orders.one_way)
            case Blow.NONE:
                pass

    def undo(self, name: str, orders: Orders) -> None:
        """Start it, let it go on, or mend its cable."""
        match orders.blow:
            case Blow.KILL:
                self._lab.begin(name)
            case Blow.FREEZE:
                self._lab.thaw(name)
            case Blow.CUT:
                self._lab.heal(name, orders.other)
            case Blow.NONE:
                pass

    def serves(self, name: str) -> bool:
        """Whether a server listens everywhere it should."""
        return self._lab.serves(name)

    def manage(self, name: str, *words: str) -> str:
        """Run a management verb on a server."""
        return self._lab.manage(name, *words)

    def where_to_look(self, name: str) -> str:
        """The log of a server."""
        return f"its log is {self._lab.log_file(name)}"
