"""Every state of the protocol has words; what can be done is a command with the relationship's name in it."""

from __future__ import annotations

from holdfast.admin.failover_words import STATES, words_of


def test_every_state_has_words() -> None:
    for state in STATES:
        meaning, next_step = words_of(state, "pair")
        assert meaning
        assert next_step
        assert "{" not in next_step
    assert words_of("RECOVER", "pair").next_step.endswith("holdfast dhcp failover partner-down pair")
    assert words_of("DREAMING", "pair").meaning == "this version does not know the state"
