"""Which host is next, which are down, and when they are tried again."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.transport.host_health import (
    ENDPOINT_COUNT_MAX,
    PROBE_S,
    AllBusy,
    AllDown,
    Choice,
    EndpointHealth,
    HostHealth,
    HostState,
)
from holdfast.transport.next_hop import Host, HostList


def host(name: str, *addresses: str, preference: int = 10, declared: bool = True) -> Host:
    return Host(name, addresses or (f"{name}-1",), 25, preference, name, declared=declared)


def listed(*groups: tuple[Host, ...]) -> HostList:
    return HostList("example.org", groups)


TWO = listed((host("a"), host("b")))
# oxford.smarthost.example MX 10 …, MX 20 …
OXFORD = listed((host("a"), host("b")), (host("c", preference=20),))


def health() -> HostHealth:
    return HostHealth(random.Random(1), retry_s=60.0)


def chosen(health: HostHealth, now: float, hosts: HostList = OXFORD, **more: object) -> str:
    """The address; ``-`` while all are busy, ``!`` when all are down."""
    match health.choose(now, hosts, **more):  # type: ignore[arg-type]  # busy and unfit
        case Choice(address=address):
            return address
        case AllBusy():
            return "-"
        case AllDown():
            return "!"


def choose(health: HostHealth, now: float, hosts: HostList = OXFORD) -> Choice:
    choice = health.choose(now, hosts)
    assert isinstance(choice, Choice)
    return choice


def fail(health: HostHealth, now: float, *addresses: str, hosts: HostList = OXFORD) -> None:
    for address in addresses:
        owner = next(each for group in hosts.groups for each in group if address in each.addresses)
        health.failed(now, Choice(owner, address), f"{address} is dark")


def test_hosts_and_addresses_are_used_equally() -> None:
    hosts = listed((host("a", "8.0.0.1", "2a00::1"), host("b", "8.0.0.2"), host("c", "8.0.0.3", "8.0.0.4")))
    state = health()
    counted = Counter(chosen(state, 0, hosts) for _ in range(120))
    assert counted == {"8.0.0.1": 20, "2a00::1": 20, "8.0.0.2": 40, "8.0.0.3": 20, "8.0.0.4": 20}


def test_the_first_host_of_all_is_random() -> None:
    first = {chosen(HostHealth(random.Random(seed)), 0, TWO) for seed in range(20)}
    assert first == {"a-1", "b-1"}


def test_hosts_that_lists_share_are_used_equally() -> None:
    state = health()
    other = listed((host("b"), host("z")))
    counted = Counter(chosen(state, 0, hosts) for _ in range(60) for hosts in (TWO, other))
    assert max(counted.values()) - min(counted.values()) <= 2


def test_the_next_preference_only_when_the_whole_one_before_is_down() -> None:
    state = health()
    assert {chosen(state, 0) for _ in range(4)} == {"a-1", "b-1"}
    fail(state, 1, "a-1")
    assert {chosen(state, 2) for _ in range(4)} == {"b-1"}
    fail(state, 3, "b-1")
    assert {chosen(state, 4) for _ in range(4)} == {"c-1"}


def test_a_host_that_is_back_is_probed_once_and_then_used_at_once() -> None:
    state = health()
    fail(state, 0, "a-1", "b-1")
    assert chosen(state, 59) == "c-1"
    probe = choose(state, 60)
    assert probe.probe
    assert probe.endpoint in {("a-1", 25), ("b-1", 25)}
    second = choose(state, 60)
    assert second.probe
    assert second.endpoint != probe.endpoint
    assert [chosen(state, 61) for _ in range(3)] == ["c-1"] * 3  # both are being tried
    state.connected(62, probe)
    assert [chosen(state, 62) for _ in range(3)] == [probe.address] * 3
    state.failed(63, second, "still dark")
    assert chosen(state, 122) == probe.address
    third = choose(state, 123)
    assert third.address == second.address
    assert third.probe


def test_a_probe_that_fails_keeps_it_down() -> None:
    state = health()
    one = listed((host("a"),))
    fail(state, 0, "a-1", hosts=one)
    assert state.choose(1, one) == AllDown(60.0, "a-1 is dark")
    probe = choose(state, 60, one)
    assert state.choose(61, one) == AllBusy()
    state.failed(90, probe, "time-out")
    assert state.choose(91, one) == AllDown(150.0, "time-out")


def test_a_probe_that_nobody_reports_on_does_not_keep_it_down_for_ever() -> None:
    state = health()
    one = listed((host("a"),))
    fail(state, 0, "a-1", hosts=one)
    assert choose(state, 60, one).probe
    assert state.choose(60 + PROBE_S - 1, one) == AllBusy()
    assert choose(state, 60 + PROBE_S, one).probe


def test_a_probe_that_was_given_up_is_free_again() -> None:
    state = health()
    one = listed((host("a"),))
    state.abandoned(Choice(one.groups[0][0], "a-1"))
    fail(state, 0, "a-1", hosts=one)
    state.abandoned(choose(state, 60, one))
    assert choose(state, 61, one).probe


def test_when_all_are_down_the_first_that_may_be_tried_says_when() -> None:
    state = health()
    fail(state, 0, "c-1")
    fail(state, 10, "a-1")
    fail(state, 20, "b-1")
    assert state.choose(30, OXFORD) == AllDown(60.0, "b-1 is dark")
    assert choose(state, 60).address == "c-1"
    assert chosen(state, 70) == "a-1"


def test_busy_hosts_are_waited_for() -> None:
    state = health()
    assert chosen(state, 0, busy={("a-1", 25)}) == "b-1"
    assert chosen(state, 0, busy={("a-1", 25), ("b-1", 25)}) == "-"
    fail(state, 0, "b-1")
    assert chosen(state, 0, busy={("a-1", 25)}) == "-"
    fail(state, 0, "a-1")
    assert chosen(state, 0, busy={("a-1", 25)}) == "c-1"


def test_others_take_the_place_of_hosts_that_are_of_no_use() -> None:
    state = health()
    assert chosen(state, 0, unfit={("a-1", 25)}) == "b-1"
    assert chosen(state, 0, unfit={("a-1", 25), ("b-1", 25)}) == "c-1"
    everybody = {("a-1", 25), ("b-1", 25), ("c-1", 25)}
    assert state.choose(7, OXFORD, unfit=everybody) == AllDown(7, "no host is of use to this queue")
    fail(state, 8, "c-1")
    assert state.choose(9, OXFORD, unfit={("a-1", 25), ("b-1", 25)}) == AllDown(68.0, "c-1 is dark")


def test_an_administrator_need_not_wait() -> None:
    state = health()
    fail(state, 0, "a-1", "b-1", "c-1")
    state.retry_now(OXFORD)
    assert choose(state, 1).probe
    state.retry_now(listed((host("never seen"),)))


def test_what_people_see() -> None:
    state = health()
    first = choose(state, 5)
    assert [each.state for each in state.describe(5, OXFORD)] == [HostState.UNKNOWN] * 3
    state.connected(6, first)
    state.connected(7, first)
    other = "b-1" if first.address == "a-1" else "a-1"
    fail(state, 8, other)
    fail(state, 9, other)
    shown = {each.address: each for each in state.describe(10, OXFORD)}
    assert shown[first.address] == EndpointHealth(
        first.host.name, first.address, 25, 10, HostState.UP, since=6
    )
    assert shown[other] == EndpointHealth(
        other[0], other, 25, 10, HostState.DOWN, since=8, reason=f"{other} is dark", retry_at=69
    )
    assert shown["c-1"] == EndpointHealth("c", "c-1", 25, 20, HostState.UNKNOWN)
    assert chosen(state, 70) == other
    assert {each.address: each for each in state.describe(70, OXFORD)}[other].state is HostState.PROBED


def test_servers_of_ours_show_their_group() -> None:
    groups = listed((host("a", preference=0),), (host("b", preference=1),))
    assert [each.preference for each in health().describe(0, groups)] == [0, 1]


def test_the_log_tells_of_hosts_that_the_administrator_named() -> None:
    state = health()
    fail(state, 0, "a-1", "a-1")
    state.connected(75, Choice(host("a"), "a-1"))
    state.connected(76, Choice(host("a"), "a-1"))
    assert [(log.kind.event_id, log.message()) for log in state.logs] == [
        ("TRN-0370", "next hop a (a-1 port 25) cannot be used: a-1 is dark; it is tried again in 60 s"),
        ("TRN-0371", "next hop a (a-1 port 25) can be used again after 75 s"),
    ]
    state.logs.clear()
    stranger = Choice(host("z", declared=False), "z-1")
    state.failed(80, stranger, "dark")
    state.connected(81, stranger)
    assert state.logs == []


def test_reasons_are_bounded() -> None:
    state = health()
    state.failed(0, Choice(host("a"), "a-1"), "x" * 10_000)
    assert len(state.describe(1, TWO)[0].reason) == 200


@pytest.mark.parametrize("down", [False, True])
def test_memory_is_bounded(down: bool) -> None:
    state = health()
    for number in range(ENDPOINT_COUNT_MAX + 1):
        choice = Choice(host(str(number), declared=False), f"{number}-1")
        if down:
            state.failed(0, choice, "dark")
        else:
            state.connected(0, choice)
    first, second = (listed((host(name),)) for name in ("0", "1"))
    assert state.describe(1, first)[0].state is HostState.UNKNOWN
    assert state.describe(1, second)[0].state is not HostState.UNKNOWN


STEPS = st.lists(
    st.tuples(st.sampled_from(["choose", "connected", "failed", "wait"]), st.integers(0, 9)), max_size=80
)


@settings(max_examples=200)
@given(STEPS)
def test_a_preference_is_passed_over_only_while_nobody_of_it_may_be_tried(
    steps: list[tuple[str, int]],
) -> None:
    state = health()
    out: list[Choice] = []
    now = 0.0
    for step, number in steps:
        match step:
            case "choose":
                before = {each.address: each for each in state.describe(now, OXFORD)}
                choice = state.choose(now, OXFORD)
                free = [
                    address
                    for address, each in before.items()
                    if each.state in (HostState.UP, HostState.UNKNOWN)
                    or (each.state is HostState.DOWN and each.retry_at is not None and each.retry_at <= now)
                ]
                if isinstance(choice, Choice):
                    best = min(before[address].preference for address in free)
                    assert before[choice.address].preference == best
                    out.append(choice)
                else:
                    assert not free
                    if isinstance(choice, AllDown):
                        assert choice.until > now
            case "connected" if out:
                state.connected(now, out.pop(number % len(out)))
            case "failed" if out:
                state.failed(now, out.pop(number % len(out)), "dark")
            case "wait":
                now += number * 10
    # Whatever happened, everything that answers is used again in the end.
    now += PROBE_S + 60
    for _ in range(6):
        state.connected(now, choose(state, now))
    assert {chosen(state, now) for _ in range(4)} == {"a-1", "b-1"}
