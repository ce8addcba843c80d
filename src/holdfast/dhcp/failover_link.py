"""The connection with a partner: who begins, whether it is the right one, whether it lives, whose clock.

The primary says CONNECT on whichever connection came up, its own or the
partner's; the secondary answers. What does not fit (name, secret, version,
clock, MCLT, roles) is refused with a reason that both sides log, and tried again
after a minute; a connection that is lost is dialled anew every few seconds.

Clocks are never compared with each other's instants: an instant in a message
counts from the message's own time. Of how that relates to our clock the
shortest way so far is believed, for a longer one was slow on the road.

Invariants: at most one connection is in use; nothing of a message takes effect
before its digest was right; no CONNECT is taken twice.

Source: draft-ietf-dhc-failover-12 sections 5.10, 7.8, 7.9, 8, 11.1; spec/dhcp.md sections 2.1, 2.9 and 2.12.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.dhcp.balance import buckets_of
from holdfast.dhcp.failover_record import write_spans
from holdfast.dhcp.failover_settings import OUR_VENDOR, Settings
from holdfast.wire.failover import VERSION, BadMessage, read_message, write_message
from holdfast.wire.failover_digest import Seal, for_connection
from holdfast.wire.failover_messages import (
    DIGEST_FAILED,
    DIGEST_MISSING,
    INVALID_MCLT,
    INVALID_PARTNER,
    NO_TRAFFIC,
    OTHER_REASON,
    OUTDATED,
    REASON_TEXTS,
    TIME_MISMATCH,
    TLS_NOT_SUPPORTED,
    VERSION_MISMATCH,
    Acknowledgement,
    Connect,
    ConnectAnswer,
    Contact,
    Content,
    Disconnect,
    Message,
    PoolResponse,
    Unknown,
    UpdateDone,
)

DIAL_S = 10.0  # how long a connection may take to come up
DIAL_AGAIN_S = 2.0
REFUSED_AGAIN_S = 60.0  # draft section 7.9: a minute or two
CONNECT_S = 15.0  # how long a CONNECT, or its answer, may take (ISC)
WINDOW_S = 5.0  # the shortest way of so long is believed: clocks drift, and are set
_ANSWERS = (Acknowledgement, ConnectAnswer, UpdateDone, PoolResponse)  # they repeat our own xid


class Phase(enum.Enum):
    """How far a connection is."""

    IDLE = "idle"
    DIALLING = "dialling"
    WAITING = "waiting"  # for a CONNECT, or for its answer
    UP = "up"


@dataclass(slots=True)
class Peer:
    """What the partner said of itself when it connected."""

    vendor: bytes
    unacked_max: int
    receive_timer_s: int
    knows_us: bool  # whether it has a record of having spoken with us; true where it does not say
    shared: bytes = b""  # which scopes it shares with us, as ``shared_digest`` makes it; empty where unsaid

    @property
    def is_ours(self) -> bool:
        """Whether it understands what only we say."""
        return self.vendor.startswith(b"holdfast-")


SHARED_BYTES = 8


def shared_digest(settings: Settings) -> bytes:
    """What a server of ours says of the scopes that it shares: its partner sees whether it has the same."""
    return hashlib.sha256(write_spans(settings.spans)).digest()[:SHARED_BYTES]


_TWO_PRIMARIES = "both servers say that they are the primary"


def _content_of(data: bytes, seal: Seal | None) -> Content | None:
    """What a message says; None when it cannot be read so."""
    try:
        return read_message(data, seal).content
    except BadMessage:
        return None


class Link:
    """The connection of one relationship."""

    def __init__(self, settings: Settings, knows_partner: Callable[[], bool]) -> None:
        """Make a link that dials at once.

        Args:
            settings: of the relationship.
            knows_partner: whether we have a record of having spoken with the partner.
        """
        self.settings = settings
        self._knows_partner = knows_partner
        self.phase = Phase.IDLE
        self.connection = 0
        self.peer: Peer | None = None
        self.trouble = ""
        self.sent: list[tuple[int, bytes]] = []
        self.hung_up: list[int] = []
        self.dialled: list[int] = []
        self.private: list[Unknown] = []  # what a partner of ours said beyond the draft
        # Set once per thing that happened; the endpoint takes them.
        self.came_up = False
        self.went_down = ""
        self.refused = ""  # what we refused the partner for
        self.refused_by_partner = ""
        self.connect_time = 0  # the partner's, of the last CONNECT that was taken
        self.said_connect_at = 0  # ours, by our wall clock
        self.told: Connect | None = None
        self.clock_offset_s = 0.0  # ours to the node's clock, kept by the node
        self.next_xid = 0
        self._arrived_at = 0.0  # the message at hand
        self._last_xid = -1
        self._seal_out: Seal | None = None
        self._seal_in: Seal | None = None
        self._dial_at: float | None = 0.0
        self._until = 0.0  # when the phase has taken too long
        self._heard_at = self._spoke_at = 0.0
        self._apart_s: float | None = None  # our clock ahead of the partner's wall clock
        self._last_apart_s = 0.0  # as the last message alone tells it
        self._least_s = self._window_until = 0.0
        self.enabled = True
        # Whether we dial, or the partner alone: where each of two servers is primary in a relationship, a
        # primary could not know which of them a connection is about on which a secondary says nothing.
        self.dials = True

    # Clocks

    def to_wire(self, instant: float) -> int:
        """An instant of ours as the partner reads it."""
        return max(0, min(0xFFFF_FFFF, math.floor(instant + self.clock_offset_s + 0.5)))

    def from_wire(self, instant: int) -> int:
        """Something that happened at the partner, by our clock."""
        return max(0, instant + self.happened_shift_s)

    # What is added to instants in whole seconds; of one message all are.

    @property
    def to_wire_shift_s(self) -> int:
        """To ours, as the partner reads them."""
        return math.floor(self.clock_offset_s + 0.5)

    @property
    def happened_shift_s(self) -> int:
        """To what happened at the partner, by our clock: rather earlier than too late.

        Messages have whole seconds. Rounded up, an instant that goes to and fro would grow by a second each
        time, and what is old would seem new.
        """
        return math.ceil((self._apart_s or 0.0) - 1.0)

    @property
    def end_shift_s(self) -> int:
        """To what the last message said of ends, by our clock: rather later than too early.

        How long the message took counts as if it had taken no time, so that this is right also in the moment
        in which somebody sets the partner's clock.
        """
        return math.ceil(self._last_apart_s)

    @property
    def clock_difference_s(self) -> float | None:
        """By how much the partner's wall clock is ahead of ours."""
        return None if self._apart_s is None else -(self._apart_s + self.clock_offset_s)

    def _note_time(self, time: int) -> bool:
        """Take in the time of the message at hand; whether the partner's clock was set meanwhile."""
        now = self._arrived_at
        apart_s = self._last_apart_s = now - time
        if self._apart_s is None:
            self._apart_s = self._least_s = apart_s
            self._window_until = now + WINDOW_S
            return False
        if abs(apart_s - self._apart_s) > self.settings.clock_difference_s:
            return True
        self._least_s = min(self._least_s, apart_s)
        self._apart_s = min(self._apart_s, apart_s)
        if now >= self._window_until:
            self._apart_s, self._least_s = self._least_s, apart_s
            self._window_until = now + WINDOW_S
        return False

    # What happens

    @property
    def is_up(self) -> bool:
        """Whether the partner speaks with us."""
        return self.phase is Phase.UP

    @property
    def shares_the_same(self) -> bool:
        """Whether all that the partner tells is all that we need: it is silent of what it leases alone."""
        shared = b"" if self.peer is None else self.peer.shared
        return not shared or shared == shared_digest(self.settings)

    @property
    def takes_connection(self) -> bool:
        """Whether one that the partner made is welcome now."""
        return self.enabled and self.phase in (Phase.IDLE, Phase.DIALLING)

    def connected(self, now: float, connection: int) -> None:
        """A connection is there: ours that was dialled, or the partner's."""
        if not self.enabled or self.phase in (Phase.WAITING, Phase.UP):
            if connection != self.connection:
                self.hung_up.append(connection)
            return
        if self.phase is Phase.DIALLING and connection != self.connection:
            self.hung_up.append(self.connection)
        self._begin(now, connection)
        if self.settings.primary:
            self._say_connect(now)

    def _begin(self, now: float, connection: int) -> None:
        self.phase = Phase.WAITING
        self.connection = connection
        self.peer = None
        self._until = now + CONNECT_S
        self._heard_at = self._spoke_at = now
        self._apart_s = None
        self._arrived_at = now
        self.next_xid = 0
        self._last_xid = -1
        secret = self.settings.secret
        self._seal_in = self._seal_out = Seal(self.settings.digest, secret) if secret else None

    def _say_connect(self, now: float) -> None:
        settings = self.settings
        time = int(now + self.clock_offset_s)
        # The partner takes no time twice; one that is far ahead was said by a clock that has been set right.
        is_right = self.said_connect_at <= time + settings.clock_difference_s
        self.said_connect_at = max(self.said_connect_at + 1, time) if is_right else time
        connect = Connect(
            settings.name, settings.unacked_max, settings.receive_timer_s, OUR_VENDOR, VERSION, 0,
            settings.mclt_s, buckets_of(settings.split_count), vendor_options=self._vendor_options(),
        )  # fmt: skip
        self.next_xid = 1
        data = write_message(Message(self.said_connect_at, 0, connect), self._seal_out)
        self.sent.append((self.connection, data))
        self._key_connection(data)

    def _vendor_options(self) -> bytes:
        return (b"\x01" if self._knows_partner() else b"\x00") + shared_digest(self.settings)

    def _key_connection(self, connect: bytes) -> None:
        """From the CONNECT on each side has a key of its own."""
        if self._seal_out is None:
            return
        primary = self.settings.primary
        seal = self._seal_out
        self._seal_out = for_connection(seal, connect, from_primary=primary)
        self._seal_in = for_connection(seal, connect, from_primary=not primary)

    def takes_over(self, now: float, connection: int) -> None:
        """The primary begins anew on another connection: what it has left is dead."""
        if self.phase is not Phase.IDLE:
            self.hung_up.append(self.connection)
            if self.phase is Phase.UP:
                self.went_down = "the partner connected anew"
        self._begin(now, connection)

    def received(self, now: float, data: bytes, *, arrived_at: float | None = None) -> Message | None:
        """Read a message of the connection in use; None when the link itself was meant, or is gone now.

        Args:
            now: by our clock.
            data: the message.
            arrived_at: when it arrived; it may have waited for a disk since. None for now.
        """
        self._arrived_at = now if arrived_at is None else arrived_at
        if self.phase not in (Phase.WAITING, Phase.UP):
            return None
        try:
            message = read_message(data, self._seal_in)
            self._check_order(message)
        except BadMessage as bad:
            self._refuse_first(now, bad, data)
            return None
        self._heard_at = now
        if self.phase is Phase.WAITING:
            self._shake_hands(now, message, data)
            return None
        if self._note_time(message.time):
            self._refuse(now, TIME_MISMATCH, "the partner's clock was set", data)
            return None
        match message.content:
            case Disconnect(reason, text):
                self._lost(now, f"the partner says: {text or REASON_TEXTS.get(reason, reason)}", DIAL_AGAIN_S)
                return None
            case Connect() | ConnectAnswer():
                self._refuse(now, OTHER_REASON, "a CONNECT on a connection that is in use", data)
                return None
            case Contact():
                return None
            case Unknown() as private:
                if self.peer is not None and self.peer.is_ours:
                    self.private.append(private)
                return None
        return message

    def _check_order(self, message: Message) -> None:
        if self._seal_in is None or isinstance(message.content, _ANSWERS):
            return
        if message.xid <= self._last_xid:
            raise BadMessage(f"message {message.xid} came after {self._last_xid}: it was said before")
        self._last_xid = message.xid

    def _refuse_first(self, now: float, bad: BadMessage, data: bytes) -> None:
        """What cannot be read with our keys may still say why there are none."""
        if self.phase is Phase.WAITING and bad.reason == DIGEST_MISSING:
            answer = _content_of(data, None)
            if isinstance(answer, ConnectAnswer) and answer.reason:
                # Who has no relationship with us has no secret; it ends what has not begun.
                self._refused_by_partner(now, answer.reason, answer.text)
                return
        if self.phase is Phase.WAITING and self.settings.primary and bad.reason == DIGEST_FAILED:
            secret = Seal(self.settings.digest, self.settings.secret)
            if isinstance(_content_of(data, secret), Connect):
                self._refuse(now, INVALID_PARTNER, _TWO_PRIMARIES, data)
                return
        self._refuse(now, bad.reason, bad.text, data)

    # The first two messages

    def _shake_hands(self, now: float, message: Message, data: bytes) -> None:
        match message.content:
            case Connect() as connect if not self.settings.primary:
                # Before it is judged: the primary reads all that we say, a refusal too, with these keys.
                self._key_connection(data)
                reason, text = self._judged(now, message, connect)
                if reason:
                    self._refuse(now, reason, text, data)
                    return
                self.connect_time = message.time
                self.told = connect
                self._note_time(message.time)
                settings = self.settings
                # ISC dhcpd acknowledges once half of what we take is under way, else after two seconds
                # (spec/dhcp.md section 2.6); more than it takes itself never is.
                unacked_max = min(settings.unacked_max, connect.unacked_max)
                self._answer(
                    now,
                    message.xid,
                    ConnectAnswer(
                        settings.name, unacked_max, settings.receive_timer_s, OUR_VENDOR, VERSION,
                        None if connect.tls is None else 0, vendor_options=self._vendor_options(),
                    ),
                )  # fmt: skip
                self._up(connect)
            case ConnectAnswer() as answer if self.settings.primary:
                self._answered(now, message, answer, data)
            case Connect():
                self._refuse(now, INVALID_PARTNER, _TWO_PRIMARIES, data)
            case Disconnect(reason, text):
                self._refused_by_partner(now, reason, text)
            case _:
                self._refuse(now, OTHER_REASON, "the first message is no CONNECT and no answer to one", data)

    def _judged(self, now: float, message: Message, connect: Connect) -> tuple[int, str]:
        """Why a CONNECT is refused; 0 when it is not."""
        settings = self.settings
        apart_s = message.time - (now + self.clock_offset_s)
        if connect.version != VERSION:
            return VERSION_MISMATCH, f"version {connect.version} of the protocol; ours is {VERSION}"
        if connect.relationship != settings.name:
            return INVALID_PARTNER, "the relationship has another name"
        if connect.tls == 2:
            return TLS_NOT_SUPPORTED, "TLS is required"
        if abs(apart_s) > settings.clock_difference_s:
            return TIME_MISMATCH, f"the clocks differ by {apart_s:.0f} s"
        if settings.secret and self._is_replayed(now, message.time):
            return OUTDATED, "a CONNECT that was said before"
        if connect.mclt_s != settings.mclt_s:
            return INVALID_MCLT, f"the MCLT is {connect.mclt_s} s at the primary, {settings.mclt_s} s here"
        if connect.receive_timer_s < 1 or connect.unacked_max < 1:
            return OTHER_REASON, "a receive timer or a number of updates of 0"
        return 0, ""

    def _is_replayed(self, now: float, time: int) -> bool:
        # A time ahead of us was taken by a clock of ours that was wrong.
        ahead = self.connect_time > now + self.clock_offset_s + self.settings.clock_difference_s
        return time <= self.connect_time and not ahead

    def _answered(self, now: float, message: Message, answer: ConnectAnswer, data: bytes) -> None:
        if answer.reason:
            self._refused_by_partner(now, answer.reason, answer.text)
            return
        apart_s = message.time - (now + self.clock_offset_s)
        if answer.version != VERSION:
            self._refuse(now, VERSION_MISMATCH, f"version {answer.version} of the protocol", data)
        elif answer.relationship != self.settings.name:
            self._refuse(now, INVALID_PARTNER, "the relationship has another name", data)
        elif abs(apart_s) > self.settings.clock_difference_s:
            self._refuse(now, TIME_MISMATCH, f"the clocks differ by {apart_s:.0f} s", data)
        elif answer.receive_timer_s < 1 or answer.unacked_max < 1:
            self._refuse(now, OTHER_REASON, "a receive timer or a number of updates of 0", data)
        else:
            self._note_time(message.time)
            self._up(answer)

    def _up(self, said: Connect | ConnectAnswer) -> None:
        knows_us = said.vendor_options is None or said.vendor_options[:1] != b"\x00"
        shared = (said.vendor_options or b"")[1 : 1 + SHARED_BYTES]
        self.peer = Peer(said.vendor, said.unacked_max, said.receive_timer_s, knows_us)
        if self.peer.is_ours:
            self.peer.shared = shared
        self.phase = Phase.UP
        self.trouble = ""
        self.came_up = True

    # Saying

    @property
    def seal(self) -> Seal | None:
        """What our messages are signed with."""
        return self._seal_out

    def say(self, now: float, content: Content) -> bytes:
        """Send a message with the next xid; its bytes."""
        self.next_xid += 1
        return self._answer(now, self.next_xid - 1, content)

    def _answer(self, now: float, xid: int, content: Content) -> bytes:
        data = write_message(Message(int(now + self.clock_offset_s), xid, content), self._seal_out)
        self.sent.append((self.connection, data))
        self._spoke_at = now
        return data

    def answer(self, now: float, xid: int, content: Content) -> None:
        """Send the answer to a message of the partner."""
        self._answer(now, xid, content)

    # Ends

    def _refuse(self, now: float, reason: int, text: str, data: bytes) -> None:
        """What came does not fit: say so, in the way that the partner expects, and hang up."""
        self.refused = text
        if self.phase is Phase.WAITING and len(data) > 2 and data[2] == 5:
            xid = int.from_bytes(data[8:12], "big")
            self._answer(now, xid, ConnectAnswer(self.settings.name, 0, 0, b"", VERSION, None, reason, text))
        else:
            self.say(now, Disconnect(reason, text))
        self._lost(now, text, REFUSED_AGAIN_S)

    def _refused_by_partner(self, now: float, reason: int, text: str) -> None:
        self.refused_by_partner = text or REASON_TEXTS.get(reason, f"reason {reason}")
        self._lost(now, f"the partner says: {self.refused_by_partner}", REFUSED_AGAIN_S)

    def give_up(self, now: float, reason: int, text: str) -> None:
        """End the connection by our own will; it is dialled again."""
        if self.phase is Phase.UP:
            self.say(now, Disconnect(reason, text))
        self._lost(now, text, DIAL_AGAIN_S)

    def disconnected(self, now: float, connection: int, reason: str) -> None:
        """The driver says that a connection is gone."""
        if connection == self.connection and self.phase is not Phase.IDLE:
            self._lost(now, reason, DIAL_AGAIN_S, is_gone=True)

    def _lost(self, now: float, text: str, again_s: float, *, is_gone: bool = False) -> None:
        if self.phase is Phase.UP:
            self.went_down = text
        if not is_gone:
            self.hung_up.append(self.connection)
        self.trouble = text
        self.phase = Phase.IDLE
        self.peer = None
        self._dial_at = now + again_s

    def stop(self) -> None:
        """Have no connection any more."""
        if self.phase is not Phase.IDLE:
            self.hung_up.append(self.connection)
        self.phase = Phase.IDLE
        self.enabled = False

    # Time

    def deadline(self) -> float | None:
        """When ``timer`` wants to be called next."""
        match self.phase:
            case Phase.IDLE:
                return self._dial_at if self.enabled and self.dials else None
            case Phase.DIALLING | Phase.WAITING:
                return self._until
            case Phase.UP:
                assert self.peer is not None
                return min(self._spoke_at + self._contact_s, self._heard_at + self.settings.receive_timer_s)

    @property
    def _contact_s(self) -> float:
        """After how long without a word of ours the partner hears a CONTACT: a third of its patience."""
        assert self.peer is not None
        return max(0.3, self.peer.receive_timer_s / 3)

    def timer(self, now: float, next_connection: Callable[[], int]) -> None:
        """Dial, give up, or show that we live."""
        match self.phase:
            case Phase.IDLE if not self.dials:
                self.trouble = self.trouble or "the primary has not connected yet"
            case Phase.IDLE if self.enabled and self._dial_at is not None and now >= self._dial_at:
                if not self.settings.partner:
                    self.trouble = "the partner has no address"
                    self._dial_at = now + REFUSED_AGAIN_S
                    return
                self.phase = Phase.DIALLING
                self.connection = next_connection()
                self._until = now + DIAL_S
                self.dialled.append(self.connection)
            case Phase.DIALLING if now >= self._until:
                self._lost(now, f"no connection within {DIAL_S:.0f} s", DIAL_AGAIN_S)
            case Phase.WAITING if now >= self._until:
                what = "no answer to our CONNECT" if self.settings.primary else "no CONNECT of the primary"
                self._lost(now, f"{what} within {CONNECT_S:.0f} s", DIAL_AGAIN_S)
            case Phase.UP if now >= self._heard_at + self.settings.receive_timer_s:
                self.give_up(now, NO_TRAFFIC, f"nothing was heard for {self.settings.receive_timer_s} s")
            case Phase.UP if now >= self._spoke_at + self._contact_s:
                self.say(now, Contact())
