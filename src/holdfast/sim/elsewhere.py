"""The rest of the made-up world: domains that are not ours, and what DNS says of them.

Each domain has one to all next hops as its mail exchangers, some of them with a
preference of their own, some reached by an address record alone. Names stay
what they are; that an answer fails, or takes long, is the weather's doing.

Source: RFC 5321 section 5.1; RFC 1035.
"""

from __future__ import annotations

import random

from holdfast.sim.next_hops import hop_place
from holdfast.sim.scenario import Rates
from holdfast.sim.world import World, some
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, Record, RecordType

SENDER_DOMAIN = "example.org"  # of most senders: where bounces go
FAR_DOMAIN_COUNT = 3
SMART_HOST = "smart.example"


def far_domain(index: int) -> str:
    """A domain that is not ours."""
    return f"far{index}.example"


def draw_address(luck: random.Random) -> str:
    """Somebody elsewhere; one in eight is somebody whom nobody knows."""
    number, domain = luck.randrange(4), luck.randrange(FAR_DOMAIN_COUNT)
    local_part = "refused" if luck.randrange(8) == 0 else "somebody"
    return f"{local_part}{number}@{far_domain(domain)}"


class Names:
    """DNS as the whole world sees it."""

    def __init__(self, world: World, rates: Rates) -> None:
        self.calm = False
        self._rates = rates
        self._luck = world.luck("names")
        self._records: dict[Question, tuple[Record, ...]] = {}
        hosts: list[str] = []
        for index in range(rates.hop_count):
            hosts.append(f"mx{index}.example")
            self._records[Question(hosts[-1], RecordType.A)] = (hop_place(index),)
        self.domains = [SENDER_DOMAIN, SMART_HOST, *(far_domain(index) for index in range(FAR_DOMAIN_COUNT))]
        for domain in self.domains:
            self._add_domain(domain, hosts)

    def _add_domain(self, domain: str, hosts: list[str]) -> None:
        luck = self._luck
        if not hosts:
            return
        if luck.random() < 0.2:
            place = hop_place(luck.randrange(len(hosts)))
            self._records[Question(domain, RecordType.A)] = (place,)
            return
        chosen = [host for host in hosts if luck.random() < 0.6] or hosts[:1]
        self._records[Question(domain, RecordType.MX)] = tuple(
            MxRecord(10 * (1 + luck.randrange(2)), host) for host in chosen
        )

    def delay_s(self) -> float:
        """Draw how long an answer takes."""
        return some(self._luck, self._rates.name_delay_s)

    def answer(self, question: Question) -> Answer:
        """Answer a question, or fail to."""
        if self._luck.random() < self._rates.name_failure_rate and not self.calm:
            return Answer(question, Outcome.FAILED, ttl_s=1.0, reason="no name server answers")
        ttl_s = some(self._luck, self._rates.name_kept_s)
        records = self._records.get(question)
        if records is not None:
            return Answer(question, Outcome.FOUND, records, question.name, ttl_s=ttl_s)
        known = any(each.name == question.name for each in self._records)
        outcome = Outcome.NO_DATA if known else Outcome.NO_NAME
        return Answer(question, outcome, canonical_name=question.name, ttl_s=ttl_s)
