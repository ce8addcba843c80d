"""What is sent to register or remove one name or one address, and what follows from each answer.

A name is added if nobody has it. If somebody has, it is ours to change only where
its DHCID record says that it is this client's. It is removed likewise, first the
address, then the DHCID when no other address needs it. What the zone says is
decided by the DNS server in one step, so two DHCP servers cannot take each
other's names.

    ADD_FORWARD     nobody has the name: add       --YXDOMAIN-->  DHCID is ours: replace the address
                    --NXRRSET--> another client's  --NXDOMAIN--> it has just gone: from the start
    REMOVE_FORWARD  DHCID is ours: delete the address  -->  no address left: delete the DHCID
    ADD_REVERSE     replace whatever name the address has
    REMOVE_REVERSE  the address has this name: delete it

Source: RFC 4703 sections 5.3 to 5.5; RFC 2136 section 2.4.
"""

from __future__ import annotations

import base64
import enum
from dataclasses import dataclass

from holdfast.dhcp.dns_state import (
    FORWARD,
    FORWARD_DONE,
    PROTECTED,
    REVERSE,
    REVERSE_DONE,
    DnsState,
    Registration,
)
from holdfast.dhcp.lease import address_text
from holdfast.wire.dns_update import Change, Condition, Do, If, UpdateOutcome

ROUND_COUNT_MAX = 3  # somebody else adds and removes the name all the time


class StepKind(enum.Enum):
    """One thing to do."""

    ADD_FORWARD = "add address"
    ADD_REVERSE = "add name of address"
    REMOVE_FORWARD = "remove address"
    REMOVE_REVERSE = "remove name of address"


class Verdict(enum.Enum):
    """What follows from an answer."""

    GO_ON = "send the next message"
    DONE = "done"
    TAKEN = "the name is another client's"
    FAILED = "try again later"


@dataclass(slots=True)
class Step:
    """One thing that is being done.

    Attributes:
        kind: what.
        registration: of which name.
        address: as a number.
        ttl_s: how long others may remember it.
        second: whether the first message was answered, and the second is to be sent.
        round_count: how often it began.
    """

    kind: StepKind
    registration: Registration
    address: int
    ttl_s: int
    second: bool = False
    round_count: int = 1

    @property
    def owner(self) -> str:
        """The name whose records are changed."""
        is_forward = self.kind in (StepKind.ADD_FORWARD, StepKind.REMOVE_FORWARD)
        return self.registration.name if is_forward else reverse_name(self.address)

    def message(self) -> tuple[tuple[Condition, ...], tuple[Change, ...]]:
        """What is sent next."""
        name, address = self.registration.name, address_text(self.address)
        match self.kind:
            case StepKind.ADD_FORWARD:
                return self._add(name, address)
            case StepKind.REMOVE_FORWARD:
                return self._remove(name, address)
            case StepKind.ADD_REVERSE:
                owner = self.owner
                return (), (
                    Change(Do.DELETE_ALL, owner, "PTR"),
                    Change(Do.ADD, owner, "PTR", f"{name}.", self.ttl_s),
                )
            case StepKind.REMOVE_REVERSE:
                owner = self.owner
                return (Condition(If.RECORD_IS, owner, "PTR", f"{name}."),), (
                    Change(Do.DELETE_ALL, owner, "PTR"),
                )

    def _add(self, name: str, address: str) -> tuple[tuple[Condition, ...], tuple[Change, ...]]:
        dhcid = self._dhcid
        a = Change(Do.ADD, name, "A", address, self.ttl_s)
        own = Change(Do.ADD, name, "DHCID", dhcid, self.ttl_s)
        if not self._is_protected:
            # Whoever had it: the client has it now, and whose it is is written down for later.
            return (), (Change(Do.DELETE_ALL, name, "A"), Change(Do.DELETE_ALL, name, "DHCID"), a, own)
        if not self.second:
            return (Condition(If.NAME_UNUSED, name),), (a, own)
        ours = (Condition(If.NAME_USED, name), Condition(If.RECORD_IS, name, "DHCID", dhcid))
        return ours, (Change(Do.DELETE_ALL, name, "A"), a)

    def _remove(self, name: str, address: str) -> tuple[tuple[Condition, ...], tuple[Change, ...]]:
        dhcid = self._dhcid
        ours = (Condition(If.RECORD_IS, name, "DHCID", dhcid),) if self._is_protected else ()
        if not self.second:
            return ours, (Change(Do.DELETE_RECORD, name, "A", address),)
        unneeded = (Condition(If.NO_RECORD, name, "A"), Condition(If.NO_RECORD, name, "AAAA"))
        return (*ours, *unneeded), (Change(Do.DELETE_RECORD, name, "DHCID", dhcid),)

    @property
    def _is_protected(self) -> bool:
        return bool(self.registration.flags & PROTECTED)

    @property
    def _dhcid(self) -> str:
        return base64.b64encode(self.registration.dhcid).decode()

    def answered(self, outcome: UpdateOutcome) -> Verdict:
        """What follows from the answer to the last message."""
        if outcome is UpdateOutcome.FAILED:
            self.second = False
            return Verdict.FAILED
        if self.kind is StepKind.ADD_FORWARD:
            return self._added(outcome)
        if self.kind is StepKind.ADD_REVERSE:
            return Verdict.DONE if outcome is UpdateOutcome.DONE else Verdict.FAILED
        if self.kind is StepKind.REMOVE_FORWARD and outcome is UpdateOutcome.DONE and not self.second:
            self.second = True
            return Verdict.GO_ON
        # Whatever was not as we left it is somebody else's, or gone already.
        return Verdict.DONE

    def _added(self, outcome: UpdateOutcome) -> Verdict:
        if outcome is UpdateOutcome.DONE:
            return Verdict.DONE
        if not self._is_protected:
            return Verdict.FAILED
        if not self.second and outcome is UpdateOutcome.NAME_USED:
            self.second = True
            return Verdict.GO_ON
        if self.second and outcome is UpdateOutcome.OTHER_RECORD:
            return Verdict.TAKEN
        if self.second and outcome is UpdateOutcome.NO_NAME and self.round_count < ROUND_COUNT_MAX:
            self.second = False
            self.round_count += 1
            return Verdict.GO_ON
        self.second = False
        return Verdict.FAILED


def reverse_name(address: int) -> str:
    """The name under which an address has its name (RFC 1035 section 3.5)."""
    return f"{address & 255}.{address >> 8 & 255}.{address >> 16 & 255}.{address >> 24}.in-addr.arpa"


def next_step(state: DnsState, address: int, ttl_s: int) -> Step | None:
    """What is done next for an address: what must go goes first; None when nothing is left to do."""
    for each in state.stale:
        kind = StepKind.REMOVE_FORWARD if each.flags & FORWARD else StepKind.REMOVE_REVERSE
        return Step(kind, each, address, ttl_s)
    wanted = state.wanted
    if wanted is None or not wanted.is_pending:
        return None
    if wanted.flags & FORWARD and not wanted.flags & FORWARD_DONE:
        return Step(StepKind.ADD_FORWARD, wanted, address, ttl_s)
    return Step(StepKind.ADD_REVERSE, wanted, address, ttl_s)


def after(state: DnsState, step: Step) -> DnsState:
    """The state when a step is done."""
    registration = step.registration
    match step.kind:
        case StepKind.ADD_FORWARD | StepKind.ADD_REVERSE:
            done = FORWARD_DONE if step.kind is StepKind.ADD_FORWARD else REVERSE_DONE
            return state._replace(wanted=registration._replace(flags=registration.flags | done))
        case StepKind.REMOVE_FORWARD | StepKind.REMOVE_REVERSE:
            gone = FORWARD if step.kind is StepKind.REMOVE_FORWARD else REVERSE
            flags = registration.flags & ~gone
            rest = (registration._replace(flags=flags),) if flags & (FORWARD | REVERSE) else ()
            return state._replace(stale=rest + state.stale[1:])
