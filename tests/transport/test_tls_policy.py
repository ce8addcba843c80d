"""How much TLS a host needs: by the administrator, by DANE, by MTA-STS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import Organisation, RequiredTls, SendTls
from holdfast.transport.hop_profile import HopProfile
from holdfast.transport.names import NameCache
from holdfast.transport.next_hop import Host
from holdfast.transport.queue import DeliveryType, NextHopKey
from holdfast.transport.sts_policies import StsPolicies
from holdfast.transport.tls_policy import (
    TLS_PENDING,
    HostRefused,
    TlsDemand,
    TlsLevel,
    TlsPending,
    TlsPolicies,
)
from holdfast.transport.tls_report import result_of
from holdfast.wire.dns_answers import Answer, Outcome, Question, RecordType, TlsaRecord
from holdfast.wire.tls_report import PolicyType, ResultType

NOW = 1_000_000.0
DOMAIN = "example.org"
DNS = HopProfile(NextHopKey(DeliveryType.DNS, DOMAIN, "internet"), "us.example.test")
SMART = HopProfile(
    NextHopKey(DeliveryType.SMART_HOST, "smart.example", "smart"),
    "us.example.test",
    smart_hosts=("smart.example",),
)
OURS = HopProfile(NextHopKey(DeliveryType.SERVER, "B"), "us.example.test", tls=SendTls.ENCRYPTED)
MX = Host("mx.example.org", ("8.8.8.8",), 25, 10, "mx.example.org")
SIGNED = replace(MX, name_validated=True, addresses_validated=True)
END_ENTITY = TlsaRecord(3, 1, 1, bytes(32))
ENFORCE = b"version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n"


class World:
    """A cache of names that the test fills, and the policies on top of it."""

    def __init__(self, *required: RequiredTls, **settings: bool) -> None:
        self.names = NameCache()
        self.policies = StsPolicies(self.names)
        self.tls = TlsPolicies(self.names, self.policies)
        self.tls.follow(Organisation(required_tls=required, **settings))  # type: ignore[arg-type]  # switches, by name
        self.txt()

    def answer(self, name: str, kind: RecordType, *records: TlsaRecord | str, **more: object) -> None:
        outcome = more.pop("outcome", Outcome.FOUND if records else Outcome.NO_DATA)
        validated = more.pop("validated", True)
        answer = Answer(Question(name, kind), outcome, records, validated=validated, ttl_s=86_400.0, **more)  # type: ignore[arg-type]  # as the test says
        self.names.resolved(NOW, answer)

    def tlsa(self, *records: TlsaRecord, name: str = "_25._tcp.mx.example.org", **more: object) -> None:
        self.answer(name, RecordType.TLSA, *records, **more)

    def txt(self, *records: str) -> None:
        self.answer("_mta-sts.example.org", RecordType.TXT, *records)

    def policy(self, text: bytes) -> None:
        self.txt("v=STSv1; id=1")
        assert self.policies.find(NOW, DOMAIN) is TLS_PENDING
        assert self.policies.take_fetches() == [DOMAIN]
        self.policies.policy_fetched(NOW, DOMAIN, text, "")

    def decide(self, host: Host = MX, profile: HopProfile = DNS) -> TlsDemand | TlsPending | HostRefused:
        return self.tls.demand(NOW, profile, profile.key.domain, host)

    def demand(self, host: Host = MX, profile: HopProfile = DNS) -> TlsDemand:
        decided = self.decide(host, profile)
        assert isinstance(decided, TlsDemand), decided
        return decided


def test_without_any_policy_tls_is_taken_where_it_is_offered() -> None:
    demand = World().demand()
    assert demand == TlsDemand(TlsLevel.OPPORTUNISTIC, "mx.example.org")
    assert demand.optional
    assert demand.policy is PolicyType.NONE


# --- what the administrator says ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("tls", "tls_domain", "level", "names"),
    [
        (SendTls.ENCRYPTED, "", TlsLevel.ENCRYPTED, ()),
        (SendTls.CERTIFICATE, "", TlsLevel.VERIFIED, ("mx.example.org",)),
        (SendTls.DOMAIN, "partner.example", TlsLevel.VERIFIED, ("partner.example",)),
        (SendTls.DOMAIN, "", TlsLevel.VERIFIED, ("example.org",)),
    ],
)
def test_by_the_connector(tls: SendTls, tls_domain: str, level: TlsLevel, names: tuple[str, ...]) -> None:
    demand = World().demand(profile=replace(DNS, tls=tls, tls_domain=tls_domain))
    assert (demand.level, demand.names, demand.why) == (level, names, "send connector internet")
    assert not demand.optional


@pytest.mark.parametrize(
    ("rule", "tls", "level", "why"),
    [
        (
            RequiredTls("example.org"),
            SendTls.OPPORTUNISTIC,
            TlsLevel.VERIFIED,
            "TLS is required for example.org",
        ),
        (
            RequiredTls("*.example.org"),
            SendTls.OPPORTUNISTIC,
            TlsLevel.VERIFIED,
            "required for *.example.org",
        ),
        (RequiredTls("*.org"), SendTls.ENCRYPTED, TlsLevel.VERIFIED, "required for *.org"),
        (
            RequiredTls("Example.ORG", SendTls.ENCRYPTED),
            SendTls.OPPORTUNISTIC,
            TlsLevel.ENCRYPTED,
            "required",
        ),
        (RequiredTls("example.org", SendTls.ENCRYPTED), SendTls.CERTIFICATE, TlsLevel.VERIFIED, "connector"),
        (
            RequiredTls("example.org", SendTls.OPPORTUNISTIC),
            SendTls.ENCRYPTED,
            TlsLevel.ENCRYPTED,
            "connector",
        ),
        (RequiredTls("other.example"), SendTls.OPPORTUNISTIC, TlsLevel.OPPORTUNISTIC, "opportunistic"),
    ],
)
def test_by_the_domain(rule: RequiredTls, tls: SendTls, level: TlsLevel, why: str) -> None:
    demand = World(rule).demand(profile=replace(DNS, tls=tls))
    assert demand.level is level
    assert why in demand.why


def test_the_nearest_rule_for_a_domain_holds() -> None:
    far, near, exact = (RequiredTls(each) for each in ("*.org", "*.example.org", "sub.example.org"))
    world = World(far, near, exact)
    assert world.tls.required("sub.example.org") is exact
    assert world.tls.required("other.example.org") is near
    assert world.tls.required("example.org") is near
    assert world.tls.required("elsewhere.org") is far
    assert world.tls.required("example.com") is None


def test_a_smart_host_goes_by_its_profile() -> None:
    world = World(RequiredTls("smart.example"))
    host = Host("smart.example", ("10.0.0.1",), 25, declared=True)
    assert world.demand(host, SMART).level is TlsLevel.OPPORTUNISTIC
    demand = world.demand(host, replace(SMART, tls=SendTls.DOMAIN))
    assert demand.names == ("smart.example",)
    literal = Host("10.0.0.1", ("10.0.0.1",), 25, declared=True, addresses_validated=True)
    assert world.demand(literal, SMART).server_name == ""


def test_a_server_of_ours_has_no_dane() -> None:
    host = Host("b1.example.test", ("10.0.0.1",), 25, declared=True, addresses_validated=True)
    demand = World().demand(host, OURS)
    assert (demand.level, demand.why) == (TlsLevel.ENCRYPTED, "server of ours")


def test_where_mail_was_redirected_to_says_that_its_own_way_asks_for_it() -> None:
    key = NextHopKey(DeliveryType.SMART_HOST, "smart.example;tls=encrypted")
    demand = World().demand(MX, replace(SMART, key=key, tls=SendTls.ENCRYPTED))
    assert demand.level is TlsLevel.ENCRYPTED
    assert demand.why == "the way that the mail was redirected from (tls require, or its send connector)"


def test_a_server_that_is_known_by_its_certificate_must_show_it() -> None:
    host = Host(
        "b1.example.test",
        ("10.0.0.1",),
        25,
        declared=True,
        addresses_validated=True,
        server="B1",
        certificates=(b"one", b"next"),
    )
    demand = World().demand(host, OURS)
    assert (demand.level, demand.certificates, demand.server) == (TlsLevel.DIRECT, (b"one", b"next"), "B1")
    assert demand.proof_needed
    assert not demand.optional
    # Where none is known it is as before, but ours is shown when that server asks for it.
    demand = World().demand(replace(host, certificates=()), OURS)
    assert (demand.level, demand.server) == (TlsLevel.ENCRYPTED, "B1")
    assert not demand.proof_needed


# --- DANE ------------------------------------------------------------------------------------------


def test_dane() -> None:
    world = World()
    assert world.decide(SIGNED) is TLS_PENDING
    assert world.names.take_questions() == [Question("_25._tcp.mx.example.org", RecordType.TLSA)]
    world.tlsa(END_ENTITY)
    demand = world.demand(SIGNED)
    assert (demand.level, demand.tlsa, demand.why) == (TlsLevel.DANE, (END_ENTITY,), "DANE of mx.example.org")
    assert demand.names == ("mx.example.org", "example.org")
    assert demand.policy is PolicyType.TLSA
    assert demand.policy_strings == ("3 1 1 " + "00" * 32,)


@pytest.mark.parametrize(
    "host",
    [MX, replace(MX, name_validated=True), replace(MX, addresses_validated=True)],
    ids=["none", "MX", "A"],
)
def test_without_dnssec_on_the_whole_way_there_is_no_dane(host: Host) -> None:
    world = World()
    world.tlsa(END_ENTITY)
    assert world.demand(host).level is TlsLevel.OPPORTUNISTIC


def test_a_smart_host_that_the_administrator_names_needs_no_mx() -> None:
    world = World()
    world.tlsa(END_ENTITY, name="_587._tcp.smart.example")
    host = Host("smart.example", ("8.8.8.8",), 587, declared=True, addresses_validated=True)
    assert world.demand(host, SMART).level is TlsLevel.DANE


@pytest.mark.parametrize("outcome", [Outcome.NO_DATA, Outcome.NO_NAME])
def test_without_records_there_is_no_dane(outcome: Outcome) -> None:
    world = World()
    world.tlsa(outcome=outcome)
    assert world.demand(SIGNED).level is TlsLevel.OPPORTUNISTIC


def test_records_that_dnssec_did_not_prove_do_not_count() -> None:
    world = World()
    world.tlsa(END_ENTITY, validated=False)
    assert world.demand(SIGNED).level is TlsLevel.OPPORTUNISTIC


def test_records_that_cannot_be_read_keep_mail_from_the_host() -> None:
    world = World()
    world.tlsa(outcome=Outcome.FAILED, reason="SERVFAIL")
    refused = world.decide(SIGNED)
    assert isinstance(refused, HostRefused)
    assert refused.reason == "the TLSA records of mx.example.org cannot be read: SERVFAIL"
    assert (refused.result, refused.policy) == (ResultType.DNSSEC_INVALID, PolicyType.TLSA)


@pytest.mark.parametrize(
    ("record", "usable"),
    [
        (TlsaRecord(3, 0, 0, b"x"), True),
        (TlsaRecord(2, 1, 2, bytes(64)), True),
        (TlsaRecord(3, 1, 1, bytes(31)), False),
        (TlsaRecord(3, 1, 2, bytes(32)), False),
        (TlsaRecord(3, 1, 3, bytes(32)), False),
        (TlsaRecord(3, 2, 1, bytes(32)), False),
        (TlsaRecord(0, 1, 1, bytes(32)), False),
        (TlsaRecord(1, 1, 1, bytes(32)), False),
        (TlsaRecord(3, 1, 0, b""), False),
    ],
)
def test_records_that_nobody_can_use_ask_for_encryption_still(record: TlsaRecord, usable: bool) -> None:
    world = World()
    world.tlsa(record)
    demand = world.demand(SIGNED)
    assert demand.level is (TlsLevel.DANE if usable else TlsLevel.ENCRYPTED)
    assert not demand.optional
    assert (demand.note == "") is usable
    assert usable or result_of(demand.note) is ResultType.TLSA_INVALID


def test_where_the_host_is_an_alias_the_name_that_it_leads_to_comes_first() -> None:
    world = World()
    alias = replace(SIGNED, canonical_name="real.example.net")
    assert world.decide(alias) is TLS_PENDING
    world.tlsa(name="_25._tcp.real.example.net")
    assert world.decide(alias) is TLS_PENDING
    world.tlsa(END_ENTITY)
    demand = world.demand(alias)
    assert demand.server_name == "mx.example.org"
    world.tlsa(END_ENTITY, name="_25._tcp.real.example.net")
    demand = world.demand(alias)
    assert demand.server_name == "real.example.net"
    assert demand.names == ("real.example.net", "mx.example.org", "example.org")


@pytest.mark.parametrize("alias", [None, "signed", "unsigned", "unreadable"])
def test_a_signed_alias_of_an_unsigned_name_has_records_at_the_alias(alias: str | None) -> None:
    world = World()
    host = replace(MX, name_validated=True, canonical_name="real.example.net")
    world.tlsa(END_ENTITY)
    world.tlsa(END_ENTITY, name="_25._tcp.real.example.net")  # nobody has proved that it is led there
    if alias is None:
        assert world.decide(host) is TLS_PENDING
        assert world.names.take_questions() == [Question(host.name, RecordType.CNAME)]
        return
    outcome = Outcome.FAILED if alias == "unreadable" else Outcome.FOUND
    world.answer(host.name, RecordType.CNAME, outcome=outcome, validated=alias == "signed")
    decided = world.decide(host)
    match alias:
        case "signed":
            assert isinstance(decided, TlsDemand)
            assert decided.level is TlsLevel.DANE
            assert decided.names == ("mx.example.org", "example.org")
        case "unsigned":
            assert isinstance(decided, TlsDemand)
            assert decided.level is TlsLevel.OPPORTUNISTIC
        case _:
            assert isinstance(decided, HostRefused)


def test_a_smart_host_that_is_an_unsigned_alias_needs_no_answer_about_it() -> None:
    world = World()
    host = Host("smart.example", ("8.8.8.8",), 587, canonical_name="real.example.net", declared=True)
    world.answer("smart.example", RecordType.CNAME, outcome=Outcome.FAILED)
    assert world.demand(host, SMART).level is TlsLevel.OPPORTUNISTIC


def test_dane_can_be_switched_off() -> None:
    world = World(dane=False)
    world.tlsa(END_ENTITY)
    assert world.demand(SIGNED).level is TlsLevel.OPPORTUNISTIC


# --- MTA-STS -----------------------------------------------------------------------------------


def test_mta_sts_names_the_hosts_and_asks_for_their_certificates() -> None:
    world = World()
    world.policy(ENFORCE)
    demand = world.demand()
    assert (demand.level, demand.names) == (TlsLevel.VERIFIED, ("mx.example.org",))
    assert demand.why == "MTA-STS of example.org"
    assert (demand.policy, demand.policy_mx) == (PolicyType.STS, ("mx.example.org",))
    assert not demand.optional
    refused = world.decide(replace(MX, name="evil.example"))
    assert isinstance(refused, HostRefused)
    assert refused.reason == "the MTA-STS policy of example.org does not name evil.example"


def test_in_testing_mail_goes_out_and_a_wrong_host_is_noted() -> None:
    world = World()
    world.policy(ENFORCE.replace(b"enforce", b"testing"))
    demand = world.demand()
    assert (demand.level, demand.only_report, demand.optional, demand.note) == (
        TlsLevel.VERIFIED,
        True,
        True,
        "",
    )
    other = world.demand(replace(MX, name="other.example"))
    assert other.only_report
    assert other.note == "the MTA-STS policy of example.org does not name other.example"
    # What the administrator demands is not lessened by it.
    floor = world.demand(profile=replace(DNS, tls=SendTls.ENCRYPTED))
    assert (floor.level, floor.only_report) == (TlsLevel.ENCRYPTED, False)


def test_a_policy_may_ask_for_more_than_encryption() -> None:
    world = World()
    world.policy(ENFORCE)
    assert world.demand(profile=replace(DNS, tls=SendTls.ENCRYPTED)).level is TlsLevel.VERIFIED


def test_dane_comes_before_mta_sts() -> None:
    world = World()
    world.policy(ENFORCE.replace(b"mx.example.org", b"somebody.example"))
    world.tlsa(END_ENTITY)
    assert world.demand(SIGNED).level is TlsLevel.DANE


@pytest.mark.parametrize("switched_off", [True, False])
def test_a_policy_that_was_given_up_or_is_switched_off(switched_off: bool) -> None:
    world = World(mta_sts=not switched_off)
    world.policy(ENFORCE if switched_off else b"version: STSv1\nmode: none\nmax_age: 86400\n")
    assert world.demand().level is TlsLevel.OPPORTUNISTIC


def test_while_a_policy_is_fetched_the_first_mail_waits() -> None:
    world = World()
    world.txt("v=STSv1; id=1")
    assert world.decide() is TLS_PENDING
