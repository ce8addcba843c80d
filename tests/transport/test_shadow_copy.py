from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import NetworkMessageId
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, RecipientOptions
from holdfast.transport.queue import Marks, QueuedMessage
from holdfast.transport.shadow_copy import copy_of, late_copy_of, message_of

MESSAGE = QueuedMessage(
    3, NetworkMessageId("id"), 1.5, "s@x", ("a@x", "b@x"), 4, b"data", "<m>", "subject", b"f" * 16
)
ASKED = EnvelopeOptions("HDRS", "e", smtputf8=True, recipients=(("a@x", RecipientOptions(("NEVER",))),))


@pytest.mark.parametrize("options", [PLAIN_ENVELOPE, ASKED])
def test_a_copy_is_the_message_under_another_number(options: EnvelopeOptions) -> None:
    message = replace(MESSAGE, options=options)
    copy = copy_of(message, 11.5, sender_may_repeat=True)
    assert copy.age_s == 10.0
    # The other server's clock is a day ahead: the message is as old there as here.
    assert message_of(copy, 9, 86411.5) == replace(message, number=9, received_at=86401.5)


def test_a_message_whose_answer_was_read_is_known_by_no_fingerprint() -> None:
    assert copy_of(MESSAGE, 2.0, sender_may_repeat=False).fingerprint == b""


def test_a_recipient_that_is_no_unicode_loses_what_was_asked_about_it() -> None:
    odd = EnvelopeOptions("FULL", recipients=(("\ud800@x", RecipientOptions()),))
    copy = copy_of(replace(MESSAGE, options=odd), 2.0, sender_may_repeat=True)
    assert message_of(copy, 1, 2.0).options == EnvelopeOptions("FULL")


def test_what_no_server_of_ours_writes_is_refused() -> None:
    copy = copy_of(MESSAGE, 2.0, sender_may_repeat=True)
    with pytest.raises(Refusal, match="envelope of a shadow copy"):
        message_of(msgspec.structs.replace(copy, options=b"\x93"), 1, 2.0)
    with pytest.raises(Refusal, match="without recipients"):
        message_of(msgspec.structs.replace(copy, recipients=()), 1, 2.0)
    for age_s in (-1.0, float("nan"), float("inf")):
        with pytest.raises(Refusal, match="s old"):
            message_of(msgspec.structs.replace(copy, age_s=age_s), 1, 2.0)


def test_the_copy_of_what_comes_from_the_safety_net_is_young_and_tells_nobody() -> None:
    again = replace(MESSAGE, options=ASKED, marks=Marks(resubmitted=True))
    copy = message_of(late_copy_of(again, 900.0), 9, 900.0)
    assert copy.received_at == 900.0
    assert [copy.options.of(each).notify for each in ("a@x", "b@x")] == [("NEVER",), ("NEVER",)]
    assert copy.fingerprint == b""
    assert late_copy_of(MESSAGE, 900.0) == copy_of(MESSAGE, 900.0, sender_may_repeat=False)
