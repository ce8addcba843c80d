from __future__ import annotations

from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, RecipientOptions


def test_options_of_a_recipient_are_found_and_others_have_none() -> None:
    asked = RecipientOptions(("SUCCESS",), "rfc822;a")
    options = EnvelopeOptions(recipients=(("a@x", asked),))
    assert options.of("a@x") is asked
    assert options.of("b@x") == PLAIN_ENVELOPE.of("b@x") == RecipientOptions()
