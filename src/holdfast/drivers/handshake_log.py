"""Say in the log that TLS with a client did not come about, one line a minute of each kind at most.

Scanners fail handshakes all day, and a partner that cannot talk to us does, too:
without a line nobody would know why its mail does not come.
"""

from __future__ import annotations

from collections import Counter

from holdfast.drivers import clock
from holdfast.drivers.events import HANDSHAKE_FAILED, SERVER_REFUSED
from holdfast.drivers.log_sink import LogSink
from holdfast.kernel.events import EventKind, happened

SILENT_S = 60.0


class HandshakeLog:
    """Counts what it does not say."""

    def __init__(self, log: LogSink) -> None:
        self._log = log
        self._said_at: dict[EventKind, float] = {}
        self._unsaid_count: Counter[EventKind] = Counter()

    def failed(self, address: str, place: str, reason: str, of_server: bool = False) -> None:
        """A handshake with a client failed.

        Args:
            address: the client's.
            place: the connector, or where it came to.
            reason: for people.
            of_server: whether it was asked for the certificate of a server of ours.
        """
        kind = SERVER_REFUSED if of_server else HANDSHAKE_FAILED
        now = clock.steady()
        if now - self._said_at.get(kind, float("-inf")) < SILENT_S:
            self._unsaid_count[kind] += 1
            return
        self._said_at[kind] = now
        unsaid_count = self._unsaid_count.pop(kind, 0)
        self._log.write(
            happened(kind, address=address, place=place, reason=reason, unsaid_count=unsaid_count)
        )
