"""What the envelope of a message says beyond sender and recipients.

Source: RFC 3461 sections 4.1 to 4.4; RFC 6152; RFC 6531.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RecipientOptions:
    """What a sender asked to be told about one recipient (RFC 3461 sections 4.1 and 4.2).

    Attributes:
        notify: of SUCCESS, FAILURE, DELAY; or only NEVER; empty when it was not given.
        original_recipient: the ORCPT value as given (``rfc822;xtext``); empty when it was not.
    """

    notify: tuple[str, ...] = ()
    original_recipient: str = ""


@dataclass(frozen=True, slots=True)
class EnvelopeOptions:
    """What the envelope said beyond sender and recipients.

    Attributes:
        return_content: FULL or HDRS (RFC 3461 section 4.3); empty when RET was not given.
        envelope_id: the ENVID value as given (xtext); empty when it was not.
        eight_bit: whether BODY=8BITMIME was said (RFC 6152).
        smtputf8: whether SMTPUTF8 was said (RFC 6531).
        recipients: envelope recipient and its options, of those that have any.
    """

    return_content: str = ""
    envelope_id: str = ""
    eight_bit: bool = False
    smtputf8: bool = False
    recipients: tuple[tuple[str, RecipientOptions], ...] = ()

    def of(self, recipient: str) -> RecipientOptions:
        """The options of a recipient."""
        return next((options for each, options in self.recipients if each == recipient), _NO_OPTIONS)


def asking_nothing(options: EnvelopeOptions, recipients: tuple[str, ...]) -> EnvelopeOptions:
    """The options with which nobody is told what becomes of these recipients (NOTIFY=NEVER)."""
    never = tuple(
        (each, RecipientOptions(("NEVER",), options.of(each).original_recipient)) for each in recipients
    )
    return replace(options, recipients=never)


_NO_OPTIONS = RecipientOptions()
PLAIN_ENVELOPE = EnvelopeOptions()
