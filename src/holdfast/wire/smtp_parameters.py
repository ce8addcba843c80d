"""Read the parameters of MAIL and RCPT: SIZE, BODY, AUTH, SMTPUTF8, of delivery reports, between servers.

Nothing is kept that could not be said again to a next hop: values that travel
on (ENVID, ORCPT) are checked down to their xtext, so that no value of a client
can break a command of ours.

Source: RFC 1870; RFC 6152; RFC 4954 section 5; RFC 6531 section 3.4; RFC 3461 section 4; RFC 6533 section 3.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from holdfast.kernel.errors import Refusal
from holdfast.wire.transfer import Transfer, read_transfer

ENVELOPE_ID_BYTES_MAX = 100  # RFC 3461 section 4.4
ORIGINAL_RECIPIENT_BYTES_MAX = 500  # RFC 3461 section 4.2

_KEYWORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*")
# Bytes above 0x7F only with SMTPUTF8 (RFC 6531 section 3.3), which is looked at per value.
_VALUE = re.compile(rb"[!-<>-~\x80-\xff]+")
_DIGITS = re.compile(rb"[0-9]{1,20}")
# RFC 3461 section 4: what is not printable, "+" and "=" are written as "+" and two digits.
_XTEXT = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_ENCODED = re.compile(rb"\+([0-9A-F]{2})")
_ADDRESS_TYPE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]{0,30}")
_NOTIFY = frozenset((b"SUCCESS", b"FAILURE", b"DELAY"))


class MailParameters(NamedTuple):
    """What MAIL said beyond the sender.

    Attributes:
        size_bytes: the announced size; None when SIZE was not given.
        auth_given: whether AUTH= was given (RFC 4954 section 5); its value is not used.
        eight_bit: whether BODY=8BITMIME was said.
        smtputf8: whether SMTPUTF8 was said.
        return_content: FULL or HDRS; empty when RET was not given.
        envelope_id: the ENVID value as given (xtext); empty when it was not.
        transfer: what another server of ours says of the message; see ``wire.transfer``.
    """

    size_bytes: int | None = None
    auth_given: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    return_content: str = ""
    envelope_id: str = ""
    transfer: Transfer | None = None


class RcptParameters(NamedTuple):
    """What RCPT said beyond the recipient.

    Attributes:
        notify: of SUCCESS, FAILURE, DELAY; or only NEVER; empty when it was not given.
        original_recipient: the ORCPT value as given (``rfc822;xtext``); empty when it was not.
    """

    notify: tuple[str, ...] = ()
    original_recipient: str = ""


NO_MAIL_PARAMETERS = MailParameters()
NO_RCPT_PARAMETERS = RcptParameters()


def parse_mail_parameters(text: bytes) -> MailParameters:
    """Read what follows the path of a MAIL command.

    Raises:
        Refusal: 501 malformed, 555 not known (also BODY=BINARYMIME, which is not offered).
    """
    if text[:5].upper() == b"SIZE=" and text[5:].isdigit() and len(text) <= 25:
        return MailParameters(int(text[5:]))  # the usual case, three times as fast
    size_bytes: int | None = None
    auth_given = eight_bit = smtputf8 = False
    return_content = envelope_id = ""
    parameters = _split(text)
    transfer = read_transfer(parameters) if b"XHOLDFAST-" in text.upper() else None
    for keyword, value in parameters.items():
        match keyword:
            case b"SIZE" if value is not None and _DIGITS.fullmatch(value):
                size_bytes = int(value)
            case b"BODY" if value is not None and value.upper() in (b"7BIT", b"8BITMIME"):
                eight_bit = len(value) == 8
            case b"BODY" if value is not None and value.upper() == b"BINARYMIME":
                raise Refusal("BINARYMIME is not offered", code=555, status="5.5.4")
            case b"AUTH" if value:
                auth_given = True
            case b"SMTPUTF8" if value is None:
                smtputf8 = True
            case b"RET" if value is not None and value.upper() in (b"FULL", b"HDRS"):
                return_content = value.upper().decode("ascii")
            case b"ENVID" if value is not None and _is_envelope_id(value):
                envelope_id = value.decode("ascii")
            case b"SIZE" | b"BODY" | b"AUTH" | b"SMTPUTF8" | b"RET" | b"ENVID":
                raise Refusal(f"malformed parameter {keyword.decode()}", code=501, status="5.5.4")
            case _:
                raise Refusal("parameter not known", code=555, status="5.5.4")
    return MailParameters(size_bytes, auth_given, eight_bit, smtputf8, return_content, envelope_id, transfer)


def parse_rcpt_parameters(text: bytes, *, smtputf8: bool) -> RcptParameters:
    """Read what follows the path of a RCPT command.

    Args:
        text: as on the wire.
        smtputf8: whether MAIL said SMTPUTF8: then ORCPT may hold UTF-8 (RFC 6533 section 3).

    Raises:
        Refusal: 501 malformed, 555 not known.
    """
    notify: tuple[str, ...] = ()
    original_recipient = ""
    for keyword, value in _split(text).items():
        if keyword not in (b"NOTIFY", b"ORCPT"):
            raise Refusal("parameter not known", code=555, status="5.5.4")
        if keyword == b"NOTIFY":
            notify = _parse_notify(value or b"")
        else:
            original_recipient = _parse_original_recipient(value or b"", smtputf8=smtputf8)
    return RcptParameters(notify, original_recipient)


def decode_xtext(text: str) -> str:
    """Undo the encoding of a checked ENVID or ORCPT value; bytes outside UTF-8 become U+FFFD.

    Source: RFC 3461 section 4.
    """
    raw = _ENCODED.sub(lambda match: bytes((int(match[1], 16),)), text.encode("utf-8", "surrogatepass"))
    return raw.decode("utf-8", "replace")


def _is_envelope_id(value: bytes) -> bool:
    # RFC 3461 section 4.4: nothing but printable ASCII once decoded.
    if len(value) > ENVELOPE_ID_BYTES_MAX or not _XTEXT.fullmatch(value):
        return False
    return all(0x20 <= int(digits, 16) <= 0x7E for digits in _ENCODED.findall(value))


def _parse_notify(value: bytes) -> tuple[str, ...]:
    words = value.upper().split(b",")
    # RFC 3461 section 4.1: NEVER stands alone.
    if words != [b"NEVER"] and (len(set(words)) != len(words) or not _NOTIFY.issuperset(words)):
        raise Refusal("malformed parameter NOTIFY", code=501, status="5.5.4")
    return tuple(word.decode("ascii") for word in words)


def _parse_original_recipient(value: bytes, *, smtputf8: bool) -> str:
    address_type, _, address = value.partition(b";")
    international = smtputf8 and address_type.lower() == b"utf-8"
    checked = address
    if international:
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            checked = b""
        else:
            checked = bytes(each for each in address if each < 0x80) or b"-"
    if (
        len(value) > ORIGINAL_RECIPIENT_BYTES_MAX
        or not address
        or not _ADDRESS_TYPE.fullmatch(address_type)
        or not _XTEXT.fullmatch(checked)
        or not all(0x20 <= int(digits, 16) != 0x7F for digits in _ENCODED.findall(address))
    ):
        raise Refusal("malformed parameter ORCPT", code=501, status="5.5.4")
    return value.decode("utf-8")


def _split(text: bytes) -> dict[bytes, bytes | None]:
    """Cut parameters into keywords in upper case and values; None where there is no ``=``."""
    parameters: dict[bytes, bytes | None] = {}
    for word in text.split():
        keyword, equals, value = word.partition(b"=")
        if not _KEYWORD.fullmatch(keyword) or (equals and not _VALUE.fullmatch(value)):
            raise Refusal("malformed parameter", code=501, status="5.5.4")
        if keyword.upper() in parameters:
            raise Refusal("parameter given twice", code=501, status="5.5.4")
        parameters[keyword.upper()] = value if equals else None
    return parameters
