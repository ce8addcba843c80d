"""Names and addresses of the rest of the made-up world."""

from __future__ import annotations

import random

from holdfast.sim.elsewhere import SMART_HOST, Names, draw_address, far_domain
from holdfast.sim.scenario import Rates
from holdfast.sim.world import World
from holdfast.wire.dns_answers import MxRecord, Outcome, Question, RecordType


def test_every_domain_leads_to_a_next_hop() -> None:
    for seed in range(10):
        names = Names(World(seed), Rates(hop_count=3))
        for domain in names.domains:
            answer = names.answer(Question(domain, RecordType.MX))
            if answer.outcome is Outcome.NO_DATA:
                hosts = [domain]
            else:
                hosts = [each.host for each in answer.records if isinstance(each, MxRecord)]
            for host in hosts:
                found = names.answer(Question(host, RecordType.A))
                assert found.outcome is Outcome.FOUND
                assert str(found.records[0]).startswith("203.0.113.")


def test_what_there_is_not() -> None:
    names = Names(World(1), Rates(hop_count=0))
    assert names.answer(Question("nowhere.example", RecordType.MX)).outcome is Outcome.NO_NAME
    assert names.answer(Question(SMART_HOST, RecordType.A)).outcome is Outcome.NO_NAME
    names = Names(World(1), Rates())
    assert names.answer(Question("mx0.example", RecordType.AAAA)).outcome is Outcome.NO_DATA


def test_answers_fail_until_the_world_is_calm() -> None:
    names = Names(World(1), Rates(name_failure_rate=1.0, name_delay_s=1.0))
    question = Question("mx0.example", RecordType.A)
    assert names.answer(question).outcome is Outcome.FAILED
    assert 0.0 <= names.delay_s() <= 2.0
    names.calm = True
    assert names.answer(question).outcome is Outcome.FOUND


def test_addresses() -> None:
    luck = random.Random(1)
    drawn = {draw_address(luck) for _ in range(200)}
    assert {address.split("@")[1] for address in drawn} == {far_domain(index) for index in range(3)}
    assert any(address.startswith("refused") for address in drawn)
