"""MTA-STS policies: found, kept, fetched again, and never replaced by nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.transport.names import NameCache
from holdfast.transport.sts_policies import (
    FAILED_S,
    FETCHES_AT_ONCE_MAX,
    FRESH_S,
    POLICY_COUNT_MAX,
    StsPolicies,
)
from holdfast.transport.tls_policy import TLS_PENDING
from holdfast.wire.dns_answers import Answer, Outcome, Question, RecordType
from holdfast.wire.mta_sts import StsPolicy
from holdfast.wire.tls_report import ResultType

DAY = 86_400.0
DOMAIN = "example.org"
POLICY = b"version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\n"
OTHER = POLICY.replace(b"mx.example.org", b"other.example.org")


class World:
    def __init__(self) -> None:
        self.names = NameCache()
        self.failures: list[tuple[str, ResultType, str]] = []
        self.policies = StsPolicies(self.names, lambda now, *what: self.failures.append(what))

    def txt(self, now: float, *records: str, domain: str = DOMAIN, outcome: Outcome | None = None) -> None:
        question = Question(f"_mta-sts.{domain}", RecordType.TXT)
        found = outcome or (Outcome.FOUND if records else Outcome.NO_DATA)
        self.names.resolved(now, Answer(question, found, records, ttl_s=DAY))

    def fetched(self, now: float, text: bytes | None, reason: str = "") -> None:
        assert self.policies.take_fetches() == [DOMAIN]
        self.policies.policy_fetched(now, DOMAIN, text, reason)

    def mx(self, now: float) -> tuple[str, ...] | None:
        found = self.policies.find(now, DOMAIN)
        assert found is None or isinstance(found, StsPolicy)
        return None if found is None else found.mx


def known() -> World:
    world = World()
    world.txt(0, "v=STSv1; id=1")
    assert world.policies.find(0, DOMAIN) is TLS_PENDING
    world.fetched(0, POLICY)
    return world


def test_a_policy_is_found_by_its_record_and_fetched_once() -> None:
    world = World()
    assert world.policies.find(0, DOMAIN) is TLS_PENDING
    world.txt(0, "v=STSv1; id=1")
    assert world.policies.find(0, DOMAIN) is TLS_PENDING
    assert world.policies.find(0, DOMAIN) is TLS_PENDING
    assert world.policies.peek(0, DOMAIN) is None
    world.fetched(0, POLICY)
    assert world.policies.take_fetches() == []
    assert world.mx(1) == ("mx.example.org",)
    assert world.policies.peek(1, DOMAIN) is not None
    assert world.policies.take_fetches() == []


@pytest.mark.parametrize("records", [(), ("v=spf1 -all",), ("v=STSv1; id=1", "v=STSv1; id=2")])
def test_a_domain_without_a_record_has_none(records: tuple[str, ...]) -> None:
    world = World()
    world.txt(0, *records)
    assert world.mx(0) is None
    assert world.policies.take_fetches() == []


def test_while_another_id_is_fetched_the_old_policy_holds() -> None:
    world = known()
    world.txt(10, "v=STSv1; id=2")
    assert world.mx(10) == ("mx.example.org",)
    world.fetched(20, OTHER)
    assert world.mx(21) == ("other.example.org",)


@pytest.mark.parametrize(
    ("text", "reason", "result"),
    [
        (None, "mta-sts.example.org answered 404", ResultType.STS_FETCH_ERROR),
        (None, "the certificate is not valid: self-signed certificate", ResultType.STS_WEBPKI_INVALID),
        (b"<html>", "", ResultType.STS_INVALID),
    ],
)
def test_when_the_fetch_fails_the_old_policy_holds_and_it_is_tried_again_later(
    text: bytes | None, reason: str, result: ResultType
) -> None:
    world = known()
    world.txt(10, "v=STSv1; id=2")
    assert world.mx(10) == ("mx.example.org",)
    world.fetched(20, text, reason)
    assert [each[1] for each in world.failures] == [result]
    assert world.mx(21) == ("mx.example.org",)
    assert world.policies.take_fetches() == []
    assert world.mx(20 + FAILED_S) == ("mx.example.org",)
    assert world.policies.take_fetches() == [DOMAIN]


def test_a_policy_that_could_not_be_had_the_first_time_is_none() -> None:
    world = World()
    world.txt(0, "v=STSv1; id=1")
    world.policies.find(0, DOMAIN)
    world.fetched(0, None, "no answer")
    assert world.mx(1) is None
    # Another id is another try at once.
    world.txt(2, "v=STSv1; id=2")
    assert world.policies.find(2, DOMAIN) is TLS_PENDING


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.NO_NAME])
def test_who_stops_our_questions_does_not_stop_the_policy(outcome: Outcome) -> None:
    world = known()
    world.txt(10, outcome=outcome)
    assert world.mx(10) == ("mx.example.org",)
    late = 7 * DAY + 1
    world.txt(late, outcome=outcome)
    assert world.mx(late) is None


def test_a_policy_is_refreshed_daily_and_ends_in_the_end() -> None:
    world = known()
    world.txt(FRESH_S + 1, "v=STSv1; id=1")
    assert world.mx(FRESH_S + 1) == ("mx.example.org",)
    world.fetched(FRESH_S + 2, None, "no answer")
    late = 7 * DAY + 1
    world.txt(late, "v=STSv1; id=1")
    assert world.policies.find(late, DOMAIN) is TLS_PENDING
    world.fetched(late, None, "no answer")
    assert world.mx(late + 1) is None


def test_so_many_are_fetched_at_once() -> None:
    world = World()
    domains = [f"d{number}.example" for number in range(FETCHES_AT_ONCE_MAX + 5)]
    for domain in domains:
        world.txt(0, "v=STSv1; id=1", domain=domain)
        world.policies.find(0, domain)
    first = world.policies.take_fetches()
    assert first == domains[:FETCHES_AT_ONCE_MAX]
    assert world.policies.take_fetches() == []
    world.policies.policy_fetched(0, first[0], POLICY, "")
    assert world.policies.take_fetches() == [domains[FETCHES_AT_ONCE_MAX]]


def test_what_nobody_asked_for_is_no_policy() -> None:
    world = World()
    world.policies.policy_fetched(0, DOMAIN, POLICY, "")
    assert world.policies.peek(0, DOMAIN) is None


@pytest.mark.parametrize("domain", ["[192.0.2.1]", "localhost", "a/../b.example", "x" * 250 + ".example", ""])
def test_what_is_no_domain_has_none(domain: str) -> None:
    world = World()
    assert world.policies.find(0, domain) is None
    assert world.names.take_questions() == []


def test_the_least_used_are_forgotten() -> None:
    world = World()
    others = [f"d{number}.example" for number in range(POLICY_COUNT_MAX - 1)]
    for number, domain in enumerate(("a.example", "b.example", *others[1:], "a.example", "c.example")):
        world.txt(number, "v=STSv1; id=1", domain=domain)
        world.policies.find(number, domain)
        for each in world.policies.take_fetches():
            world.policies.policy_fetched(number, each, POLICY, "")
    assert world.policies.peek(number, "a.example") is not None
    assert world.policies.peek(number, "b.example") is None
    files = {file.path: file.data for file in world.policies.take_files()}
    assert files["sts/b.example.json"] is None
    assert files["sts/c.example.json"] is not None


# --- another life ----------------------------------------------------------------------------------


def test_policies_survive_a_restart() -> None:
    (file,) = known().policies.take_files()
    assert file.data is not None
    world = World()
    world.policies.restore(100, {file.path: file.data})
    assert world.policies.take_files() == []
    world.txt(100, outcome=Outcome.FAILED)
    assert world.mx(100) == ("mx.example.org",)


def test_what_is_over_or_damaged_is_forgotten_with_its_file() -> None:
    (file,) = known().policies.take_files()
    assert file.data is not None
    found = json.loads(file.data)
    damaged = {
        "sts/a.example.json": b"{",
        "sts/b.example.json": b"[]",
        "sts/c.example.json": json.dumps({**found, "format": 2}).encode(),
        "sts/d.example.json": file.data,
        "sts/e.example.json": json.dumps({**found, "policy": "nonsense"}).encode(),
        "sts/f.example.json": bytes(200_000),
        "sts/g.json": json.dumps({**found, "domain": "../g"}).encode(),
        "sts/h.json": json.dumps({**found, "fetched_at": "x"}).encode(),
    }
    world = World()
    world.policies.restore(100, damaged)
    assert {each.path for each in world.policies.take_files()} == damaged.keys()
    world.policies.restore(8 * DAY, {file.path: file.data})
    assert [each.path for each in world.policies.take_files()] == [file.path]


@given(st.binary(max_size=200))
def test_any_file_is_a_policy_or_forgotten(data: bytes) -> None:
    world = World()
    world.policies.restore(0, {"sts/example.org.json": data})
    assert len(world.policies.take_files()) == 1


@pytest.mark.parametrize("max_age", [b"0", b"1"])
def test_a_policy_that_holds_for_no_time_lets_mail_go_and_is_not_fetched_without_end(max_age: bytes) -> None:
    world = World()
    world.txt(0, "v=STSv1; id=1")
    assert world.policies.find(0, DOMAIN) is TLS_PENDING
    world.fetched(0.5, POLICY.replace(b"604800", max_age))
    for now in (0.5, 2.0, 59.0):
        assert world.mx(now) == ("mx.example.org",)
    assert world.policies.take_fetches() == []
    assert world.policies.find(61, DOMAIN) is TLS_PENDING
    assert world.policies.take_fetches() == [DOMAIN]
