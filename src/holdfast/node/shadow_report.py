"""What the administrator sees of shadow copies and the Safety Net, and says about servers that are lost.

Reads what ``node.shadow`` decides from; what it changes is a take-over, or a resubmission. Spans of time are
relative to ``now``, so that neither the steady nor the wall clock shows.

Source: exchange-behaviour SR13-3, SR13-8, SR13-9, SN-3.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.kernel.errors import Refusal
from holdfast.node.resubmission import ResubmissionState
from holdfast.node.shadow import Shadows
from holdfast.transport.shadow_queues import ShadowQueue


@dataclass(frozen=True, slots=True)
class PartnerState:
    """A server that is asked to keep copies of ours.

    Attributes:
        linked: whether our link to it stands.
        usable: whether new copies go there; it has listed what it holds.
        since_s: for how long the link has stood, or not.
        reason: why it takes no copies; empty when it does.
        held_count: messages in our queue whose copy it holds.
        discard_count: finished messages that it has not heard of durably.
    """

    name: str
    linked: bool
    usable: bool
    since_s: float
    reason: str
    held_count: int
    discard_count: int


@dataclass(frozen=True, slots=True)
class ProtectionState:
    """The copies of one server's messages, and those that it keeps for others.

    Attributes:
        protected_count: messages in our queue with a copy at a partner.
        unprotected_count: messages in our queue that should have one and have none.
        unprotected_s: for how long the first of them has had none; None without any.
        waiting_count: messages that wait for their copy before they are taken in.
        refused_count: messages since the start that were put off with 451 4.4.0.
        taken_over_count: messages of others, since the start, that we answer for now.
        sent_by_both_count: of those that others took over from us, since the start: may have gone to hosts
            outside from both servers.
        queues: what is held here, by primary.
        takeover_s: after how long a silence it is taken over; 0 for never.
    """

    partners: tuple[PartnerState, ...]
    protected_count: int
    unprotected_count: int
    unprotected_s: float | None
    waiting_count: int
    refused_count: int
    taken_over_count: int
    sent_by_both_count: int
    queues: tuple[ShadowQueue, ...]
    takeover_s: float


class ShadowReport:
    """The administrator's side of shadow copies."""

    def __init__(self, shadows: Shadows) -> None:
        self._shadows = shadows

    def state(self, now: float) -> ProtectionState:
        """Everything as it is."""
        protection, held = self._shadows.protection, self._shadows.held
        unprotected = protection.unprotected
        return ProtectionState(
            partners=tuple(self._partner(now, name) for name in protection.partner_names),
            protected_count=protection.protected_count,
            unprotected_count=len(unprotected),
            unprotected_s=max(0.0, now - min(unprotected.values())) if unprotected else None,
            waiting_count=protection.waiting_count,
            refused_count=protection.refused_count,
            taken_over_count=held.take_over_count,
            sent_by_both_count=self._shadows.sent_by_both_count,
            queues=tuple(held.queues(now)),
            takeover_s=held.takeover_s,
        )

    def _partner(self, now: float, name: str) -> PartnerState:
        protection, link = self._shadows.protection, self._shadows.links.out[name]
        usable = protection.usable(name)
        waiting = "it has not told yet what it holds" if link.stands else link.reason
        return PartnerState(
            name=name,
            linked=link.stands,
            usable=usable,
            since_s=max(0.0, now - link.since),
            reason="" if usable else waiting,
            held_count=len(protection.held_by(name)),
            discard_count=protection.discard_count(name),
        )

    # --- figures for metrics ------------------------------------------------------------------

    @property
    def unprotected_count(self) -> int:
        """How many messages in our queue should have a copy and have none."""
        return len(self._shadows.protection.unprotected)

    @property
    def protected_count(self) -> int:
        """How many messages in our queue have a copy at a partner."""
        return self._shadows.protection.protected_count

    @property
    def refused_count(self) -> int:
        """How many messages were put off for want of a copy."""
        return self._shadows.protection.refused_count

    @property
    def held_count(self) -> int:
        """How many copies of others are held."""
        return self._shadows.held.copy_count

    @property
    def taken_over_count(self) -> int:
        """How many messages of others are ours by now, durably."""
        return self._shadows.held.take_over_count

    @property
    def sent_by_both_count(self) -> int:
        """How many messages may have gone to hosts outside from two servers."""
        return self._shadows.sent_by_both_count

    # --- what is done -------------------------------------------------------------------------

    def declare_lost(self, now: float, name: str) -> int:
        """Deliver from here what is held for a server; returns how many messages it had.

        They are taken over when ``taken_over_count`` has grown by that much.

        Raises:
            Refusal: it is ourselves.
        """
        if name == self._shadows.links.own_name:
            raise Refusal(f'"{name}" is this server; declare a server lost on another one')
        return self._shadows.held.declare_lost(now, name)

    def resubmit(self, now: float, database: str, since: float, until: float) -> int:
        """Deliver again to a database what got into the Safety Net in a span, by the wall clock.

        Returns:
            The number of this resubmission; ``resubmissions`` tells how far it is.

        Raises:
            Refusal: there is no Safety Net, or too many wait.
        """
        return self._shadows.resubmission.ask(now, database, since, until)

    def resubmissions(self) -> tuple[ResubmissionState, ...]:
        """The latest resubmissions, oldest first; those by themselves when they found something."""
        return self._shadows.resubmission.states()
