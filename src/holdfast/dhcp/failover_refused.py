"""Say which updates were refused, by us or by the partner, and why; and remember which scopes do not match.

An address that is not shared here tells that the two servers share different
scopes or ranges. It is named with its scope, for an administrator knows that.

Source: spec/dhcp.md sections 2.5 and 2.6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from holdfast.dhcp import failover_events as events
from holdfast.dhcp.failover_bindings import Refused
from holdfast.dhcp.failover_settings import Settings
from holdfast.dhcp.lease import address_text, hardware_text
from holdfast.dhcp.saying import Sayer
from holdfast.wire.failover_messages import FATAL_CONFLICT, ILLEGAL_ADDRESS, REASON_TEXTS

LINE_COUNT_MAX = 8


class Refusals:
    """What was refused in one relationship."""

    def __init__(self, said: Sayer, settings: Settings, scope_of: Callable[[int], str]) -> None:
        """Know of nothing.

        Args:
            said: takes the events.
            settings: of the relationship.
            scope_of: the name of the scope that this server leases and that an address lies in, or empty.
        """
        self._said = said
        self._settings = settings
        self._scope_of = scope_of
        self._lines: dict[tuple[bool, str], str] = {}

    @property
    def lines(self) -> tuple[str, ...]:
        """What does not match, in words; a line per scope and server that refused."""
        return tuple(self._lines.values())

    def forget(self) -> None:
        """The partner connects anew: what does not match now will be refused again."""
        self._lines = {}

    def say(self, now: float, refused: Iterable[Refused]) -> None:
        """Log what was refused; two clients of one address always, the rest once in a while."""
        settings, said = self._settings, self._said
        for each in refused:
            mine, theirs = each.mine, each.theirs
            if each.by_us and each.reason == FATAL_CONFLICT and mine is not None and theirs is not None:
                said.always(
                    events.ADDRESS_CONFLICT, relationship=settings.relationship,
                    address=address_text(each.address), client=hardware_text(mine.hardware),
                    other=hardware_text(theirs.hardware), partner=settings.partner,
                    keeper=hardware_text(mine.hardware),
                )  # fmt: skip
                continue
            reason = each.text or REASON_TEXTS.get(each.reason, f"reason {each.reason}")
            if each.reason == ILLEGAL_ADDRESS:
                reason = self._note(each, reason)
            kind = events.UPDATE_REFUSED if each.by_us else events.UPDATE_REFUSED_BY_PARTNER
            said.sometimes(
                now, kind, relationship=settings.relationship, partner=settings.partner,
                address=address_text(each.address), reason=reason,
            )  # fmt: skip

    def _note(self, refused: Refused, reason: str) -> str:
        """Remember an address that only one shares; why it is refused, with its scope."""
        name, address = self._scope_of(refused.address), address_text(refused.address)
        if not refused.by_us:
            why = f'{reason} (it is of scope "{name}" here)' if name else reason
            line = f'the partner refuses {address} of scope "{name}": {reason}'
        elif not name:
            why = "it is in no scope that this server leases"
            line = f"the partner tells of {address}, which is in no scope that this server leases"
        elif name in self._settings.scopes:
            why = f'it is in no pool of scope "{name}" here'
            line = f'the partner tells of {address}, which is in no pool of scope "{name}" here'
        else:
            why = f'it is of scope "{name}", which is not shared here'
            line = f'the partner tells of {address} of scope "{name}", which is not shared here'
        if len(self._lines) < LINE_COUNT_MAX:
            self._lines.setdefault((refused.by_us, name), line)
        return why
