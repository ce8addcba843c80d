"""Send letters as mail servers elsewhere do: try again, at either server, until there is a 250.

A sender that heard no answer after the last dot does not know whether its letter
was taken; it sends it again, perhaps to the other server. That is what real ones
do, and it is remembered: such a letter may rightly be suspected of being there twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.lab.drill_plan import Letter

SESSION_COUNT = 24
LETTERS_PER_SESSION = 25  # then another connection, to a server that is drawn anew
RETRY_S = 0.5  # real ones wait minutes; a drill has none
DOWN_S = 5.0
CONNECT_TIMEOUT_S = 3.0
REPLY_TIMEOUT_S = 15.0
LINE_BYTES_MAX = 8192
HEADER = "X-Drill"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens."""

    server: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A 250 after the last dot."""

    at: float
    server: str


@dataclass(slots=True)
class Sent:
    """What the senders know of their letters.

    Attributes:
        letters: all that were begun, by number.
        acknowledged: those that have their 250.
        refused: those with a 5xx, and what it said.
        uncertain: those of which, at some try, the answer was never heard.
        try_count: how often a letter was begun.
        put_off: answers that made a sender try again, with how often.
    """

    letters: dict[int, Letter] = field(default_factory=dict)
    acknowledged: dict[int, Acknowledged] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)
    try_count: int = 0
    put_off: dict[str, int] = field(default_factory=dict)


class _Again(Exception):
    """Not now; ``broken`` says that the connection is of no use any more."""

    def __init__(self, text: str, *, broken: bool, uncertain: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.broken = broken
        self.uncertain = uncertain


class _Refused(Exception):
    """A 5xx."""


class Conversation:
    """An SMTP client with as much as a sender needs, so that nothing hides what the server said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place) -> None:
        self.place = place
        self.letter_count = 0
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, place: Place) -> Conversation:
        """Connect and say EHLO.

        Raises:
            _Again: nobody answers, or not now.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(
                    place.address, place.port, limit=LINE_BYTES_MAX
                )
        except (OSError, TimeoutError) as error:
            raise _Again(f"cannot connect: {_why(error)}", broken=True) from None
        conversation = cls(reader, writer, place)
        try:
            await conversation._expect("2", CONNECT_TIMEOUT_S)
            await conversation._say(b"EHLO sender.outside.example\r\n", "2")
        except BaseException as error:
            await conversation.close()
            if isinstance(error, _Refused):
                # To a sender a server that does not want to speak with it is one that it tries later.
                raise _Again(str(error), broken=True) from None
            raise
        return conversation

    async def deliver(self, letter: Letter, text: bytes) -> None:
        """Hand over one letter.

        Raises:
            _Again: it has to be tried again.
            _Refused: it never will be taken.
        """
        await self._say(b"MAIL FROM:<drill@outside.example>\r\n", "2")
        for recipient in letter.recipients:
            await self._say(f"RCPT TO:<{recipient}>\r\n".encode(), "2")
        await self._say(b"DATA\r\n", "3")
        try:
            await self._say(text + b".\r\n", "2")
        except _Again as error:
            # Whoever said 4xx has not taken it; whoever said nothing may have.
            error.uncertain = error.broken
            raise
        self.letter_count += 1

    async def reset(self) -> None:
        """Begin anew after a letter that was put off."""
        await self._say(b"RSET\r\n", "2")

    async def _say(self, data: bytes, wanted: str) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise _Again(f"connection lost: {_why(error)}", broken=True) from None
        await self._expect(wanted)

    async def _expect(self, wanted: str, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        while True:
            try:
                async with asyncio.timeout(timeout_s):
                    line = await self._reader.readline()
            except (OSError, TimeoutError, ValueError) as error:
                raise _Again(f"no answer: {_why(error)}", broken=True) from None
            if not line.endswith(b"\n"):
                raise _Again("connection closed", broken=True)
            if line[3:4] != b"-":
                break
        text = line.decode("utf-8", "replace").strip()
        if text.startswith(wanted):
            return
        if text.startswith("5"):
            raise _Refused(text)
        raise _Again(text[:9], broken=text.startswith("421") or not text.startswith("4"))

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def _why(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else type(error).__name__


@dataclass(slots=True)
class _Session:
    """What one sender has open now; whoever is cancelled leaves it here to be closed."""

    conversation: Conversation | None = None

    async def close(self) -> None:
        conversation, self.conversation = self.conversation, None
        if conversation is not None:
            await conversation.close()


class Load:
    """Senders that keep a pace, whatever becomes of their letters."""

    def __init__(
        self, places: tuple[Place, ...], letters: Iterator[Letter], rate: float, run: str, luck: random.Random
    ) -> None:
        """Take the doors, the letters and how many a second; ``run`` marks the letters of this drill."""
        self.sent = Sent()
        self._places = places
        self._letters = letters
        self._rate = rate
        self._run = run
        self._luck = luck
        # Places that did not answer, and until when they are passed over, as mail servers do with hosts.
        self._down_until: dict[Place, float] = {}
        self._waiting: asyncio.Queue[Letter | None] = asyncio.Queue()
        self._going = asyncio.Event()
        self._going.set()
        self._trying_count = 0
        self._quiet = asyncio.Event()

    async def send_all(self, patience_s: float) -> None:
        """Send every letter at its time; then wait for the last 250, at most ``patience_s``."""
        workers = [asyncio.ensure_future(self._work()) for _ in range(SESSION_COUNT)]
        try:
            await self._keep_pace()
            for _ in workers:
                self._waiting.put_nowait(None)
            _, late = await asyncio.wait(workers, timeout=patience_s)
            del late
        finally:
            for worker in workers:
                worker.cancel()
            ended = await asyncio.gather(*workers, return_exceptions=True)
        for each in ended:
            if isinstance(each, Exception):
                raise each

    async def _keep_pace(self) -> None:
        started = time.monotonic()
        for count, letter in enumerate(self._letters):
            early_s = started + count / self._rate - time.monotonic()
            if early_s > 0:
                await asyncio.sleep(early_s)
            self.sent.letters[letter.number] = letter
            self._waiting.put_nowait(letter)

    async def _work(self) -> None:
        session = _Session()
        try:
            while (letter := await self._waiting.get()) is not None:
                await self._until_taken(letter, session)
                if (
                    session.conversation is not None
                    and session.conversation.letter_count >= LETTERS_PER_SESSION
                ):
                    await session.close()
        finally:
            await session.close()

    async def _until_taken(self, letter: Letter, session: _Session) -> None:
        """Try one letter until it has its 250 or its 5xx; the connection stays where it still is one."""
        text = self._text(letter)
        while True:
            await self._going.wait()
            self.sent.try_count += 1
            place = self._choose()
            self._trying_count += 1
            try:
                if session.conversation is None:
                    session.conversation = await Conversation.open(place)
                place = session.conversation.place
                await session.conversation.deliver(letter, text)
            except _Again as again:
                self.sent.put_off[again.text] = self.sent.put_off.get(again.text, 0) + 1
                if again.uncertain:
                    self.sent.uncertain.add(letter.number)
                await self._after(again, session)
                if session.conversation is None:
                    self._down_until[place] = time.monotonic() + DOWN_S
            except _Refused as refused:
                self.sent.refused[letter.number] = str(refused)
                await session.close()
                return
            else:
                self.sent.acknowledged[letter.number] = Acknowledged(time.monotonic(), place.server)
                return
            finally:
                self._trying_count -= 1
                if not self._trying_count:
                    self._quiet.set()
            await asyncio.sleep(RETRY_S)

    async def hold(self, timeout_s: float) -> bool:
        """Begin no further try, and wait until those that were begun are over.

        Returns:
            Whether they are.
        """
        self._going.clear()
        self._quiet.clear()
        if self._trying_count:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), timeout_s)
        return not self._trying_count

    def resume(self) -> None:
        """Go on after ``hold``."""
        self._going.set()

    def _choose(self) -> Place:
        """Any server, as MX hosts of one preference; one that just failed only when all did."""
        now = time.monotonic()
        answering = [each for each in self._places if self._down_until.get(each, 0.0) <= now]
        return self._luck.choice(answering or self._places)

    @staticmethod
    async def _after(again: _Again, session: _Session) -> None:
        if session.conversation is not None and not again.broken:
            try:
                await session.conversation.reset()
            except (_Again, _Refused):
                pass
            else:
                return
        await session.close()

    def _text(self, letter: Letter) -> bytes:
        head = (
            f"From: <drill@outside.example>\r\nTo: {', '.join(letter.recipients)}\r\n"
            f"Subject: {subject_of(self._run, letter.number)}\r\n"
            f"Message-ID: <{self._run}.{letter.number}@outside.example>\r\n"
            f"{HEADER}: {self._run} {letter.number}\r\n\r\n"
        ).encode()
        line = b"This letter belongs to a fire drill. Nobody needs to read it.\r\n"
        return head + line * max(1, letter.size_bytes // len(line))


def subject_of(run: str, number: int) -> str:
    """The subject of a letter, by which it is recognised in a queue."""
    return f"Fire drill {run} letter {number}"


def number_of(run: str, subject: str) -> int | None:
    """The number of the letter of a drill that has a subject; None when it is none of its letters."""
    start = subject_of(run, 0)[:-1]
    number = subject.removeprefix(start)
    return int(number) if subject.startswith(start) and number.isascii() and number.isdigit() else None
