"""8-bit bodies are encoded so that every reader finds the same in them as before, or refused."""

from __future__ import annotations

import email
import email.policy
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.mime import SCAN_BYTES, parse_message, parse_steps
from holdfast.wire.seven_bit import DEPTH_MAX, STEP_BYTES, seven_bit_steps, to_seven_bit

TEXT = "Grüße\r\n.\r\nvon uns  \r\n"


def read(message: bytes) -> Message:
    return email.message_from_bytes(message, policy=email.policy.compat32)


def test_seven_bits_stay_as_they_are() -> None:
    message = b"Subject: x\r\n\r\nhello\r\n"
    assert to_seven_bit(message) is message


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_text_without_mime_gets_its_fields(charset: str) -> None:
    made = to_seven_bit(b"Subject: x\r\n\r\n" + TEXT.encode(charset))
    assert made.isascii()
    parsed = read(made)
    assert parsed.get_payload(decode=True) == TEXT.encode(charset)
    assert (parsed["Subject"], parsed["MIME-Version"]) == ("x", "1.0")
    assert parsed["Content-Transfer-Encoding"] == "quoted-printable"
    expected = {"utf-8": "utf-8", "latin-1": "unknown-8bit"}[charset]
    assert parsed.get_content_charset() == expected


def test_each_part_is_encoded_for_itself() -> None:
    inner = b"Subject: in\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" + TEXT.encode()
    message = (
        b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + "vorher ü\r\n".encode() + b"--b\r\n"
        b"Content-Type: text/html; charset=utf-8\r\ncontent-transfer-encoding:\r\n 8bit\r\nX-A: 1\r\n\r\n"
        + TEXT.encode()
        + b"\r\n--b\r\n\r\nonly = ASCII\r\n--b\r\nContent-Type: application/x\r\n\r\n"
        + bytes(range(128, 256))
        + b"\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        + inner
        + b"\r\n--b--\r\n"
    )
    made = to_seven_bit(message)
    assert made.isascii()
    parsed = read(made)
    assert parsed["Content-Transfer-Encoding"] == "7bit"
    html, plain, other, nested = parsed.get_payload()
    assert html.get_payload(decode=True) == TEXT.encode()
    assert html.get_all("Content-Transfer-Encoding") == ["quoted-printable"]
    assert html["X-A"] == "1"
    assert plain.get_payload() == "only = ASCII"
    assert plain["Content-Transfer-Encoding"] is None
    assert other.get_payload(decode=True) == bytes(range(128, 256))
    assert nested["Content-Transfer-Encoding"] == "7bit"
    (inside,) = nested.get_payload()
    assert inside["Subject"] == "in"
    assert inside.get_payload(decode=True) == TEXT.encode()


def test_a_slip_in_quoted_printable_is_mended() -> None:
    header = b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
    header += b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    made = to_seven_bit(header + b"=C3=BC and \xc3\xbc=\r\n\r\n")
    assert made == header + b"=C3=BC and =C3=BC=\r\n\r\n"


DEEP = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(DEPTH_MAX + 1)
)


@pytest.mark.parametrize(
    "message",
    [
        b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xfc\r\n--b\r\n\r\nPGP\r\n--b--\r\n",
        b"Content-Type: message/partial; id=1\r\n\r\n\xfc\r\n",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n\xfc\r\n",
        b"Content-Type: multipart/mixed\r\n\r\n\xfc\r\n",
        b"Content-Type: multipart/x; boundary=b\r\nContent-Transfer-Encoding: x\r\n\r\n--b\r\n\r\n\xfc\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\xfc\r\n" * 1001,
        DEEP + b"\r\n\xfc\r\n",
    ],
    ids=["signed", "partial", "base64", "no boundary", "encoded multipart", "many parts", "deep"],
)
def test_what_must_not_be_changed_is_refused(message: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        to_seven_bit(b"MIME-Version: 1.0\r\n" + message)
    assert (caught.value.code, caught.value.status) == (554, "5.6.3")


def test_fields_of_headers_stay_as_they_are() -> None:
    header = "Subject: Grüße\r\n\r\n".encode()
    assert to_seven_bit(header + b"ascii\r\n") == header + b"ascii\r\n"
    assert to_seven_bit(header) == header


@given(
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda each: each.replace(b"\r", b"").replace(b"\n", b"\r\n")),
)
def test_any_message_is_made_ascii_or_refused(junk: bytes, body: bytes) -> None:
    field = junk.replace(b"\r", b"").replace(b"\n", b"\r\n ").decode("ascii", "ignore").encode()
    for header in (b"Content-Type: " + field, field, b"Content-Type: text/plain\r\n" + field):
        try:
            made = to_seven_bit(header + b"\r\n\r\n" + body)
        except Refusal:
            continue
        assert made.isascii()


@given(st.text(max_size=200).map(lambda text: text.replace("\r", "").replace("\n", "\r\n")))
def test_a_text_reads_the_same(text: str) -> None:
    made = to_seven_bit(b"Subject: x\r\n\r\n" + text.encode())
    if not text.isascii():
        assert read(made).get_payload(decode=True) == text.encode()
        assert max(len(line) for line in made.split(b"\r\n")) <= 78


@pytest.mark.parametrize("line", ["Größe\r\n".encode(), b"\xc3\xbc" * 4000 + b"\r\n", b"a \xff."])
@pytest.mark.parametrize("kind", [b"text/plain", b"application/x"])
def test_a_large_body_is_encoded_in_steps_of_bounded_size(kind: bytes, line: bytes) -> None:
    body = line * (20 * STEP_BYTES // len(line))
    header = b"MIME-Version: 1.0\r\nContent-Type: %b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" % kind
    message = header + body
    steps, count = seven_bit_steps(message), 0
    try:
        while True:
            next(steps)
            count += 1
    except StopIteration as end:
        made = end.value
    assert count >= len(body) // STEP_BYTES
    assert made.isascii()
    assert read(made).get_payload(decode=True) == body
    assert max(map(len, made.split(b"\r\n"))) <= 76
    assert made == to_seven_bit(message)


def test_the_structure_of_a_large_message_is_read_in_steps() -> None:
    size = 3 * SCAN_BYTES
    inner = (
        b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n"
        + b"x\r\n" * (size // 3)
        + b"\r\n--c--"
    )
    for message in (
        b"\r\n" + b"\n" * size,
        b"a: b\r\n" * (size // 6),  # all of it is header
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + inner + b"\r\n--b--\r\n",
    ):
        assert sum(1 for _ in parse_steps(message)) >= 3
    root = parse_message(message)
    ((leaf,),) = (each.children for each in root.children)
    assert leaf.line_count == size // 3
    # A boundary and the end of a header lie across the border of two steps.
    for shift in range(30):
        header = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        filling = b"x" * (SCAN_BYTES - len(header) - shift)
        root = parse_message(header + filling + b"\r\n--b\r\n\r\nin\r\n--b--")
        assert [each.size for each in root.children] == [2], shift
        assert parse_message(b"a:" + b"x" * (SCAN_BYTES - 17 + shift) + b"\r\n\r\nbody").size == 4, shift
