"""A queued message as a shadow copy, and back.

Source: exchange-behaviour SR13-1; ``wire.shadow``.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from holdfast.kernel.errors import Refusal
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, asking_nothing
from holdfast.transport.queue import QueuedMessage
from holdfast.wire import shadow

AGE_S_MAX = 10 * 365 * 86400.0  # what is older, or from the future, is no age

_options_encoder = msgspec.msgpack.Encoder()
_options_decoder = msgspec.msgpack.Decoder(EnvelopeOptions)


def copy_of(message: QueuedMessage, wall: float, *, sender_may_repeat: bool) -> shadow.Copy:
    """Write a message as what a partner is asked to hold.

    Args:
        message: with its data at hand.
        wall: now, by our wall clock.
        sender_may_repeat: its sender has not read our 250, so the same again is a second try.
    """
    assert message.data is not None
    options = b"" if message.options is PLAIN_ENVELOPE else _options_bytes(message.options)
    return shadow.Copy(
        message.number,
        message.network_message_id,
        max(0.0, wall - message.received_at),
        message.reverse_path,
        message.recipients,
        message.message_id,
        message.subject,
        message.fingerprint if sender_may_repeat else b"",
        options,
        message.data,
    )


def late_copy_of(message: QueuedMessage, now: float) -> shadow.Copy:
    """Write a message whose sender has read its 250 long ago; ``now`` by the wall clock.

    Who takes over one that came from the Safety Net tells nobody of it either (exchange-behaviour SN-6), and
    does not count its age from its first delivery: it would be given up at once.
    """
    if message.marks.resubmitted:
        options = asking_nothing(message.options, message.recipients)
        message = replace(message, received_at=now, options=options)
    return copy_of(message, now, sender_may_repeat=False)


def _options_bytes(options: EnvelopeOptions) -> bytes:
    try:
        return _options_encoder.encode(options)
    except UnicodeEncodeError:
        # An address that is not valid Unicode: the message goes, without what was asked about recipients.
        return _options_encoder.encode(replace(options, recipients=()))


def message_of(copy: shadow.Copy, number: int, wall: float) -> QueuedMessage:
    """Read a copy as a queued message under a number of ours; ``wall`` is now, by our wall clock.

    Raises:
        Refusal: it is not what a server of ours writes.
    """
    try:
        options = _options_decoder.decode(copy.options) if copy.options else PLAIN_ENVELOPE
    except msgspec.MsgspecError as error:
        raise Refusal(f"not the envelope of a shadow copy: {error}") from None
    if not 0.0 <= copy.age_s < AGE_S_MAX:
        raise Refusal(f"a shadow copy that is {copy.age_s:.0f} s old")
    if not copy.recipients:
        raise Refusal("a shadow copy without recipients")
    return QueuedMessage(
        number=number,
        network_message_id=copy.network_message_id,
        received_at=wall - copy.age_s,
        reverse_path=copy.reverse_path,
        recipients=copy.recipients,
        size_bytes=len(copy.data),
        data=copy.data,
        message_id=copy.message_id,
        subject=copy.subject,
        fingerprint=copy.fingerprint,
        options=options,
    )
