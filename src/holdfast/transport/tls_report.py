"""Count how TLS with every domain went, by day, and report it to domains that want to know.

Days are those of UTC. Of a finished day one mail goes to each address that the
domain publishes, some time in the following day; where reports are off, counts
are kept for as long and then forgotten. Counts survive a restart; a power cut
may lose those of the last minutes.

Source: RFC 8460 sections 3, 4 and 5.
"""

from __future__ import annotations

import datetime
import json
import random
from dataclasses import dataclass, field

from holdfast.directory.model import Organisation
from holdfast.transport.kept import KeptFile
from holdfast.transport.names import NameCache
from holdfast.transport.tls_policy import HostRefused, TlsDemand, TlsLevel
from holdfast.wire.dns_answers import Outcome, Question, RecordType
from holdfast.wire.headers import format_date
from holdfast.wire.tls_report import (
    FailureDetails,
    PolicyReport,
    PolicyType,
    ResultType,
    TlsReport,
    parse_report_addresses,
    report_mail,
)

FOLDER = "tls-report"
PATH = f"{FOLDER}/counts.json"
FORMAT = 1
DOMAIN_COUNT_MAX = 10_000  # of one day; further ones are not counted
FAILURE_KIND_COUNT_MAX = 50  # of one policy of one domain and day
REASON_CHARS_MAX = 200
KEEP_EVERY_S = 300.0
REPORT_SPAN_S = 4 * 3600.0  # after midnight: that not the whole world reports at once
REPORT_EVERY_S = 60.0
# While DNS is being asked: sooner than any answer is forgotten (``names.KEPT_S_MIN``).
ASK_AGAIN_S = 5.0
REPORTS_AT_ONCE_MAX = 50
GIVE_UP_S = 86_400.0  # whose DNS does not answer for a day gets no report of the day before

# What OpenSSL and our own drivers say of a certificate or a handshake, and what a report calls it.
_WORDS = (
    ("expired", ResultType.EXPIRED),
    ("the certificate is for", ResultType.HOST_MISMATCH),
    ("hostname mismatch", ResultType.HOST_MISMATCH),
    ("no tlsa record of", ResultType.TLSA_INVALID),  # RFC 8460 section 4.3: of the records, not the host
    ("tlsa", ResultType.VALIDATION_FAILURE),
    ("not issued by", ResultType.NOT_TRUSTED),
    ("self-signed", ResultType.NOT_TRUSTED),
    ("self signed", ResultType.NOT_TRUSTED),
    ("issuer", ResultType.NOT_TRUSTED),
    ("not trusted", ResultType.NOT_TRUSTED),
    ("not offer starttls", ResultType.STARTTLS_NOT_SUPPORTED),
    ("said at starttls", ResultType.STARTTLS_NOT_SUPPORTED),
)

_FailureKey = tuple[str, str, str, str]


@dataclass(slots=True)
class _Counts:
    """One policy of one domain on one day; failures by kind, host, address and reason."""

    strings: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    success_count: int = 0
    failure_count: int = 0
    failures: dict[_FailureKey, int] = field(default_factory=dict)


_Day = dict[str, dict[PolicyType, _Counts]]


@dataclass(frozen=True, slots=True)
class ReportMail:
    """A report that is to go out as a message with the null sender."""

    recipient: str
    data: bytes
    domain: str
    message_id: str


def result_of(reason: str) -> ResultType:
    """Say what a report calls a failure that has a reason for people."""
    said = reason.lower()
    return next((result for words, result in _WORDS if words in said), ResultType.VALIDATION_FAILURE)


class TlsReports:
    """The counts of one transport role.

    ``now`` is steady everywhere, and ``clock_offset_s`` says how far it is from the wall clock.
    """

    def __init__(self, names: NameCache, luck: random.Random) -> None:
        """Count from nothing.

        Args:
            names: answers of DNS, which say who wants reports.
            luck: when in the morning reports go out, and their ids.
        """
        self.clock_offset_s = 0.0
        self._names = names
        self._luck = luck
        self._days: dict[str, _Day] = {}
        self._changed = False
        self._keep_at: float | None = None
        self._report_at = 0.0
        self._delay_s: float | None = None
        self._sending = False
        self._organisation = ""
        self._submitter = ""
        self._contact = ""

    def follow(self, organisation: Organisation, fqdn: str) -> None:
        """Go by another organisation from now on; ``fqdn`` is ours where it has no domain."""
        domains = [each.name for each in organisation.accepted_domains]
        self._submitter = domains[0] if domains else fqdn
        self._organisation = organisation.name or self._submitter
        self._contact = organisation.tls_report_contact or f"postmaster@{self._submitter}"
        self._sending = organisation.tls_reports

    # --- counting --------------------------------------------------------------------------------

    def succeeded(self, now: float, domain: str, demand: TlsDemand) -> None:
        """Count a connection on which TLS is as it should be; called once per connection."""
        if demand.note:  # in enforce the host would have got nothing
            self.failed(now, domain, demand, host=demand.server_name, address="", reason=demand.note)
            return
        counts = self._counts(now, domain, demand)
        if counts is not None:
            counts.success_count += 1

    def failed(
        self, now: float, domain: str, demand: TlsDemand, *, host: str, address: str, reason: str
    ) -> None:
        """Count a connection on which TLS did not come about, or not as it should be.

        Args:
            now: steady.
            domain: the recipients' domain.
            demand: what was needed.
            host: whom we connected to.
            address: by which address.
            reason: for people; what a report calls it follows from it.
        """
        counts = self._counts(now, domain, demand)
        if counts is not None:
            _add_failure(counts, result_of(reason), host, address, reason)

    def refused(self, now: float, domain: str, host: str, refused: HostRefused) -> None:
        """Count a host that got no mail since a policy does not let it."""
        demand = TlsDemand(
            TlsLevel.VERIFIED,
            "",
            policy=refused.policy,
            policy_strings=refused.policy_strings,
            policy_mx=refused.policy_mx,
        )
        counts = self._counts(now, domain, demand)
        if counts is not None:
            _add_failure(counts, refused.result, host, "", refused.reason)

    def policy_failed(self, now: float, domain: str, result: ResultType, reason: str) -> None:
        """Count an MTA-STS policy that could not be had; it fits ``StsPolicies``."""
        self.refused(now, domain, "", HostRefused(reason, result, PolicyType.STS))

    def _counts(self, now: float, domain: str, demand: TlsDemand) -> _Counts | None:
        day = self._days.setdefault(self._day(now), {})
        policies = day.get(domain)
        if policies is None:
            if len(day) >= DOMAIN_COUNT_MAX:
                return None
            policies = day[domain] = {}
        counts = policies.get(demand.policy)
        if counts is None:
            counts = policies[demand.policy] = _Counts()
        if demand.policy_strings:
            counts.strings, counts.mx = demand.policy_strings, demand.policy_mx
        self._changed = True
        if self._keep_at is None:
            self._keep_at = now + KEEP_EVERY_S
        return counts

    def _day(self, now: float) -> str:
        return _date(now + self.clock_offset_s).isoformat()

    # --- what is kept ----------------------------------------------------------------------------

    def restore(self, data: bytes | None) -> None:
        """Take the counts of an earlier life; damaged ones are forgotten."""
        if data is not None:
            self._days = _read(data)

    def take_files(self, now: float, *, stopping: bool = False) -> list[KeptFile]:
        """Take what is to be written below the state directory, every few minutes and at the end."""
        if not self._changed or not (stopping or (self._keep_at is not None and now >= self._keep_at)):
            return []
        self._changed = False
        self._keep_at = None
        return [KeptFile(PATH, _write(self._days))]

    # --- reports ----------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When ``take_reports`` and ``take_files`` want to be called."""
        if not self._days:
            return None
        return self._report_at if self._keep_at is None else min(self._report_at, self._keep_at)

    def take_reports(self, now: float) -> list[ReportMail]:
        """Take the reports that are due; days that are reported or too old are forgotten."""
        if now < self._report_at:
            return []
        self._report_at = now + REPORT_EVERY_S
        if not self._days:
            return []
        if self._delay_s is None:
            self._delay_s = self._luck.uniform(0.0, REPORT_SPAN_S)
        wall = now + self.clock_offset_s
        today = _date(wall)
        mails: list[ReportMail] = []
        for day in sorted(self._days):
            ended = datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC).timestamp() + 86_400.0
            if wall < ended + self._delay_s and day <= today.isoformat():
                continue
            late = wall > ended + self._delay_s + GIVE_UP_S or day > today.isoformat()
            if self._sending and not late and not self._report_day(now, day, mails):
                self._report_at = now + ASK_AGAIN_S
            if late or not self._days[day]:
                del self._days[day]
                self._changed = True
        if self._changed and self._keep_at is None:
            self._keep_at = now
        return mails

    def _report_day(self, now: float, day: str, mails: list[ReportMail]) -> bool:
        """Report on a finished day, to as many domains as DNS has answered for; False while it is asked."""
        asked_count = 0
        for domain, policies in list(self._days[day].items()):
            if max(len(mails), asked_count) >= REPORTS_AT_ONCE_MAX:
                break
            answer = self._names.ask(now, Question(f"_smtp._tls.{domain}", RecordType.TXT))
            if answer is None:
                asked_count += 1
                continue
            if answer.outcome is Outcome.FAILED:
                continue
            del self._days[day][domain]
            self._changed = True
            texts = [each for each in answer.records if isinstance(each, str)]
            for recipient in parse_report_addresses(texts):
                report = self._report(day, domain, policies)
                message_id = f"{report.report_id}@{report.submitter}"
                date = format_date(now + self.clock_offset_s)
                data = report_mail(report, recipient=recipient, date=date, message_id=message_id)
                mails.append(ReportMail(recipient, data, domain, message_id))
        return not asked_count

    def _report(self, day: str, domain: str, policies: dict[PolicyType, _Counts]) -> TlsReport:
        return TlsReport(
            domain,
            day,
            self._organisation,
            self._submitter,
            self._contact,
            f"{day}-{self._luck.getrandbits(64):016x}",
            tuple(_policy_report(policy, counts) for policy, counts in policies.items()),
        )


def _add_failure(counts: _Counts, result: ResultType, host: str, address: str, reason: str) -> None:
    counts.failure_count += 1
    key = (result.value, host, address, reason[:REASON_CHARS_MAX])
    if key in counts.failures or len(counts.failures) < FAILURE_KIND_COUNT_MAX:
        counts.failures[key] = counts.failures.get(key, 0) + 1


def _policy_report(policy: PolicyType, counts: _Counts) -> PolicyReport:
    return PolicyReport(
        policy,
        counts.strings,
        counts.mx,
        counts.success_count,
        counts.failure_count,
        tuple(
            FailureDetails(ResultType(result), host, address, reason, count)
            for (result, host, address, reason), count in counts.failures.items()
        ),
    )


def _date(wall: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(wall, datetime.UTC).date()


def _write(days: dict[str, _Day]) -> bytes:
    return json.dumps(
        {
            "format": FORMAT,
            "days": {
                day: {
                    domain: {
                        policy.value: [
                            list(counts.strings),
                            list(counts.mx),
                            counts.success_count,
                            counts.failure_count,
                            [[*key, count] for key, count in counts.failures.items()],
                        ]
                        for policy, counts in policies.items()
                    }
                    for domain, policies in domains.items()
                }
                for day, domains in days.items()
            },
        }
    ).encode()


def _read(data: bytes) -> dict[str, _Day]:
    """Read a file of ours; nothing when it is damaged, or of another version."""
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            return {}
        return {
            datetime.date.fromisoformat(day).isoformat(): {
                str(domain): {PolicyType(policy): _counts_of(*row) for policy, row in policies.items()}
                for domain, policies in domains.items()
            }
            for day, domains in found["days"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _counts_of(
    strings: list[str], mx: list[str], success_count: int, failure_count: int, failures: list[list[str | int]]
) -> _Counts:
    counts = _Counts(tuple(map(str, strings)), tuple(map(str, mx)), int(success_count), int(failure_count))
    for result, host, address, reason, count in failures:
        key = (ResultType(result).value, str(host), str(address), str(reason))
        counts.failures[key] = int(count)
    return counts
