"""The beginning of a shadow link: SMTP up to XSHADOW, as a machine; then frames.

The primary connects to where servers of ours take mail, says EHLO and STARTTLS, and shows its certificate.
Only then, and only to a server of ours, the other side offers XHOLDFAST. The command

    XSHADOW <version> <our server name> <identity of our queue database>

is answered by ``250 2.0.0 <version> <its server name> <identity of its queue database>``, where the version
is the lower of the two; then frames of ``wire.shadow`` go both ways.

Source: RFC 5321 section 4.1.1.1 and RFC 3207 for the SMTP part; docs/decisions/0016.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal
from holdfast.wire.shadow import VERSION
from holdfast.wire.smtp_reply import ReplyReader, ServerReply, parse_ehlo

KEYWORD = b"XHOLDFAST"
STEP_S = 15.0  # for each answer until the link stands

_IDENTITY = re.compile(rb"[0-9a-f]{8,64}")
_NAME = re.compile(rb"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server says of itself when a link begins.

    Attributes:
        version: of the protocol that it asks for, or that both speak.
        server: its name in the organisation.
        identity: of its queue database.
    """

    version: int
    server: str
    identity: str


def parse_hello(argument: bytes) -> Hello:
    """Read the argument of XSHADOW, or the text of its answer.

    Raises:
        Refusal: 501, it is not three words as they should be.
    """
    words = argument.split()
    if (
        len(words) != 3
        or not (words[0].isdigit() and len(words[0]) < 6)
        or not _NAME.fullmatch(words[1])
        or not _IDENTITY.fullmatch(words[2])
        or int(words[0]) == 0
    ):
        raise Refusal("write XSHADOW version server identity", code=501, status="5.5.4")
    try:
        server = words[1].decode("ascii")
    except UnicodeDecodeError:
        raise Refusal("write XSHADOW version server identity", code=501, status="5.5.4") from None
    return Hello(int(words[0]), server, words[2].decode("ascii"))


class _State(enum.Enum):
    GREETING = "the greeting"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    HANDSHAKE = "the TLS handshake"
    EHLO_UNDER_TLS = "EHLO under TLS"
    XSHADOW = "XSHADOW"
    STANDS = "nothing, the link stands"


class Progress(enum.Enum):
    """What follows from what came."""

    WAIT = enum.auto()
    START_TLS = enum.auto()
    STANDS = enum.auto()


class LinkBeginning:
    """The primary's side until the link stands.

    After each call take ``take_output()``. ``peer`` is who answered, ``rest`` what came after its answer.
    """

    def __init__(self, ehlo_name: str, hello: Hello) -> None:
        self._ehlo_name = ehlo_name
        self._hello = hello
        self._state = _State.GREETING
        self._reader = ReplyReader()
        self._output = b""
        self.peer: Hello | None = None
        self.rest = b""

    @property
    def waits_for(self) -> str:
        """What it waits for, for people."""
        return self._state.value

    def take_output(self) -> bytes:
        """What is to be written now."""
        output, self._output = self._output, b""
        return output

    def receive(self, data: bytes) -> Progress:
        """Take bytes of the other server.

        Raises:
            Refusal: it does not want us, or is none that knows shadow links; the text is for people.
        """
        self._reader.feed(data)
        while (reply := self._reader.take()) is not None:
            progress = self._reply(reply)
            if progress is Progress.STANDS:
                self.rest = self._reader.pending
            if progress is not Progress.WAIT:
                # What came in the clear behind the answer to STARTTLS is not looked at (RFC 3207 section 6).
                return progress
        return Progress.WAIT

    def tls_started(self) -> None:
        """TLS is on: begin anew."""
        assert self._state is _State.HANDSHAKE
        self._reader = ReplyReader()
        self._state = _State.EHLO_UNDER_TLS
        self._say_ehlo()

    def _say_ehlo(self) -> None:
        self._output += f"EHLO {self._ehlo_name}\r\n".encode("ascii")

    def _reply(self, reply: ServerReply) -> Progress:
        if not 200 <= reply.code < 300:
            raise Refusal(f"it answered {self._state.value} with {reply.code} {reply.text}")
        match self._state:
            case _State.GREETING:
                self._state = _State.EHLO
                self._say_ehlo()
            case _State.EHLO:
                if not parse_ehlo(reply).starttls:
                    raise Refusal("it does not offer STARTTLS, and copies go under TLS only")
                self._state = _State.STARTTLS
                self._output += b"STARTTLS\r\n"
            case _State.STARTTLS:
                self._state = _State.HANDSHAKE
                return Progress.START_TLS
            case _State.EHLO_UNDER_TLS:
                hello = self._hello
                version = min(_offered(reply), hello.version)
                self._state = _State.XSHADOW
                self._output += f"XSHADOW {version} {hello.server} {hello.identity}\r\n".encode("ascii")
            case _State.XSHADOW:
                return self._answered(reply)
            case _:
                raise Refusal("it says something out of turn")
        return Progress.WAIT

    def _answered(self, reply: ServerReply) -> Progress:
        text = reply.lines[-1].removeprefix(b"2.0.0 ")
        try:
            self.peer = parse_hello(text)
        except Refusal:
            raise Refusal("its answer to XSHADOW is not one") from None
        if self.peer.version > self._hello.version:
            raise Refusal(f"it wants version {self.peer.version} of the shadow protocol")
        self._state = _State.STANDS
        return Progress.STANDS


def _offered(reply: ServerReply) -> int:
    """The version that the answer to EHLO offers."""
    for line in reply.lines[1:]:
        words = line.upper().split()
        if words and words[0] == KEYWORD:
            if len(words) > 1 and words[1].isdigit() and 0 < len(words[1]) < 6:
                return max(1, int(words[1]))
            return 1
    raise Refusal(
        "it does not know this server: the organisation there has no certificate of ours, or another one"
    )


def answer_to(hello: Hello, *, own_name: str, own_identity: str) -> tuple[bytes, int]:
    """The holder's answer to XSHADOW, and the version that both speak."""
    version = min(hello.version, VERSION)
    return f"250 2.0.0 {version} {own_name} {own_identity}\r\n".encode("ascii"), version
