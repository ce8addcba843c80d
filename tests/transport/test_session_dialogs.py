"""Whole SMTP conversations: our dialog files, and the conformance sets that other people wrote.

A dialog file has one step per line: ``O`` options of the session (client,
internet, tls, starttls, limits as name=number), ``C`` a line of the
client, ``R`` raw bytes (a Python literal), ``S`` one line of our answer (… is
any text), ``T`` TLS is asked for and comes on, ``M`` the message that was taken
(a Python literal), ``E`` the session is over. Lines of the client that follow
one another are sent in one piece.
"""

from __future__ import annotations

import ast
import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.directory.model import Organisation, ReceiveConnector, TlsMode, Usage
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.rights import Client
from holdfast.transport.session import SmtpSession
from holdfast.transport.session_terms import MessageReceived, PasswordGiven, SessionEnded, Terms, TlsWanted

ROOT = Path(__file__).parents[2]
DIALOGS = sorted((ROOT / "tests" / "dialogs").glob("*.dialog"))
CONFORMANCE = (ROOT / os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")).resolve() / "smtp"
PASSWORDS = {
    ("user@testserver", "secretpassword"): MailboxId("user"),
    ("alice@example.test", "secret"): MailboxId("alice"),
}
KNOWN = {"user@testserver", "alice@example.test", "bob@example.test", "postmaster@mx.example.test"}

SWITCHES = {"require_tls"}

needs_conformance = pytest.mark.skipif(not CONFORMANCE.is_dir(), reason=f"{CONFORMANCE} is missing")


class Judge:
    """Knows a few recipients; a user may send as itself."""

    def judge_recipient(self, address: Address, client: Client) -> None:
        if not client.rights.relay and address.key not in KNOWN:
            raise Refusal("no such mailbox", code=550, status="5.1.1")

    def judge_sender(self, address: Address | None, client: Client) -> None:
        signed_in = client.signed_in
        if signed_in is not None and (address is None or address.key != f"{signed_in}@example.test"):
            raise Refusal("not yours", code=550, status="5.7.1")


class Conversation:
    """A session with everything around it answered at once."""

    def __init__(self, *, usage: Usage, tls: TlsMode, limits: dict[str, int] | None = None) -> None:
        connector = ReceiveConnector(
            "test",
            "mx",
            ("192.0.2.1:25",),
            (),
            usage=usage,
            tls=tls,
            tarpit_s=0.0,
            **(limits or {}),  # type: ignore[arg-type]  # only whole numbers are given
        )
        self.session = SmtpSession(
            Terms(connector, "mx.example.test", Organisation()),
            Judge(),
            "192.0.2.9",
            tls_active=tls is TlsMode.IMPLICIT,
        )
        self.session.greeting()
        self.received = self.session.take_reply()
        self.messages: list[MessageReceived] = []
        self.ended = False
        self.tls_wanted = False

    def send(self, data: bytes) -> None:
        self._answer(self.session.receive(data))

    def _answer(self, events: list[object]) -> None:
        self.received += self.session.take_reply()
        for event in events:
            match event:
                case MessageReceived():
                    self.messages.append(event)
                    assert self.session.waiting
                    self._answer(list(self.session.accepted(f"message {len(self.messages)}")))
                case PasswordGiven():
                    assert self.session.waiting
                    found = PASSWORDS.get((event.user, event.password))
                    self._answer(list(self.session.password_checked(found)))
                case TlsWanted():
                    self.tls_wanted = True
                case SessionEnded():
                    self.ended = True

    def start_tls(self) -> None:
        assert self.tls_wanted
        self.tls_wanted = False
        self.session.tls_started()

    def read_line(self) -> str:
        line, end, self.received = self.received.partition(b"\r\n")
        assert end, "no answer"
        return line.decode("ascii")


def replies(conversation: Conversation) -> Iterator[str]:
    """Take all answers; of one with several lines only the last."""
    while conversation.received:
        line = conversation.read_line()
        if line[3:4] != "-":
            yield line


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size or len(data) or 1):
        yield data[at : at + size] if size else data


class DialogRun:
    """One dialog file against one session."""

    def __init__(self, piece_bytes: int) -> None:
        self.piece_bytes = piece_bytes
        self.conversation: Conversation | None = None
        self.to_send = b""
        self.options: list[str] = []

    def opened(self) -> Conversation:
        if self.conversation is None:
            limits = {
                name: bool(int(number)) if name in SWITCHES else int(number)
                for name, equals, number in (each.partition("=") for each in self.options)
                if equals
            }
            self.conversation = Conversation(
                usage=Usage.CLIENT if "client" in self.options else Usage.INTERNET,
                tls=TlsMode.IMPLICIT if "tls" in self.options else TlsMode.STARTTLS,
                limits=limits,
            )
        return self.conversation

    def flushed(self) -> Conversation:
        conversation = self.opened()
        data, self.to_send = self.to_send, b""
        if data:
            for piece in pieces(data, self.piece_bytes):
                conversation.send(piece)
        return conversation

    def step(self, kind: str, text: str) -> None:
        match kind:
            case "O":
                self.options += text.split()
            case "C":
                self.to_send += text.encode() + b"\r\n"
            case "R":
                self.to_send += ast.literal_eval(text)
            case "S":
                pattern = ".*".join(re.escape(part) for part in text.split("…"))
                line = self.flushed().read_line()
                assert re.fullmatch(pattern, line), (line, text)
            case "T":
                self.flushed().start_tls()
            case "M":
                assert self.flushed().messages.pop(0).data == ast.literal_eval(text)
            case "E":
                assert self.flushed().ended
                assert not self.flushed().received
            case _:
                raise AssertionError(kind)


@pytest.mark.parametrize("piece_bytes", [0, 1, 7])
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, piece_bytes: int) -> None:
    run = DialogRun(piece_bytes)
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            run.step(line[0], line[2:])
    conversation = run.flushed()
    assert not conversation.received, "answers that the dialog does not expect"
    assert not conversation.messages


# --- chasquid's dialogs ------------------------------------------------------------------


def evaluate(node: ast.expr) -> str | int:
    """Evaluate the strings, sums and products that raw steps are written with."""
    match node:
        case ast.Constant(value=str() | int() as value):
            return value
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return evaluate(left) * evaluate(right)  # type: ignore[operator]  # text times number
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return evaluate(left) + evaluate(right)  # type: ignore[operator]  # text plus text
    raise AssertionError(ast.dump(node))


def code_and_status(text: str) -> str:
    """What a reply means, without its wording."""
    found = re.match(r"\d{3}(?: \d\.\d{1,3}\.\d{1,3}\b)?", text)
    assert found, text
    return found[0]


def connect(port: str) -> Conversation:
    limits = {"message_bytes_max": 1 << 20}
    if port == "1465":
        return Conversation(usage=Usage.CLIENT, tls=TlsMode.IMPLICIT, limits=limits)
    return Conversation(usage=Usage.INTERNET, tls=TlsMode.STARTTLS, limits=limits)


def read_until(conversation: Conversation, text: str) -> None:
    while text not in conversation.read_line():
        pass


def run_chasquid(script: str, piece_bytes: int) -> Conversation:
    conversation: Conversation | None = None
    for line in script.splitlines():
        _, _, step = line.partition(" ")
        verb, _, text = step.partition(" ")
        if line.startswith("#") or not line.strip() or verb == "close":
            continue
        if verb in ("tcp_connect", "tls_connect"):
            conversation = connect(text.rpartition(":")[2])
            continue
        assert conversation is not None
        match verb:
            case "->" | "~>":
                data = text + "\r\n" if verb == "->" else str(evaluate(ast.parse(text, mode="eval").body))
                for piece in pieces(data.encode(), piece_bytes):
                    conversation.send(piece)
            case "<~" | "<-":
                expected = code_and_status(text)
                answer = list(replies(conversation))
                assert len(answer) == 1, answer
                assert answer[0].startswith(expected), (answer, text)
            case "<...":
                read_until(conversation, text)
            case _:
                raise AssertionError(line)
    assert conversation is not None
    return conversation


@needs_conformance
@pytest.mark.parametrize("piece_bytes", [0, 1, 900])
def test_all_dialogs_of_chasquid(piece_bytes: int) -> None:
    scripts = sorted(CONFORMANCE.glob("chasquid-dialogs/*/*.cmy"))
    assert len(scripts) == 18
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        if piece_bytes == 1 and "~> (" in text:
            continue  # a mebibyte in single bytes shows nothing new
        conversation = run_chasquid(text, piece_bytes)
        verify = path.with_suffix(".cmy.verify")
        if verify.exists():
            expected = verify.read_bytes().replace(b"\n", b"\r\n")
            assert [message.data.strip() for message in conversation.messages] == [expected.strip()], path


# --- smuggling ---------------------------------------------------------------------------


ENVELOPE = b"EHLO client.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<bob@example.test>\r\n"
SMUGGLED = (
    b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
    b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n"
)


def end_of_data_variants() -> list[tuple[dict[str, str], bytes]]:
    with (CONFORMANCE / "end-of-data-variants.csv").open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13
    return [
        (row, row["bytes_c_escaped"].encode("ascii").decode("unicode_escape").encode("latin-1"))
        for row in rows
    ]


@needs_conformance
@pytest.mark.parametrize("piece_bytes", [0, 1, 3])
def test_end_of_data_variants(piece_bytes: int) -> None:
    for row, end in end_of_data_variants():
        conversation = Conversation(usage=Usage.INTERNET, tls=TlsMode.NONE)
        conversation.send(ENVELOPE + b"DATA\r\n")
        list(replies(conversation))
        for piece in pieces(b"Subject: first\r\n\r\nfirst" + end + SMUGGLED, piece_bytes):
            conversation.send(piece)
        if row["must_end_data"] == "yes":
            assert len(conversation.messages) == 2, row
            assert conversation.messages[0].data == b"Subject: first\r\n\r\nfirst\r\n"
        else:
            # Not two messages, and nothing that a next server could take for two.
            assert conversation.messages == [], row
            codes = [line[:3] for line in replies(conversation)]
            assert codes in (["521"], ["554"]), (row, codes)


@needs_conformance
@pytest.mark.parametrize("piece_bytes", [0, 1, 3])
@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_end_of_data_variants_in_chunks(piece_bytes: int, cut: int) -> None:
    """None ends a chunk; those with a bare line end are refused, wherever two chunks meet."""
    for row, end in end_of_data_variants():
        conversation = Conversation(usage=Usage.INTERNET, tls=TlsMode.NONE)
        text = b"Subject: first\r\n\r\nfirst"
        first, second = text + end[:cut], end[cut:] + SMUGGLED
        data = ENVELOPE + b"BDAT %d\r\n" % len(first) + first
        data += b"BDAT %d LAST\r\n" % len(second) + second + b"NOOP\r\n"
        for piece in pieces(data, piece_bytes):
            conversation.send(piece)
        codes = [line[:3] for line in replies(conversation)]
        assert codes.pop() == "250"  # the session goes on where the chunk ends
        if not re.search(rb"[\r\n\0]", end.replace(b"\r\n", b"")):
            (message,) = conversation.messages
            assert message.data == text + end + SMUGGLED, row
        else:
            assert conversation.messages == [], row
            assert codes[-1] in ("554", "503"), (row, codes)
