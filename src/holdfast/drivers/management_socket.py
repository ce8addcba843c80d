"""The management socket: what the command line and the roles say to management, and how it is framed.

``HOME/run/management.sock`` is a Unix socket. A frame is four bytes of length
(big endian) and that many bytes of MessagePack: one of the structures below.
Whoever connects first says what it is: ``Ask`` makes it a client that wants one
verb done, ``RoleHello`` makes it a role that is told about changes.

Only the user that management runs as, and root, are heard (``drivers.unix_socket``).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from holdfast.drivers.unix_socket import open_private_listener, reachable_name
from holdfast.kernel.errors import Problem, Refusal, Unavailable

FRAME_BYTES_MAX = 64 << 20  # an organisation of 100,000 mailboxes as TOML is below 20 MB
HEADER_BYTES = 4
# In the state of a role: in front of a binding that it could not open; the value says why.
NOT_OPEN = "not_open_"

if TYPE_CHECKING:
    import asyncio  # the command line only asks, without an event loop, and shall start quickly

T = TypeVar("T")

ArgumentValue = str | int | float | bool | list[str] | None
StateValue = str | int | float


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all that travels; written as an array whose first element is the class name."""


# --- said to management --------------------------------------------------------------------------


class Ask(Message, frozen=True):
    """Do one verb of the catalogue; ``noun`` and ``verb`` name it."""

    noun: str
    verb: str
    arguments: dict[str, ArgumentValue]


class RoleHello(Message, frozen=True):
    """A role is here and works with this revision."""

    role: str
    pid: int
    revision: int


class Applied(Message, frozen=True):
    """The role works with this revision now."""

    revision: int


class NotApplied(Message, frozen=True):
    """The role could not read the organisation; it goes on with the one it has."""

    revision: int
    reason: str


class RoleReport(Message, frozen=True):
    """The answer to ``ReportWanted``: Prometheus text, and what ``holdfast status`` shows."""

    number: int
    metrics: bytes
    state: dict[str, StateValue]


class RoleAnswer(Message, frozen=True):
    """The answer to the ``RoleRequest`` of this number; ``body`` is as the verb has it."""

    number: int
    body: bytes


class RoleRefused(Message, frozen=True):
    """A request was not done. ``unavailable``: not now; else what was asked is wrong."""

    number: int
    text: str
    unavailable: bool


# --- said by management --------------------------------------------------------------------------


class Progress(Message, frozen=True):
    """How far a verb is; ``total`` 0 when nobody knows."""

    done: int
    total: int
    text: str


class Finished(Message, frozen=True):
    """The verb is done: its result (MessagePack of the verb's result type), and what to look at."""

    result: bytes
    warnings: list[str]


class Refused(Message, frozen=True):
    """The verb is not done. ``problems`` lists subject, text and advice of each."""

    text: str
    problems: list[tuple[str, str, str]]


class Misused(Message, frozen=True):
    """There is no such verb, or its arguments are not what it takes."""

    text: str


class Failed(Message, frozen=True):
    """Something that the verb needs is not available now."""

    text: str


class OrganisationChanged(Message, frozen=True):
    """The organisation has this revision now; answered by ``Applied`` or ``NotApplied``."""

    revision: int


class ReportWanted(Message, frozen=True):
    """A role is asked for a ``RoleReport`` of this number."""

    number: int


class RoleRequest(Message, frozen=True):
    """A role is asked to do or tell something; answered by ``RoleAnswer`` or ``RoleRefused``.

    ``verb`` names it, ``body`` is MessagePack of the verb's own structure (``drivers.role_requests``).
    """

    number: int
    verb: str
    body: bytes


ToManagement = Ask | RoleHello | Applied | NotApplied | RoleReport | RoleAnswer | RoleRefused
ToRole = OrganisationChanged | ReportWanted | RoleRequest
ToClient = Progress | Finished | Refused | Misused | Failed

_encoder = msgspec.msgpack.Encoder()
_to_management: msgspec.msgpack.Decoder[ToManagement] = msgspec.msgpack.Decoder(ToManagement)
_to_role: msgspec.msgpack.Decoder[ToRole] = msgspec.msgpack.Decoder(ToRole)
_to_client: msgspec.msgpack.Decoder[ToClient] = msgspec.msgpack.Decoder(ToClient)


def encode_message(message: Message) -> bytes:
    """Write one frame, length first.

    Raises:
        Refusal: it is larger than a frame may be.
    """
    body = _encoder.encode(message)
    if len(body) > FRAME_BYTES_MAX:
        raise Refusal(f"a message of {len(body)} bytes is larger than the {FRAME_BYTES_MAX} that may travel")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def decode_to_management(body: bytes) -> ToManagement:
    """Read what management is told.

    Raises:
        Refusal: it is not a message of this protocol.
    """
    return _decode(_to_management, body)


def decode_to_role(body: bytes) -> ToRole:
    """Read what a role is told.

    Raises:
        Refusal: it is not a message of this protocol.
    """
    return _decode(_to_role, body)


def decode_to_client(body: bytes) -> ToClient:
    """Read what a client is answered.

    Raises:
        Refusal: it is not a message of this protocol.
    """
    return _decode(_to_client, body)


def _decode(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(f"not a management message: {error}") from None


def _frame_size(header: bytes) -> int:
    size = int.from_bytes(header, "big")
    if size > FRAME_BYTES_MAX:
        raise Refusal(f"a frame of {size} bytes is longer than {FRAME_BYTES_MAX}")
    return size


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Read one frame's body; None when the peer hung up.

    Raises:
        Refusal: the frame is longer than allowed.
    """
    try:
        header = await reader.readexactly(HEADER_BYTES)
        return await reader.readexactly(_frame_size(header))
    except (EOFError, ConnectionError):  # EOFError: asyncio's IncompleteReadError is one
        return None


# --- the socket itself ---------------------------------------------------------------------------


def management_socket(home: Path) -> Path:
    """Where management of this home answers."""
    return home / "run" / "management.sock"


def open_listener(home: Path) -> socket.socket:
    """Open the management socket, for our user alone; the caller holds the lock of the role.

    Raises:
        Unavailable: it cannot be made.
    """
    return open_private_listener(management_socket(home))


# --- the asking side of the command line ---------------------------------------------------------


class Unreachable(Unavailable):
    """Management does not answer; the text names the socket and what to do."""


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """Nothing was heard for a while; the verb goes on."""


class ManagementClient:
    """One connection that asks one verb, without an event loop: the command line starts quickly."""

    def __init__(self, home: Path, *, connect_timeout_s: float = 5.0) -> None:
        """Connect.

        Raises:
            Unreachable: nobody answers, or we may not ask.
        """
        self._home = home
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._buffer = bytearray()
        path = management_socket(home)
        try:
            self._socket.settimeout(connect_timeout_s)
            with reachable_name(path) as name:
                self._socket.connect(name)
        except OSError as error:
            self._socket.close()
            raise Unreachable(_unreachable_text(home, path, error)) from None

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(
        self, noun: str, verb: str, arguments: dict[str, ArgumentValue], *, patience_s: float = 1.0
    ) -> Iterator[ToClient | StillWaiting]:
        """Ask for a verb and yield what is heard, an end of it last.

        ``StillWaiting`` comes after each ``patience_s`` of silence.

        Raises:
            Unreachable: the connection was lost before the end.
        """
        try:
            self._socket.settimeout(None)
            self._socket.sendall(encode_message(Ask(noun, verb, arguments)))
            self._socket.settimeout(patience_s)
            while True:
                message = self._next()
                yield message
                if not isinstance(message, Progress | StillWaiting):
                    return
        except OSError as error:
            raise Unreachable(_lost_text(self._home, error.strerror or str(error))) from None

    def _next(self) -> ToClient | StillWaiting:
        while True:
            if len(self._buffer) >= HEADER_BYTES:
                end = HEADER_BYTES + _frame_size(bytes(self._buffer[:HEADER_BYTES]))
                if len(self._buffer) >= end:
                    body = bytes(self._buffer[HEADER_BYTES:end])
                    del self._buffer[:end]
                    return decode_to_client(body)
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                return StillWaiting()
            if not data:
                raise Unreachable(_lost_text(self._home, "it closed the connection"))
            self._buffer += data


def _unreachable_text(home: Path, path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError):
        advice = "run the command as the user that Holdfast runs as, or with sudo"
    else:
        advice = f"start it with: holdfast up --home {home}"
    return f"no answer from the server at {path} ({reason}); {advice}"


def _lost_text(home: Path, reason: str) -> str:
    return (
        f"the connection to the server at {management_socket(home)} was lost before it answered ({reason}); "
        f"what was asked may have been done, look before you ask again; if the server does not run, "
        f"start it with: holdfast up --home {home}"
    )


def refused(refusal: Refusal) -> Refused:
    """A refusal as it travels."""
    return Refused(refusal.text, [(each.subject, each.text, each.advice) for each in refusal.problems])


def refusal_of(message: Refused) -> Refusal:
    """The refusal that travelled."""
    return Refusal(message.text, problems=tuple(Problem(*each) for each in message.problems))
