"""What all IMAP commands share: who is signed in, what is selected, and how a command asks others.

A command is a generator. It reads its arguments, says untagged responses, and
yields a *step* whenever the answer of somebody else is needed; the session
performs the step and sends the answer in. It returns the response code of its
tagged OK, or raises ``No`` or ``Bad``. So each command reads from top to
bottom, and none holds up another session.

Source: RFC 3501; RFC 5530 for the response codes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from holdfast.access.imap_selected import SelectedFolder
from holdfast.access.sign_in import Account
from holdfast.wire import store
from holdfast.wire.imap import Arguments

MESSAGE_BYTES_MAX = 36 << 20  # as a receive connector's message_bytes_max (exchange-behaviour RC-1)
SEND_BYTES_MAX = 256 << 10  # a long answer goes on when this much has left


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Limits of a session.

    Attributes:
        message_bytes_max: the largest message that APPEND takes.
        send_bytes_max: how much is handed to the connection at once.
        bad_command_count_max: BAD answers in a row after which the session ends.
        sign_in_count_max: failed sign-ins after which the session ends.
        pipelined_bytes_max: what a client may send ahead while a command runs.
        connection_count_max: connections at a time.
        connection_count_per_source_max: of them from one source, an IPv4 address or an IPv6 /64.
        strangers_per_source_max: of these not signed in yet.
    """

    message_bytes_max: int = MESSAGE_BYTES_MAX
    send_bytes_max: int = SEND_BYTES_MAX
    bad_command_count_max: int = 20
    sign_in_count_max: int = 3
    pipelined_bytes_max: int = 64 << 10
    connection_count_max: int = 5_000
    connection_count_per_source_max: int = 500
    strangers_per_source_max: int = 100


class No(Exception):
    """The command failed: tagged NO, with a response code (RFC 5530) or an empty one."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Bad(Exception):
    """The command makes no sense: tagged BAD."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Farewell(Exception):
    """The session ends with ``* BYE text``; ``tagged`` is what follows behind it, or empty."""

    def __init__(self, text: str, tagged: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.tagged = tagged


class Severed(Exception):
    """The session ends without a word: a literal was begun that cannot be ended, so nothing could be read."""


# --- steps -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the mailbox database of the account; comes back with the ``store.Answer``."""

    operation: store.Operation


@dataclass(frozen=True, slots=True)
class CheckCredentials:
    """Verify a password; comes back with the ``Account``, or None."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Send what was said so far and come back (with None) when it has left."""


@dataclass(frozen=True, slots=True)
class ReadLine:
    """Send what was said so far and come back with the next line of the client, without its CRLF."""


@dataclass(frozen=True, slots=True)
class AwaitChange:
    """Send what was said so far; come back with a line of the client, or None when the folder changed."""


@dataclass(frozen=True, slots=True)
class WatchFolder:
    """Tell this session from now on (or no more) when a folder changes; comes back at once."""

    folder_id: int
    wanted: bool


@dataclass(frozen=True, slots=True)
class BeginTls:
    """Send what was said, then begin TLS; comes back when it is on."""


@dataclass(frozen=True, slots=True)
class HoldBytes:
    """Wait for a share of what all sessions may hold of messages; one at a time, see ``imap_reading``."""

    byte_count: int


@dataclass(frozen=True, slots=True)
class ReleaseBytes:
    """Give the share back; comes back at once."""


Step = (
    HoldBytes
    | ReleaseBytes
    | Ask
    | CheckCredentials
    | Drain
    | ReadLine
    | AwaitChange
    | WatchFolder
    | BeginTls
)
StepResult = store.Answer | Account | bytes | None
Handler = Callable[["Conversation", Arguments], Generator[Step, StepResult, str]]

AnswerType = TypeVar("AnswerType", bound=store.Structure)


class Conversation:
    """The state of one client's session that commands read and change.

    Attributes:
        account: who is signed in, or None.
        selected: the selected folder, or None.
        left: what was selected before a SELECT that failed; its recent messages are still this session's.
        tls_active: whether the connection is encrypted.
        tls_offered: whether STARTTLS can be done.
        password_allowed: whether a password may be sent over this connection.
        tag: of the running command.
        using_uid: whether the running command is a UID command.
        failed_sign_in_count: wrong passwords so far.
        now: the wall clock at the last input, in seconds since 1970.
        out: what was said and not sent yet.
    """

    def __init__(
        self, settings: SessionSettings, *, tls_active: bool, tls_offered: bool, local_client: bool
    ) -> None:
        self.settings = settings
        self.tls_active = tls_active
        self.tls_offered = tls_offered
        self.local_client = local_client
        self.account: Account | None = None
        self.selected: SelectedFolder | None = None
        self.left: SelectedFolder | None = None
        self.tag = ""
        self.using_uid = False
        self.failed_sign_in_count = 0
        self.now = 0.0
        self.out = bytearray()

    @property
    def password_allowed(self) -> bool:
        """Whether a password may travel on this connection (RFC 3501 section 11.2)."""
        return self.tls_active or self.local_client

    def say(self, *pieces: bytes) -> None:
        """Write one response line."""
        for piece in pieces:
            self.out += piece
        self.out += b"\r\n"

    def signed_in(self) -> Account:
        """The account of a session in a state that has one."""
        assert self.account is not None
        return self.account

    def folder(self) -> SelectedFolder:
        """The selected folder of a session in a state that has one."""
        assert self.selected is not None
        return self.selected

    def writable_folder(self) -> SelectedFolder:
        """The selected folder, which must have been opened by SELECT.

        Raises:
            No: it was opened by EXAMINE.
        """
        selected = self.folder()
        if selected.read_only:
            raise No("Mailbox is read only.")
        return selected


def ask(operation: store.Operation, expected: type[AnswerType]) -> Generator[Step, StepResult, AnswerType]:
    """Ask the mailbox database and return an answer of the expected kind.

    Raises:
        No: it was refused, with the reason as response code.
    """
    answer = yield Ask(operation)
    if isinstance(answer, store.Refused):
        raise No(answer.text, answer.reason.value)
    assert isinstance(answer, expected), answer
    return answer


def claim_or_look(
    operation: store.OpenFolder | store.ReadChanges,
) -> Generator[Step, StepResult, StepResult]:
    r"""Open or follow a folder; where \Recent cannot be claimed, because the disk is full, without claiming.

    Reading one's mail must not depend on a disk that can be written.
    """
    answer = yield Ask(operation)
    if (
        operation.claim_recent
        and isinstance(answer, store.Refused)
        and answer.reason is store.RefusalReason.UNAVAILABLE
    ):
        answer = yield Ask(msgspec.structs.replace(operation, claim_recent=False))
    return answer


def drain_if_long(conversation: Conversation) -> Generator[Step, StepResult, None]:
    """Let a long answer leave before more of it is made; this bounds what a slow reader costs."""
    if len(conversation.out) >= conversation.settings.send_bytes_max:
        yield Drain()


def named_uids(
    conversation: Conversation, arguments: Arguments
) -> Generator[Step, StepResult, Sequence[int]]:
    """Read a set of messages and return the UIDs it names, in ascending order.

    Raises:
        Bad: a sequence number beyond the last message (RFC 3501 section 9,
            ``seq-number``). UIDs that are not there are no error (section 6.4.8).
    """
    selected = conversation.folder()
    chosen = arguments.sequence_set()
    if conversation.using_uid:
        return chosen.uids(selected.uids)
    if selected.count == 0 and any(None in pair for pair in chosen.ranges):
        return []  # "all messages" of an empty folder are none, which Apache James accepts too
    if chosen.beyond(selected.count):
        # It may name a message that came just now; the client hears of that before it reads of it.
        yield from refresh(conversation)
        conversation.out += selected.updates(expunges=False, with_uid=False)
    if chosen.beyond(selected.count):
        raise Bad("Invalid messageset.")
    return [selected.uids[number - 1] for number in chosen.numbers(selected.count)]


def refresh(conversation: Conversation) -> Generator[Step, StepResult, None]:
    """Learn what happened in the selected folder; nothing is said yet.

    A database that cannot be asked now changes nothing: the next command asks again.

    Raises:
        Farewell: the folder was deleted by somebody else.
    """
    selected = conversation.selected
    if selected is None:
        return
    answer = yield from claim_or_look(
        store.ReadChanges(
            mailbox_id=conversation.signed_in().mailbox_id,
            folder_id=selected.folder_id,
            after=selected.position,
            claim_recent=not selected.read_only,
        )
    )
    if isinstance(answer, store.Refused) and answer.reason is not store.RefusalReason.NONEXISTENT:
        return
    if isinstance(answer, store.Refused) or (isinstance(answer, store.Changes) and not answer.folder_exists):
        raise Farewell("Selected mailbox has been deleted")
    assert isinstance(answer, store.Changes), answer
    selected.absorb(answer)
