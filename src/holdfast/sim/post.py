"""Who sends what: draws letters, and drives each sender's sessions over the made-up network."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from holdfast.directory.model import Organisation
from holdfast.sim.elsewhere import draw_address
from holdfast.sim.network import Endpoint, Network
from holdfast.sim.organisation import SMTP_PORT, server_addresses
from holdfast.sim.scenario import Rates
from holdfast.sim.senders import Habit, Letter, SmtpClient
from holdfast.sim.world import World, brief, some

CALM_RETRY_S = 5.0
CALM_REPLY_WAIT_S = 300.0  # RFC 5321 section 4.5.3.2: real senders wait minutes
BODY_LINES = (
    b"Hello.",
    b".",
    b"..",
    b".dots at the start",
    b"",
    b"From here on",
    b"caf\xc3\xa9 \xff",
    b"x" * 990,
)

UNKNOWN = ("nobody@example.test", "someone@elsewhere.example")


def sender_place(index: int) -> str:
    """Where a sender is: its IP address."""
    return f"198.51.100.{index + 1}"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a letter generator needs."""

    luck: random.Random
    rates: Rates
    organisation: Organisation


def draw_letter(draft: Draft, marker: str) -> Letter:
    """Draw one letter: recipients (people, aliases, groups, strangers) and a body with nasty lines."""
    luck, rates, organisation = draft.luck, draft.rates, draft.organisation
    people = [address for box in organisation.mailboxes for address in (box.address, *box.aliases)]
    groups = [group.address for group in organisation.distribution_groups]
    recipients: list[str] = []
    for _ in range(1 + luck.randrange(max(1, rates.recipient_max))):
        draw = luck.random()
        if rates.outside_rate and luck.random() < rates.outside_rate:
            recipient = draw_address(luck)
        elif draw < rates.unknown_rate:
            recipient = UNKNOWN[luck.randrange(len(UNKNOWN))]
        elif draw < rates.unknown_rate + rates.group_rate and groups:
            recipient = groups[luck.randrange(len(groups))]
        else:
            recipient = people[luck.randrange(len(people))]
        if recipient not in recipients:
            recipients.append(recipient)
    lines = [
        b"From: Sender <sender@example.org>",
        b"To: undisclosed-recipients:;",
        b"Subject: letter " + marker.encode(),
        b"Message-ID: <" + marker.encode() + b"@sender.example>",
        b"X-Letter: " + marker.encode(),
        b"",
    ]
    size = luck.randrange(1 + rates.body_bytes_max)
    while size > 0:
        line = BODY_LINES[luck.randrange(len(BODY_LINES))]
        lines.append(line)
        size -= len(line) + 2
    reverse_path = "" if luck.random() < 0.1 else "sender@example.org"
    if luck.random() < rates.local_rate and len(organisation.mailboxes) > 1:
        reverse_path = organisation.mailboxes[-1].address
    return Letter(marker, reverse_path, tuple(recipients), b"\r\n".join(lines) + b"\r\n")


class Sender:
    """A mail server with letters for us; one session at a time.

    It knows all our servers, as MX records of one preference name them. It tries another one when a
    connection could not be made or broke, or left letters behind (RFC 5321 section 5.1).
    """

    def __init__(
        self,
        place: str,
        world: World,
        network: Network,
        rates: Rates,
        acknowledged: Callable[[Letter, tuple[str, ...]], None],
        repeated: Callable[[Letter], None] = lambda letter: None,
    ) -> None:
        """Make a sender that has no letters yet.

        Args:
            place: its IP address.
            world: its clock.
            network: what it connects through.
            rates: how it behaves.
            acknowledged: is told when it has read a 250.
            repeated: is told of a letter that it is going to send a second time, on purpose.
        """
        self.place = place
        self.letters: list[Letter] = []
        self._open: deque[Letter] = deque()  # those from the first unfinished one on
        self.calm = False
        self._world = world
        self._network = network
        self._rates = rates
        self._told = acknowledged
        self._luck = world.luck(f"sender {place}")
        self._server_luck = world.luck(f"servers of sender {place}")
        self._servers = server_addresses(rates)
        self._server = self._servers[self._server_luck.randrange(len(self._servers))]
        self._session: _Session | None = None
        self._waking = False
        self._repeated = repeated
        self._repeat_luck = world.luck(f"repeats {place}")
        self._unsettled: list[Letter] = []  # letters of which it is not decided whether they are repeated
        self._repeat_count = 0  # that are still to be posted

    @property
    def finished(self) -> bool:
        """Whether every letter has its final answers and no session is open."""
        return self._session is None and not self._repeat_count and not self._unfinished()

    def _unfinished(self) -> deque[Letter]:
        """The letters from the first one on that has no final answer; empty when all have theirs."""
        while self._open and self._open[0].finished:
            self._open.popleft()
        return self._open

    def post(self, letter: Letter) -> None:
        """Take a letter to send, soon."""
        self.letters.append(letter)
        self._open.append(letter)
        self._unsettled.append(letter)
        self._world.note(
            f"{self.place} has {letter.marker} for {' '.join(letter.recipients)} {brief(letter.data)}"
        )
        self._wake(0.0)

    def _acknowledged(self, letter: Letter, recipients: tuple[str, ...]) -> None:
        self._world.note(f"{self.place} reads 250 for {letter.marker}")
        self._told(letter, recipients)

    def _wake(self, delay_s: float) -> None:
        if not self._waking:
            self._waking = True
            self._world.after(delay_s, "", self._woken)

    def _woken(self) -> None:
        self._waking = False
        if self._session is None and self._unfinished():
            self._session = _Session(self)

    def grow_calm(self) -> None:
        """Faults are over: behave properly from now on."""
        self.calm = True

    def new_client(self) -> SmtpClient:
        """The machine for one session."""
        waiting = [letter for letter in self._unfinished() if not letter.finished]
        budget = [1 + self._luck.randrange(max(1, self._rates.session_letter_max))]

        def next_letter() -> tuple[Letter, Habit] | None:
            if budget[0] == 0 or not waiting:
                return None
            budget[0] -= 1
            letter = waiting.pop(0)
            return letter, self._draw_habit()

        pipelining = self._luck.random() < self._rates.pipelining_rate
        return SmtpClient(next_letter, self._acknowledged, pipelining=pipelining, server=self._server)

    def _draw_habit(self) -> Habit:
        in_data, after_dot, half, variant = (self._luck.random() for _ in range(4))
        if self.calm:
            return Habit.PROPER
        if in_data < self._rates.drop_in_data_rate:
            return Habit.DROP_IN_DATA if variant < 0.7 else Habit.END_IN_DATA
        if after_dot < self._rates.drop_after_dot_rate:
            return Habit.DROP_AFTER_DOT
        if self._repeat_luck.random() < self._rates.burst_rate:
            return Habit.BURST
        return Habit.END_AFTER_DOT if half < self._rates.half_close_rate else Habit.PROPER

    def connect(self, session: _Session) -> Endpoint:
        """Open the connection of a session."""
        return self._network.connect(self.place, self._server, session, SMTP_PORT)

    def watch(self, session: _Session, progress: int) -> None:
        """Lose patience with a session when nothing comes for too long."""
        wait_s = CALM_REPLY_WAIT_S if self.calm else self._rates.reply_wait_s

        def look() -> None:
            if self._session is session and session.progress == progress:
                self._world.note(f"{self.place} lost patience")
                session.give_up()

        self._world.after(wait_s, "", look)

    def over(self, session: _Session) -> None:
        """A session ended, however it did."""
        assert self._session is session
        self._session = None
        self._repeat_some()
        if self._unfinished():
            self._choose_server()
            self._wake(some(self._luck, CALM_RETRY_S if self.calm else self._rates.retry_s))

    def _choose_server(self) -> None:
        """Mostly go to another server after this one did not take everything."""
        others = [each for each in self._servers if each != self._server]
        rate = max(0.5, self._rates.other_server_rate) if self.calm else self._rates.other_server_rate
        if others and self._server_luck.random() < rate:
            self._server = others[self._server_luck.randrange(len(others))]

    def _repeat_some(self) -> None:
        """Let some letters come once more: those whose sender and server agree that they were taken."""
        still_open = []
        for letter in self._unsettled:
            if not letter.finished:
                still_open.append(letter)
                continue
            draw = self._repeat_luck.random()
            if letter.confirmed and draw < self._rates.repeat_rate:
                self._repeat_count += 1
                again = Letter(letter.marker, letter.reverse_path, letter.confirmed[-1], letter.data)
                delay_s = some(self._repeat_luck, self._rates.repeat_s)
                self._world.after(delay_s, "", partial(self._repeat, again))
        self._unsettled = still_open

    def _repeat(self, again: Letter) -> None:
        self._repeat_count -= 1
        self._repeated(again)
        self._world.note(f"{self.place} sends {again.marker} once more on purpose")
        self.post(again)
        self._unsettled.pop()  # once more is enough


class _Session:
    """One connection of a sender."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._client = sender.new_client()
        self.progress = 0
        self._endpoint = sender.connect(self)
        sender.watch(self, self.progress)

    def opened(self) -> None:
        self._go_on()

    def received(self, data: bytes) -> None:
        self._endpoint.send(self._client.receive(data))
        self._go_on()
        match self._client.wish:
            case "end":
                self._client.wish = ""
                self._endpoint.end()
            case "abort":
                self.give_up()
            case "close":
                self._client.wish = "closing"
                self._endpoint.close()
            case _:
                pass

    def ended(self) -> None:
        self._client.wish = "closing"
        self._endpoint.close()

    def lost(self) -> None:
        self._sender.over(self)

    def give_up(self) -> None:
        """Break the connection and try again later."""
        self._endpoint.vanish()
        self._sender.over(self)

    def _go_on(self) -> None:
        self.progress += 1
        self._sender.watch(self, self.progress)
