"""Which zone a name is in, and whether that zone takes updates now.

A zone that does not is asked again after growing waits, by one update at a time;
what waits for it does not keep other zones waiting. Its failures are said once,
and that they are over.

Source: RFC 2136 section 4 leaves the schedule to us.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.dhcp.dns_steps import reverse_name

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0
REVERSE_SUFFIX = ".in-addr.arpa"


@dataclass(slots=True)
class Zone:
    """One zone.

    Attributes:
        name: for updates and people.
        failure_count: in a row; 0 while it takes updates.
        failing_since: None likewise.
        retry_at: not before is it asked again.
        reason: why it failed last.
        code: likewise, as Windows numbers it.
        in_flight_count: updates that are not answered.
        parked: addresses that wait for it.
    """

    name: str
    failure_count: int = 0
    failing_since: float | None = None
    retry_at: float = 0.0
    reason: str = ""
    code: int = 0
    in_flight_count: int = 0
    parked: deque[int] = field(default_factory=deque)

    def is_open(self, now: float) -> bool:
        """Whether an update may be sent now."""
        if not self.failure_count:
            return True
        return now >= self.retry_at and not self.in_flight_count

    def failed(self, now: float, reason: str, code: int) -> bool:
        """An update was not done; whether that is news."""
        is_news = not self.failure_count or reason != self.reason
        if self.failing_since is None:
            self.failing_since = now
        # Updates that were under way together fail together: that is one failure.
        if now >= self.retry_at:
            self.failure_count += 1
            self.retry_at = now + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self.failure_count - 1, 20))
        self.reason, self.code = reason, code
        return is_news

    def worked(self) -> bool:
        """An update was answered as it should be; whether that is news."""
        is_news = bool(self.failure_count)
        self.failure_count, self.failing_since, self.retry_at, self.reason, self.code = 0, None, 0.0, "", 0
        return is_news


class Zones:
    """The zones that names were in so far."""

    def __init__(self) -> None:
        self.by_name: dict[str, Zone] = {}
        self._declared: tuple[str, ...] = ()

    def follow(self, declared: Iterable[str]) -> None:
        """Go by other declared zones; each is asked at once, whatever it said before."""
        self._declared = tuple(sorted((each.lower().rstrip(".") for each in declared), key=len, reverse=True))
        for zone in self.by_name.values():
            zone.retry_at = 0.0

    @property
    def declared(self) -> tuple[str, ...]:
        """The declared zones, the longest first."""
        return self._declared

    def of_name(self, name: str) -> Zone:
        """The zone of a host name: the longest that was declared, else its domain."""
        return self._zone(self._longest(name) or name.partition(".")[2])

    def of_address(self, address: int, prefix_bits: int) -> Zone:
        """The zone of an address: the longest that was declared, else that of its network of whole octets."""
        owner = reverse_name(address)
        octets = 1 if prefix_bits <= 8 else 2 if prefix_bits <= 16 else 3
        usual = ".".join(owner.removesuffix(REVERSE_SUFFIX).split(".")[4 - octets :]) + REVERSE_SUFFIX
        return self._zone(self._longest(owner) or usual)

    def _longest(self, name: str) -> str:
        return next((each for each in self._declared if name == each or name.endswith(f".{each}")), "")

    def _zone(self, name: str) -> Zone:
        zone = self.by_name.get(name)
        if zone is None:
            zone = self.by_name[name] = Zone(name)
        return zone

    def next_retry(self) -> float | None:
        """When a zone that failed is asked again; None when none has anything to be asked."""
        instants = [
            each.retry_at
            for each in self.by_name.values()
            if each.failure_count and each.parked and not each.in_flight_count
        ]
        return min(instants) if instants else None
