"""Tell the sender of a message what became of it: failed, delayed, delivered, relayed, expanded.

A report enters the queue in the same commit that takes the recipients out of it
that it is about, so that a crash loses neither and doubles neither. It has the
null sender, hence never causes another report, and goes to the sender like any
mail: into a mailbox of ours, or out by a send connector. Only messages that we
had accepted are reported on. Where nobody can be told of a failure, the tracking
log says so: FAIL for the recipient and DROP for the report.

What the sender asked for is kept: NOTIFY, RET, ENVID and ORCPT. Who asked for
nothing hears of failures and delays.

Source: RFC 5321 sections 4.5.5 and 6.1; RFC 3461 sections 4 to 6; RFC 3464; exchange-behaviour QU-3, QU-9,
QU-10.
"""

from __future__ import annotations

import random
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from holdfast.directory.model import DistributionGroup, Mailbox
from holdfast.kernel.events import LogEvent, happened
from holdfast.kernel.ids import new_network_message_id
from holdfast.transport import events
from holdfast.transport.categorize import Categorizer
from holdfast.transport.dsn_texts import DsnWords, choose_words, read_languages
from holdfast.transport.envelope import EnvelopeOptions, RecipientOptions
from holdfast.transport.hop_profile import Unreachable
from holdfast.transport.outcomes import facts_of
from holdfast.transport.queue import (
    AddMessage,
    Failure,
    NextHopKey,
    Queue,
    QueuedMessage,
    RecipientOutcome,
    Served,
    TrackOnly,
)
from holdfast.transport.tracking import EventId, LineDetails, TrackingWriter
from holdfast.wire.dsn import Dsn, RecipientStatus, build_dsn, decode_xtext, original_headers
from holdfast.wire.headers import HeaderBlock, decode_words, format_date

TEXT_WIDTH = 76
# RFC 3464 section 2.3.4; X.1.9 says that the next hop knows nothing of reports.
_STATUS_OF = {Served.DELIVERED: "2.0.0", Served.RELAYED: "2.1.9", Served.EXPANDED: "2.0.0"}
_ADMINISTRATORS = "Diagnostic information for administrators"


class ReportRoutes(Protocol):
    """What is asked of routing (``transport.route``): whether a report can reach its recipient."""

    def route(
        self, recipient: str, size_bytes: int, redirect: str = ""
    ) -> Mailbox | DistributionGroup | NextHopKey | Failure | Unreachable:
        """Decide where a recipient's mail goes."""


@dataclass(frozen=True, slots=True)
class Bounced:
    """What goes into the commit that finishes the recipients, and what the log says."""

    write: AddMessage | TrackOnly
    event: LogEvent | None


class Bouncer:
    """Makes the reports of one server.

    ``categorizer``, ``router`` and ``fqdn`` follow the organisation; without a router only our own users
    are told.
    """

    def __init__(
        self, queue: Queue, categorizer: Categorizer, tracking: TrackingWriter, luck: random.Random, fqdn: str
    ) -> None:
        self._queue = queue
        self.categorizer = categorizer
        self.router: ReportRoutes | None = None
        self._tracking = tracking
        self._luck = luck
        self.fqdn = fqdn

    # --- what became of recipients ---------------------------------------------------------------

    def needs_original(self, message: QueuedMessage, outcomes: Sequence[RecipientOutcome]) -> bool:
        """Whether a report may have to be made of these outcomes, so that the data must be at hand."""
        if message.marks.resubmitted:
            return False  # exchange-behaviour SN-6: its sender was told the first time
        if any(outcome.failure is not None for outcome in outcomes):
            return True
        return bool(message.options.recipients) and any(
            "SUCCESS" in message.options.of(recipient).notify
            for outcome in outcomes
            if outcome.served is not None
            for recipient in outcome.finished
        )

    def reports(
        self, now: float, message: QueuedMessage, outcomes: Sequence[RecipientOutcome], original: bytes
    ) -> list[Bounced]:
        """Make what goes into the commit that records these outcomes: a bounce, a report of success, both.

        Args:
            now: when they are recorded.
            message: the message.
            outcomes: all that the commit records of it.
            original: data of the message; empty when it cannot be read, then no headers go back.
        """
        made: list[Bounced] = []
        failed: list[tuple[str, Failure]] = []
        served: list[tuple[str, Served, str]] = []
        for outcome in outcomes:
            for recipient in outcome.finished:
                if outcome.failure is not None:
                    failed.append((recipient, outcome.failure))
                elif outcome.served is not None:
                    served.append((recipient, outcome.served, outcome.remote_host))
        if failed:
            made.append(self.bounce(now, message, failed, original))
        success = self.success(now, message, served, original)
        return made if success is None else [*made, success]

    # --- failures ------------------------------------------------------------------------------

    def bounce(
        self, now: float, message: QueuedMessage, failed: Sequence[tuple[str, Failure]], original: bytes
    ) -> Bounced:
        """Make the report on recipients that failed.

        Args:
            now: when they are given up.
            message: the message.
            failed: recipients, each with its reason.
            original: data of the message; empty when it cannot be read, then no headers go back.

        Returns:
            The report, or the line that says why nobody is told.
        """
        assert failed
        wanted = [pair for pair in failed if self._wants(message, pair[0], "FAILURE")]
        reason = self._not_sent_because(message)
        if reason is not None:
            nmid = message.network_message_id
            event = happened(events.BOUNCE_NOT_SENT, network_message_id=nmid, reason=reason)
            return Bounced(self._unsent(now, message, failed, reason), event)
        if not wanted:
            reason = "no bounce: the sender asked not to be told of failures"
            return Bounced(self._unsent(now, message, failed, reason), None)
        statuses = [
            self._status(message, recipient, "failed", failure.status, failure)
            for recipient, failure in wanted
        ]
        return Bounced(self._report(now, message, statuses, original), None)

    def _unsent(
        self, now: float, message: QueuedMessage, failed: Sequence[tuple[str, Failure]], reason: str
    ) -> TrackOnly:
        recipients = tuple(recipient for recipient, _ in failed)
        details = LineDetails(related_recipients=recipients, custom_data=reason)
        return TrackOnly(self._tracking.line(now, EventId.DROP, "DSN", facts_of(message), (), details))

    # --- delays and successes ------------------------------------------------------------------

    def delay(
        self, now: float, message: QueuedMessage, recipients: Sequence[tuple[str, Failure]], original: bytes
    ) -> Bounced | None:
        """Make the report on recipients that wait for long; None where nobody is to be told.

        Args:
            now: when it is said.
            message: the message.
            recipients: those that wait, each with why, as far as that is known: a status that is not
                one of a delay (4.…) is said as 4.4.7.
            original: data of the message; only its headers go back.

        Source: exchange-behaviour QU-3; RFC 3464 section 2.3.9.
        """
        organisation = self.categorizer.organisation
        inside = self.categorizer.find(message.reverse_path) is not None
        if not (organisation.delay_notice_internal if inside else organisation.delay_notice_external):
            return None
        wanted = [pair for pair in recipients if self._wants(message, pair[0], "DELAY")]
        if not wanted or message.marks.resubmitted or self._not_sent_because(message) is not None:
            return None
        until = format_date(message.received_at + organisation.expiry_s)
        statuses = []
        for recipient, failure in wanted:
            status = failure.status if failure.status.startswith("4.") else "4.4.7"
            made = self._status(message, recipient, "delayed", status, failure)
            statuses.append(replace(made, will_retry_until=until))
        return Bounced(self._report(now, message, statuses, original), None)

    def success(
        self, now: float, message: QueuedMessage, served: Iterable[tuple[str, Served, str]], original: bytes
    ) -> Bounced | None:
        """Make the report on recipients that were served; None where the sender did not ask for it.

        Args:
            now: when they were served.
            message: the message.
            served: recipient, how, and the next hop that took it (empty for none).
            original: data of the message; only its headers go back.

        Source: RFC 3461 sections 5.2.1 to 5.2.7.
        """
        if not message.options.recipients or not message.reverse_path:
            return None  # nearly all mail
        statuses = []
        for recipient, how, host in served:
            if "SUCCESS" in message.options.of(recipient).notify:
                well = Failure(_STATUS_OF[how], "", host)
                statuses.append(self._status(message, recipient, how.value, well.status, well))
        if not statuses or self._not_sent_because(message) is not None:
            return None
        return Bounced(self._report(now, message, statuses, original), None)

    # --- who is told, and of what ----------------------------------------------------------------

    def _wants(self, message: QueuedMessage, recipient: str, what: str) -> bool:
        notify = self._options(message, recipient).notify
        return not notify or what in notify  # RFC 3461 section 4.1: without NOTIFY as if FAILURE, DELAY

    def _options(self, message: QueuedMessage, recipient: str) -> RecipientOptions:
        """What was asked for a recipient; for a member of a group, what was asked for the group.

        Source: RFC 3461 section 5.2.7.
        """
        if not message.options.recipients:
            return RecipientOptions()
        own = message.options.of(recipient)
        if own.notify or own.original_recipient:
            return own
        for address, options in message.options.recipients:
            group = self.categorizer.find(address)
            if isinstance(group, DistributionGroup) and recipient in self.categorizer.expand(group, ()):
                return options
        return own

    def _not_sent_because(self, message: QueuedMessage) -> str | None:
        sender = message.reverse_path
        if not sender:
            return "no bounce: the message came from the null sender"
        if self.router is None:
            found = self.categorizer.find(sender)
            if isinstance(found, DistributionGroup) or (isinstance(found, Mailbox) and found.enabled):
                return None
            return "no bounce: the sender is not one of our users and no send connector leads to it"
        match self.router.route(sender, 0):
            case Failure() as failure:
                return f"no bounce: the sender cannot be reached: {failure.text}"
            case Unreachable():
                return "no bounce: the sender is not one of our users and no send connector leads to it"
            case _:
                return None

    def _status(
        self, message: QueuedMessage, recipient: str, action: str, status: str, failure: Failure
    ) -> RecipientStatus:
        return RecipientStatus(
            recipient,
            action,
            status,
            failure.reply or failure.text,
            "smtp" if failure.reply else "x-holdfast",
            failure.remote_host,
            decode_xtext(self._options(message, recipient).original_recipient),
        )

    # --- the report ------------------------------------------------------------------------------

    def _report(
        self, now: float, message: QueuedMessage, statuses: list[RecipientStatus], original: bytes
    ) -> AddMessage:
        wall = self._tracking.wall(now)
        date = format_date(wall)
        action = statuses[0].action
        headers = HeaderBlock(original_headers(original))
        words = self._words(message.reverse_path, headers)
        subject = decode_words(message.subject)
        network_message_id = new_network_message_id(self._luck)
        message_id = f"<{network_message_id}@{self.fqdn}>"
        title = words.frame(f"subject {action}").format(subject).strip()
        text = self._text(message, statuses, words)
        data = build_dsn(
            Dsn(
                reporting_host=self.fqdn,
                to=message.reverse_path,
                date=date,
                arrival_date=format_date(message.received_at),
                message_id=message_id,
                boundary=f"report-{self._luck.getrandbits(128):032x}",
                recipients=tuple(_dated(each, date) for each in statuses),
                original=original,
                subject=title,
                text=text,
                language=words.language,
                envelope_id=decode_xtext(message.options.envelope_id),
                reply_to_id=message.message_id,
                full=action == "failed" and message.options.return_content == "FULL",
            )
        )
        report = QueuedMessage(
            number=self._queue.take_number(),
            network_message_id=network_message_id,
            received_at=wall,
            reverse_path="",
            recipients=(message.reverse_path,),
            size_bytes=len(data),
            data=data,
            message_id=message_id,
            subject=title,
            fingerprint=b"",
            options=EnvelopeOptions(
                eight_bit=not data.isascii(), smtputf8=not message.reverse_path.isascii()
            ),
        )
        details = LineDetails(
            related_recipients=tuple(each.recipient for each in statuses),
            reference=message.network_message_id,
            directionality="Originating",
        )
        line = self._tracking.line(now, EventId.DSN, "DSN", facts_of(report), report.recipients, details)
        return AddMessage(report, line)

    def _words(self, sender: str, headers: HeaderBlock) -> DsnWords:
        """The language of the reader: its mailbox's, else the message's, else the organisation's."""
        organisation = self.categorizer.organisation
        found = self.categorizer.find(sender)
        wanted = [found.language] if isinstance(found, Mailbox) and found.language else []
        wanted += read_languages(headers.first(b"accept-language"))
        wanted += read_languages(headers.first(b"content-language"))
        return choose_words([*wanted, organisation.dsn_language], organisation.dsn_texts)

    def _text(self, message: QueuedMessage, statuses: list[RecipientStatus], words: DsnWords) -> str:
        """What people read: their part first, in their language, then that of administrators.

        Source: exchange-behaviour QU-9.
        """
        by_text: dict[tuple[str, str], list[RecipientStatus]] = {}
        for each in statuses:
            text = words.explanation(each.action, each.status, ours=each.diagnosed_by != "smtp")
            by_text.setdefault((each.action, text), []).append(each)
        lines: list[str] = []
        for (action, text), those in by_text.items():
            lines += [words.frame(action), "", *(f"  {each.recipient}" for each in those)]
            lines += ["", *_wrapped(text), ""]
        if statuses[0].will_retry_until:
            lines.append(f"{words.frame('until')} {statuses[0].will_retry_until}")
        if message.subject:
            lines.append(f"{words.frame('subject')} {decode_words(message.subject)}")
        lines += [
            f"{words.frame('sent')} {format_date(message.received_at)}",
            "",
            "",
            _ADMINISTRATORS,
            "-" * len(_ADMINISTRATORS),
            f"Generating server: {self.fqdn}",
            f"Message: {message.message_id} (network message id {message.network_message_id})",
        ]
        for each in statuses:
            lines += ["", f"{each.recipient}: {each.action}, {each.status}"]
            if each.remote_host:
                lines.append(f"Remote server: {each.remote_host}")
            if each.text:
                lines.append(f"{'It replied' if each.diagnosed_by == 'smtp' else 'Reason'}: {each.text}")
        return "\n".join([*lines, "", "The last part of this report has what goes back of the message.", ""])


def _wrapped(text: str) -> list[str]:
    """Lines as they are written; long ones are broken between words."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines += textwrap.wrap(line, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return lines


def _dated(status: RecipientStatus, date: str) -> RecipientStatus:
    """Only what a next hop refused was attempted just now, not what has waited (RFC 3464 section 2.3.7)."""
    tried = status.remote_host and status.action == "failed" and status.status != "4.4.7"
    return replace(status, last_attempt_date=date) if tried else status
