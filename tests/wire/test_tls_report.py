"""TLS reports: who wants them, and what they look like."""

from __future__ import annotations

import email.policy
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.tls_report import (
    FailureDetails,
    PolicyReport,
    PolicyType,
    ResultType,
    TlsReport,
    parse_report_addresses,
    report_json,
    report_mail,
)

REPORT = TlsReport(
    "example.org",
    "2026-04-01",
    "Our Company",
    "example.test",
    "postmaster@example.test",
    "2026-04-01-77",
    (
        PolicyReport(
            PolicyType.STS,
            ("version: STSv1", "mode: testing"),
            ("*.example.org",),
            5326,
            303,
            (
                FailureDetails(ResultType.EXPIRED, "mx1.example.org", "192.0.2.7", "it expired", 100),
                FailureDetails(ResultType.STS_FETCH_ERROR, "", "", "", 203),
            ),
        ),
        PolicyReport(PolicyType.NONE, (), (), 1, 0, ()),
    ),
)


@pytest.mark.parametrize(
    ("records", "addresses"),
    [
        # RFC 8460 section 3.1, the examples
        (["v=TLSRPTv1;rua=mailto:reports@example.com"], ("reports@example.com",)),
        (["v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"], ()),
        (
            ["v=TLSRPTv1; rua=mailto:a@example.com , https://x.example/ ,mailto:b%21c@example.com!10m"],
            ("a@example.com", "b!c@example.com"),
        ),
        (["v=TLSRPTv1; more=x; rua = mailto:a@example.com; rua=mailto:z@example.com"], ("a@example.com",)),
        (["v=TLSRPTv1;rua=mailto:a@example.com?subject=x"], ("a@example.com",)),
        (
            ["v=TLSRPTv1;rua=" + ",".join(f"mailto:a{n}@b.example" for n in range(9))],
            tuple(f"a{n}@b.example" for n in range(5)),
        ),
        (["v=TLSRPTv1;rua=mailto:a%0d%0aBcc:b@example.com,mailto:a%3e@example.com"], ()),
        (["v=TLSRPTv1"], ()),
        (["v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1; rua=mailto:c@b.example"], ()),
        (["v=spf1 -all"], ()),
        ([], ()),
    ],
)
def test_who_wants_reports(records: list[str], addresses: tuple[str, ...]) -> None:
    assert parse_report_addresses(records) == addresses


def test_the_body_is_as_the_standard_has_it() -> None:
    body = json.loads(report_json(REPORT))
    assert body["organization-name"] == "Our Company"
    assert body["date-range"]["start-datetime"] == "2026-04-01T00:00:00Z"
    assert body["report-id"] == "2026-04-01-77"
    first, second = body["policies"]
    assert first["policy"] == {
        "policy-type": "sts",
        "policy-domain": "example.org",
        "policy-string": ["version: STSv1", "mode: testing"],
        "mx-host": ["*.example.org"],
    }
    assert first["summary"] == {"total-successful-session-count": 5326, "total-failure-session-count": 303}
    assert first["failure-details"][0] == {
        "result-type": "certificate-expired",
        "receiving-mx-hostname": "mx1.example.org",
        "receiving-ip": "192.0.2.7",
        "failed-session-count": 100,
        "failure-reason-code": "it expired",
    }
    assert first["failure-details"][1] == {
        "result-type": "sts-policy-fetch-error",
        "failed-session-count": 203,
    }
    assert second["policy"]["policy-type"] == "no-policy-found"
    assert "failure-details" not in second


def test_the_mail_is_read_by_others() -> None:
    date = "Thu, 02 Apr 2026 01:02:03 +0000"
    data = report_mail(REPORT, recipient="tls@example.org", date=date, message_id="7@example.test")
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    mail = email.message_from_bytes(data, policy=email.policy.default)
    assert mail["TLS-Report-Domain"] == "example.org"
    assert mail["TLS-Report-Submitter"] == "example.test"
    assert mail["Subject"].startswith("Report Domain: example.org Submitter: example.test")
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    _, packed = mail.iter_parts()
    assert packed.get_content_type() == "application/tlsrpt+gzip"
    assert packed.get_filename() == "example.test!example.org!1775001600!1775087999!2026-04-01-77.json.gz"
    assert gzip.decompress(packed.get_payload(decode=True)) == report_json(REPORT)
    assert data == report_mail(REPORT, recipient="tls@example.org", date=date, message_id="7@example.test")


@given(st.lists(st.text(max_size=80), max_size=3))
def test_any_texts_are_records_or_not(records: list[str]) -> None:
    for address in parse_report_addresses([*records, "v=TLSRPTv1;rua=mailto:" + "".join(records)]):
        assert address
