"""What the verbs about queues, back pressure and certificates give back; see ``admin.results``."""

from __future__ import annotations

from holdfast.admin.results import Result
from holdfast.admin.results_explain import HostRow
from holdfast.admin.results_protection import ShadowQueueRow


class QueueRow(Result, frozen=True):
    """One queue: mail that goes to one place together (exchange-behaviour RT-11)."""

    queue: str
    delivery_type: str
    status: str
    message_count: int
    connection_count: int
    oldest_s: float | None
    next_try_s: float | None
    last_error: str


class QueueList(Result, frozen=True):
    """All queues. ``live`` is false when the transport role was not asked but the database read.

    Shadow queues are apart: their messages are other servers', so they count in no sum and nothing can be
    done to them (exchange-behaviour SR13-9).
    """

    message_count: int
    live: bool
    queues: list[QueueRow]
    shadow_queues: list[ShadowQueueRow]


class WaitingRow(Result, frozen=True):
    """What of one message waits in one queue."""

    number: int
    queue: str
    state: str
    sender: str
    recipients: list[str]
    size_bytes: int
    waiting_s: float
    failure_count: int
    next_try_s: float | None
    last_error: str
    subject: str
    network_message_id: str


class QueueShown(Result, frozen=True):
    """One queue, what waits in it and how its hosts are, or one message and where its parts wait."""

    queue: str
    delivery_type: str
    domain: str
    connector: str
    status: str
    message_count: int
    connection_count: int
    next_try_s: float | None
    last_error: str
    messages: list[WaitingRow]
    hosts: list[HostRow]


class QueueDone(Result, frozen=True):
    """What was done to how many messages; ``busy_message_count`` were just being sent and were left."""

    done: str
    message_count: int
    busy_message_count: int


class Exported(Result, frozen=True):
    """A message as it waits, header first, lines ending with CRLF; base64 in JSON."""

    data: bytes


class ResourceRow(Result, frozen=True):
    """One resource that back pressure looks at, with its four marks (exchange-behaviour BP)."""

    resource: str
    level: str
    value: float | None
    unit: str
    for_s: float
    medium: float
    high: float
    high_to_medium: float
    medium_to_low: float
    refuses: str


class PressureShown(Result, frozen=True):
    """Back pressure as it is, and what follows from it."""

    level: str
    effects: list[str]
    resources: list[ResourceRow]
