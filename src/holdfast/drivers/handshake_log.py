"""Say in the log that TLS with a client did not come about, one line a minute at most.

Scanners fail handshakes all day, and a partner that cannot talk to us does, too:
without a line nobody would know why its mail does not come.
"""

from __future__ import annotations

from holdfast.drivers import clock
from holdfast.drivers.events import HANDSHAKE_FAILED
from holdfast.drivers.log_sink import LogSink
from holdfast.kernel.events import happened

SILENT_S = 60.0


class HandshakeLog:
    """Counts what it does not say."""

    def __init__(self, log: LogSink) -> None:
        self._log = log
        self._said_at = float("-inf")
        self._unsaid_count = 0

    def failed(self, address: str, place: str, reason: str) -> None:
        """A handshake with a client failed.

        Args:
            address: the client's.
            place: the connector, or where it came to.
            reason: for people.
        """
        now = clock.steady()
        if now - self._said_at < SILENT_S:
            self._unsaid_count += 1
            return
        self._said_at = now
        self._log.write(
            happened(
                HANDSHAKE_FAILED,
                address=address,
                place=place,
                reason=reason,
                unsaid_count=self._unsaid_count,
            )
        )
        self._unsaid_count = 0
