"""Read bodies of messages from the store with bounded memory, for FETCH and SEARCH.

What all sessions together hold of messages is bounded by the node
(``access.body_budget``): a session asks for a share with ``HoldBytes``, waits
for its turn, and gives it back with ``ReleaseBytes``. Small messages come
together in one answer of ``PIECE_BYTES``. A larger one comes alone, and whole
only for the moment in which it is parsed: nothing is sent meanwhile, so no
slow client keeps others waiting. What is sent of it is read piece by piece.

Invariant: a session holds one share at a time, so nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from holdfast.access.imap_conversation import (
    Conversation,
    HoldBytes,
    No,
    ReleaseBytes,
    Step,
    StepResult,
    ask,
)
from holdfast.wire import store

PIECE_BYTES = 256 << 10
# A piece is in memory twice while it goes from the store's answer to the connection.
PIECE_SHARE_BYTES = 2 * PIECE_BYTES
# How many messages are asked for at once, by how much of each is wanted.
SLICES = {store.Part.METADATA: 1000, store.Part.HEADER: 200, store.Part.ALL: 50}


def read_batch(
    conversation: Conversation, uids: Sequence[int], part: store.Part
) -> Generator[Step, StepResult, tuple[list[store.StoredMessage], list[int]]]:
    """Read as many of the messages as one answer holds.

    The caller holds a share for a piece. A message that is larger than a piece
    comes without its data, as the only one of its answer: see ``is_cut``.

    Returns:
        Messages in UID order, and the UIDs that are still to be read.
    """
    wanted = list(uids[: SLICES[part]])
    answer = yield from ask(
        store.FetchMessages(
            mailbox_id=conversation.signed_in().mailbox_id,
            folder_id=conversation.folder().folder_id,
            uids=wanted,
            part=part,
            bytes_max=PIECE_BYTES,
        ),
        store.Messages,
    )
    if answer.complete or not answer.messages:
        return answer.messages, list(uids[SLICES[part] :])
    last = answer.messages[-1].uid
    return answer.messages, [uid for uid in uids if uid > last]


def is_cut(message: store.StoredMessage, part: store.Part) -> bool:
    """Whether a message came without its data because that is larger than a piece."""
    return _part_bytes(message, part) > PIECE_BYTES and not message.data


def _part_bytes(message: store.StoredMessage, part: store.Part) -> int:
    return {store.Part.METADATA: 0, store.Part.HEADER: message.header_bytes}.get(part, message.size_bytes)


def read_whole(
    conversation: Conversation, message: store.StoredMessage, part: store.Part
) -> Generator[Step, StepResult, store.StoredMessage | None]:
    """Read a large message for the moment; the caller holds no share, and releases this one soon.

    None when the message is gone.
    """
    yield HoldBytes(2 * _part_bytes(message, part))  # what is made of it may be as large as itself
    answer = yield from ask(
        store.FetchMessages(
            mailbox_id=conversation.signed_in().mailbox_id,
            folder_id=conversation.folder().folder_id,
            uids=[message.uid],
            part=part,
        ),
        store.Messages,
    )
    return answer.messages[0] if answer.messages else None


def read_piece(
    conversation: Conversation, uid: int, offset: int, size: int
) -> Generator[Step, StepResult, bytes]:
    """Read some bytes of one message; the caller holds a share for a piece.

    Raises:
        No: the message is gone, or the database cannot be asked.
    """
    answer = yield from ask(
        store.FetchSlice(
            mailbox_id=conversation.signed_in().mailbox_id,
            folder_id=conversation.folder().folder_id,
            uid=uid,
            offset=offset,
            length=size,
        ),
        store.Slice,
    )
    if len(answer.data) != size:
        raise No("The message cannot be read.")
    return answer.data


def hold_piece() -> Generator[Step, StepResult, None]:
    """Wait for a share of one piece."""
    yield HoldBytes(PIECE_SHARE_BYTES)


def release() -> Generator[Step, StepResult, None]:
    """Give the share back."""
    yield ReleaseBytes()


def pieces_of(offset: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut a range of bytes into pieces, as offset and size."""
    for start in range(offset, offset + size, PIECE_BYTES):
        yield start, min(PIECE_BYTES, offset + size - start)
