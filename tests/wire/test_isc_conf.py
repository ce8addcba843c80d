"""ISC dhcpd's configuration language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire.isc_conf import Statement, quote, read_configuration, unquote, write_statement

SAMPLE = rb"""
# a comment with a brace {
authoritative; ;
option domain-name "office.example"; option routers 10.0.0.1, 10.0.0.2;
subnet 10.0.0.0 netmask 255.255.255.0 {
  pool { range 10.0.0.10 10.0.0.20; }
  host "a printer" { hardware ethernet 02:00:00:00:99:01; option dhcp-client-identifier "\001x\x41\"\\"; }
}
if option vendor-class-identifier = "PXEClient" { filename "a"; } else { filename "b"; }
"""


def test_statements_blocks_and_lines() -> None:
    statements = read_configuration(SAMPLE)
    assert [(each.head, each.line) for each in statements] == [
        ("authoritative", 3), ("option", 4), ("option", 4), ("subnet", 5), ("if", 9), ("else", 9),
    ]  # fmt: skip
    subnet = statements[3]
    assert subnet.text == "subnet 10.0.0.0 netmask 255.255.255.0"
    assert subnet.word(1) == "10.0.0.0"
    assert subnet.word(9) == ""
    assert subnet.block is not None
    pool, host = subnet.block
    assert pool.block is not None
    assert pool.block[0].text == "range 10.0.0.10 10.0.0.20"
    assert host.words[1].quoted
    assert host.block is not None
    assert host.block[1].words[2].data == b'\x01xA"\\'
    assert [each.text for each in statements[2].words] == ["option", "routers", "10.0.0.1", ",", "10.0.0.2"]


def test_the_fields_of_an_option_stand_in_braces() -> None:
    (statement, after) = read_configuration(b"option a code 224 = array of { ip-address, text }; b;")
    assert statement.text == "option a code 224 = array of { ip-address , text }"
    assert after.text == "b"
    with pytest.raises(Refusal, match="line 1"):
        read_configuration(b"option a code 224 = { text; b; }")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a;\nb c\n", 'x line 2: "b c" ends without a semicolon'),
        (b"subnet {\n a }\n", 'x line 2: "a" ends without a semicolon'),
        (b"\nsubnet 1 {\n a;\n", 'x line 2: the block of "subnet 1" is not closed; is the file complete?'),
        (b"a;\n}\n", "x line 2: this brace closes a block that was not opened"),
        (b'a;\n\n"open;\n', "x line 3: a string is not closed on its line"),
        (b"{" * 40, "deeper than 32"),
        (b"a " * 30_000, "more than 20000 words"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: bytes, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_configuration(text, name="x")
    assert said in caught.value.text


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_configuration(data)
    except Refusal:
        return


@given(
    st.lists(
        st.sampled_from([b"a", b'"x"', b"{", b"}", b";", b",", b"=", b"\n", b"#", b"\\", b" "]), max_size=40
    )
)
def test_any_tokens_are_read_or_refused(parts: list[bytes]) -> None:
    try:
        read_configuration(b"".join(parts))
    except Refusal:
        return


@given(st.binary(max_size=40))
def test_strings_survive(data: bytes) -> None:
    (statement,) = read_configuration(f"option x {quote(data)};".encode())
    assert statement.words[2].data == data
    assert unquote(quote(data)[1:-1]) == data


def test_writing_is_read_again() -> None:
    text = write_statement(
        "subnet 10.0.0.0 netmask 255.0.0.0", [write_statement("pool", ["range 10.0.0.1;"]), "x;"]
    )
    assert text == "subnet 10.0.0.0 netmask 255.0.0.0 {\n  pool {\n    range 10.0.0.1;\n  }\n  x;\n}\n"
    (statement,) = read_configuration(text.encode())
    assert isinstance(statement, Statement)
    assert write_statement("a") == "a;\n"
