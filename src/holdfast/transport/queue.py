"""The queue: which messages wait here, and what each may do next.

The queue database holds every accepted message until all its recipients are
finished. What is written to it, and in which order, is decided here; a driver
(or the simulator) makes it durable.

Invariant: a message is in the queue database before its sender reads 250, and
leaves it only in the same transaction that records what became of its last
recipient.

Source: exchange-behaviour QU-4, QU-6; RFC 5321 section 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.kernel.ids import NetworkMessageId


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """An accepted message with the recipients that are not finished yet.

    Attributes:
        number: key in this queue database; grows, never reused.
        received_at: seconds since the epoch.
        reverse_path: the envelope sender; empty for the null sender.
        recipients: envelope recipients that are still to be served.
        size_bytes: of ``data``.
        data: the message with our trace header on top; None when it is only on
            disk (found there at start, or pushed out of memory).
        message_id: the Message-ID header, for tracking; may be empty.
        subject: the Subject header, for tracking; may be empty.
        fingerprint: digest of envelope and message as received. It tells a
            sender's second try, when the answer to its first may have been
            lost, from a new message (exchange-behaviour SR13-5).
    """

    number: int
    network_message_id: NetworkMessageId
    received_at: float
    reverse_path: str
    recipients: tuple[str, ...]
    size_bytes: int
    data: bytes | None
    message_id: str
    subject: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class AddMessage:
    """Take a message into the queue; ``tracking`` are its lines for the tracking log."""

    message: QueuedMessage
    tracking: str


@dataclass(frozen=True, slots=True)
class FinishRecipients:
    """Record that recipients are finished; ``remaining`` empty removes the message."""

    number: int
    remaining: tuple[str, ...]
    tracking: str


@dataclass(frozen=True, slots=True)
class TrackOnly:
    """Write tracking lines that go with no change of the queue (a refused message, a duplicate)."""

    tracking: str


QueueWrite = AddMessage | FinishRecipients | TrackOnly


@dataclass(frozen=True, slots=True)
class RecoveredQueue:
    """What a queue database holds when its transport starts.

    Attributes:
        messages: all that wait, by number, without their data.
        next_number: the first number never used.
        uncertain: fingerprints of messages whose sender may not have read our
            250, because the process stopped without saying goodbye, each with
            the network message id of the copy that we have or had.
    """

    messages: tuple[QueuedMessage, ...]
    next_number: int
    uncertain: dict[bytes, NetworkMessageId]
