"""Read what an SMTP server answers, and what it offers in its answer to EHLO.

Nothing is decided here. The reader takes bytes as they come and gives whole
replies; what is no reply is a ``Refusal``, and the rest of the stream is then
not to be believed. Whatever a server sends, a reader holds a bounded number of
bytes and lines.

We are lenient where real servers are sloppy and nothing can go wrong by it: a
line may end in LF alone (replies carry no messages, so there is nothing to
smuggle), a code may stand without text, and where the lines of one reply differ
in their code, the last one counts.

Source: RFC 5321 sections 4.2 and 4.1.1.1; RFC 2034; RFC 3463.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.kernel.errors import Refusal

LINE_BYTES_MAX = 4096  # RFC 5321 section 4.5.3.1.5 says 512; servers with long URLs in their text say more
LINE_COUNT_MAX = 256
REPLY_BYTES_MAX = 32_768  # of one reply, all its lines
TEXT_CHARS_MAX = 1000  # of the text that people get to read
QUOTED_CHARS_MAX = 60  # of what is quoted of a peer that does not speak SMTP

# RFC 5321 section 4.2.3. Replies that begin with 1 are not used in SMTP.
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_CODES = {b"%d" % code: code for code in range(200, 600)}
_STATUS = re.compile(rb"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?=\s|$)")
_NOT_PRINTABLE = re.compile(rb"[^ -~]+")
_VERSION = re.compile(rb"[1-9][0-9]{0,4}")
_DIGITS = re.compile(rb"[0-9]{1,20}")

_OTHER_PROTOCOLS = (
    (b"HTTP/", "HTTP"),
    (b"SSH-", "SSH"),
    (b"* ", "IMAP"),
    (b"+OK", "POP3"),
    (b"RFB ", "VNC"),
    (b"\x15\x03", "TLS from the first byte"),
    (b"\x16\x03", "TLS from the first byte"),
)


@dataclass(slots=True)  # four are made per message that is sent
class ServerReply:
    """A whole reply.

    Attributes:
        code: three digits, the first from 2 to 5.
        lines: their texts without code, in bytes as they came; at least one, possibly empty.
    """

    code: int
    lines: tuple[bytes, ...]

    @property
    def status(self) -> str:
        """The enhanced status code; made from the first digit where there is none that agrees with it."""
        found = _STATUS.match(self.lines[0])
        digit = self.code // 100
        # RFC 2034 section 4: its first digit is that of the reply code.
        if found and found[1][0] - 48 == digit:
            return found[1].decode("ascii")
        return f"{digit}.0.0"

    @property
    def text(self) -> str:
        """All lines, joined by a space, the status as it came; printable ASCII, at most 1000 characters."""
        text = _NOT_PRINTABLE.sub(b"?", b" ".join(self.lines))[:TEXT_CHARS_MAX]
        return text.decode("ascii").strip()


class ReplyReader:
    """Cuts what a server sends into replies."""

    __slots__ = ("_at", "_buffer", "_line_bytes", "_lines")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._lines: list[bytes] = []  # of a reply whose last line is still to come
        self._line_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take bytes; then call ``take`` until it gives None."""
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    def take(self) -> ServerReply | None:
        """The next whole reply, or None when more bytes are needed.

        Raises:
            Refusal: what came is no reply of SMTP, or too long; every later call raises again.
        """
        while True:
            buffer, at = self._buffer, self._at
            end = buffer.find(b"\n", at)
            if end < 0:
                if len(buffer) - at > LINE_BYTES_MAX + 1:  # one more for a CR
                    raise Refusal(f"sent a reply line of more than {LINE_BYTES_MAX} bytes", status="5.5.2")
                return None
            line = buffer[at : end - 1] if end > at and buffer[end - 1] == 13 else buffer[at:end]
            reply = self._line(line)
            self._at = end + 1
            if reply is not None:
                return reply

    def _line(self, line: bytes) -> ServerReply | None:
        if len(line) > LINE_BYTES_MAX:
            raise Refusal(f"sent a reply line of more than {LINE_BYTES_MAX} bytes", status="5.5.2")
        lines = self._lines
        # Most replies have one line; this way one costs half of what the pattern does.
        if line[3:4] == b" " and not lines and (known := _CODES.get(line[:3])):
            return ServerReply(known, (line[4:],))
        found = _LINE.fullmatch(line)
        if found is None:
            raise Refusal(no_reply(line), status="5.5.2")
        code, separator, text = found.groups(b"")
        if separator != b"-":
            if not lines:
                return ServerReply(int(code), (text,))
            self._lines, self._line_bytes = [], 0
            return ServerReply(int(code), (*lines, text))
        self._line_bytes += len(line)
        if len(lines) + 1 >= LINE_COUNT_MAX or self._line_bytes > REPLY_BYTES_MAX - LINE_BYTES_MAX:
            raise Refusal(
                f"sent a reply of more than {LINE_COUNT_MAX} lines or {REPLY_BYTES_MAX} bytes", status="5.5.2"
            )
        lines.append(text)
        return None

    @property
    def pending(self) -> bytes:
        """What has come and is no whole reply yet, without the lines of an unfinished one."""
        return self._buffer[self._at :]

    @property
    def empty(self) -> bool:
        """Whether all that came was taken."""
        return self._at >= len(self._buffer) and not self._lines


def no_reply(line: bytes) -> str:
    """Say for people what a server is that sends something other than a reply."""
    for prefix, protocol in _OTHER_PROTOCOLS:
        if line.startswith(prefix):
            return f"speaks {protocol}, not SMTP; check the port of the next hop"
    quoted = _NOT_PRINTABLE.sub(b"?", line)[:QUOTED_CHARS_MAX].decode("ascii")
    return f'sent "{quoted}", which is no reply of SMTP'


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a server offers.

    Attributes:
        name: who it says it is; empty when it says nothing.
        size_bytes_max: the largest message it takes (RFC 1870); 0 when it names no limit, None
            when it does not offer SIZE.
        sign_in: mechanisms of AUTH, in upper case.
        holdfast: the version of what only servers of ours say to each other; 0 when it is not offered.
    """

    name: str = ""
    pipelining: bool = False
    eight_bit: bool = False
    chunking: bool = False
    smtputf8: bool = False
    dsn: bool = False
    starttls: bool = False
    enhanced_status_codes: bool = False
    size_bytes_max: int | None = None
    sign_in: frozenset[str] = frozenset()
    holdfast: int = 0


NO_EXTENSIONS = Extensions()


def parse_ehlo(reply: ServerReply) -> Extensions:
    """Read what the answer to EHLO offers; keywords that we do not use are passed over.

    Source: RFC 5321 section 4.1.1.1; RFC 4954 section 3; ``AUTH=`` as older servers
    write it.
    """
    keywords: set[bytes] = set()
    sign_in: set[str] = set()
    size_bytes_max: int | None = None
    holdfast = 0
    for line in reply.lines[1:]:
        words = line.upper().split()
        if not words:
            continue
        keyword = words[0]
        if keyword == b"AUTH" or keyword.startswith(b"AUTH="):
            mechanisms = words[1:] if keyword == b"AUTH" else [keyword[5:], *words[1:]]
            sign_in.update(word.decode("ascii", "replace") for word in mechanisms if word)
        elif keyword == b"SIZE":
            size_bytes_max = int(words[1]) if len(words) > 1 and _DIGITS.fullmatch(words[1]) else 0
        elif keyword == b"XHOLDFAST":
            holdfast = int(words[1]) if len(words) > 1 and _VERSION.fullmatch(words[1]) else 1
        else:
            keywords.add(keyword)
    name = reply.lines[0].split(None, 1)
    return Extensions(
        name=_NOT_PRINTABLE.sub(b"?", name[0][:255]).decode("ascii") if name else "",
        pipelining=b"PIPELINING" in keywords,
        eight_bit=b"8BITMIME" in keywords,
        chunking=b"CHUNKING" in keywords,
        smtputf8=b"SMTPUTF8" in keywords,
        dsn=b"DSN" in keywords,
        starttls=b"STARTTLS" in keywords,
        enhanced_status_codes=b"ENHANCEDSTATUSCODES" in keywords,
        size_bytes_max=size_bytes_max,
        sign_in=frozenset(sign_in),
        holdfast=holdfast,
    )
