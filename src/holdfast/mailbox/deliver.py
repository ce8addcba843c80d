"""Deliver messages into inboxes: each message once per mailbox, within its quota.

A delivery is remembered in the same commit that stores the message. So when an
answer is lost and transport asks again, the second try is answered DUPLICATE
and stores nothing. The memory must outlast every copy that could still come:
a shadow copy expires after two days and its message after two more.

Source: exchange-behaviour SN-2, QT-1.
"""

from __future__ import annotations

import math
import random

from holdfast.directory.shadow_rules import DELIVERY_MEMORY_S
from holdfast.mailbox.folders import Denied, inbox, use_mailbox
from holdfast.mailbox.messages import add_message, header_size, new_item_id
from holdfast.mailbox.tables import MessageRow, Tables
from holdfast.wire.store import Delivery, Outcome, RefusalReason, Target

MEMORY_S = DELIVERY_MEMORY_S
FORGET_COUNT = 20  # per operation and beyond what it adds, so that the memory shrinks in small steps
MESSAGE_BYTES_MAX = 200 << 20  # so that a message always fits into one frame of the store protocol


def deliver(
    tables: Tables, deliveries: list[Delivery], now: float, luck: random.Random
) -> tuple[list[list[Outcome]], dict[int, int]]:
    """Put messages into inboxes.

    Returns:
        The outcomes, and the last position of each inbox that was changed, by folder id.

    Raises:
        Denied: a message is too large; none is stored.
    """
    for delivery in deliveries:
        require_size(len(delivery.data) + max((len(each.prefix) for each in delivery.targets), default=0))
    touched: dict[int, int] = {}
    outcomes = [_deliver_one(tables, delivery, now, luck, touched) for delivery in deliveries]
    target_count = sum(len(delivery.targets) for delivery in deliveries)
    tables.forget_delivered(now - MEMORY_S, target_count + FORGET_COUNT)
    return outcomes, touched


def require_size(size_bytes: int) -> None:
    """Raise Denied when a message is larger than the store protocol can carry."""
    if size_bytes > MESSAGE_BYTES_MAX:
        raise Denied(
            RefusalReason.CANNOT, f"the message has {size_bytes} bytes; the store takes {MESSAGE_BYTES_MAX}"
        )


def instant(wished_at: float, now: float) -> float:
    """An instant that can be stored: as wished, or ``now`` when that is no number."""
    return wished_at if math.isfinite(wished_at) else now


def _deliver_one(
    tables: Tables, delivery: Delivery, now: float, luck: random.Random, touched: dict[int, int]
) -> list[Outcome]:
    outcomes = [_admit(tables, delivery, target, now) for target in delivery.targets]
    count = outcomes.count(Outcome.DELIVERED)
    if not count:
        return outcomes
    body_id = tables.add_body(delivery.data, count)
    received_at = instant(delivery.received_at, now)
    own_header_bytes = header_size(b"", delivery.data)
    for target, outcome in zip(delivery.targets, outcomes, strict=True):
        if outcome is Outcome.DELIVERED:
            mailbox = use_mailbox(tables, target.mailbox_id, now)
            folder = inbox(tables, mailbox)
            prefix_bytes = len(target.prefix)
            row = MessageRow(
                folder_id=0,
                uid=0,
                item_id=new_item_id(luck),
                body_id=body_id,
                prefix=target.prefix,
                flags=(),
                internal_at=received_at,
                size_bytes=prefix_bytes + len(delivery.data),
                header_bytes=prefix_bytes + own_header_bytes,
                modification=0,
            )
            add_message(tables, mailbox, folder, row)
            touched[folder.folder_id] = folder.position
    return outcomes


def _admit(tables: Tables, delivery: Delivery, target: Target, now: float) -> Outcome:
    mailbox = use_mailbox(tables, target.mailbox_id, now)
    size_bytes = len(target.prefix) + len(delivery.data)
    if mailbox.size_bytes + size_bytes > target.quota_bytes:
        # What an earlier try stored is in the mailbox, however full that is now.
        if tables.was_delivered(delivery.network_message_id, target.mailbox_id):
            return Outcome.DUPLICATE
        return Outcome.OVER_QUOTA
    if not tables.remember_delivered(delivery.network_message_id, target.mailbox_id, now):
        return Outcome.DUPLICATE
    return Outcome.DELIVERED
