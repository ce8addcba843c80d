"""The two kinds of trouble that are not our own fault.

``Refusal`` is the peer's or the user's fault: answer and go on.
``Unavailable`` is the world's fault: try again by schedule. Our own fault is
an ``assert``: the process stops and is started again, or the partner takes over.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an object, in words an administrator can act on.

    Attributes:
        subject: kind and name of the object, for example ``receive connector "scanner"``.
        text: what is wrong, with the value.
        advice: what to do.
    """

    subject: str
    text: str
    advice: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}; {self.advice}"


class Refusal(Exception):
    """The peer or the user asked for something that is not done.

    Args:
        text: what happened, with which value, and what to do. For a remote
            peer it names no host, path or user of ours.
        code: the SMTP reply code where the asker is an SMTP peer.
        status: the enhanced status code (RFC 3463) that goes with it.
        problems: all problems found, when there is more than one to list.
    """

    def __init__(
        self, text: str, *, code: int = 550, status: str = "5.0.0", problems: tuple[Problem, ...] = ()
    ) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.status = status
        self.problems = problems


class Unavailable(Exception):
    """The world does not let us: a full disk, a dead process, a closed connection. Try again later."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
