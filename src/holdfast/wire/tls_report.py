"""TLS reports: where a domain wants them, and how one is written.

Source: RFC 8460 sections 3, 4.2 to 4.4 and 5.3.
"""

from __future__ import annotations

import base64
import datetime
import enum
import gzip
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

ADDRESS_COUNT_MAX = 5
_MAILTO = re.compile(r"mailto:([^\s,!;?]{3,320})(?:[!?].*)?", re.IGNORECASE)
# Plain addresses only: what is more, somebody else would write into the header of our mail.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")
_DAY_S = 86_400
_LINE_CHARS = 76  # RFC 2045 section 6.8


class PolicyType(enum.Enum):
    """Which policy of a domain a connection went by (RFC 8460 section 4.4)."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


class ResultType(enum.Enum):
    """Why TLS with a domain's host did not come about as it should (RFC 8460 section 4.3)."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    STS_FETCH_ERROR = "sts-policy-fetch-error"
    STS_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """One kind of failure, and how often it happened."""

    result: ResultType
    host: str
    address: str
    reason: str
    session_count: int


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What happened under one policy of a domain.

    Attributes:
        strings: the policy as it was found: lines of the file, or TLSA records.
        mx: what its ``mx`` lines say; empty without MTA-STS.
    """

    policy: PolicyType
    strings: tuple[str, ...]
    mx: tuple[str, ...]
    success_count: int
    failure_count: int
    failures: tuple[FailureDetails, ...]


@dataclass(frozen=True, slots=True)
class TlsReport:
    """A report to one domain on one day.

    Attributes:
        day: ``YYYY-MM-DD``, in UTC.
        report_id: unique with us.
        submitter: the domain that reports.
    """

    domain: str
    day: str
    organisation: str
    submitter: str
    contact: str
    report_id: str
    policies: tuple[PolicyReport, ...]


def parse_report_addresses(records: Iterable[str]) -> tuple[str, ...]:
    """Find the mail addresses in the TXT records of ``_smtp._tls.DOMAIN``.

    Returns:
        None of them where reports are not wanted, or only at addresses that are no mail addresses.

    Source: RFC 8460 section 3.
    """
    ours = [each for each in records if re.match(r"v=TLSRPTv1\s*;", each)]
    if len(ours) != 1:
        return ()
    found: list[str] = []
    for part in ours[0].split(";")[1:]:
        key, _, value = part.strip(" \t").partition("=")
        if key.strip(" \t") == "rua" and not found:
            for address in value.split(","):
                mailto = _MAILTO.fullmatch(address.strip(" \t"))
                if mailto and _ADDRESS.fullmatch(unquote(mailto[1])):
                    found.append(unquote(mailto[1]))
    return tuple(found[:ADDRESS_COUNT_MAX])


def report_json(report: TlsReport) -> bytes:
    """Write the body of a report (RFC 8460 section 4.4)."""
    body = {
        "organization-name": report.organisation,
        "date-range": {
            "start-datetime": f"{report.day}T00:00:00Z",
            "end-datetime": f"{report.day}T23:59:59Z",
        },
        "contact-info": report.contact,
        "report-id": report.report_id,
        "policies": [_policy(report.domain, each) for each in report.policies],
    }
    return json.dumps(body, indent=1, ensure_ascii=True).encode()


def _policy(domain: str, policy: PolicyReport) -> dict[str, object]:
    about: dict[str, object] = {"policy-type": policy.policy.value, "policy-domain": domain}
    if policy.strings:
        about["policy-string"] = list(policy.strings)
    if policy.mx:
        about["mx-host"] = list(policy.mx)
    written: dict[str, object] = {
        "policy": about,
        "summary": {
            "total-successful-session-count": policy.success_count,
            "total-failure-session-count": policy.failure_count,
        },
    }
    if policy.failures:
        written["failure-details"] = [_failure(each) for each in policy.failures]
    return written


def _failure(failure: FailureDetails) -> dict[str, object]:
    written: dict[str, object] = {"result-type": failure.result.value}
    if failure.host:
        written["receiving-mx-hostname"] = failure.host
    if failure.address:
        written["receiving-ip"] = failure.address
    written["failed-session-count"] = failure.session_count
    if failure.reason:
        written["failure-reason-code"] = failure.reason
    return written


def report_mail(report: TlsReport, *, recipient: str, date: str, message_id: str) -> bytes:
    """Write a report as a message, with CRLF line ends.

    Args:
        report: what it says.
        recipient: who asked for it.
        date: of the Date field.
        message_id: without angle brackets.

    Source: RFC 8460 section 5.3.
    """
    begin = int(datetime.datetime.fromisoformat(f"{report.day}T00:00:00+00:00").timestamp())
    # RFC 8460 section 5.1
    span = f"{begin}!{begin + _DAY_S - 1}"
    file_name = f"{report.submitter}!{report.domain}!{span}!{report.report_id}.json.gz"
    # The time of packing is left out, so that the same report is the same bytes.
    packed = base64.b64encode(gzip.compress(report_json(report), mtime=0)).decode("ascii")
    lines = [packed[start : start + _LINE_CHARS] for start in range(0, len(packed), _LINE_CHARS)]
    boundary = f"report-{report.report_id}"
    head = [
        f"From: <{report.contact}>",
        f"To: <{recipient}>",
        f"Date: {date}",
        f"Subject: Report Domain: {report.domain} Submitter: {report.submitter}",
        f" Report-ID: <{report.report_id}@{report.submitter}>",
        f"Message-ID: <{message_id}>",
        f"TLS-Report-Domain: {report.domain}",
        f"TLS-Report-Submitter: {report.submitter}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type="tlsrpt"; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        f"This is a report about TLS connections to the mail servers of {report.domain}",
        f"on {report.day} (UTC), by {report.submitter}.",
        "",
        f"--{boundary}",
        "Content-Type: application/tlsrpt+gzip",
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: attachment; filename="{file_name}"',
        "",
        *lines,
        f"--{boundary}--",
        "",
    ]
    return "\r\n".join(head).encode("utf-8")
