from __future__ import annotations

from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, RecipientOptions, asking_nothing


def test_options_of_a_recipient_are_found_and_others_have_none() -> None:
    asked = RecipientOptions(("SUCCESS",), "rfc822;a")
    options = EnvelopeOptions(recipients=(("a@x", asked),))
    assert options.of("a@x") is asked
    assert options.of("b@x") == PLAIN_ENVELOPE.of("b@x") == RecipientOptions()


def test_asking_for_nothing_keeps_the_rest() -> None:
    asked = RecipientOptions(("SUCCESS",), "rfc822;a")
    options = EnvelopeOptions(envelope_id="x", recipients=(("a@x", asked), ("c@x", asked)))
    nothing = asking_nothing(options, ("a@x", "b@x"))
    assert nothing == EnvelopeOptions(
        envelope_id="x",
        recipients=(
            ("a@x", RecipientOptions(("NEVER",), "rfc822;a")),
            ("b@x", RecipientOptions(("NEVER",), "")),
        ),
    )
