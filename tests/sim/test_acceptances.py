"""What next hops may take of ours, and how often."""

from __future__ import annotations

import pytest

from holdfast.sim.acceptances import Acceptances, is_elsewhere
from holdfast.sim.network import Endpoint, Network
from holdfast.sim.next_hops import NEVER, Taken
from holdfast.sim.scenario import Rates
from holdfast.sim.senders import Letter
from holdfast.sim.world import Violation, World

A, B = "a@far0.example", "b@far1.example"
DATA = b"X-Letter: L0\r\n\r\nhello\r\n"


def letter() -> Letter:
    return Letter("L0", "sender@example.org", (A, B), DATA)


def connection(*, gone: bool = False, arrived_bytes: int = 0) -> Endpoint:
    """The sender's end of a connection."""
    endpoint = Endpoint(Network(World(1), Rates()), "transport", "transport#1", None)
    endpoint.gone, endpoint.arrived_bytes = gone, arrived_bytes
    return endpoint


def taken(
    *recipients: str,
    near: Endpoint | None = None,
    data: bytes = DATA,
    reply_end: int = 100,
    eight_bit: bool = True,
) -> Taken:
    return Taken(
        "203.0.113.1",
        "sender@example.org",
        recipients,
        b"Received: by us\r\n" + data,
        reply_end,
        near if near is not None else connection(arrived_bytes=100),
        eight_bit,
    )


def test_each_try_may_arrive_once() -> None:
    acceptances = Acceptances()
    acceptances.take(taken(A, B), letter(), [(A, B)])
    assert acceptances.holds("L0", A)
    assert not acceptances.holds("L0", "c@far0.example")
    with pytest.raises(Violation, match="for the 2"):
        acceptances.take(taken(A), letter(), [(A, B)])
    acceptances.take(taken(A), letter(), [(A, B), (A,)])
    assert (acceptances.copy_count, acceptances.doubled_count) == (3, 0)


@pytest.mark.parametrize(
    ("near", "reply_end", "excused"),
    [
        (connection(arrived_bytes=50), 100, False),  # the answer may still come
        (connection(arrived_bytes=100), 100, False),
        (connection(gone=True, arrived_bytes=100), 100, False),
        (connection(gone=True, arrived_bytes=99), 100, True),
        (connection(gone=True, arrived_bytes=99), NEVER, True),
    ],
)
def test_one_more_copy_for_an_answer_that_never_came(near: Endpoint, reply_end: int, excused: bool) -> None:
    acceptances = Acceptances()
    acceptances.take(taken(A, near=near, reply_end=reply_end), letter(), [(A,)])
    if not excused:
        with pytest.raises(Violation):
            acceptances.take(taken(A), letter(), [(A,)])
        return
    acceptances.take(taken(A), letter(), [(A,)])
    assert acceptances.doubled_count == 1
    with pytest.raises(Violation, match="only 1 acceptances could not be known"):
        acceptances.take(taken(A), letter(), [(A,)])


EIGHT = b"X-Letter: L0\r\n\r\ngr\xc3\xbc\xc3\x9fe \r\n"
SEVEN = (
    b"X-Letter: L0\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"gr=C3=BC=C3=9Fe=20\r\n"
)


@pytest.mark.parametrize(
    ("data", "eight_bit", "right"),
    [
        (EIGHT, True, True),
        (SEVEN, False, True),
        (EIGHT, False, False),  # it said that it takes no 8 bits
        (SEVEN, True, False),  # nothing asked for that
        (SEVEN.replace(b"=BC", b"=BD"), False, False),
        (SEVEN.replace(b"X-Letter: L0\r\n", b"X-Letter: L0 \r\n"), False, False),
    ],
)
def test_what_has_8_bits_is_encoded_exactly_where_it_must_be(
    data: bytes, eight_bit: bool, right: bool
) -> None:
    sent = Letter("L0", "sender@example.org", (A,), EIGHT)
    acceptances = Acceptances()
    if right:
        acceptances.take(taken(A, data=data, eight_bit=eight_bit), sent, [(A,)])
        assert acceptances.copy_count == 1
        return
    with pytest.raises(Violation, match="other bytes than were sent"):
        acceptances.take(taken(A, data=data, eight_bit=eight_bit), sent, [(A,)])


def test_one_more_copy_for_a_crash_before_it_was_written_down() -> None:
    acceptances = Acceptances()
    acceptances.take(taken(A, B), letter(), [(A, B)])
    acceptances.transport_ended("elsewhere", {"L0": [B]})
    acceptances.transport_ended("transport", {"L0": [A], "L1": [B]})
    acceptances.take(taken(A), letter(), [(A, B)])
    with pytest.raises(Violation):
        acceptances.take(taken(B), letter(), [(A, B)])


@pytest.mark.parametrize(
    ("message", "tries", "match"),
    [
        (taken(A, data=b"X-Letter: L0\r\n\r\nother\r\n"), [(A,)], "other bytes"),
        (taken(A), [(B,)], "never sent"),
    ],
)
def test_what_was_not_sent(message: Taken, tries: list[tuple[str, ...]], match: str) -> None:
    with pytest.raises(Violation, match=match):
        Acceptances().take(message, letter(), tries)
    with pytest.raises(Violation, match="nobody sent"):
        Acceptances().take(message, None, tries)


def test_another_sender() -> None:
    message = taken(A)
    message.reverse_path = "x@example.org"
    with pytest.raises(Violation, match="from x@example"):
        Acceptances().take(message, letter(), [(A,)])


def test_bounces_go_to_the_sender() -> None:
    bounce = taken("sender@example.org", data=b"Content-Type: multipart/report\r\n\r\n" + DATA)
    bounce.reverse_path = ""
    acceptances = Acceptances()
    acceptances.take(bounce, letter(), [])
    assert acceptances.bounce_count == 1
    assert acceptances.copy_count == 0
    bounce.recipients = (A,)
    with pytest.raises(Violation, match="bounce"):
        acceptances.take(bounce, letter(), [])


def test_who_is_elsewhere() -> None:
    assert is_elsewhere(A)
    assert not is_elsewhere("user0@example.test")
    assert not is_elsewhere("someone@elsewhere.example")
