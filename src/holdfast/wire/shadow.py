"""The shadow protocol: how one transport server of ours has another hold copies of its messages.

After the command XSHADOW of SMTP (see ``transport.shadow_link``) both sides of the connection speak frames:
four bytes of length (big endian) and that many bytes of MessagePack, an array whose first element
is the name. Who opened the connection is the *primary* and speaks of its own messages; the other
side is the *holder*. Numbers are those of the primary's queue database, whose identity both sides have
told each other before: a number means nothing under another identity.

The protocol is ours: Exchange's XSHADOW and XQDISCARD have no public description on the wire.

Source: exchange-behaviour SR13-1, SR13-6, SR13-7, and its remark (c) on section 2.2; docs/decisions/0016.
"""

from __future__ import annotations

import msgspec

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import NetworkMessageId
from holdfast.wire.framing import write_frame

VERSION = 1  # what we speak; two servers use the lower of theirs
NUMBERS_PER_FRAME = 5000


class Structure(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all that travels."""


# --- what a primary says -------------------------------------------------------------------------


class Copy(Structure, frozen=True):
    """Hold this message; answered by ``Held`` after the commit, or by ``NotHeld``.

    Attributes:
        number: in the primary's queue.
        network_message_id: the same on all copies.
        age_s: how long ago the primary took it in. Not an instant: no clock of another server makes a
            message older than it is.
        reverse_path, recipients: the envelope, as it was taken in.
        message_id, subject: for the tracking log.
        fingerprint: by which a second try of its sender is known; empty when its sender has read our 250.
        options: the envelope beyond addresses, as ``transport`` writes it; empty for nothing.
        data: the message with the primary's trace header.
    """

    number: int
    network_message_id: NetworkMessageId
    age_s: float
    reverse_path: str
    recipients: tuple[str, ...]
    message_id: str
    subject: str
    fingerprint: bytes
    options: bytes
    data: bytes


class Finished(Structure, frozen=True):
    """The discard: nothing more has to be done for these; answered by ``Discarded`` after the commit.

    Attributes:
        kept: those that go to the Safety Net, since mailboxes of ours have them.
        gone: those that nobody will ask for again.
    """

    kept: tuple[int, ...]
    gone: tuple[int, ...]


class Narrowed(Structure, frozen=True):
    """A host outside has the message for some recipients; only these are left. Not answered."""

    number: int
    recipients: tuple[str, ...]


class AnswersRead(Structure, frozen=True):
    """The senders of messages with these fingerprints have read our 250: the same again is a new message."""

    fingerprints: tuple[bytes, ...]


class Noted(Structure, frozen=True):
    """The primary does no more for these, since the holder took them over (``TookOver``)."""

    numbers: tuple[int, ...]


class Ping(Structure, frozen=True):
    """The primary lives; answered by ``Pong``."""


# --- what a holder says --------------------------------------------------------------------------


class Held(Structure, frozen=True):
    """Copies of these are durable here."""

    numbers: tuple[int, ...]


class NotHeld(Structure, frozen=True):
    """No copy of these is kept: the disk is full, say; ``reason`` is for people."""

    numbers: tuple[int, ...]
    reason: str


class Discarded(Structure, frozen=True):
    """The discard of these is durable here."""

    numbers: tuple[int, ...]


class Holding(Structure, frozen=True):
    """What is held for this identity, said once after the connection began, in pieces.

    The primary answers with ``Finished`` for all that it has not: they are finished, or it died before
    it took them in.

    Attributes:
        complete: whether this is the last piece.
    """

    numbers: tuple[int, ...]
    complete: bool


class TookOver(Structure, frozen=True):
    """These were taken over: the holder answers for them now. Repeated until ``Noted``."""

    numbers: tuple[int, ...]


class Pong(Structure, frozen=True):
    """The holder lives."""


PrimaryFrame = Copy | Finished | Narrowed | AnswersRead | Noted | Ping
HolderFrame = Held | NotHeld | Discarded | Holding | TookOver | Pong

_encoder = msgspec.msgpack.Encoder()
_primary_decoder: msgspec.msgpack.Decoder[PrimaryFrame] = msgspec.msgpack.Decoder(PrimaryFrame)
_holder_decoder: msgspec.msgpack.Decoder[HolderFrame] = msgspec.msgpack.Decoder(HolderFrame)


def encode_frame(frame: PrimaryFrame | HolderFrame) -> bytes:
    """Write one frame, length first.

    Raises:
        Refusal: an address of the message is not valid Unicode, which this protocol cannot carry.
    """
    try:
        return write_frame(_encoder.encode(frame))
    except UnicodeEncodeError:
        raise Refusal("an address that is not valid Unicode cannot be copied") from None


def decode_primary(body: bytes) -> PrimaryFrame:
    """Read the body of a frame of a primary.

    Raises:
        Refusal: it is none.
    """
    try:
        return _primary_decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(f"not a frame of a primary: {error}") from None


def decode_holder(body: bytes) -> HolderFrame:
    """Read the body of a frame of a holder.

    Raises:
        Refusal: it is none.
    """
    try:
        return _holder_decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(f"not a frame of a holder: {error}") from None
