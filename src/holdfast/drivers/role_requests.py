"""One kind of request that management makes of a role: its name, what is asked, and what is answered.

Both travel as MessagePack. Each role has a module with the kinds that it answers;
this one needs no room of any of them, so that a role loads its own and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from holdfast.kernel.errors import Refusal

Question = TypeVar("Question")
Answer = TypeVar("Answer")
AskRole = Callable[[str, str, bytes], bytes]

TRANSPORT = "transport"


@dataclass(frozen=True, slots=True)
class RequestKind(Generic[Question, Answer]):
    """One kind of request.

    Attributes:
        name: as it travels.
        question: the type of what is asked.
        answer: the type of what is answered.
        role: the role that does it.
    """

    name: str
    question: type[Question]
    answer: type[Answer]
    role: str = TRANSPORT

    def ask(self, ask_role: AskRole, question: Question) -> Answer:
        """Ask the role; blocks.

        Raises:
            Refusal: what is asked is wrong, or the role runs another version.
            Unavailable: the role does not run, or does not answer.
        """
        body = ask_role(self.role, self.name, msgspec.msgpack.encode(question))
        try:
            return msgspec.msgpack.decode(body, type=self.answer)
        except msgspec.MsgspecError:
            raise Refusal(
                f"the {self.role} role answers in a way that management does not know; it runs another "
                "version: restart the server"
            ) from None

    def read(self, body: bytes) -> Question:
        """Read what is asked.

        Raises:
            Refusal: it is not what this kind asks.
        """
        try:
            return msgspec.msgpack.decode(body, type=self.question)
        except msgspec.MsgspecError as error:
            raise Refusal(f'not a request "{self.name}": {error}') from None


class Nothing(msgspec.Struct, frozen=True):
    """Nothing more is to be said."""
