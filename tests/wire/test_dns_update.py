"""What is asked of a DNS server; ``drivers.dns_updates`` and ``dhcp.dns_steps`` have the meaning."""

from __future__ import annotations

from holdfast.wire.dns_update import Do, If, UpdateAnswer, UpdateOutcome


def test_an_answer_without_words_is_no_failure() -> None:
    assert UpdateAnswer(UpdateOutcome.DONE) == (UpdateOutcome.DONE, "", 0)


def test_every_word_is_another() -> None:
    for words in (If, Do, UpdateOutcome):
        assert len({each.value for each in words}) == len(words)
