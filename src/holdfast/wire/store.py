"""The store protocol: what the mailbox role is asked and what it answers.

Transport delivers through it and access reads and changes through it; nobody
else opens a mailbox database. A frame is four bytes of length (big endian) and
that many bytes of MessagePack; a request carries a number that its answer
repeats, and answers may come in any order. ``Changed`` comes unasked to whoever
sent ``Watch``.

Positions: every change to a folder takes the next number of that folder's one
change log. ``modification`` on a message is the position of its last change
(IMAP's MODSEQ).

The structures are msgspec arrays: one frame carries hundreds of messages on the
measured delivery path.
"""

from __future__ import annotations

import enum

import msgspec

from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId, NetworkMessageId
from holdfast.wire.framing import write_frame


class Structure(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all that travels; written as an array whose first element is the class name."""


# --- what is asked -------------------------------------------------------------------------------


class Target(Structure, frozen=True):
    """One mailbox that gets a message.

    Attributes:
        mailbox_id: which mailbox.
        prefix: header lines for this recipient alone (Return-Path, Delivered-To),
            each ended by CRLF; the stored message is ``prefix + data``.
        quota_bytes: the size above which the mailbox refuses mail.
    """

    mailbox_id: MailboxId
    prefix: bytes
    quota_bytes: int


class Delivery(Structure, frozen=True):
    """One message for one or more mailboxes of one database."""

    network_message_id: NetworkMessageId
    data: bytes
    received_at: float
    targets: list[Target]


class Deliver(Structure, frozen=True):
    """Put messages into inboxes; answered by ``Delivered`` after the commit."""

    deliveries: list[Delivery]


class ListFolders(Structure, frozen=True):
    """Ask for all folders of a mailbox; the mailbox is made with its special folders when it is new."""

    mailbox_id: MailboxId


class CreateFolder(Structure, frozen=True):
    """Make a folder and the folders above it; answered by ``FolderList`` with that one folder."""

    mailbox_id: MailboxId
    name: str


class DeleteFolder(Structure, frozen=True):
    """Remove a folder with its messages; answered by ``Done``."""

    mailbox_id: MailboxId
    name: str


class RenameFolder(Structure, frozen=True):
    """Rename a folder and all below it; INBOX gives its messages to a new folder (RFC 3501 6.3.5).

    A new INBOX takes the place of the old one, with another folder id and UID validity. Levels above
    ``new_name`` that do not exist are not made; see ``Folder``.
    """

    mailbox_id: MailboxId
    name: str
    new_name: str


class Subscribe(Structure, frozen=True):
    """Put a name on or take it off the list of subscriptions; the folder need not exist."""

    mailbox_id: MailboxId
    name: str
    subscribed: bool


class OpenFolder(Structure, frozen=True):
    """Ask for a folder and its messages; ``claim_recent`` takes the recent messages for this session."""

    mailbox_id: MailboxId
    name: str
    claim_recent: bool


class ReadChanges(Structure, frozen=True):
    """Ask what happened in a folder after a position."""

    mailbox_id: MailboxId
    folder_id: int
    after: int
    claim_recent: bool


class Part(enum.Enum):
    """How much of a message is asked for."""

    METADATA = "metadata"
    HEADER = "header"
    ALL = "all"


class FetchMessages(Structure, frozen=True):
    """Ask for messages by UID; UIDs that are gone are left out of the answer.

    ``bytes_max`` bounds the data of the answer: a message whose part alone is
    larger comes without data, as the only one. 0 stands for a bound of the
    store's own, above which one message still comes whole.
    """

    mailbox_id: MailboxId
    folder_id: int
    uids: list[int]
    part: Part
    bytes_max: int = 0


class FetchSlice(Structure, frozen=True):
    """Ask for bytes of one message from an offset on; answered by ``Slice``, NONEXISTENT when it is gone."""

    mailbox_id: MailboxId
    folder_id: int
    uid: int
    offset: int
    length: int


class AppendMessage(Structure, frozen=True):
    """Put a client's message into a folder, byte for byte."""

    mailbox_id: MailboxId
    name: str
    data: bytes
    flags: list[str]
    internal_at: float
    quota_bytes: int


class FlagAction(enum.Enum):
    """What to do with the given flags."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


class StoreFlags(Structure, frozen=True):
    """Change flags of messages; answered by ``FlagsStored``."""

    mailbox_id: MailboxId
    folder_id: int
    uids: list[int]
    action: FlagAction
    flags: list[str]


class CopyMessages(Structure, frozen=True):
    """Copy messages, or move them when ``move`` is set, all or none; answered by ``Copied``."""

    mailbox_id: MailboxId
    folder_id: int
    uids: list[int]
    target_name: str
    move: bool
    quota_bytes: int


class Expunge(Structure, frozen=True):
    r"""Remove the messages with \Deleted; ``uids`` None means any; answered by ``Expunged``."""

    mailbox_id: MailboxId
    folder_id: int
    uids: list[int] | None


class ReadUsage(Structure, frozen=True):
    """Ask how much mailboxes hold; answered by ``UsageRead``."""

    mailbox_ids: list[MailboxId]


class FindMissing(Structure, frozen=True):
    """Ask which deliveries are not remembered here; answered by ``Missing``.

    A delivery is a message and a mailbox. What its owner deleted since is remembered all the same.
    """

    asked: list[tuple[NetworkMessageId, MailboxId]]


class Watch(Structure, frozen=True):
    """From now on tell this connection when a folder changes (``Changed``); answered by ``Done``."""

    mailbox_id: MailboxId
    folder_id: int
    wanted: bool


Operation = (
    Deliver
    | ListFolders
    | CreateFolder
    | DeleteFolder
    | RenameFolder
    | Subscribe
    | OpenFolder
    | ReadChanges
    | FetchMessages
    | FetchSlice
    | AppendMessage
    | StoreFlags
    | CopyMessages
    | Expunge
    | ReadUsage
    | FindMissing
    | Watch
)


# --- what is answered ----------------------------------------------------------------------------


class Outcome(enum.Enum):
    """What became of one target of a delivery."""

    DELIVERED = "delivered"
    DUPLICATE = "duplicate"  # this message is in this mailbox already: the answer to an earlier try was lost
    OVER_QUOTA = "over quota"


class Delivered(Structure, frozen=True):
    """One list per delivery, one outcome per target, in the order asked; all are durable."""

    outcomes: list[list[Outcome]]


class Folder(Structure, frozen=True):
    """What is known of one folder.

    Attributes:
        folder_id: the same for ever, also after a rename.
        name: full name, levels parted by ``/``; the inbox is ``INBOX``. A level above need not be a folder.
        special_use: ``\\Sent`` and so on (RFC 6154), or empty.
        selectable: False for a name that only has folders below it.
        exists: False for a subscription whose folder is gone.
        highest_position: the last position of its change log.
    """

    folder_id: int
    name: str
    special_use: str
    subscribed: bool
    selectable: bool
    exists: bool
    uid_validity: int
    uid_next: int
    message_count: int
    unseen_count: int
    recent_count: int
    size_bytes: int
    highest_position: int


class FolderList(Structure, frozen=True):
    """Folders in the order of their names, INBOX first."""

    folders: list[Folder]


class MessageState(Structure, frozen=True):
    """UID, flags (sorted, system flags with their backslash) and last change of one message."""

    uid: int
    flags: tuple[str, ...]
    modification: int


class FolderOpened(Structure, frozen=True):
    """A folder and its messages in UID order; ``recent_uids`` are those claimed by this session."""

    folder: Folder
    messages: list[MessageState]
    recent_uids: list[int]


class Changes(Structure, frozen=True):
    """What happened after a position: UIDs that went, messages that came or changed, in UID order.

    ``folder_exists`` is False when the folder was deleted.
    """

    position: int
    vanished: list[int]
    changed: list[MessageState]
    recent_uids: list[int]
    folder_exists: bool


class StoredMessage(Structure, frozen=True):
    """One message.

    Attributes:
        item_id: the same on every copy of the database; moves keep it.
        size_bytes: of the whole message, whatever part was asked for.
        header_bytes: size of its header with the empty line that ends it.
        data: the part asked for; empty for ``Part.METADATA``.
    """

    uid: int
    item_id: str
    internal_at: float
    size_bytes: int
    header_bytes: int
    data: bytes


class Messages(Structure, frozen=True):
    """Messages in UID order. ``complete`` is False when the answer was cut to bound its size: ask again."""

    messages: list[StoredMessage]
    complete: bool


class Slice(Structure, frozen=True):
    """The bytes asked for; fewer only where the message ends."""

    data: bytes


class Appended(Structure, frozen=True):
    """Where an appended message is now."""

    uid_validity: int
    uid: int


class FlagsStored(Structure, frozen=True):
    """The messages asked for that still exist, as they are now."""

    messages: list[MessageState]


class Copied(Structure, frozen=True):
    """Old and new UIDs in the same order; UIDs that were gone are left out."""

    uid_validity: int
    source_uids: list[int]
    target_uids: list[int]


class Expunged(Structure, frozen=True):
    """The UIDs that were removed."""

    uids: list[int]


class UsageRead(Structure, frozen=True):
    """Bytes and messages per mailbox, in the order asked."""

    size_bytes: list[int]
    message_count: list[int]


class Missing(Structure, frozen=True):
    """Which of the deliveries asked for are not there, by their places in the question.

    ``last_at`` is the instant of the newest delivery that is remembered, by the wall clock of the store; None
    when none is.
    """

    places: list[int]
    last_at: float | None


class Done(Structure, frozen=True):
    """It is done, there is nothing to say."""


class Refused(Structure, frozen=True):
    """It is not done. ``reason`` is a word for programs, ``text`` a sentence for people."""

    reason: RefusalReason
    text: str


class RefusalReason(enum.Enum):
    """Why a store operation was refused; the names are IMAP response codes' (RFC 5530)."""

    NONEXISTENT = "NONEXISTENT"
    ALREADYEXISTS = "ALREADYEXISTS"
    CANNOT = "CANNOT"
    OVERQUOTA = "OVERQUOTA"
    UNAVAILABLE = "UNAVAILABLE"  # a full disk, say; try again later


class Changed(Structure, frozen=True):
    """Unasked: a watched folder has reached a position."""

    folder_id: int
    position: int


Answer = (
    Delivered
    | FolderList
    | FolderOpened
    | Changes
    | Messages
    | Slice
    | Appended
    | FlagsStored
    | Copied
    | Expunged
    | UsageRead
    | Missing
    | Done
    | Refused
    | Changed
)


class Request(msgspec.Struct, frozen=True, array_like=True):
    """A numbered question."""

    number: int
    operation: Operation


class Response(msgspec.Struct, frozen=True, array_like=True):
    """The answer to the question of the same number; 0 for ``Changed``."""

    number: int
    answer: Answer


_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(Request)
_response_decoder = msgspec.msgpack.Decoder(Response)


def encode_frame(item: Request | Response) -> bytes:
    """Write one frame, length first."""
    return write_frame(_encoder.encode(item))


def decode_request(body: bytes) -> Request:
    """Read the body of a frame that asks.

    Raises:
        Refusal: the body is not a request of this protocol.
    """
    try:
        return _request_decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(f"not a store request: {error}") from None


def decode_response(body: bytes) -> Response:
    """Read the body of a frame that answers.

    Raises:
        Refusal: the body is not a response of this protocol.
    """
    try:
        return _response_decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(f"not a store response: {error}") from None
