"""Passwords that clients give: which are looked at now, and which wait.

A check of a password takes a tenth of a second, and clients may open many sessions. Were all of them looked
at together, everybody could guess as often as there are sessions before the first failure is counted. So of
one account and of one source only so many are looked at as may still fail; the others wait for their answers,
and honest ones, a whole office in the morning, get theirs a little later.

Source: RFC 4954 section 6; exchange-behaviour RC-7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.directory.model import Organisation
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import ConnectionId
from holdfast.transport.admission import SignInThrottle


@dataclass(frozen=True, slots=True)
class Attempt:
    """A client's name and password, and where it comes from."""

    user: str
    password: str
    source: str

    def counted_under(self) -> tuple[tuple[str, str], ...]:
        """Its account and its source, as the throttle names them."""
        return ("user", self.user.casefold()), ("source", self.source)


class SignIns:
    """The sign-ins of all sessions of one server.

    Public attribute: ``throttle`` counts the failures.
    """

    def __init__(self) -> None:
        """Nobody signs in yet."""
        self.throttle = SignInThrottle()
        self._looked_at: dict[ConnectionId, Attempt] = {}
        self._count: Counter[tuple[str, str]] = Counter()  # of those, by account and by source
        self._waiting: dict[ConnectionId, Attempt] = {}

    def follow(self, organisation: Organisation) -> None:
        """Go by the limits of another organisation from now on."""
        self.throttle.failure_count_max = organisation.sign_in_failure_count_max
        self.throttle.lock_s = organisation.sign_in_lock_s

    def wanted(self, now: float, connection_id: ConnectionId, attempt: Attempt) -> bool:
        """Take a sign-in; returns whether its password is to be looked at now, else it waits (``ready``).

        Raises:
            Refusal: see ``SignInThrottle.check``.
        """
        self.throttle.check(now, attempt.user, attempt.source)
        if self._is_full(now, attempt):
            self._waiting[connection_id] = attempt
            return False
        self._looked_at[connection_id] = attempt
        self._count.update(attempt.counted_under())
        return True

    def _is_full(self, now: float, attempt: Attempt) -> bool:
        return any(self._count[key] >= self.throttle.room(now, key) for key in attempt.counted_under())

    def answered(self, now: float, connection_id: ConnectionId, *, right: bool) -> Attempt | None:
        """Count an answer, also of a client that has gone; returns the attempt if it was the one too many."""
        attempt = self._looked_at.pop(connection_id, None)
        if attempt is None:
            return None
        for key in attempt.counted_under():
            self._count[key] -= 1
            if not self._count[key]:
                del self._count[key]
        if right:
            self.throttle.succeeded(attempt.user)
            return None
        return attempt if self.throttle.failed(now, attempt.user, attempt.source) else None

    def ready(self, now: float) -> Iterator[tuple[ConnectionId, Attempt, Refusal | None]]:
        """Those that wait no more, in the order in which they came: to be looked at, or refused by now."""
        for connection_id, attempt in list(self._waiting.items()):
            if connection_id not in self._waiting:
                continue  # it went while an earlier one was answered
            try:
                self.throttle.check(now, attempt.user, attempt.source)
            except Refusal as refusal:
                del self._waiting[connection_id]
                yield connection_id, attempt, refusal
                continue
            if not self._is_full(now, attempt):
                del self._waiting[connection_id]
                self._looked_at[connection_id] = attempt
                self._count.update(attempt.counted_under())
                yield connection_id, attempt, None

    def gone(self, connection_id: ConnectionId) -> None:
        """Forget the sign-in of a client that waits no more; one that is looked at still counts."""
        self._waiting.pop(connection_id, None)
