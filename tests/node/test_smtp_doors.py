"""The doors on their own; what they do inside the node stands in test_transport.py."""

from __future__ import annotations

import random

from holdfast.directory.model import Organisation
from holdfast.kernel.ids import ConnectionId
from holdfast.node.ports import Close, Peer, Send
from holdfast.node.smtp_doors import SmtpDoors
from holdfast.transport.categorize import Categorizer
from holdfast.transport.intake import Intake
from holdfast.transport.queue import Queue, RecoveredQueue
from holdfast.transport.tracking import TrackingWriter


def test_a_server_that_nobody_declared_lets_nobody_in() -> None:
    tracking = TrackingWriter("mail.example.test", with_subject=True)
    intake = Intake(Queue(RecoveredQueue((), 1, {})), tracking, random.Random(1), memory_s=60.0)
    doors = SmtpDoors(intake, Categorizer(Organisation()))
    doors.follow(Organisation(), "", "mail.example.test")
    doors.connection_opened(0.0, ConnectionId(1), "", Peer("192.0.2.9", 4000, "192.0.2.1", 25, tls=False))
    refusal, close = doors.outputs
    assert isinstance(refusal, Send)
    assert refusal.data.startswith(b"554 5.7.1 ")
    assert isinstance(close, Close)
    assert doors.open_count == 0
    assert doors.next_deadline() is None
