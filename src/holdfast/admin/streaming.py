"""Answers that are too long to be held: they come in pieces, and are written as they come.

As JSON a streamed answer looks exactly like one that was held: an object whose one field is a list of texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stream:
    """A long list of texts.

    Attributes:
        name: the field of the verb's result that it is.
        pieces: each some lines with newlines between them, none at the end. The lines hold nothing that
            JSON would have to escape.
    """

    name: str
    pieces: Iterator[str]

    def as_lines(self) -> Iterator[str]:
        """What goes to a terminal or a pipe."""
        for piece in self.pieces:
            yield piece + "\n"

    def as_json(self) -> Iterator[str]:
        """What goes out with ``--json``, indented like every other result."""
        before = f'{{\n  "{self.name}": ['
        count = 0
        for piece in self.pieces:
            count += 1
            yield before + '\n    "' + piece.replace("\n", '",\n    "') + '"'
            before = ","
        yield "\n  ]\n}\n" if count else before + "]\n}\n"
