"""Who takes the mail of a queue: MX, addresses, smart hosts, servers, and nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import ErrorPolicy
from holdfast.kernel.iprange import parse_ip_range
from holdfast.transport.names import NameCache
from holdfast.transport.next_hop import (
    EXCHANGER_COUNT_MAX,
    NOBODY,
    HopFailure,
    Host,
    HostList,
    Ourselves,
    Pending,
    find_hosts,
)
from holdfast.transport.queue import DeliveryType, NextHopKey
from holdfast.transport.route import HopProfile, ServerAddress
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType

Found = HostList | Pending | HopFailure

# A made-up DNS: what is not in it does not exist. "!" fails, "" has nothing of that type.
ZONE = """
plain.example      MX   10 a.plain.example, 20 b.plain.example
a.plain.example    A    8.0.0.1
a.plain.example    AAAA 2a00::1
b.plain.example    A    8.0.0.2
even.example       MX   10 b.plain.example, 10 a.plain.example
twice.example      MX   20 a.plain.example, 10 a.plain.example, 20 b.plain.example
bare.example       MX
bare.example       A    8.0.0.3
hollow.example     MX
null.example       MX   0 .
mixed.example      MX   0 ., 10 a.plain.example
odd.example        MX   -
broken.example     MX   !
half.example       MX   10 broken.example, 20 b.plain.example
dark.example       MX   10 broken.example, 20 nowhere.example
broken.example     A    !
broken.example     AAAA !
lame.example       MX   10 lame6.example
lame6.example      A    8.0.0.6
lame6.example      AAAA !
gone.example       MX   10 nowhere.example
inside.example     MX   10 loop.example, 20 private.example
loop.example       A    127.0.0.1
loop.example       AAAA ::1
private.example    A    10.0.0.7, 8.0.0.7
six.example        MX
six.example        AAAA 2a00::6
us.example         MX   10 a.plain.example, 20 mx.us.example, 20 b.plain.example, 30 private.example
first.example      MX   20 mx.us.example, 30 b.plain.example
byaddress.example  MX   10 a.plain.example, 20 nat.example, 30 b.plain.example
nat.example        A    8.8.4.4
ourselves.example  MX   10 nat.example
oxford.example     MX   10 a.plain.example, 20 b.plain.example
"""


def answers() -> dict[Question, Answer]:
    found = {}
    for line in ZONE.strip().splitlines():
        name, record_type, *rest = line.split(None, 2)
        values = [value.strip() for value in rest[0].split(",")] if rest else []
        question = Question(name, RecordType(record_type))
        if values == ["!"]:
            found[question] = Answer(question, Outcome.FAILED, reason="SERVFAIL")
        elif values == ["-"]:
            found[question] = Answer(question, Outcome.FOUND)
        elif not values:
            found[question] = Answer(question, Outcome.NO_DATA)
        elif record_type == "MX":
            pairs = [value.split() for value in values]
            records = tuple(MxRecord(int(preference), host.rstrip(".")) for preference, host in pairs)
            found[question] = Answer(question, Outcome.FOUND, records, name)
        else:
            found[question] = Answer(question, Outcome.FOUND, tuple(values), name)
    return found


DNS = answers()
KNOWN = {question.name for question in DNS}


def answer_to(question: Question) -> Answer:
    outcome = Outcome.NO_DATA if question.name in KNOWN else Outcome.NO_NAME
    return DNS.get(question) or Answer(question, outcome)


def settle(names: NameCache, profile: HopProfile, ourselves: Ourselves = NOBODY) -> HostList | HopFailure:
    """Answer whatever is asked until there is an answer; each question is asked once."""
    for _ in range(4):
        found = find_hosts(0, names, profile, ourselves)
        if not isinstance(found, Pending):
            return found
        asked = names.take_questions()
        assert asked
        assert set(found.questions) >= set(asked)
        for question in asked:
            names.resolved(0, answer_to(question))
    raise AssertionError("it asks for ever")


def to(domain: str, **more: object) -> HopProfile:
    return replace(HopProfile(NextHopKey(DeliveryType.DNS, domain, "internet"), "mx.us.example"), **more)  # type: ignore[arg-type]  # fields of the profile


def by(*smart_hosts: str, **more: object) -> HopProfile:
    key = NextHopKey(DeliveryType.SMART_HOST, ",".join(smart_hosts), "relay")
    return replace(HopProfile(key, "mx.us.example", smart_hosts=smart_hosts), **more)  # type: ignore[arg-type]  # fields of the profile


def shape(found: Found) -> str:
    """What was found in one line: groups by ``|``, hosts by blanks, addresses by ``+``."""
    match found:
        case HostList():
            return " | ".join(
                " ".join(f"{host.name}={'+'.join(host.addresses)}" for host in group)
                for group in found.groups
            )
        case HopFailure():
            return f"{'never' if found.permanent else 'later'} {found.failure.status}: {found.failure.text}"
    return "pending"


A, B = "a.plain.example=2a00::1+8.0.0.1", "b.plain.example=8.0.0.2"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("plain.example", f"{A} | {B}"),
        ("even.example", f"{A} {B}"),
        ("twice.example", f"{A} | {B}"),
        ("bare.example", "bare.example=8.0.0.3"),
        ("six.example", "six.example=2a00::6"),
        ("mixed.example", A),
        ("half.example", B),
        ("lame.example", "lame6.example=8.0.0.6"),
        ("[8.0.0.9]", "8.0.0.9=8.0.0.9"),
        ("[IPv6:2a00::9]", "2a00::9=2a00::9"),
        ("nowhere.example", "never 5.4.4: the domain nowhere.example does not exist"),
        ("null.example", "never 5.1.10: the domain null.example takes no mail (null MX)"),
        (
            "hollow.example",
            "never 5.4.4: no host takes mail for hollow.example: hollow.example has no address",
        ),
        ("odd.example", "never 5.4.4: no host takes mail for odd.example: the list is empty"),
        ("gone.example", "never 5.4.4: no host takes mail for gone.example: nowhere.example does not exist"),
        (
            "broken.example",
            "later 4.4.3: DNS gave no usable answer for the MX of broken.example: SERVFAIL",
        ),
        (
            "dark.example",
            "later 4.4.3: no host takes mail for dark.example: broken.example: DNS gave no usable answer: "
            "SERVFAIL; nowhere.example does not exist",
        ),
        ("inside.example", "private.example=8.0.0.7"),
        (
            "loop.example",
            "never 5.4.4: no host takes mail for loop.example: loop.example at ::1 is not used: loopback; "
            "loop.example at 127.0.0.1 is not used: loopback",
        ),
        (
            "[127.0.0.1]",
            "never 5.4.4: no mail is sent to [127.0.0.1]: 127.0.0.1 is not used: loopback",
        ),
    ],
)
def test_delivery_by_dns(domain: str, expected: str) -> None:
    assert shape(settle(NameCache(), to(domain))) == expected


@pytest.mark.parametrize("domain", ["nowhere.example", "hollow.example", "loop.example", "gone.example"])
def test_failures_of_dns_are_temporary_where_the_connector_says_so(domain: str) -> None:
    profile = to(domain, error_policies=(ErrorPolicy.DOWNGRADE_DNS_FAILURES,))
    assert shape(settle(NameCache(), profile)).startswith("later 4.4.4")


def test_a_null_mx_is_final_whatever_the_connector_says() -> None:
    profile = to("null.example", error_policies=(ErrorPolicy.DOWNGRADE_DNS_FAILURES,))
    assert shape(settle(NameCache(), profile)).startswith("never 5.1.10")


def test_private_networks_that_the_connector_names_are_used() -> None:
    ranges = (parse_ip_range("10.0.0.0/8"), parse_ip_range("::1"))
    found = settle(NameCache(), to("inside.example", private_ranges=ranges))
    assert shape(found) == "loop.example=::1 | private.example=10.0.0.7+8.0.0.7"
    assert isinstance(found, HostList)
    assert found.notes == ("loop.example at 127.0.0.1 is not used: loopback",)
    assert shape(settle(NameCache(), to("[10.9.8.7]", private_ranges=ranges))) == "10.9.8.7=10.9.8.7"


US = Ourselves(frozenset(("mx.us.example",)), frozenset(("8.8.4.4",)), frozenset((25,)))


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("us.example", A),
        ("byaddress.example", A),
        ("plain.example", f"{A} | {B}"),
        ("first.example", "never 5.4.6: mail for first.example would come back to this server"),
        ("ourselves.example", "never 5.4.6: mail for ourselves.example would come back to this server"),
        ("[8.8.4.4]", "never 5.4.6: mail for [8.8.4.4] would come back to this server"),
    ],
)
def test_mail_is_not_sent_back_to_ourselves(domain: str, expected: str) -> None:
    assert shape(settle(NameCache(), to(domain), US)) == expected


def test_a_host_at_another_port_is_somebody_else() -> None:
    found = settle(NameCache(), to("ourselves.example", port=2525), US)
    assert shape(found) == "nat.example=8.8.4.4"
    assert isinstance(found, HostList)
    assert found.groups[0][0].port == 2525
    assert (
        shape(settle(NameCache(), to("byaddress.example", port=2525), US))
        == f"{A} | nat.example=8.8.4.4 | {B}"
    )


def test_hosts_that_are_worse_than_ourselves_are_not_even_asked_for() -> None:
    names = NameCache()
    settle(names, to("us.example"), US)
    assert names.asked_count == 3
    assert names.peek(0, Question("b.plain.example", RecordType.A)) is None


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (by("oxford.example"), f"{A} | {B}"),
        (by("a.plain.example"), A),
        (by("A.Plain.Example."), A),
        (by("192.0.2.25"), "192.0.2.25=192.0.2.25"),
        (by("[192.0.2.25]"), "192.0.2.25=192.0.2.25"),
        (by("[IPv6:2001:db8::25]"), "2001:db8::25=2001:db8::25"),
        (by("[2001:db8::25]"), "2001:db8::25=2001:db8::25"),
        (by("loop.example"), "loop.example=::1+127.0.0.1"),
        (
            by("null.example"),
            "later 4.4.4: no smart host of null.example can be found: null.example has no address",
        ),
        # The first choices of all entries are used in turns; so are the second ones, once those are down.
        (by("oxford.example", "bare.example"), f"{A} bare.example=8.0.0.3 | {B}"),
        (by("bare.example", "oxford.example", "8.0.0.9"), f"bare.example=8.0.0.3 {A} 8.0.0.9=8.0.0.9 | {B}"),
        (by("even.example", "oxford.example", "bare.example"), f"{A} {B} bare.example=8.0.0.3"),
        (by("broken.example", "bare.example"), "bare.example=8.0.0.3"),
        (by("nowhere.example", "bare.example"), "bare.example=8.0.0.3"),
        (
            by("nowhere.example"),
            "later 4.4.4: no smart host of nowhere.example can be found: nowhere.example does not exist",
        ),
        (
            by("broken.example", "nowhere.example"),
            "later 4.4.3: no smart host of broken.example, nowhere.example can be found: "
            "broken.example: DNS gave no usable answer: SERVFAIL; nowhere.example does not exist",
        ),
        (by("a b"), 'later 4.4.4: no smart host of a b can be found: "a b": domain is malformed'),
        (by("private.example"), "private.example=10.0.0.7+8.0.0.7"),
        (by("nat.example"), "nat.example=8.8.4.4"),
    ],
)  # fmt: skip
def test_smart_hosts(profile: HopProfile, expected: str) -> None:
    found = settle(NameCache(), profile, US)
    assert shape(found) == expected
    if isinstance(found, HostList):
        assert all(host.declared for group in found.groups for host in group)
        assert found.found_by == "smart host"


def test_servers_of_ours_need_no_dns() -> None:
    near = (
        ServerAddress("mx1", "mx1.us.example", "10.0.0.1", 2525),
        ServerAddress("mx2", "mx2.us.example", "10.0.0.2", 25),
    )
    far = (ServerAddress("mx3", "mx3.us.example", "fd00::3", 25),)
    key = NextHopKey(DeliveryType.SERVER, "London")
    names = NameCache()
    found = find_hosts(0, names, HopProfile(key, "mx0", server_groups=(near, (), far)))
    assert isinstance(found, HostList)
    assert shape(found) == "mx1.us.example=10.0.0.1 mx2.us.example=10.0.0.2 | mx3.us.example=fd00::3"
    assert [host.port for group in found.groups for host in group] == [2525, 25, 25]
    assert [host.preference for group in found.groups for host in group] == [0, 0, 1]
    assert names.take_questions() == []
    nobody = find_hosts(0, names, HopProfile(key, "mx0"))
    assert shape(nobody) == "later 4.4.4: no server of ours takes mail for London"


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (to("plain.example", source_address="192.0.2.1"), f"a.plain.example=8.0.0.1 | {B}"),
        (to("plain.example", source_address="2001:db8::1"), "a.plain.example=2a00::1"),
        (by("oxford.example", source_address="2001:db8::1"), "a.plain.example=2a00::1"),
        (
            to("six.example", source_address="192.0.2.1"),
            "never 5.4.4: no host takes mail for six.example: "
            "six.example: only addresses that 192.0.2.1 can reach are used",
        ),
        (
            by("[2001:db8::25]", source_address="192.0.2.1"),
            "later 4.4.4: no smart host of [2001:db8::25] can be found: "
            "2001:db8::25: only addresses that 192.0.2.1 can reach are used",
        ),
    ],
)
def test_only_addresses_that_our_own_can_reach(profile: HopProfile, expected: str) -> None:
    assert shape(settle(NameCache(), profile)) == expected


def known(*given: Answer) -> NameCache:
    names = NameCache()
    for answer in given:
        names.resolved(0, answer)
    return names


def test_of_a_hundred_exchangers_the_first_twenty_are_used() -> None:
    hosts = [f"mx{number:03}.many.example" for number in range(100)]
    mx = Question("many.example", RecordType.MX)
    records = tuple(MxRecord(100 - number, host) for number, host in enumerate(hosts))
    names = known(Answer(mx, Outcome.FOUND, records))
    pending = find_hosts(0, names, to("many.example"))
    assert isinstance(pending, Pending)
    assert len(pending.questions) == 2 * EXCHANGER_COUNT_MAX
    for question in names.take_questions():
        addresses = tuple(f"8.1.{number}.1" for number in range(40))
        outcome = Outcome.FOUND if question.record_type is RecordType.A else Outcome.NO_DATA
        names.resolved(0, Answer(question, outcome, addresses if outcome is Outcome.FOUND else ()))
    found = find_hosts(0, names, to("many.example"))
    assert isinstance(found, HostList)
    assert [group[0].name for group in found.groups] == hosts[:-21:-1]
    assert all(len(host.addresses) == 16 for group in found.groups for host in group)
    assert found.notes == ("only the first 20 of 100 MX names are used",)


def test_names_that_lead_nowhere_do_not_take_the_place_of_those_that_do() -> None:
    """A domain with twenty dead names before a good one had its mail returned."""
    hosts = [f"mx{number:03}.many.example" for number in range(100)]
    records = tuple(MxRecord(number, host) for number, host in enumerate(hosts))
    for profile in (to("many.example"), to("", smart_hosts=("many.example",))):
        names = known(Answer(Question("many.example", RecordType.MX), Outcome.FOUND, records))
        asked = 0
        while isinstance(found := find_hosts(0, names, profile), Pending):
            asked += len(found.questions)
            for question in names.take_questions():
                number = int(question.name[2:5])
                # The first ten do not exist, ten are private, and forty more have an address.
                address = f"8.1.{number}.1" if 20 <= number < 60 else "10.1.1.1"
                if question.record_type is RecordType.A and number >= 10:
                    names.resolved(0, Answer(question, Outcome.FOUND, (address,)))
                else:
                    names.resolved(0, Answer(question, Outcome.NO_NAME))
        assert isinstance(found, HostList)
        used = [group[0].name for group in found.groups]
        first = 20 if not profile.smart_hosts else 10  # a smart host may be anywhere
        assert used == hosts[first : first + EXCHANGER_COUNT_MAX]
        assert asked == 4 * EXCHANGER_COUNT_MAX  # two windows of names, and no more
        assert "only the first 20 of 100 MX names are used" in found.notes


def test_a_better_host_that_dns_says_nothing_of_now_is_waited_for_although_we_are_the_next() -> None:
    """It was returned for good as mail that would come back to us."""
    records = (MxRecord(5, "silent.d.example"), MxRecord(10, "us.d.example"))
    names = known(
        Answer(Question("d.example", RecordType.MX), Outcome.FOUND, records),
        *(
            Answer(Question("silent.d.example", each), Outcome.FAILED, reason="SERVFAIL")
            for each in (RecordType.A, RecordType.AAAA)
        ),
        Answer(Question("us.d.example", RecordType.A), Outcome.FOUND, ("8.8.4.4",)),
        Answer(Question("us.d.example", RecordType.AAAA), Outcome.NO_DATA),
    )
    found = find_hosts(0, names, to("d.example"), US)
    assert isinstance(found, HopFailure)
    assert (found.permanent, found.failure.status) == (False, "4.4.3")


def answered(name: str, record_type: RecordType, *records: MxRecord | str, **more: object) -> Answer:
    outcome = Outcome.FOUND if records else Outcome.NO_DATA
    return replace(Answer(Question(name, record_type), outcome, tuple(records), name, validated=True), **more)  # type: ignore[arg-type]  # fields of the answer


@pytest.mark.parametrize(
    ("mx", "a", "aaaa", "name_validated", "addresses_validated"),
    [
        ({}, {}, {}, True, True),
        ({"validated": False}, {}, {}, False, True),
        ({}, {"validated": False}, {}, True, False),
        ({}, {}, {"validated": False}, True, False),
        ({}, {}, {"outcome": Outcome.FAILED, "validated": False}, True, True),
    ],
)
def test_what_dane_must_know_of_the_way(
    mx: dict[str, object],
    a: dict[str, object],
    aaaa: dict[str, object],
    name_validated: bool,
    addresses_validated: bool,
) -> None:
    names = known(
        answered("d.example", RecordType.MX, MxRecord(10, "mx.example"), **mx),
        answered("mx.example", RecordType.A, "8.0.0.1", **a),
        answered("mx.example", RecordType.AAAA, **aaaa),
    )
    found = find_hosts(0, names, to("d.example"))
    assert isinstance(found, HostList)
    host = found.groups[0][0]
    assert (host.name_validated, host.addresses_validated) == (name_validated, addresses_validated)
    assert host.validated == (name_validated and addresses_validated)
    assert not host.declared
    assert not host.is_address


def test_aliases_are_followed_and_remembered() -> None:
    names = known(
        answered("d.example", RecordType.MX, MxRecord(10, "mx.example"), canonical_name="real.example"),
        answered("mx.example", RecordType.A, "8.0.0.1", canonical_name="host.example"),
        answered("mx.example", RecordType.AAAA),
    )
    found = find_hosts(0, names, to("d.example"))
    expected = Host("mx.example", ("8.0.0.1",), 25, 10, "host.example", True, True)
    assert found == HostList("d.example", ((expected,),), "real.example", "MX")


def test_an_alias_that_leads_to_ourselves_is_ourselves() -> None:
    names = known(
        answered("d.example", RecordType.MX, MxRecord(10, "alias.example")),
        answered("alias.example", RecordType.A, "8.0.0.1", canonical_name="mx.us.example"),
        answered("alias.example", RecordType.AAAA),
    )
    assert shape(find_hosts(0, names, to("d.example"), US)).startswith("never 5.4.6")


def test_what_was_left_out_is_told_within_bounds() -> None:
    addresses = tuple(f"10.0.0.{number}" for number in range(100))
    names = known(
        answered("d.example", RecordType.MX),
        answered("d.example", RecordType.A, *addresses, "no address"),
        answered("d.example", RecordType.AAAA),
    )
    found = find_hosts(0, names, to("d.example"))
    assert shape(found).count("10.0.0.") == 3
    assert len(shape(found)) < 400


NAMES = st.sampled_from(
    [*sorted(KNOWN), "nowhere.example", "192.0.2.1", "[::1]", "[IPv6:::1]", "[", "", "ü.example", "a..b"]
)


@settings(max_examples=200)
@given(
    st.lists(NAMES, min_size=1, max_size=4), st.sampled_from(["", "192.0.2.1", "2001:db8::1"]), st.booleans()
)
def test_whatever_is_named_there_is_a_list_or_a_reason(hosts: list[str], source: str, ours: bool) -> None:
    ourselves = US if ours else Ourselves()
    for profile in (by(*hosts, source_address=source), to(hosts[0], source_address=source)):
        found = settle(NameCache(), profile, ourselves)
        if isinstance(found, HostList):
            assert found.groups
            assert all(found.groups)
            assert all(host.addresses for group in found.groups for host in group)
        else:
            assert found.failure.text
            assert found.failure.status.startswith("5" if found.permanent else "4")
