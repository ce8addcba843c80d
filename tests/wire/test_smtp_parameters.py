"""Parameters of MAIL and RCPT."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.smtp_parameters import (
    MailParameters,
    RcptParameters,
    decode_xtext,
    parse_mail_parameters,
    parse_rcpt_parameters,
)

MAIL = {
    b"SIZE=77": MailParameters(77),
    b"size=1 BODY=8bitmime": MailParameters(1, eight_bit=True),
    b"BODY=7BIT AUTH=<>": MailParameters(auth_given=True),
    b"SMTPUTF8": MailParameters(smtputf8=True),
    b"RET=full ENVID=QQ314159": MailParameters(return_content="FULL", envelope_id="QQ314159"),
    b"ENVID=a+2Bb+20": MailParameters(envelope_id="a+2Bb+20"),
    b"ENVID=" + b"a" * 100: MailParameters(envelope_id="a" * 100),
}
MAIL_REFUSED = {
    b"SIZE": 501,
    b"SIZE=123456789012345678901": 501,
    b"BODY=BINARYMIME": 555,
    b"BODY=binarymime SIZE=1": 555,
    b"BODY=WHAT": 501,
    b"SMTPUTF8=1": 501,
    b"SMTPUTF8=": 501,
    b"RET": 501,
    b"RET=ALL": 501,
    b"ENVID": 501,
    b"ENVID=": 501,
    b"ENVID=a+": 501,
    b"ENVID=a+2b": 501,
    b"ENVID=a=b": 501,
    b"ENVID=a+00": 501,
    b"ENVID=a+0D+0A": 501,
    b"ENVID=" + b"a" * 101: 501,
    "ENVID=ä".encode(): 501,
    b"ENVID=a ENVID=b": 501,
    b"NOTIFY=NEVER": 555,
    b"X=1": 555,
    b"=": 501,
}
RCPT = {
    b"NOTIFY=never": RcptParameters(("NEVER",)),
    b"NOTIFY=SUCCESS,failure,Delay": RcptParameters(("SUCCESS", "FAILURE", "DELAY")),
    b"ORCPT=rfc822;a@b": RcptParameters((), "rfc822;a@b"),
    b"ORCPT=rfc822;a+3Db+20@b NOTIFY=DELAY": RcptParameters(("DELAY",), "rfc822;a+3Db+20@b"),
    b"ORCPT=utf-8;a\\x{E4}b": RcptParameters((), "utf-8;a\\x{E4}b"),
    "ORCPT=utf-8;ä@b".encode(): RcptParameters((), "utf-8;ä@b"),
    "ORCPT=utf-8;ä".encode(): RcptParameters((), "utf-8;ä"),
}
RCPT_REFUSED = {
    b"NOTIFY": 501,
    b"NOTIFY=": 501,
    b"NOTIFY=NEVER,DELAY": 501,
    b"NOTIFY=DELAY,DELAY": 501,
    b"NOTIFY=DELAY,": 501,
    b"NOTIFY=ALWAYS": 501,
    b"ORCPT": 501,
    b"ORCPT=rfc822": 501,
    b"ORCPT=rfc822;": 501,
    b"ORCPT=;a": 501,
    b"ORCPT=r f;a": 501,
    b"ORCPT=rfc822;a+0A": 501,
    b"ORCPT=rfc822;a+7F": 501,
    b"ORCPT=rfc822;" + b"a" * 500: 501,
    "ORCPT=rfc822;ä".encode(): 501,
    b"ORCPT=utf-8;\xff": 501,
    b"SIZE=1": 555,
}


@pytest.mark.parametrize("text", MAIL)
def test_mail_parameters_are_read(text: bytes) -> None:
    assert parse_mail_parameters(text) == MAIL[text]


@pytest.mark.parametrize("text", MAIL_REFUSED)
def test_mail_parameters_are_refused(text: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_mail_parameters(text)
    assert (caught.value.code, caught.value.status) == (MAIL_REFUSED[text], "5.5.4")


@pytest.mark.parametrize("text", RCPT)
def test_rcpt_parameters_are_read(text: bytes) -> None:
    assert parse_rcpt_parameters(text, smtputf8=True) == RCPT[text]
    if not text.isascii():
        with pytest.raises(Refusal):
            parse_rcpt_parameters(text, smtputf8=False)


@pytest.mark.parametrize("text", RCPT_REFUSED)
def test_rcpt_parameters_are_refused(text: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_rcpt_parameters(text, smtputf8=True)
    assert (caught.value.code, caught.value.status) == (RCPT_REFUSED[text], "5.5.4")


def test_xtext_is_decoded() -> None:
    assert decode_xtext("rfc822;a+3Db+C3+A4") == "rfc822;a=bä"
    assert decode_xtext("+FF") == "\ufffd"


PIECES = st.lists(
    st.sampled_from(
        [b"ORCPT=", b"NOTIFY=", b"ENVID=", b"utf-8;", b"+2", b"B", b" ", b",", b"\xc3\xa4", b"DELAY"]
    )
    | st.binary(max_size=3)
).map(b"".join)


@given(PIECES)
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    for smtputf8 in (False, True):
        try:
            found = parse_rcpt_parameters(text, smtputf8=smtputf8)
            # It is said again to next hops: nothing in it ends a word or a line there.
            assert not any(each <= " " or each == "\x7f" for each in found.original_recipient)
        except Refusal:
            continue
    with contextlib.suppress(Refusal):
        assert parse_mail_parameters(text).envelope_id.isascii()
