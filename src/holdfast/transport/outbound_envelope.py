"""Write the envelope of one message for a next hop, or say why that next hop cannot take it.

What is needed and not offered is refused here, before anything is sent: a message
above the announced size, an address outside ASCII without SMTPUTF8, a message
with a line end that is no CRLF.

Invariant: no byte of an address or a parameter ends a command line, and no message with a bare CR or
LF leaves us, whatever way it came in: a server further on may take one for the
end of a line, and so a part of the message for a second one.

A body of 8-bit text is encoded for a next hop that does not offer 8BITMIME.

Source: RFC 5321 sections 2.3.8 and 4.1.1; RFC 1870; RFC 3461 section 5; RFC 6152; RFC 6531 section 3.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, replace

from holdfast.kernel.address import parse_address
from holdfast.kernel.errors import Refusal
from holdfast.transport.envelope import PLAIN_ENVELOPE, EnvelopeOptions, RecipientOptions
from holdfast.transport.outbound_words import Transaction
from holdfast.wire.line_ends import only_crlf
from holdfast.wire.mime import finished
from holdfast.wire.seven_bit import STEP_BYTES, seven_bit_steps
from holdfast.wire.smtp_reply import Extensions
from holdfast.wire.transfer import write_transfer

# Nearly all addresses: printable ASCII that needs no quotes. All others are parsed again.
_PLAIN_PATH = re.compile(r"[!-;=?-~]+")
_PARAMETER = re.compile(r"[!-<>-~]{1,500}")  # RFC 5321 section 4.1.2: esmtp-value


@dataclass(slots=True)
class Envelope:
    """The commands of one message.

    Attributes:
        mail: the MAIL command with its CRLF.
        rcpts: a RCPT command with its CRLF for each of ``recipients``; may be empty.
        recipients: those that the next hop is asked to take.
        refused: those that it cannot take, each with the reason.
    """

    mail: bytes
    rcpts: list[bytes]
    recipients: tuple[str, ...]
    refused: tuple[tuple[str, Refusal], ...]


def write_envelope(transaction: Transaction, extensions: Extensions) -> Envelope:
    """Write MAIL and RCPT for a message; its line ends are judged here unless that was done before.

    Raises:
        Refusal: the next hop cannot take this message for anybody.
    """
    recipients, data, options = transaction.recipients, transaction.data, transaction.options
    if not transaction.line_ends_checked:
        check_line_ends(data)
    size_bytes_max = extensions.size_bytes_max
    if size_bytes_max and len(data) > size_bytes_max:
        raise Refusal(
            f"message of {len(data)} bytes is larger than the {size_bytes_max} that the next hop takes",
            code=552,
            status="5.3.4",
        )
    if options.smtputf8 and not extensions.smtputf8 and not _header(data).isascii():
        raise Refusal(
            "header is not ASCII, and the next hop does not offer SMTPUTF8", code=554, status="5.6.9"
        )
    sender = transaction.reverse_path
    if sender and not _PLAIN_PATH.fullmatch(sender):
        sender = _other_path(sender, "5.1.7", extensions)
    told = dict(options.recipients) if extensions.dsn else {}
    rcpts: list[bytes] = []
    asked = recipients
    refused: list[tuple[str, Refusal]] = []
    utf8 = options.smtputf8 or not sender.isascii()
    for recipient in recipients:
        path = recipient
        if not _PLAIN_PATH.fullmatch(path):
            try:
                path = _other_path(path, "5.1.3", extensions)
            except Refusal as refusal:
                refused.append((recipient, refusal))
                continue
            utf8 = utf8 or not path.isascii()
        parameters = _recipient_parameters(told[recipient]) if recipient in told else ""
        rcpts.append(f"RCPT TO:<{path}>{parameters}\r\n".encode())
    if refused:
        gone = {recipient for recipient, _ in refused}
        asked = tuple(recipient for recipient in recipients if recipient not in gone)
    mail = f"MAIL FROM:<{sender}>{_mail_parameters(data, options, extensions)}"
    if utf8 and extensions.smtputf8:
        mail += " SMTPUTF8"  # RFC 6531 section 3.4
    if extensions.holdfast and transaction.transfer is not None:
        mail += write_transfer(transaction.transfer)
    return Envelope(f"{mail}\r\n".encode(), rcpts, asked, tuple(refused))


def for_seven_bits(transaction: Transaction) -> Transaction:
    """Make of a message one for a next hop that does not offer 8BITMIME; the same where nothing has 8 bits.

    Raises:
        Refusal: it cannot be encoded, see ``wire.seven_bit``.

    Source: RFC 6152 section 3.
    """
    data = transaction.data
    return transaction if data.isascii() else finished(steps_for_seven_bits(transaction))


def takes_long(transaction: Transaction, extensions: Extensions) -> bool:
    """Whether it has to be encoded for this next hop, and is so large that it is done step by step."""
    data = transaction.data
    return not extensions.eight_bit and len(data) > STEP_BYTES and not data.isascii()


def steps_for_seven_bits(transaction: Transaction) -> Generator[None, None, Transaction]:
    """Do as ``for_seven_bits`` in steps of bounded work."""
    encoded = yield from seven_bit_steps(transaction.data)
    return replace(transaction, data=encoded)


def check_line_ends(data: bytes) -> None:
    """Judge a message by its line ends.

    Raises:
        Refusal: 554 5.6.0 when it has a CR or LF that is not part of a CRLF.

    Source: RFC 5321 section 2.3.8.
    """
    if not only_crlf(data):
        raise Refusal(
            "message has a line end that is not CRLF; it is not sent on, since another server could read"
            " a part of it as a message of its own",
            code=554,
            status="5.6.0",
        )


def _mail_parameters(data: bytes, options: EnvelopeOptions, extensions: Extensions) -> str:
    parameters = ""
    if extensions.size_bytes_max is not None:
        parameters = f" SIZE={len(data)}"  # RFC 1870 section 5: without what dot-stuffing adds
    if extensions.eight_bit and (options.eight_bit or not data.isascii()):
        parameters += " BODY=8BITMIME"
    if extensions.dsn and options is not PLAIN_ENVELOPE:
        if options.return_content in ("FULL", "HDRS"):
            parameters += f" RET={options.return_content}"
        if _PARAMETER.fullmatch(options.envelope_id):
            parameters += f" ENVID={options.envelope_id}"
    return parameters


def _recipient_parameters(options: RecipientOptions) -> str:
    # RFC 3461 section 5.2.1: passed on as they came. What would not survive as a parameter is left out.
    parameters = ""
    notify = ",".join(options.notify)
    if _PARAMETER.fullmatch(notify):
        parameters = f" NOTIFY={notify}"
    if _PARAMETER.fullmatch(options.original_recipient):
        parameters += f" ORCPT={options.original_recipient}"
    return parameters


def _other_path(path: str, status: str, extensions: Extensions) -> str:
    """An address with quotes, or outside ASCII, as it may be sent.

    Raises:
        Refusal: it is malformed, or needs SMTPUTF8 that is not offered.
    """
    try:
        address = parse_address(path)
        path.encode()
    except Refusal as refusal:
        raise Refusal(refusal.text, code=553, status=status) from None
    except UnicodeEncodeError:
        raise Refusal("address is not Unicode text", code=553, status=status) from None
    if address.local_part.isascii():
        return str(address)  # RFC 6531 section 3.2: a domain has a form in ASCII, which every server takes
    if extensions.smtputf8:
        return path
    raise Refusal("address is not ASCII, and the next hop does not offer SMTPUTF8", code=553, status="5.6.7")


def _header(data: bytes) -> bytes:
    end = data.find(b"\r\n\r\n")
    return data if end < 0 else data[:end]
