"""What the verbs about shadow copies, lost servers and the Safety Net give back; see ``admin.results``."""

from __future__ import annotations

from holdfast.admin.results import Result


class PartnerRow(Result, frozen=True):
    """A server that could keep copies of our messages.

    ``held_message_count`` messages in our queue have their copy there; of ``untold_discard_count`` finished
    ones it has not heard.
    """

    partner: str
    takes_copies: str
    for_s: float | None
    reason: str
    held_message_count: int
    untold_discard_count: int


class ShadowQueueRow(Result, frozen=True):
    """The copies that are held here for one server, its primary.

    ``status``: ready while it is connected. Of ``untold_message_count`` messages it does not know yet that
    they were taken over.
    """

    queue: str
    delivery_type: str
    status: str
    message_count: int
    size_bytes: int
    oldest_at: float | None
    silent_s: float | None
    untold_message_count: int


class UnprotectedRow(Result, frozen=True):
    """A message in our queue that no other server has."""

    number: int
    unprotected_since_at: float
    sender: str
    recipients: list[str]
    size_bytes: int
    network_message_id: str


class ProtectionShown(Result, frozen=True):
    """Who else has the messages of this server, and what it has of others.

    ``waiting_message_count`` wait for a copy before their senders read 250, ``refused_message_count`` were
    put off for want of one. ``live`` is false when the transport role was not asked but the database read:
    then what only that role knows is null. Counts of what happened are since its start.
    """

    live: bool
    protected_message_count: int
    unprotected_message_count: int
    unprotected_since_at: float | None
    waiting_message_count: int | None
    refused_message_count: int | None
    taken_over_message_count: int | None
    sent_by_both_message_count: int | None
    safety_net_message_count: int
    safety_net_size_bytes: int
    safety_net_since_at: float | None
    partners: list[PartnerRow]
    shadow_queues: list[ShadowQueueRow]
    unprotected: list[UnprotectedRow]


class DeclaredLost(Result, frozen=True):
    """How many messages of a lost server are delivered from here now."""

    server: str
    taken_over_message_count: int


class ResubmissionRow(Result, frozen=True):
    """Messages of the Safety Net that were delivered again, or are being.

    ``asked_by``: an administrator, or the mailbox database that came back older than it was. The span is of
    the instants at which messages got into the Safety Net; without an end it goes up to then.
    """

    number: int
    database: str
    asked_by: str
    since_at: float
    until_at: float | None
    looked_at_message_count: int
    resubmitted_message_count: int
    state: str


class SafetyNetShown(Result, frozen=True):
    """What is kept after its delivery, since when the oldest, and for how long it will be."""

    message_count: int
    size_bytes: int
    since_at: float | None
    hold_s: float
    resubmissions: list[ResubmissionRow]
