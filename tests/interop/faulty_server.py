"""A next hop with one fault, for what no real mail server can be made to do.

The fault comes at the first connections; after that it behaves, so that a test
sees both the fault and the delivery that follows.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


class Hangup(Exception):
    """The fault ends the conversation."""


class Conversation:
    """One connection, as the server sees it."""

    def __init__(self, connection: socket.socket, server: FaultyServer) -> None:
        self._connection = connection
        self._input = connection.makefile("rb")
        self.server = server

    def say(self, text: bytes) -> None:
        """Write lines as they are."""
        self._connection.sendall(text)

    def read_line(self) -> bytes:
        """Read one command."""
        line = self._input.readline(1 << 20)
        if not line:
            raise Hangup
        return line.rstrip(b"\r\n")

    def read_message(self) -> bytes:
        """Read a message up to its final dot."""
        lines = []
        while (line := self._input.readline(1 << 20)) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def behave(self, first_recipient: bytes = b"250 ok\r\n") -> None:
        """Be a proper server until the client goes; the first recipient may get an answer of its own."""
        self.say(b"220 faulty.test ESMTP\r\n")
        answer, taken_count = first_recipient, 0
        while True:
            verb = self.read_line()[:4].upper()
            if verb == b"EHLO":
                self.say(b"250-faulty.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"RCPT":
                taken_count += answer.startswith(b"2")
                self.say(answer)
                answer = b"250 ok\r\n"
            elif verb == b"DATA" and not taken_count:
                self.say(b"503 no recipients\r\n")
            elif verb == b"DATA":
                self.say(b"354 go on\r\n")
                self.server.taken.append(self.read_message())
                self.say(b"250 taken\r\n")
                taken_count = 0
            elif verb == b"QUIT":
                self.say(b"221 bye\r\n")
                return
            else:
                self.say(b"250 ok\r\n")

    def close(self) -> None:
        """Hang up."""
        self._input.close()
        self._connection.close()


Fault = Callable[[Conversation], None]


@dataclass
class FaultyServer:
    """Listens on loopback; the first ``fault_count`` connections have the fault.

    Attributes:
        address, port: where it listens; 0 takes a free port.
        taken: the messages that it said 250 to, or would have.
        visit_count: how many connections came.
    """

    fault: Fault
    fault_count: int = 1
    address: str = "127.0.0.1"
    port: int = 0
    taken: list[bytes] = field(default_factory=list)
    visit_count: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server((self.address, self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(60)
            self.visit_count += 1
            faulty = self.visit_count <= self.fault_count
            threading.Thread(target=self._converse, args=(connection, faulty), daemon=True).start()

    def _converse(self, connection: socket.socket, faulty: bool) -> None:
        conversation = Conversation(connection, self)
        try:
            if faulty:
                self.fault(conversation)
            else:
                conversation.behave()
        except (Hangup, OSError):
            pass
        finally:
            conversation.close()

    def close(self) -> None:
        """Listen no more."""
        if self._listener.fileno() != -1:
            self._listener.shutdown(socket.SHUT_RDWR)  # a close alone lets accept() wait on
        self._listener.close()


def _until_data(conversation: Conversation) -> None:
    conversation.say(b"220 faulty.test ESMTP\r\n")
    while not (line := conversation.read_line()).upper().startswith(b"DATA"):
        if line.upper().startswith(b"EHLO"):
            conversation.say(b"250-faulty.test\r\n250 PIPELINING\r\n")
        else:
            conversation.say(b"250 ok\r\n")


def closes_in_mid_transaction(conversation: Conversation) -> None:
    """421 in answer to RCPT."""
    conversation.say(b"220 faulty.test ESMTP\r\n")
    while not conversation.read_line().upper().startswith(b"RCPT"):
        conversation.say(b"250 ok\r\n")
    conversation.say(b"421 4.3.2 going down\r\n")


def drops_after_the_dot(conversation: Conversation) -> None:
    """The message is read to its end, and nothing is said."""
    _until_data(conversation)
    conversation.say(b"354 go on\r\n")
    conversation.read_message()


def takes_and_drops_after_the_dot(conversation: Conversation) -> None:
    """The message is taken, but its 250 never leaves: a second copy cannot be avoided (RFC 1047)."""
    _until_data(conversation)
    conversation.say(b"354 go on\r\n")
    conversation.server.taken.append(conversation.read_message())


def greylists(conversation: Conversation) -> None:
    """450 to the first recipient; on the same connection, too, it may be tried again later."""
    conversation.behave(first_recipient=b"450 4.2.0 greylisted, come back\r\n")


def speaks_http(conversation: Conversation) -> None:
    """A web server on the wrong port."""
    conversation.say(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>")


def answers_too_much(conversation: Conversation) -> None:
    """More replies than commands: whose they are nobody knows any more."""
    conversation.say(
        b"220 faulty.test ESMTP\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"
    )
    conversation.read_line()


def says_many_lines(conversation: Conversation) -> None:
    """Every reply has several lines, and they come byte by byte."""

    def slowly(text: bytes) -> None:
        for at in range(len(text)):
            conversation.say(text[at : at + 1])

    slowly(b"220-welcome\r\n220-to\r\n220 faulty.test\r\n")
    while True:
        line = conversation.read_line()
        verb = line[:4].upper()
        if verb == b"DATA":
            slowly(b"354-go\r\n354 on\r\n")
            conversation.server.taken.append(conversation.read_message())
            slowly(b"250-2.0.0 taken\r\n250 2.0.0 really\r\n")
        elif verb == b"QUIT":
            slowly(b"221-good\r\n221 bye\r\n")
            return
        else:
            slowly(b"250-one\r\n250 two\r\n")
