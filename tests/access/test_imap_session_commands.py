"""Sign-in and what belongs to the session itself."""

from __future__ import annotations

import base64

import pytest

OUTSIDE = "192.0.2.9"


def plain(*fields: str) -> str:
    return base64.b64encode("\0".join(fields).encode()).decode()


GOOD = plain("", "alice@example.test", "wonderland")


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("LOGIN alice@example.test wonderland", "OK LOGIN completed."),
        ('LOGIN "The-Alice@example.test" "wonderland"', "OK LOGIN completed."),
        ("LOGIN alice@example.test wrong", "NO [AUTHENTICATIONFAILED] LOGIN failed. Invalid credentials."),
        ("LOGIN nobody@example.test x", "NO [AUTHENTICATIONFAILED] LOGIN failed. Invalid credentials."),
        ('LOGIN alice@example.test ""', "NO [AUTHENTICATIONFAILED]"),
        ("LOGIN alice@example.test", "BAD LOGIN failed."),
        (f"AUTHENTICATE PLAIN {GOOD}", "OK AUTHENTICATE completed."),
        ("AUTHENTICATE PLAIN =", "NO [AUTHENTICATIONFAILED]"),
        ("AUTHENTICATE PLAIN !!!", "BAD AUTHENTICATE failed."),
        ("AUTHENTICATE PLAIN AAAA BBBB", "BAD AUTHENTICATE failed."),
        ("AUTHENTICATE GSSAPI", "NO AUTHENTICATE failed."),
        (f"AUTHENTICATE PLAIN {plain('bob@example.test', 'alice@example.test', 'wonderland')}",
         "NO [AUTHORIZATIONFAILED]"),
        (f"AUTHENTICATE PLAIN {plain('alice@example.test', 'alice@example.test', 'wonderland')}", "OK"),
    ],
)  # fmt: skip
def test_sign_in(command: str, wanted: str, world) -> None:
    client = world.connect()
    client.lines()
    assert client.do(f"t {command}")[-1].startswith(f"t {wanted}")


def test_authenticate_asks_for_the_response(world) -> None:
    client = world.connect()
    client.lines()
    assert client.do("t AUTHENTICATE PLAIN") == ["+ "]
    assert client.do(GOOD) == ["t OK AUTHENTICATE completed."]
    assert client.do("t AUTHENTICATE PLAIN")[-1].endswith("Command not valid in this state.")


def test_authenticate_can_be_cancelled(world) -> None:
    client = world.connect()
    client.lines()
    client.do("t AUTHENTICATE PLAIN")
    assert client.do("*") == ["t BAD AUTHENTICATE failed. Cancelled."]


def test_password_in_literals(world) -> None:
    client = world.connect()
    client.lines()
    assert client.do("t LOGIN {18}") == ["+ Ok"]
    assert client.do("alice@example.test {10}") == ["+ Ok"]
    assert client.do("wonderland") == ["t OK LOGIN completed."]


def test_no_password_in_the_clear(world) -> None:
    client = world.connect(OUTSIDE)
    client.lines()
    words = client.do("t CAPABILITY")[0].split()
    assert "LOGINDISABLED" in words
    assert "STARTTLS" in words
    assert "AUTH=PLAIN" not in words
    for command in ("LOGIN alice@example.test wonderland", f"AUTHENTICATE PLAIN {GOOD}"):
        assert client.do(f"t {command}")[-1].startswith("t NO [PRIVACYREQUIRED]")


def test_starttls_forgets_what_was_sent_in_the_clear(world) -> None:
    client = world.connect(OUTSIDE)
    client.lines()
    client.send(b"t STARTTLS\r\nu NOOP\r\n")
    assert client.lines() == ["t OK STARTTLS completed."]
    assert client.tls_wanted
    client.send(b"v NOOP\r\n")
    client.start_tls()
    assert client.lines() == []
    words = client.do("t CAPABILITY")[0].split()
    assert "AUTH=PLAIN" in words
    assert "STARTTLS" not in words
    assert client.do("t STARTTLS") == ["t BAD STARTTLS failed. TLS is on already."]
    assert client.do("t LOGIN alice@example.test wonderland") == ["t OK LOGIN completed."]


def test_tls_from_the_first_byte(world) -> None:
    client = world.connect(OUTSIDE, tls=True)
    client.lines()
    assert client.do("t LOGIN alice@example.test wonderland") == ["t OK LOGIN completed."]


def test_small_commands(world) -> None:
    client = world.sign_in()
    assert "AUTH=PLAIN" not in client.do("t CAPABILITY")[0]
    assert client.do('t ID ("name" "x" 1.2)') == ["* ID NIL", "t OK ID completed."]
    assert client.do("t ENABLE CONDSTORE UTF8=ACCEPT") == ["* ENABLED", "t OK ENABLE completed."]
    assert client.do("t ENABLE")[-1].startswith("t BAD")
    assert client.do("t LOGOUT now")[-1].startswith("t BAD")
    assert client.do("t LOGOUT") == ["* BYE IMAP4rev1 Server logging out", "t OK LOGOUT completed."]
    assert client.closed


def test_three_strikes(world) -> None:
    client = world.connect()
    client.lines()
    client.do("t LOGIN alice@example.test x")
    client.do("t LOGIN bob@example.test x")
    assert client.do("t LOGIN alice@example.test x") == [
        "* BYE Login failed too many times.",
        "t NO [AUTHENTICATIONFAILED] LOGIN failed. Invalid credentials.",
    ]
    assert client.closed
