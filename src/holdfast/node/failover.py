"""The connections of a server with its failover partners: which bytes belong to which relationship.

The driver knows connections by number and nothing of the protocol. It does this and no more:

    Dial                connect to the address, then ``connected``; or ``disconnected`` when that fails
    SendToPartner       write the bytes, in order
    HangUp              close after what was written; ``disconnected`` is not reported any more
    (somebody dials)    ``accepted`` gives a number, or None: close it
    (bytes come)        ``received``
    (it ends)           ``disconnected``, once; also when more than ``UNSENT_BYTES_MAX`` wait to be written

A state is durable before it takes effect, and so is what is acknowledged: both are in ``CommitLeases`` of
``node.dhcp`` (leases and records, all or none), and ``leases_committed`` or ``commit_failed`` reports. While
a commit is under way, what comes in waits.

Source: draft-ietf-dhc-failover-12 section 8; spec/dhcp.md section 2.1.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.dhcp.failover_record import Record
from holdfast.dhcp.failover_settings import Settings
from holdfast.kernel.errors import Refusal

UNSENT_BYTES_MAX = 1 << 20  # a partner that does not read


@dataclass(slots=True)
class Dial:
    """Connect to a partner."""

    connection: int
    address: str
    port: int


@dataclass(slots=True)
class SendToPartner:
    """Write bytes to a connection."""

    connection: int
    data: bytes


@dataclass(slots=True)
class HangUp:
    """Close a connection once everything is written."""

    connection: int


FailoverOutput = Dial | SendToPartner | HangUp


class Command(enum.Enum):
    """What an administrator may order."""

    PARTNER_DOWN = "partner-down"  # the partner is switched off for certain: take everything over
    RECOVER = "recover"  # our own database is not to be trusted: ask the partner for everything
    PAUSE = "pause"  # serve nothing for a while; the partner goes on with its own share
    SHUTDOWN = "shutdown"  # serve nothing for long; the partner takes everything over
    RESUME = "resume"  # after PAUSE or SHUTDOWN


@dataclass(frozen=True, slots=True)
class Status:
    """How a relationship is, for people. Instants are those of the node's clock.

    Attributes:
        relationship: its name.
        primary: whether we are the primary.
        state: ours, as a word of the draft (``PARTNER-DOWN``).
        since: since when.
        partner_state: the partner's, as it said last; empty when it never spoke.
        partner_since: since when.
        connected: whether the partner speaks with us.
        spoken_at: when it last did; 0 for never.
        clock_difference_s: by how much the partner's clock is ahead of ours; None while nobody knows.
        untold_count: leases that the partner has not acknowledged yet.
        oldest_untold_s: for how long the oldest of them waits.
        serves: in words, whom we serve now.
        waits_until: until when the state lasts at least (MCLT, switch-over); None when for nothing.
        free_counts: by scope: addresses that are ours to lease, the partner's, and the share it should have.
        trouble: why there is no connection, or why updates are refused; empty when all is well.
    """

    relationship: str
    primary: bool
    state: str
    since: int
    partner_state: str
    partner_since: int
    connected: bool
    spoken_at: int
    clock_difference_s: float | None
    untold_count: int
    oldest_untold_s: float
    serves: str
    waits_until: float | None
    free_counts: tuple[tuple[str, int, int, int], ...]
    trouble: str


class Partners:
    """Every relationship of one server, and its connections; ``DhcpNode`` has it as ``failover``."""

    def __init__(self, records: Iterable[Record], alive_at: float) -> None:
        """Make it without relationships; ``follow`` gives them.

        Args:
            records: what the lease database has.
            alive_at: when this server ran last, by its node's clock: the last mark of the database.
        """
        self.outputs: list[FailoverOutput] = []
        # By how much the machine's clock is ahead of the node's; the driver keeps it right.
        self.clock_offset_s = 0.0
        self._records = {each.relationship: each for each in records}
        self._alive_at = alive_at
        self._partners: dict[str, Settings] = {}

    def follow(self, now: float, settings: Iterable[Settings]) -> None:
        """Go by other relationships; one that is as before goes on as it is."""
        self._partners = {each.relationship: each for each in settings}

    # What the driver reports

    def accepted(self, now: float, source: str) -> int | None:
        """Somebody connected to our port; its number, or None when it is no partner's address."""
        return None

    def connected(self, now: float, connection: int) -> None:
        """A ``Dial`` succeeded."""

    def received(self, now: float, connection: int, data: bytes) -> None:
        """Bytes came; those of a connection that is not known any more are passed over."""

    def disconnected(self, now: float, connection: int, reason: str) -> None:
        """A connection ended, or a ``Dial`` failed; the reason is for people."""

    def stopping(self, now: float) -> None:
        """This process ends in a moment: partners are told (PAUSED) and go on at once."""

    # What an administrator wants

    def command(self, now: float, relationship: str, command: Command, *, force: bool = False) -> None:
        """Do what an administrator orders; durable when the driver's commits are done.

        Args:
            now: by the node's clock.
            relationship: its name.
            command: what.
            force: although it is dangerous: PARTNER_DOWN while the partner speaks with us.

        Raises:
            Refusal: there is no such relationship here, or it makes no sense now; the text says what to do.
        """
        self._known(relationship)

    def status(self, now: float) -> list[Status]:
        """How every relationship is."""
        return []

    # Time

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called next."""
        return None

    def timer(self, now: float) -> None:
        """Do what is due."""

    def _known(self, relationship: str) -> Settings:
        try:
            return self._partners[relationship]
        except KeyError:
            names = ", ".join(f'"{each}"' for each in self._partners) or "none"
            raise Refusal(
                f'this server has no failover relationship "{relationship}"; it has {names}'
            ) from None
