"""What ``message explain`` and the verbs about certificates give back; see ``admin.results``."""

from __future__ import annotations

from holdfast.admin.results import Result


class DoorRow(Result, frozen=True):
    """A receive connector that is not the one, and why."""

    receive_connector: str
    why_not: str


class JudgedRow(Result, frozen=True):
    """What was judged, and the reply that it would get."""

    subject: str
    code: int
    text: str


class RecipientRow(Result, frozen=True):
    """One recipient, or a member of a group that is one, and how it is routed, step by step."""

    recipient: str
    by_group: str
    code: int
    steps: list[str]


class SendConnectorRow(Result, frozen=True):
    """One send connector as a candidate for a domain."""

    domain: str
    send_connector: str
    chosen: bool
    address_space: str
    cost: int
    why_not: str


class CopyRow(Result, frozen=True):
    """One copy of the message: the recipients that go the same way."""

    queue: str
    recipients: list[str]
    send_connector: str
    found_by: str
    tls: str
    problem: str


class HostRow(Result, frozen=True):
    """One address that a queue's mail would go to, in the order of preference."""

    queue: str
    preference: int
    host: str
    address: str
    port: int
    state: str
    for_s: float | None
    next_try_s: float | None
    reason: str
    tls: str
    certificate_names: list[str]


class MessageExplained(Result, frozen=True):
    """What would become of a message; nothing was sent."""

    receive_connector: str
    why: str
    client: str
    permission_groups: list[str]
    may: list[str]
    filters: list[str]
    certificate_shown: str
    split: list[str]
    notes: list[str]
    other_connectors: list[DoorRow]
    replies: list[JudgedRow]
    recipients: list[RecipientRow]
    send_connectors: list[SendConnectorRow]
    copies: list[CopyRow]
    hosts: list[HostRow]


class CertificateRow(Result, frozen=True):
    """One certificate, until when it is valid, and the doors that show it."""

    file: str
    names: list[str]
    expires_at: float
    expires_in_s: float
    trusted: bool
    self_signed: bool
    used_by: list[str]
    why: list[str]
    sha256: str


class CertificateList(Result, frozen=True):
    """All certificates that can be used, the first to expire first."""

    certificates: list[CertificateRow]
