"""What is sent to DNS, and what follows from each answer (RFC 4703 sections 5.3 to 5.5)."""

from __future__ import annotations

import base64

import pytest

from holdfast.dhcp.dns_state import (
    FORWARD,
    FORWARD_DONE,
    NOTHING,
    PROTECTED,
    REFUSED,
    REVERSE,
    REVERSE_DONE,
    DnsState,
    Registration,
)
from holdfast.dhcp.dns_steps import Step, StepKind, Verdict, after, next_step
from holdfast.wire.dns_update import Change, Condition, Do, If, UpdateOutcome

DONE, USED, GONE, THERE, OTHER, FAILED = (
    UpdateOutcome.DONE, UpdateOutcome.NAME_USED, UpdateOutcome.NO_NAME, UpdateOutcome.RECORD_THERE,
    UpdateOutcome.OTHER_RECORD, UpdateOutcome.FAILED,
)  # fmt: skip
ADDRESS, TTL = 0x0A000007, 1200
DHCID = b"\0\1\1" + bytes(32)
TEXT = base64.b64encode(DHCID).decode()
NAME, OWNER = "a.test", "7.0.0.10.in-addr.arpa"
OURS = Condition(If.RECORD_IS, NAME, "DHCID", TEXT)
A, ID = Change(Do.ADD, NAME, "A", "10.0.0.7", TTL), Change(Do.ADD, NAME, "DHCID", TEXT, TTL)
NO_ADDRESS = (Condition(If.NO_RECORD, NAME, "A"), Condition(If.NO_RECORD, NAME, "AAAA"))


def registration(flags: int) -> Registration:
    return Registration(NAME, DHCID, flags)


def step(kind: StepKind, *, protected: bool = True) -> Step:
    flags = FORWARD | REVERSE | (PROTECTED if protected else 0)
    return Step(kind, registration(flags), ADDRESS, TTL)


def test_messages() -> None:
    adding = step(StepKind.ADD_FORWARD)
    assert adding.message() == ((Condition(If.NAME_UNUSED, NAME),), (A, ID))
    adding.second = True
    assert adding.message() == ((Condition(If.NAME_USED, NAME), OURS), (Change(Do.DELETE_ALL, NAME, "A"), A))
    removing = step(StepKind.REMOVE_FORWARD)
    assert removing.message() == ((OURS,), (Change(Do.DELETE_RECORD, NAME, "A", "10.0.0.7"),))
    removing.second = True
    assert removing.message() == ((OURS, *NO_ADDRESS), (Change(Do.DELETE_RECORD, NAME, "DHCID", TEXT),))
    assert step(StepKind.ADD_REVERSE).message() == (
        (),
        (Change(Do.DELETE_ALL, OWNER, "PTR"), Change(Do.ADD, OWNER, "PTR", "a.test.", TTL)),
    )
    assert step(StepKind.REMOVE_REVERSE).message() == (
        (Condition(If.RECORD_IS, OWNER, "PTR", "a.test."),),
        (Change(Do.DELETE_ALL, OWNER, "PTR"),),
    )


def test_messages_without_protection() -> None:
    adding, removing = (
        step(each, protected=False) for each in (StepKind.ADD_FORWARD, StepKind.REMOVE_FORWARD)
    )
    assert adding.message() == (
        (),
        (Change(Do.DELETE_ALL, NAME, "A"), Change(Do.DELETE_ALL, NAME, "DHCID"), A, ID),
    )
    assert removing.message()[0] == ()
    removing.second = True
    assert removing.message()[0] == NO_ADDRESS


ADD, ADD_PTR, REMOVE, REMOVE_PTR = StepKind
CASES: dict[str, tuple[StepKind, bool, list[UpdateOutcome], Verdict]] = {
    "nobody has it": (ADD, True, [DONE], Verdict.DONE),
    "it is ours already": (ADD, True, [USED, DONE], Verdict.DONE),
    "it is another's": (ADD, True, [USED, OTHER], Verdict.TAKEN),
    "it went meanwhile": (ADD, True, [USED, GONE, DONE], Verdict.DONE),
    "it comes and goes": (ADD, True, [USED, GONE, USED, GONE, USED, GONE], Verdict.FAILED),
    "nobody answers": (ADD, True, [FAILED], Verdict.FAILED),
    "nobody answers later": (ADD, True, [USED, FAILED], Verdict.FAILED),
    "nonsense": (ADD, True, [THERE], Verdict.FAILED),
    "unprotected": (ADD, False, [DONE], Verdict.DONE),
    "unprotected nonsense": (ADD, False, [USED], Verdict.FAILED),
    "removed with its DHCID": (REMOVE, True, [DONE, DONE], Verdict.DONE),
    "another address is left": (REMOVE, True, [DONE, THERE], Verdict.DONE),
    "removed: it is another's": (REMOVE, True, [OTHER], Verdict.DONE),
    "removed: it is gone": (REMOVE, True, [GONE], Verdict.DONE),
    "removed: nobody answers": (REMOVE, True, [DONE, FAILED], Verdict.FAILED),
    "name of address": (ADD_PTR, True, [DONE], Verdict.DONE),
    "name of address, nonsense": (ADD_PTR, True, [OTHER], Verdict.FAILED),
    "address has another name": (REMOVE_PTR, True, [OTHER], Verdict.DONE),
    "address has no name": (REMOVE_PTR, True, [GONE], Verdict.DONE),
    "address had the name": (REMOVE_PTR, True, [DONE], Verdict.DONE),
}


@pytest.mark.parametrize(("kind", "protected", "answers", "verdict"), CASES.values(), ids=CASES.keys())
def test_answers(kind: StepKind, protected: bool, answers: list[UpdateOutcome], verdict: Verdict) -> None:
    made = step(kind, protected=protected)
    found = [made.answered(each) for each in answers]
    assert found == [Verdict.GO_ON] * (len(answers) - 1) + [verdict]
    assert verdict is not Verdict.FAILED or not made.second  # the next try begins at the beginning


def test_the_order_of_things() -> None:
    both = FORWARD | REVERSE | PROTECTED
    state = DnsState(registration(both), (Registration("old.test", DHCID, both),))
    kinds = []
    while (found := next_step(state, ADDRESS, TTL)) is not None:
        kinds.append((found.kind, found.registration.name))
        state = after(state, found)
    assert kinds == [
        (REMOVE, "old.test"), (REMOVE_PTR, "old.test"), (ADD, NAME), (ADD_PTR, NAME),
    ]  # fmt: skip
    assert state == DnsState(registration(both | FORWARD_DONE | REVERSE_DONE))
    assert next_step(NOTHING, ADDRESS, TTL) is None
    assert next_step(DnsState(registration(both | REFUSED)), ADDRESS, TTL) is None
