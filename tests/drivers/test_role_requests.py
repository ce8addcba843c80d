"""Requests of management: both sides read what the other wrote, or say in words that they cannot."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.drivers.role_requests import Nothing, RequestKind
from holdfast.kernel.errors import Refusal


class Colour(msgspec.Struct, frozen=True):
    """What a made-up kind of request asks."""

    red: int


PAINT = RequestKind("queue.paint", Colour, Nothing, role="painter")


def test_question_and_answer_arrive_as_their_types() -> None:
    asked = []

    def ask_role(role: str, name: str, body: bytes) -> bytes:
        asked.append((role, name, PAINT.read(body)))
        return msgspec.msgpack.encode(Nothing())

    assert PAINT.ask(ask_role, Colour(7)) == Nothing()
    assert asked == [("painter", "queue.paint", Colour(7))]


def test_an_answer_of_another_version_names_the_role_and_what_to_do() -> None:
    with pytest.raises(Refusal, match=r"the painter role answers .*: restart the server"):
        PAINT.ask(lambda *_: msgspec.msgpack.encode(5), Colour(7))


@pytest.mark.parametrize("body", [b"", b"\xc1", msgspec.msgpack.encode({"red": "much"})])
def test_a_question_that_is_none_is_refused_with_its_name(body: bytes) -> None:
    with pytest.raises(Refusal, match=r'not a request "queue\.paint"'):
        PAINT.read(body)
