"""The message tracking log: what happened to each message, one CSV line per event.

Lines are written into the queue database in the same transaction as the change
they tell of, so that the log says neither more nor less than what happened; a
driver copies them to the log files (docs/decisions/0004).

A line is one f-string, looked at once as a whole: two are made per message on the measured path. A value
can neither end its field or line (quotes, and control characters become spaces)
nor be taken for a formula by a spreadsheet (an apostrophe goes before ``=``,
``+``, ``-`` and ``@`` at its start, and is taken off by ``parse_line``).

Source: exchange-behaviour 2.11 MT; RFC 4180 for CSV.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from holdfast.kernel.errors import Refusal

FIELDS = (
    "date-time", "client-ip", "client-hostname", "server-ip", "server-hostname", "source-context",
    "connector-id", "source", "event-id", "internal-message-id", "message-id", "network-message-id",
    "recipient-address", "recipient-status", "total-bytes", "recipient-count", "related-recipient-address",
    "reference", "message-subject", "sender-address", "return-path", "message-info", "directionality",
    "tenant-id", "original-client-ip", "original-server-ip", "custom-data", "transport-traffic-type",
    "log-id", "schema-version",
)  # fmt: skip
SCHEMA_VERSION = "1"
VALUE_CHARACTERS_MAX = 1000  # of a value that a peer chose; recipients are bounded by their count
LINE_CHARACTERS_MAX = 4 << 20
LINE_RECIPIENT_COUNT_MAX = 1000  # the members of a large group go over several lines

# Written by number: no C compiler takes half of a pair as text (docs/decisions/0024).
_SURROGATES = f"{chr(0xD800)}-{chr(0xDFFF)}"
_UNSAFE = re.compile(r'[",\x00-\x1f\x7f-\x9f\u2028\u2029' + _SURROGATES + "]")
_COMMA_COUNT = len(FIELDS) - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029" + _SURROGATES + "]")
_FIELD = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^,"]*))(,|\Z)')
_FORMULA_STARTS = frozenset("=+-@'")
_RECIPIENT = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^;"])*)(?:;|\Z)', re.DOTALL)


class EventId(enum.Enum):
    """What happened (exchange-behaviour MT). ``transport.ledger`` says which open and close a recipient."""

    RECEIVE = "RECEIVE"  # taken in: its recipients are ours to answer for
    DELIVER = "DELIVER"  # into a mailbox
    DUPLICATEDELIVER = "DUPLICATEDELIVER"  # the mailbox had it already
    SEND = "SEND"  # a next hop has taken it (250); see ``sent_details``
    FAIL = "FAIL"  # given up; its sender is told where that is possible
    DSN = "DSN"  # a report of ours, taken in as a message of its own
    DROP = "DROP"  # given up, and nobody is told: second tries, removed by an administrator without a report
    EXPAND = "EXPAND"  # a group (related) was replaced by its members (recipients)
    RESOLVE = "RESOLVE"  # an address (related) was replaced by the one it stands for (recipients)
    REDIRECT = "REDIRECT"  # an administrator gave it another next hop; it waits on
    TRANSFER = "TRANSFER"  # some recipients go on in a copy of their own; they wait on
    RESUBMIT = "RESUBMIT"  # routed anew, taken over from another server, or from the Safety Net; it waits on
    DEFER = "DEFER"  # put off; the status says why; it waits on
    POISONMESSAGE = "POISONMESSAGE"  # set aside, or let go on; it waits on
    LOAD = "LOAD"  # found in the queue database at start
    HAREDIRECT = "HAREDIRECT"  # a partner (reference) has a shadow copy of it
    HAREDIRECTFAIL = "HAREDIRECTFAIL"  # taken in although no partner could make a copy: unprotected
    HARECEIVE = "HARECEIVE"  # a shadow copy of another server's (reference) message, taken in
    HADISCARD = "HADISCARD"  # that shadow copy let go: its primary has finished the message


@dataclass(slots=True)
class MessageFacts:
    """What every line about a message repeats."""

    internal_message_id: int
    message_id: str
    network_message_id: str
    size_bytes: int
    subject: str
    sender: str


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def format_instant(now: float) -> str:
    """Write seconds since the epoch like ``2026-11-21T02:50:47.123Z``."""
    milliseconds = int(now * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


def parse_instant(text: str) -> float:
    """Read what ``format_instant`` wrote.

    Raises:
        Refusal: the text is not such an instant.
    """
    try:
        if not text.endswith("Z"):
            raise ValueError
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise Refusal(f'"{text[:40]}" is not a time of a tracking log') from None


def _quote(value: str) -> str:
    if not value:
        return value
    if value[0] in _FORMULA_STARTS:
        value = "'" + value
    if _UNSAFE.search(value) is None:
        return value
    value = _CONTROL.sub(" ", value)
    return '"' + value.replace('"', '""') + '"'


def _short(value: str) -> str:
    return _quote(value if len(value) <= VALUE_CHARACTERS_MAX else value[:VALUE_CHARACTERS_MAX])


def join_recipients(recipients: tuple[str, ...]) -> str:
    """Write several addresses into one field, parted by semicolons."""
    return recipients[0] if len(recipients) == 1 else ";".join(recipients)


def split_recipients(text: str) -> tuple[str, ...]:
    """Read what ``join_recipients`` wrote; a semicolon inside a quoted local part does not part."""
    if '"' not in text:
        return tuple(text.split(";")) if text else ()
    return tuple(match[1] for match in _RECIPIENT.finditer(text) if match[1])


class TrackingWriter:
    """Makes the lines of one server."""

    def __init__(self, server_name: str, server_ip: str = "", *, with_subject: bool) -> None:
        self.take_server(server_name, server_ip)
        self.with_subject = with_subject
        self.clock_offset_s = 0.0

    def wall(self, now: float) -> float:
        """The instant to write down for ``now``: what the wall clock says (``node.ports``)."""
        return now + self.clock_offset_s

    def take_server(self, name: str, ip: str) -> None:
        """Go by another name and address from now on."""
        self._server = f"{_quote(ip)},{_quote(name)}"

    def line(
        self,
        now: float,
        event_id: EventId,
        source: str,
        message: MessageFacts,
        recipients: tuple[str, ...],
        more: LineDetails | None = None,
    ) -> str:
        """Make one line, with its CRLF; of very many recipients several, each about some of them.

        In all but the first, ``more.related_recipients`` are those that the ones before had no room for.

        Args:
            now: when it happened, on the steady clock.
            event_id: what happened.
            source: the part that did it: SMTP, STOREDRIVER, DSN, ROUTING, QUEUE, BOOTLOADER, or ADMIN
                where an administrator wanted it.
            message: which message.
            recipients: whom the event is about.
            more: details that few events have.
        """
        more = more or _NO_DETAILS
        related = more.related_recipients
        if len(recipients) > LINE_RECIPIENT_COUNT_MAX or len(related) > LINE_RECIPIENT_COUNT_MAX:
            count = max(len(recipients), len(related))
            return "".join(
                self.line(
                    now,
                    event_id,
                    source,
                    message,
                    recipients[start : start + LINE_RECIPIENT_COUNT_MAX],
                    replace(more, related_recipients=related[start : start + LINE_RECIPIENT_COUNT_MAX]),
                )
                for start in range(0, count, LINE_RECIPIENT_COUNT_MAX)
            )
        subject = message.subject if self.with_subject else ""
        client = f"{more.client_ip},{more.client_hostname}" if more.client_ip else ","
        addresses = join_recipients(recipients)
        begin = f"{format_instant(now + self.clock_offset_s)},"
        # Nearly no line has a value that must be quoted or cut: then one look at the whole will do.
        line = (
            f"{begin}{client},{self._server},,{more.connector},{source},{event_id.value},"
            f"{message.internal_message_id},{message.message_id},{message.network_message_id},"
            f"{addresses},{more.recipient_status},{message.size_bytes},{len(recipients)},"
            f"{join_recipients(related) if related else ''},{more.reference},{subject},"
            f"{message.sender},{message.sender},,{more.directionality},,,,"
            f"{more.custom_data},Email,,{SCHEMA_VERSION}"
        )
        if (
            line.count(",") == _COMMA_COUNT
            and len(line) <= VALUE_CHARACTERS_MAX
            and line.isprintable()
            and '"' not in line
            # No value begins like a formula; five searches take a third of the time of one pattern.
            and not (",=" in line or ",+" in line or ",-" in line or ",@" in line or ",'" in line)
        ):
            return f"{line}\r\n"
        sender = _short(message.sender)
        client = f"{more.client_ip},{_short(more.client_hostname)}" if more.client_ip else ","
        return (
            f"{begin}{client},{self._server},,{_quote(more.connector)},{source},{event_id.value},"
            f"{message.internal_message_id},{_short(message.message_id)},{message.network_message_id},"
            f"{_quote(addresses)},{_short(more.recipient_status)},{message.size_bytes},{len(recipients)},"
            f"{_quote(join_recipients(related) if related else '')},{_short(more.reference)},"
            f"{_short(subject)},{sender},{sender},,{more.directionality},,,,"
            f"{_short(more.custom_data)},Email,,{SCHEMA_VERSION}\r\n"
        )


@dataclass(slots=True)
class LineDetails:
    """Values of the columns that few events use; see ``FIELDS``."""

    client_ip: str = ""
    client_hostname: str = ""
    connector: str = ""
    recipient_status: str = ""
    related_recipients: tuple[str, ...] = ()
    reference: str = ""
    custom_data: str = ""
    directionality: str = "Incoming"


_NO_DETAILS = LineDetails()


def sent_details(connector: str, remote_host: str, remote_address: str, reply: str) -> LineDetails:
    """Details of a SEND line: by which connector, to which host, and what it said.

    As in Exchange's log the next hop's reply is the recipient status and the next hop stands in
    custom-data; the client columns are left empty, since we are the client.

    Args:
        connector: the send connector; empty between servers of ours.
        remote_host: the next hop by name.
        remote_address: the IP address that was connected to.
        reply: the next hop's 250, code and text.
    """
    host = f"{remote_host} [{remote_address}]" if remote_address else remote_host
    return LineDetails(
        connector=connector,
        recipient_status=reply,
        custom_data=f"S:RemoteHost={host}",
        directionality="Originating",
    )


_TRANSFERRED_TO, _TRANSFERRED_FROM = "S:TransferredTo=", "S:TransferredFrom="


def transferred_details(sent: LineDetails, server: str) -> LineDetails:
    """Details of a SEND line to a server of ours, which goes on with the same network message id.

    What says so stands first, where no name of a host can be taken for it.
    """
    return replace(sent, custom_data=f"{_TRANSFERRED_TO}{server};{sent.custom_data}")


def transferred_from(server: str) -> str:
    """The custom-data of the RECEIVE line of a message that came so."""
    return f"{_TRANSFERRED_FROM}{server}"


def file_header(now: float, software: str = "Holdfast") -> str:
    """The lines at the top of every log file."""
    return (
        f"#Software: {software}\r\n#Version: {SCHEMA_VERSION}\r\n#Log-Type: Message Tracking Log\r\n"
        f"#Date: {format_instant(now)}\r\n#Fields: {','.join(FIELDS)}\r\n"
    )


class TrackingEvent(NamedTuple):
    """One line read back."""

    at: float
    event_id: EventId
    source: str
    internal_message_id: str
    message_id: str
    network_message_id: str
    recipients: tuple[str, ...]
    recipient_status: str
    size_bytes: int
    related_recipients: tuple[str, ...]
    reference: str
    subject: str
    sender: str
    client_ip: str
    client_hostname: str
    server_hostname: str
    connector: str
    custom_data: str


_EVENT_IDS = {each.value: each for each in EventId}


def _unquote(value: str) -> str:
    return value[1:] if value.startswith("'") else value


def parse_line(line: str) -> TrackingEvent:
    """Read one line of a log.

    Raises:
        Refusal: the line is not one that ``TrackingWriter`` makes.
    """
    if len(line) > LINE_CHARACTERS_MAX:
        raise Refusal("a tracking line is too long")
    values = _split_line(line)
    if len(values) != len(FIELDS):
        raise Refusal(f"a tracking line has {len(values)} fields and not {len(FIELDS)}")
    event_id = _EVENT_IDS.get(values[8])
    if event_id is None:
        raise Refusal(f'"{values[8][:40]}" is not an event of the tracking log')
    if not (values[14].isascii() and values[14].isdigit() and len(values[14]) < 20):
        raise Refusal(f'"{values[14][:40]}" is not a size')
    return TrackingEvent(
        at=parse_instant(values[0]),
        event_id=event_id,
        source=values[7],
        internal_message_id=values[9],
        message_id=_unquote(values[10]),
        network_message_id=values[11],
        recipients=split_recipients(_unquote(values[12])),
        recipient_status=_unquote(values[13]),
        size_bytes=int(values[14]),
        related_recipients=split_recipients(_unquote(values[16])),
        reference=_unquote(values[17]),
        subject=_unquote(values[18]),
        sender=_unquote(values[19]),
        client_ip=values[1],
        client_hostname=_unquote(values[2]),
        server_hostname=_unquote(values[4]),
        connector=_unquote(values[6]),
        custom_data=_unquote(values[26]),
    )


class OutcomeLine(NamedTuple):
    """What the ledger needs of a line.

    Attributes:
        transferred: whether a server of ours had the message before, or goes on with it.
    """

    event_id: EventId
    internal_message_id: str
    network_message_id: str
    recipients: tuple[str, ...]
    related: tuple[str, ...]
    transferred: bool


def read_outcome(line: str) -> OutcomeLine:
    """Read only what the ledger needs of a line.

    Raises:
        Refusal: the line is not one that ``TrackingWriter`` makes.
    """
    values = _split_line(line)
    event_id = _EVENT_IDS.get(values[8]) if len(values) == len(FIELDS) else None
    if event_id is None:
        raise Refusal("not a line of the tracking log")
    recipients = split_recipients(_unquote(values[12]))
    related = split_recipients(_unquote(values[16])) if values[16] else ()
    transferred = values[26].startswith((_TRANSFERRED_TO, _TRANSFERRED_FROM))
    return OutcomeLine(event_id, values[9], values[11], recipients, related, transferred)


def comparable(recipient: str) -> str:
    """A recipient as it reads in the log."""
    return _CONTROL.sub(" ", recipient)


def _split_line(line: str) -> list[str]:
    line = line.rstrip("\r\n")
    if '"' not in line:
        return line.split(",")
    values: list[str] = []
    position = 0
    while True:
        match = _FIELD.match(line, position)
        if match is None:
            raise Refusal("a tracking line is not CSV: a quotation mark stands alone")
        values.append(match[1].replace('""', '"') if match[1] is not None else match[2])
        if not match[3]:
            return values
        position = match.end()


def parse_lines(text: str) -> Iterator[TrackingEvent]:
    """Read many lines; headers and lines that are not ours are left out."""
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            try:
                yield parse_line(line)
            except Refusal:
                continue


@dataclass(frozen=True, slots=True)
class TrackingCriteria:
    """What is looked for; an empty field matches everything.

    Attributes:
        sender: part of the sender's address.
        recipient: part of a recipient's address.
        subject: part of the subject.
        message_id: the Message-ID, with or without angle brackets.
        network_message_id: exactly.
        since: not before this instant.
        until: before this instant.
    """

    sender: str = ""
    recipient: str = ""
    subject: str = ""
    message_id: str = ""
    network_message_id: str = ""
    since: float | None = None
    until: float | None = None

    def matches(self, event: TrackingEvent) -> bool:
        """Whether an event is what is looked for; case does not matter."""
        if self.since is not None and event.at < self.since:
            return False
        if self.until is not None and event.at >= self.until:
            return False
        if self.network_message_id and event.network_message_id != self.network_message_id.strip().lower():
            return False
        if self.message_id and event.message_id.strip("<> ") != self.message_id.strip("<> "):
            return False
        if self.sender.casefold() not in event.sender.casefold():
            return False
        if self.subject.casefold() not in event.subject.casefold():
            return False
        wanted = self.recipient.casefold()
        return not wanted or any(
            wanted in address.casefold() for address in (*event.recipients, *event.related_recipients)
        )
