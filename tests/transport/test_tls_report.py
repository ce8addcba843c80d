"""How TLS with every domain went, by day, and who is told."""

from __future__ import annotations

import datetime
import email.policy
import gzip
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.directory.model import AcceptedDomain, Organisation
from holdfast.transport.names import NameCache
from holdfast.transport.tls_policy import HostRefused, TlsDemand, TlsLevel
from holdfast.transport.tls_report import (
    DOMAIN_COUNT_MAX,
    FAILURE_KIND_COUNT_MAX,
    GIVE_UP_S,
    KEEP_EVERY_S,
    PATH,
    REPORT_EVERY_S,
    REPORT_SPAN_S,
    REPORTS_AT_ONCE_MAX,
    ReportMail,
    TlsReports,
    result_of,
)
from holdfast.wire.dns_answers import Answer, Outcome, Question, RecordType
from holdfast.wire.tls_report import PolicyType, ResultType

MIDNIGHT = datetime.datetime(2026, 4, 2, tzinfo=datetime.UTC).timestamp()
NOON = MIDNIGHT - 43_200.0
MORNING = MIDNIGHT + REPORT_SPAN_S + 1
ANY = TlsDemand(TlsLevel.OPPORTUNISTIC, "mx.example.org")
STS = TlsDemand(
    TlsLevel.VERIFIED,
    "mx.example.org",
    policy=PolicyType.STS,
    policy_strings=("version: STSv1",),
    policy_mx=("mx.example.org",),
)


class World:
    def __init__(self, *, sending: bool = True) -> None:
        self.names = NameCache()
        self.reports = TlsReports(self.names, random.Random(1))
        organisation = Organisation(
            name="Our Company", accepted_domains=(AcceptedDomain("example.test"),), tls_reports=sending
        )
        self.reports.follow(organisation, "mail.example.test")

    def wanted(self, now: float, text: str, domain: str = "example.org", **more: Outcome) -> None:
        outcome = more.get("outcome", Outcome.FOUND)
        question = Question(f"_smtp._tls.{domain}", RecordType.TXT)
        self.names.resolved(now, Answer(question, outcome, (text,) if text else (), ttl_s=86_400.0))

    def failed(self, now: float, reason: str, domain: str = "example.org", demand: TlsDemand = ANY) -> None:
        self.reports.failed(now, domain, demand, host="mx.example.org", address="8.8.8.8", reason=reason)


def body(mail: ReportMail) -> dict[str, list[dict[str, dict[str, object]]]]:
    parts = list(email.message_from_bytes(mail.data, policy=email.policy.default).iter_parts())  # type: ignore[attr-defined]  # a message of that policy
    found: dict[str, list[dict[str, dict[str, object]]]] = json.loads(
        gzip.decompress(parts[1].get_payload(decode=True))
    )
    return found


def test_a_finished_day_is_reported_to_whoever_wants_it() -> None:
    world = World()
    world.reports.succeeded(NOON, "example.org", STS)
    world.reports.succeeded(NOON, "example.org", STS)
    world.failed(NOON, "the certificate expired on 2026-01-01", demand=STS)
    world.reports.succeeded(NOON, "example.org", ANY)
    world.reports.succeeded(MIDNIGHT + 1, "example.org", ANY)
    assert world.reports.take_reports(MIDNIGHT - 1) == []
    assert world.reports.take_reports(MORNING) == []  # DNS is being asked
    assert world.names.take_questions() == [Question("_smtp._tls.example.org", RecordType.TXT)]
    world.wanted(MORNING, "v=TLSRPTv1; rua=mailto:a@example.org,mailto:b@example.net")
    assert world.reports.take_reports(MORNING + 1) == []  # it looks once a minute
    first, second = world.reports.take_reports(MORNING + REPORT_EVERY_S)
    assert (first.recipient, second.recipient) == ("a@example.org", "b@example.net")
    report = body(first)
    assert report["date-range"]["start-datetime"] == "2026-04-01T00:00:00Z"  # type: ignore[call-overload]  # JSON
    sts, none = report["policies"]
    assert sts["summary"] == {"total-successful-session-count": 2, "total-failure-session-count": 1}
    assert sts["policy"]["mx-host"] == ["mx.example.org"]
    assert none["policy"]["policy-type"] == "no-policy-found"
    assert world.reports.take_reports(MORNING + 10 * REPORT_EVERY_S) == []


def test_who_does_not_want_reports_gets_none() -> None:
    world = World()
    world.reports.succeeded(NOON, "example.org", ANY)
    world.wanted(MORNING, "", outcome=Outcome.NO_NAME)
    assert world.reports.take_reports(MORNING) == []
    assert world.reports.deadline() is None


def test_without_reports_the_counts_are_forgotten_in_time() -> None:
    world = World(sending=False)
    world.reports.succeeded(NOON, "example.org", ANY)
    assert world.reports.take_reports(MORNING) == []
    assert world.names.take_questions() == []
    assert world.reports.deadline() is not None
    assert world.reports.take_reports(MORNING + GIVE_UP_S) == []
    assert world.reports.deadline() is None


def test_a_domain_whose_dns_is_silent_is_given_up() -> None:
    world = World()
    world.reports.succeeded(NOON, "example.org", ANY)
    world.wanted(MORNING, "", outcome=Outcome.FAILED)
    assert world.reports.take_reports(MORNING) == []
    world.reports.take_reports(MORNING + GIVE_UP_S)
    assert world.reports.deadline() is None


def test_days_are_those_of_the_wall_clock() -> None:
    world = World()
    world.reports.clock_offset_s = 86_400.0
    world.reports.succeeded(NOON - 86_400.0, "example.org", ANY)
    world.wanted(MORNING - 86_400.0, "v=TLSRPTv1; rua=mailto:a@example.org")
    (mail,) = world.reports.take_reports(MORNING - 86_400.0)
    assert b"on 2026-04-01 (UTC)" in mail.data


def test_a_clock_that_was_far_ahead_leaves_no_day_behind() -> None:
    world = World()
    world.reports.succeeded(NOON + 10 * 86_400.0, "example.org", ANY)
    world.reports.take_reports(NOON)
    assert world.reports.deadline() is None


@pytest.mark.parametrize(
    ("reason", "result"),
    [
        ("the certificate is not valid: certificate has expired", ResultType.EXPIRED),
        ("the certificate expired on 2026-01-01", ResultType.EXPIRED),
        ("the certificate is for a.example, not for b.example", ResultType.HOST_MISMATCH),
        ("the certificate matches none of the TLSA records", ResultType.VALIDATION_FAILURE),
        ("no TLSA record of mx.example.org can be used", ResultType.TLSA_INVALID),
        ("the certificate is not issued by an authority that is trusted", ResultType.NOT_TRUSTED),
        ("the certificate is not valid: self-signed certificate", ResultType.NOT_TRUSTED),
        ("the certificate is not valid: unable to get local issuer certificate", ResultType.NOT_TRUSTED),
        ("the next hop does not offer STARTTLS", ResultType.STARTTLS_NOT_SUPPORTED),
        ("TLS failed: wrong version number", ResultType.VALIDATION_FAILURE),
    ],
)
def test_what_a_report_calls_a_failure(reason: str, result: ResultType) -> None:
    assert result_of(reason) is result


def test_refused_hosts_policies_and_notes_are_counted() -> None:
    world = World()
    world.reports.refused(
        NOON,
        "example.org",
        "evil.example",
        HostRefused(
            "not named",
            ResultType.VALIDATION_FAILURE,
            PolicyType.STS,
            ("version: STSv1", "mx: mx.example.org"),
            ("mx.example.org",),
        ),
    )
    world.reports.policy_failed(NOON, "example.org", ResultType.STS_FETCH_ERROR, "no answer")
    world.reports.succeeded(NOON, "example.org", TlsDemand(TlsLevel.VERIFIED, "mx", note="not named"))
    world.wanted(MORNING, "v=TLSRPTv1; rua=mailto:a@example.org")
    (mail,) = world.reports.take_reports(MORNING)
    sts, none = body(mail)["policies"]
    assert sts["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 2}
    assert sts["policy"]["policy-string"] == ["version: STSv1", "mx: mx.example.org"]
    assert sts["policy"]["mx-host"] == ["mx.example.org"]
    # One connection is one session: what would have been refused is no success besides.
    assert none["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 1}


def test_a_record_that_may_not_be_kept_for_a_minute_is_used_all_the_same() -> None:
    world = World()
    for number in range(2 * REPORTS_AT_ONCE_MAX):
        world.reports.succeeded(NOON, f"d{number}.example", ANY)
    now, asked = MORNING, 0
    mails: list[ReportMail] = []
    for _ in range(100):
        mails += world.reports.take_reports(now)
        world.reports.take_files(now)
        for question in world.names.take_questions():
            asked += 1
            text = "v=TLSRPTv1; rua=mailto:a@example.org"
            world.names.resolved(now + 0.1, Answer(question, Outcome.FOUND, (text,), ttl_s=1.0))
        deadline = world.reports.deadline()
        if deadline is None:
            break
        now = max(now, deadline)
    assert now < MORNING + 600
    assert len(mails) == asked == 2 * REPORTS_AT_ONCE_MAX


def test_counts_are_bounded() -> None:
    world = World()
    for number in range(DOMAIN_COUNT_MAX + 3):
        world.reports.succeeded(NOON, f"d{number}.example", ANY)
    for number in range(FAILURE_KIND_COUNT_MAX + 5):
        world.failed(NOON, f"reason {number}", "d0.example")
    for number in range(REPORTS_AT_ONCE_MAX + 5):
        world.wanted(MORNING, "v=TLSRPTv1; rua=mailto:a@example.org", f"d{number}.example")
    mails = world.reports.take_reports(MORNING)
    assert len(mails) == REPORTS_AT_ONCE_MAX
    assert len(world.reports.take_reports(MORNING + REPORT_EVERY_S)) == 5
    (policy,) = body(mails[0])["policies"]
    assert policy["summary"]["total-failure-session-count"] == FAILURE_KIND_COUNT_MAX + 5
    assert len(policy["failure-details"]) == FAILURE_KIND_COUNT_MAX


def test_counts_survive_a_restart() -> None:
    world = World()
    world.reports.succeeded(NOON, "example.org", STS)
    world.failed(NOON, "x" * 500)
    assert world.reports.take_files(NOON) == []
    (file,) = world.reports.take_files(NOON + KEEP_EVERY_S)
    assert file.path == PATH
    assert world.reports.take_files(NOON + 2 * KEEP_EVERY_S) == []
    other = World()
    other.reports.restore(file.data)
    other.reports.restore(None)
    other.wanted(MORNING, "v=TLSRPTv1; rua=mailto:a@example.org")
    (mail,) = other.reports.take_reports(MORNING)
    sts, none = body(mail)["policies"]
    assert sts["summary"]["total-successful-session-count"] == 1
    assert none["summary"]["total-failure-session-count"] == 1
    # That it was reported is kept as well.
    (file,) = other.reports.take_files(MORNING, stopping=True)
    assert file.data is not None
    assert json.loads(file.data)["days"] == {}


@given(
    st.binary(max_size=200) | st.sampled_from([b'{"format": 1, "days": {"x": {}}}', b'{"format": 2}', b"[]"])
)
def test_any_file_is_read_or_forgotten(data: bytes) -> None:
    world = World()
    world.reports.restore(data)
    assert world.reports.deadline() is None
