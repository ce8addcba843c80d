"""Delivery status notifications: the message that tells a sender what became of a message.

A ``multipart/report`` with three parts: a text for people, the
``message/delivery-status`` for programs, and the original or its headers.

Invariant: nothing that a peer chose (an address, a reply, a header) can add a
line or a part to it.

Source: RFC 3464 (delivery status), RFC 3462 (multipart/report), RFC 3461
(what a sender asked for), RFC 6533 (addresses outside ASCII), RFC 5321 section
6.1; exchange-behaviour QU-9 for what an administrator wants to see.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal

ORIGINAL_HEADER_BYTES_MAX = 64 << 10
ORIGINAL_BYTES_MAX = 1 << 20  # a bounce is not a way to send a large message back
STATUS_BYTES_MAX = 1 << 20
RECIPIENT_COUNT_MAX = 10_000
VALUE_BYTES_MAX = 900  # of one field; a line has at most 998 (RFC 5322 section 2.1.1)
SUBJECT_CHARACTERS_MAX = 200

_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_FIELD_NAME = re.compile(rb"[!-9;-~]{1,76}")
_XTEXT_PAIR = re.compile(r"\+([0-9A-F]{2})")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_WORD_BYTES_MAX = 39  # of one encoded word before base64, so that a line keeps to 76 (RFC 2047 section 2)
_OWN_DIAGNOSIS = "x-holdfast"


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What became of one recipient.

    Attributes:
        recipient: the address as the envelope had it.
        action: ``failed``, ``delayed``, ``delivered``, ``relayed`` or ``expanded``.
        status: enhanced status code (RFC 3463).
        text: the diagnosis: a sentence of ours, or what the next hop replied. Of ours, it never names a
            host, path or other user. Empty leaves it out.
        diagnosed_by: ``x-holdfast`` for a sentence of ours, ``smtp`` for a reply.
        remote_host: the next hop; empty when there was none.
        original_recipient: type and address as the sender gave them (ORCPT); empty when it did not.
        last_attempt_date: a date as headers have it (RFC 5322 section 3.3); empty leaves it out.
        will_retry_until: the same; only for what is delayed.
    """

    recipient: str
    action: str
    status: str
    text: str
    diagnosed_by: str = _OWN_DIAGNOSIS
    remote_host: str = ""
    original_recipient: str = ""
    last_attempt_date: str = ""
    will_retry_until: str = ""


@dataclass(frozen=True, slots=True)
class Dsn:
    """A notification before it is bytes.

    Attributes:
        reporting_host: the server that says it, as a domain.
        to: the sender of the original.
        date: a date as headers have it (RFC 5322 section 3.3).
        arrival_date: when the original came, the same way.
        message_id: with angle brackets, for the notification itself.
        boundary: a line that is in no part; the caller draws it.
        recipients: at least one.
        original: the original message, or its beginning.
        subject: of the notification, in any language.
        text: for people; lines are parted by line feeds.
        language: of the text.
        envelope_id: what the sender calls the message (ENVID), decoded; empty when it gave none.
        reply_to_id: the original's Message-ID; left out where it is malformed.
        full: whether the whole original goes back, where it is not too large, or only its headers.
    """

    reporting_host: str
    to: str
    date: str
    arrival_date: str
    message_id: str
    boundary: str
    recipients: tuple[RecipientStatus, ...]
    original: bytes
    subject: str = "Undelivered mail returned to sender"
    text: str = ""
    language: str = "en"
    envelope_id: str = ""
    reply_to_id: str = ""
    full: bool = False


def build_dsn(dsn: Dsn) -> bytes:
    """Write a notification, with CRLF line ends throughout.

    Source: RFC 3464 section 2; RFC 6533 section 3 for addresses outside ASCII.
    """
    assert dsn.recipients
    top = "\r\n".join(_header_lines(dsn)).encode()
    mark = f"--{dsn.boundary}\r\n".encode()
    parts = (_people_part(dsn), _status_part(dsn), _original_part(dsn))
    body = b"".join(mark + part + b"\r\n" for part in parts)
    return top + b"\r\n\r\n" + body + f"--{dsn.boundary}--\r\n".encode()


def _header_lines(dsn: Dsn) -> list[str]:
    host = _plain(dsn.reporting_host)
    lines = [
        f"From: Mail Delivery System <postmaster@{host}>",
        f"To: <{_plain(dsn.to)}>",
        f"Date: {dsn.date}",
        f"Message-ID: {dsn.message_id}",
        f"Subject: {encode_words(_plain(dsn.subject)[:SUBJECT_CHARACTERS_MAX])}",
        "Auto-Submitted: auto-replied",  # RFC 3834 section 5: nothing must answer it
    ]
    if _MESSAGE_ID.fullmatch(dsn.reply_to_id):
        lines += [f"In-Reply-To: {dsn.reply_to_id}", f"References: {dsn.reply_to_id}"]
    return [
        *lines,
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{dsn.boundary}"',
    ]


def encode_words(text: str) -> str:
    """Write a header text, as encoded words on folded lines where it is not short and plain ASCII.

    Source: RFC 2047 sections 2 and 5.
    """
    if text.isascii() and "=?" not in text and len(text) < 60:
        return text
    words: list[bytes] = [b""]
    for character in text:
        encoded = character.encode()
        if len(words[-1]) + len(encoded) > _WORD_BYTES_MAX:
            words.append(b"")
        words[-1] += encoded
    return "\r\n ".join(f"=?utf-8?B?{base64.b64encode(word).decode()}?=" for word in words)


def _people_part(dsn: Dsn) -> bytes:
    """The text for people; quoted-printable where it is needed, so that any next hop can take it."""
    text = "\n".join(_plain(line) for line in dsn.text.split("\n"))
    data = text.encode()
    seven_bit = data.isascii() and all(len(line) <= VALUE_BYTES_MAX for line in data.split(b"\n"))
    if not seven_bit:
        data = binascii.b2a_qp(data, istext=True).replace(b"=\r\n", b"=\n")
    head = (
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Language: {_plain(dsn.language)}\r\n"
        f"Content-Transfer-Encoding: {'7bit' if seven_bit else 'quoted-printable'}\r\n\r\n"
    )
    return head.encode() + data.replace(b"\n", b"\r\n") + b"\r\n"


def _status_part(dsn: Dsn) -> bytes:
    # RFC 6533 section 3: only the global form has addresses outside ASCII as they are.
    addresses = "".join(each.recipient + each.original_recipient for each in dsn.recipients)
    international = not addresses.isascii()
    lines = [
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit"
        if international
        else "Content-Type: message/delivery-status",
        "",
        *_field("Original-Envelope-Id", dsn.envelope_id),
        f"Reporting-MTA: dns; {_plain(dsn.reporting_host)}",
        f"Arrival-Date: {dsn.arrival_date}",
    ]
    for each in dsn.recipients:
        lines += ["", *_recipient_lines(each)]
    text = "\r\n".join(lines) + "\r\n"
    return text.encode() if international else text.encode("ascii", "replace")


def _recipient_lines(each: RecipientStatus) -> list[str]:
    assert _STATUS.fullmatch(each.status), each.status
    kind = "rfc822" if each.recipient.isascii() else "utf-8"
    return [
        *_field("Original-Recipient", each.original_recipient),
        *_field("Final-Recipient", f"{kind}; {each.recipient}"),
        f"Action: {each.action}",
        f"Status: {each.status}",
        *_field("Remote-MTA", f"dns; {_mta_name(each.remote_host)}" if each.remote_host else ""),
        *_field("Diagnostic-Code", f"{each.diagnosed_by}; {each.text}" if each.text else ""),
        *_field("Last-Attempt-Date", each.last_attempt_date),
        *_field("Will-Retry-Until", each.will_retry_until),
    ]


def _mta_name(host: str) -> str:
    """A host by its domain, or as a literal where it has none (RFC 3464 section 2.3.5)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return f"[IPv6:{host}]" if address.version == 6 else f"[{host}]"


def _mta_host(name: str) -> str:
    """The host that ``_mta_name`` wrote."""
    inner = name[1:-1].removeprefix("IPv6:")
    return inner if name == _mta_name(inner) else name


def _field(name: str, value: str) -> list[str]:
    """A field of the delivery status; none where there is nothing to say."""
    if not value:
        return []
    plain = _plain(value).encode()[:VALUE_BYTES_MAX].decode("utf-8", "ignore")
    return [f"{name}: {plain}"]


def _original_part(dsn: Dsn) -> bytes:
    """The original or its headers, as it came: what a peer sent is not made nicer."""
    whole = dsn.full and b"\r\n\r\n" in dsn.original and len(dsn.original) <= ORIGINAL_BYTES_MAX
    headers = original_headers(dsn.original)
    if whole:
        # RFC 6533 section 4: headers outside ASCII make a message/global.
        kind = "message/rfc822" if headers.isascii() else "message/global"
    else:
        kind = "text/rfc822-headers" if headers.isascii() else "message/global-headers"
    data = dsn.original if whole else headers
    encoding = "" if data.isascii() else "Content-Transfer-Encoding: 8bit\r\n"
    return f"Content-Type: {kind}\r\n{encoding}\r\n".encode() + data


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


def decode_xtext(text: str) -> str:
    """Read an xtext of ENVID or ORCPT; a pair that is none stays as it is (RFC 3461 section 4)."""
    return _XTEXT_PAIR.sub(lambda pair: chr(int(pair[1], 16)), text)


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
        status = _recipient_status(_fields(group))
        if status is not None:
            if len(found) == RECIPIENT_COUNT_MAX:
                raise Refusal(f"a delivery status names more than {RECIPIENT_COUNT_MAX} recipients")
            found.append(status)
    if not found:
        raise Refusal("a delivery status names no recipient with action and status")
    return tuple(found)


def _recipient_status(fields: dict[bytes, str]) -> RecipientStatus | None:
    """One group of fields; None where it is not about a recipient."""
    original = fields.get(b"original-recipient", "")
    recipient = fields.get(b"final-recipient", original).partition(";")[2].strip()
    status = _STATUS.match(fields.get(b"status", ""))
    action = fields.get(b"action", "").strip().lower()
    if not (recipient and status and action):
        return None
    kind, _, text = fields.get(b"diagnostic-code", "").partition(";")
    return RecipientStatus(
        recipient,
        action,
        status[0],
        text.strip(),
        kind.strip().lower() or _OWN_DIAGNOSIS,
        _mta_host(fields.get(b"remote-mta", "").partition(";")[2].strip()),
        original,
        fields.get(b"last-attempt-date", ""),
        fields.get(b"will-retry-until", ""),
    )


def _fields(group: bytes) -> dict[bytes, str]:
    fields: dict[bytes, str] = {}
    for line in re.sub(rb"\r?\n[ \t]+", b" ", group).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and _FIELD_NAME.fullmatch(name.strip()):
            fields.setdefault(name.strip().lower(), value.strip().decode("utf-8", "replace"))
    return fields
