"""Delivery status notifications: the message that tells a sender what was not delivered.

A ``multipart/report`` with three parts: a text for people, the
``message/delivery-status`` for programs, and the headers of the original.

Source: RFC 3464 (delivery status), RFC 3462 (multipart/report), RFC 5321
section 6.1; exchange-behaviour QU-9 for what an administrator wants to see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal

ORIGINAL_HEADER_BYTES_MAX = 64 << 10  # a bounce is not a way to send a large message back
STATUS_BYTES_MAX = 1 << 20
RECIPIENT_COUNT_MAX = 10_000

_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")
_FIELD_NAME = re.compile(rb"[!-9;-~]{1,76}")


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What became of one recipient.

    Attributes:
        recipient: the address as the envelope had it.
        action: ``failed``, ``delayed``, ``delivered``, ``relayed`` or ``expanded``.
        status: enhanced status code (RFC 3463).
        text: a sentence for people; never a host, path or other user of ours.
    """

    recipient: str
    action: str
    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Dsn:
    """A notification before it is bytes.

    Attributes:
        reporting_host: the server that gives up, as a domain.
        to: the sender of the original.
        date: a date as headers have it (RFC 5322 section 3.3).
        arrival_date: when the original came, the same way.
        message_id: with angle brackets, for the notification itself.
        boundary: a line that is in no part; the caller draws it.
        recipients: at least one.
        original: the original message, or its beginning; only its headers are sent back.
    """

    reporting_host: str
    to: str
    date: str
    arrival_date: str
    message_id: str
    boundary: str
    recipients: tuple[RecipientStatus, ...]
    original: bytes


def build_dsn(dsn: Dsn) -> bytes:
    """Write a notification, with CRLF line ends throughout.

    Source: RFC 3464 section 2; RFC 6533 section 3 for addresses outside ASCII.
    """
    assert dsn.recipients
    host = _plain(dsn.reporting_host)
    international = not all(each.recipient.isascii() for each in dsn.recipients)
    to = _plain(dsn.to)
    headers = original_headers(dsn.original)
    lines = [
        f"From: Mail Delivery System <postmaster@{host}>",
        f"To: <{to}>",
        f"Date: {dsn.date}",
        f"Message-ID: {dsn.message_id}",
        "Subject: Undelivered mail returned to sender",
        "Auto-Submitted: auto-replied",  # RFC 3834 section 5: nothing must answer it
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{dsn.boundary}"',
        "",
        "This is a message in MIME format: a report in three parts.",
        "",
        f"--{dsn.boundary}",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        *_people_lines(dsn, host),
        "",
        f"--{dsn.boundary}",
        "Content-Type: message/global-delivery-status"
        if international
        else "Content-Type: message/delivery-status",
        *(["Content-Transfer-Encoding: 8bit"] if international else []),
        "",
        f"Reporting-MTA: dns; {host}",
        f"Arrival-Date: {dsn.arrival_date}",
        *_status_lines(dsn.recipients),
        "",
        f"--{dsn.boundary}",
        "Content-Type: text/rfc822-headers",
        *([] if headers.isascii() else ["Content-Transfer-Encoding: 8bit"]),
        "",
        "",
    ]
    top = "\r\n".join(lines).encode()
    return top + headers + f"\r\n--{dsn.boundary}--\r\n".encode()


def _people_lines(dsn: Dsn, host: str) -> list[str]:
    lines = [
        f"This is the mail system at {host}.",
        "",
        "Your message could not be delivered to these recipients. The rest of this",
        "report is for mail programs and administrators.",
        "",
    ]
    for each in dsn.recipients:
        lines.append(f"  <{_plain(each.recipient)}>: {each.status} {_plain(each.text)}")
    return lines


def _status_lines(recipients: tuple[RecipientStatus, ...]) -> list[str]:
    lines: list[str] = []
    for each in recipients:
        assert _STATUS.fullmatch(each.status), each.status
        kind = "rfc822" if each.recipient.isascii() else "utf-8"
        lines += [
            "",
            f"Final-Recipient: {kind}; {_plain(each.recipient)}",
            f"Action: {each.action}",
            f"Status: {each.status}",
            f"Diagnostic-Code: x-holdfast; {_plain(each.text)}",
        ]
    return lines


def _plain(text: str) -> str:
    """Text that cannot end its line."""
    return _NOT_PRINTABLE.sub(" ", text)


def original_headers(message: bytes) -> bytes:
    """Return the headers of a message, each line ended by CRLF; cut at a line end when they are long."""
    end = message.find(b"\r\n\r\n", 0, ORIGINAL_HEADER_BYTES_MAX)
    if end >= 0:
        return message[: end + 2]
    if len(message) <= ORIGINAL_HEADER_BYTES_MAX:
        return message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    cut = message.rfind(b"\r\n", 0, ORIGINAL_HEADER_BYTES_MAX)
    return message[: cut + 2] if cut >= 0 else b""


def parse_delivery_status(data: bytes) -> tuple[RecipientStatus, ...]:
    """Read the body of a ``message/delivery-status`` part, ours or another system's.

    Raises:
        Refusal: it is too long or names no recipient with an action and a status.

    Source: RFC 3464 section 2.1 (groups of fields parted by empty lines).
    """
    if len(data) > STATUS_BYTES_MAX:
        raise Refusal(f"a delivery status is longer than {STATUS_BYTES_MAX} bytes")
    found: list[RecipientStatus] = []
    for group in re.split(rb"\r?\n[ \t]*\r?\n", data):
        fields = _fields(group)
        recipient = (
            fields.get(b"final-recipient", fields.get(b"original-recipient", "")).partition(";")[2].strip()
        )
        status = _STATUS.match(fields.get(b"status", ""))
        action = fields.get(b"action", "").strip().lower()
        if recipient and status and action:
            if len(found) == RECIPIENT_COUNT_MAX:
                raise Refusal(f"a delivery status names more than {RECIPIENT_COUNT_MAX} recipients")
            text = fields.get(b"diagnostic-code", "").partition(";")[2].strip()
            found.append(RecipientStatus(recipient, action, status[0], text))
    if not found:
        raise Refusal("a delivery status names no recipient with action and status")
    return tuple(found)


def _fields(group: bytes) -> dict[bytes, str]:
    fields: dict[bytes, str] = {}
    for line in re.sub(rb"\r?\n[ \t]+", b" ", group).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and _FIELD_NAME.fullmatch(name.strip()):
            fields.setdefault(name.strip().lower(), value.strip().decode("utf-8", "replace"))
    return fields
