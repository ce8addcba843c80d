"""One IMAP session as a machine: bytes and answers in, bytes and questions out.

A command runs as a generator (see ``imap_conversation``); one at a time. What
the client sends meanwhile waits, bounded: when too much waits, the session
asks for a pause in reading. Before the tagged answer the session reads what
happened in the selected folder and says it, so every command brings news, and
EXPUNGE is held back while the client counts by sequence number.

States: not signed in, signed in, selected; ``COMMANDS`` says which command may
run in which. A command in a wrong state is answered NO (RFC 3501 section 3).

Before sign-in an unknown command ends the session: whoever speaks another
protocol to this port (a browser made to POST, say) gets no second line.

Source: RFC 3501; RFC 7888 for literals; see docs/decisions/0006-imap-session.md.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from dataclasses import dataclass

from holdfast.access import (
    imap_fetch,
    imap_folders,
    imap_idle,
    imap_list,
    imap_messages,
    imap_search,
    imap_session_commands,
)
from holdfast.access.imap_conversation import (
    Ask,
    AwaitChange,
    Bad,
    BeginTls,
    CheckCredentials,
    Conversation,
    Drain,
    Farewell,
    Handler,
    HoldBytes,
    No,
    ReadLine,
    ReleaseBytes,
    SessionSettings,
    Severed,
    Step,
    StepResult,
    WatchFolder,
    refresh,
)
from holdfast.access.sign_in import Account
from holdfast.kernel.errors import Refusal
from holdfast.wire import store
from holdfast.wire.imap import BadCommand, Command, CommandReader, LiteralWanted

GREETING = b"* OK IMAP4rev1 Server ready\r\n"
LITERAL_BYTES_MAX_BEFORE_SIGN_IN = 8 << 10


class State(enum.Flag):
    """The states of RFC 3501 section 3; the fourth, logout, is the end of the session."""

    NOT_SIGNED_IN = enum.auto()
    SIGNED_IN = enum.auto()
    SELECTED = enum.auto()


_FOLDER_STATES = State.SIGNED_IN | State.SELECTED
_ANY_STATE = State.NOT_SIGNED_IN | _FOLDER_STATES


@dataclass(frozen=True, slots=True)
class CommandRule:
    """How a command runs.

    Attributes:
        handler: see ``imap_conversation``.
        states: in which it may run.
        uid: whether it may also stand behind UID.
        expunges: whether EXPUNGE may be said before its tagged answer. Not while the client counts by
            sequence number (RFC 3501 section 7.4.1); behind UID it always may.
        news: whether news of the selected folder are read before the tagged answer.
    """

    handler: Handler
    states: State
    uid: bool = False
    expunges: bool = True
    news: bool = True


COMMANDS: dict[str, CommandRule] = {
    "CAPABILITY": CommandRule(imap_session_commands.capability, _ANY_STATE),
    "NOOP": CommandRule(imap_session_commands.noop, _ANY_STATE),
    "LOGOUT": CommandRule(imap_session_commands.logout, _ANY_STATE),
    "ID": CommandRule(imap_session_commands.identify, _ANY_STATE),
    "STARTTLS": CommandRule(imap_session_commands.starttls, State.NOT_SIGNED_IN),
    "LOGIN": CommandRule(imap_session_commands.login, State.NOT_SIGNED_IN),
    "AUTHENTICATE": CommandRule(imap_session_commands.authenticate, State.NOT_SIGNED_IN),
    "ENABLE": CommandRule(imap_session_commands.enable, _FOLDER_STATES),
    "NAMESPACE": CommandRule(imap_folders.namespace, _FOLDER_STATES),
    "LIST": CommandRule(imap_list.list_folders, _FOLDER_STATES),
    "LSUB": CommandRule(imap_list.list_subscribed, _FOLDER_STATES),
    "STATUS": CommandRule(imap_folders.status, _FOLDER_STATES),
    "CREATE": CommandRule(imap_folders.create, _FOLDER_STATES),
    # What goes out of a selected folder by these two is said at the next command, as Apache James does it.
    "DELETE": CommandRule(imap_folders.delete, _FOLDER_STATES, expunges=False),
    "RENAME": CommandRule(imap_folders.rename, _FOLDER_STATES, expunges=False),
    "SUBSCRIBE": CommandRule(imap_folders.subscribe, _FOLDER_STATES),
    "UNSUBSCRIBE": CommandRule(imap_folders.unsubscribe, _FOLDER_STATES),
    "SELECT": CommandRule(imap_folders.select, _FOLDER_STATES, news=False),
    "EXAMINE": CommandRule(imap_folders.examine, _FOLDER_STATES, news=False),
    "APPEND": CommandRule(imap_messages.append, _FOLDER_STATES),
    "IDLE": CommandRule(imap_idle.idle, _FOLDER_STATES),
    "CHECK": CommandRule(imap_session_commands.noop, State.SELECTED),
    "CLOSE": CommandRule(imap_folders.close, State.SELECTED),
    "UNSELECT": CommandRule(imap_folders.unselect, State.SELECTED),
    "EXPUNGE": CommandRule(imap_messages.expunge, State.SELECTED, uid=True),
    "SEARCH": CommandRule(imap_search.search, State.SELECTED, uid=True, expunges=False),
    "FETCH": CommandRule(imap_fetch.fetch, State.SELECTED, uid=True, expunges=False),
    "STORE": CommandRule(imap_messages.store_flags, State.SELECTED, uid=True, expunges=False),
    "COPY": CommandRule(imap_messages.copy, State.SELECTED, uid=True),
    "MOVE": CommandRule(imap_messages.move, State.SELECTED, uid=True),
}


# --- what the session asks of the node -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """Write to the client, in one piece."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AskStore:
    """Ask the account's mailbox database; ``store_answered`` brings the answer."""

    operation: store.Operation


@dataclass(frozen=True, slots=True)
class BytesWanted:
    """A share of what all sessions may hold of messages; ``bytes_granted`` says that it is there."""

    byte_count: int


@dataclass(frozen=True, slots=True)
class BytesReleased:
    """The share is given back, or is wanted no more."""


@dataclass(frozen=True, slots=True)
class PasswordGiven:
    """Verify a password; ``password_checked`` brings the account or None."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Watching:
    """From now on call ``folder_changed`` when the folder changes, or no more."""

    folder_id: int
    wanted: bool


@dataclass(frozen=True, slots=True)
class TlsWanted:
    """Begin TLS after what was written; ``tls_started`` reports success."""


@dataclass(frozen=True, slots=True)
class ReadingPaused:
    """Read no more for now."""


@dataclass(frozen=True, slots=True)
class ReadingResumed:
    """Read again."""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Close the connection after what was written; nothing follows."""


SessionEvent = (
    Reply
    | AskStore
    | BytesWanted
    | BytesReleased
    | PasswordGiven
    | Watching
    | TlsWanted
    | ReadingPaused
    | ReadingResumed
    | SessionEnded
)


class ImapSession:
    """The server's side of one IMAP connection.

    After each call take ``take_events()`` and do them in order.
    """

    def __init__(
        self, settings: SessionSettings, *, tls_active: bool, tls_offered: bool, local_client: bool
    ) -> None:
        self.conversation = Conversation(
            settings, tls_active=tls_active, tls_offered=tls_offered, local_client=local_client
        )
        self._settings = settings
        self._reader = CommandReader(LITERAL_BYTES_MAX_BEFORE_SIGN_IN)
        self._events: list[SessionEvent] = []
        self._running: Generator[Step, StepResult, None] | None = None
        self._waiting_for: Step | None = None
        self._draining = False
        self._unread_bytes = 0  # written since the connection last said that it was empty
        self._holds_share = False
        self._paused = False
        self._folder_changed = False
        self._peer_ended = False
        self._bad_count = 0
        self._goodbye: str | None = None
        self._ended = False

    # --- inputs ------------------------------------------------------------------------------------

    def greet(self) -> None:
        """Say the greeting."""
        self.conversation.out += GREETING
        self._flush()

    def receive(self, now: float, data: bytes) -> None:
        """Take bytes from the client; ``now`` is the wall clock in seconds since 1970."""
        if self._ended:
            return
        self.conversation.now = now
        self._reader.feed(data)
        self._work()

    def peer_ended(self) -> None:
        """The client says no more; what it asked is still answered."""
        self._peer_ended = True
        self._work()

    def store_answered(self, answer: store.Answer) -> None:
        """The answer to ``AskStore``, or a Refused with UNAVAILABLE when there will be none."""
        assert isinstance(self._waiting_for, Ask), self._waiting_for
        self._resume(answer)

    def bytes_granted(self) -> None:
        """The share asked for by ``BytesWanted`` is there."""
        assert isinstance(self._waiting_for, HoldBytes), self._waiting_for
        self._resume(None)

    def password_checked(self, account: Account | None) -> None:
        """The answer to ``PasswordGiven``."""
        assert isinstance(self._waiting_for, CheckCredentials), self._waiting_for
        self._resume(account)

    def folder_changed(self) -> None:
        """A watched folder has changed."""
        # Remembered, because the running IDLE may just be reading an older state.
        self._folder_changed = True
        self._work()

    def drained(self) -> None:
        """What was written has left."""
        self._unread_bytes = 0
        if self._draining and not self._ended:
            self._draining = False
            self._flush()
            self._work()

    def tls_started(self) -> None:
        """TLS is on; what was sent in the clear is forgotten (RFC 3501 section 6.2.1)."""
        assert isinstance(self._waiting_for, BeginTls), self._waiting_for
        self._waiting_for = None
        self._stop_running()
        self._reader.clear()
        self.conversation.tls_active = True
        self._work()

    def say_goodbye(self, text: str) -> None:
        """End the session from our side: at once when nothing runs, else after the running command."""
        self._goodbye = text
        if isinstance(self._waiting_for, AwaitChange | ReadLine):
            self._stop_running()
        self._work()

    def take_events(self) -> list[SessionEvent]:
        """Return what is to be done, in order, and forget it."""
        events, self._events = self._events, []
        return events

    @property
    def writing(self) -> bool:
        """Whether it waits for the client to read."""
        return self._draining and not self._ended

    @property
    def ended(self) -> bool:
        """Whether ``SessionEnded`` was said."""
        return self._ended

    # --- the loop ----------------------------------------------------------------------------------

    def _work(self) -> None:
        """Do all that can be done without another input."""
        while not self._ended and not self._draining:
            if self._running is not None:
                if not self._feed_running():
                    break
            elif self._goodbye is not None:
                self._end(self._goodbye, "")
            elif not self._take_next():
                break
        if not self._ended and not self._draining and self._running is None:
            self._flush()
        if self._peer_ended and self._running is None and not self._draining and not self._ended:
            self._finish()
        self._balance_reading()

    def _take_next(self) -> bool:
        """Begin the next command; False when there is none."""
        item = self._reader.next()
        match item:
            case Command():
                self._begin(item)
            case LiteralWanted():
                self._answer_literal(item)
            case BadCommand():
                self._answer_bad_command(item)
            case None:
                return False
        return True

    def _feed_running(self) -> bool:
        """Give the running command what it waits for, if that is here; False when it is not."""
        match self._waiting_for:
            case Drain():
                self._advance(None)
                return True
            case ReadLine() | AwaitChange():
                line = self._reader.next_line()
                if line is None:
                    return self._without_line()
                if isinstance(line, BadCommand):
                    self._stop_running()
                    self._answer_bad_command(line)
                    return True
                self._advance(line)
                return True
            case _:
                return False

    def _without_line(self) -> bool:
        """The client has said nothing: go on all the same when there is a reason to."""
        if self._peer_ended:
            self._stop_running()
            return True
        if isinstance(self._waiting_for, AwaitChange) and self._folder_changed:
            self._folder_changed = False
            self._advance(None)
            return True
        return False

    def _resume(self, result: StepResult) -> None:
        self._advance(result)
        self._work()

    def _advance(self, result: StepResult) -> None:
        """Send a result into the running command and perform the step that it asks for next."""
        assert self._running is not None
        while True:
            self._waiting_for = None
            try:
                step = self._running.send(result)
            except StopIteration:
                self._running = None
                return
            except Farewell as farewell:
                self._running = None
                self._end(
                    farewell.text, f"{self.conversation.tag} {farewell.tagged}" if farewell.tagged else ""
                )
                return
            except Severed:
                self._running = None
                self.conversation.out.clear()
                self._finish()
                return
            self._waiting_for = step
            if not self._perform(step):
                return
            result = None

    def _perform(self, step: Step) -> bool:
        """Begin a step; True when the command can go on at once."""
        match step:
            case Ask():
                self._events.append(AskStore(step.operation))
            case HoldBytes():
                self._holds_share = True
                self._events.append(BytesWanted(step.byte_count))
            case ReleaseBytes():
                self._release_share()
                return True
            case CheckCredentials():
                self._events.append(PasswordGiven(step.user, step.password))
            case Drain() | ReadLine() | AwaitChange():
                self._flush()
            case WatchFolder():
                self._events.append(Watching(step.folder_id, step.wanted))
                return True
            case BeginTls():
                self.conversation.say(f"{self.conversation.tag} OK STARTTLS completed.".encode())
                self._flush()
                self._reader.clear()
                self._events.append(TlsWanted())
        return False

    def _release_share(self) -> None:
        if self._holds_share:
            self._holds_share = False
            self._events.append(BytesReleased())

    def _stop_running(self) -> None:
        if self._running is not None:
            self._running.close()
        self._running = None
        self._waiting_for = None
        self._release_share()

    # --- commands ----------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of RFC 3501 section 3."""
        if self.conversation.account is None:
            return State.NOT_SIGNED_IN
        return State.SIGNED_IN if self.conversation.selected is None else State.SELECTED

    def _begin(self, command: Command) -> None:
        rule = COMMANDS.get(command.name)
        if rule is None or (command.uid and not rule.uid):
            if self.state is State.NOT_SIGNED_IN:
                self._end("Unknown command.", f"{command.tag} BAD Unknown command.")
            else:
                self._say_bad(command.tag, "Unknown command.")
            return
        label = "UID" if command.uid else command.name
        if self.state not in rule.states:
            self.conversation.say(
                f"{command.tag} NO {label} failed. Command not valid in this state.".encode()
            )
            return
        self.conversation.tag = command.tag
        self._running = self._run(command, rule)
        self._advance(None)

    def _run(self, command: Command, rule: CommandRule) -> Generator[Step, StepResult, None]:
        """Run one command up to its tagged answer."""
        conversation = self.conversation
        conversation.using_uid = command.uid
        name, tag = command.name, command.tag
        try:
            code = yield from rule.handler(conversation, command.arguments)
        except No as no:
            text = f"{tag} NO {_code(no.code)}{name} failed. {no.text}"
        except Bad as bad:
            self._say_bad(tag, f"{name} failed. {bad.text}")
            return
        except Refusal as refusal:
            self._say_bad(tag, f"{name} failed. Illegal arguments: {refusal.text}.")
            return
        else:
            text = f"{tag} OK {_code(code)}{name} completed."
        finally:
            self._release_share()
        self._bad_count = 0
        self._reader.literal_bytes_max = (
            LITERAL_BYTES_MAX_BEFORE_SIGN_IN
            if conversation.account is None
            else self._settings.message_bytes_max
        )
        if rule.news:
            yield from refresh(conversation)
            if conversation.selected is not None:
                conversation.out += conversation.selected.updates(
                    expunges=command.uid or rule.expunges, with_uid=command.uid
                )
        conversation.say(_plain(text))

    def _answer_literal(self, wanted: LiteralWanted) -> None:
        """Let the client send a literal, or refuse it before it does (RFC 7888 section 4)."""
        if self.state is State.NOT_SIGNED_IN and wanted.name not in ("LOGIN", "AUTHENTICATE", "ID"):
            self._reader.abandon()
            self.conversation.say(
                f"{wanted.tag} NO {wanted.name[:40]} failed. Command not valid in this state.".encode()
            )
            return
        self.conversation.say(b"+ Ok")

    def _answer_bad_command(self, bad: BadCommand) -> None:
        if bad.fatal:
            self._end("Too much was sent that is no command.", "")
        elif self.state is State.NOT_SIGNED_IN:
            tagged = f"{bad.tag} BAD {bad.text}." if bad.tag != "*" else ""
            self._end("Unknown command.", tagged)
        elif bad.too_large:
            self.conversation.say(_plain(f"{bad.tag} NO [TOOBIG] {bad.text}."))
        else:
            self._say_bad(bad.tag, f"{bad.text}.")

    def _say_bad(self, tag: str, text: str) -> None:
        self.conversation.say(_plain(f"{tag} BAD {text}"))
        self._bad_count += 1
        if self._bad_count >= self._settings.bad_command_count_max:
            self._goodbye = "Too many bad commands."

    # --- writing -----------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Write what was said, at most ``send_bytes_max`` of it before ``drained``."""
        out = self.conversation.out
        if not out or self._draining:
            return
        size = self._settings.send_bytes_max
        with memoryview(out) as view:
            piece = bytes(view[:size])
        self._events.append(Reply(piece))
        del out[:size]
        self._unread_bytes += len(piece)
        # After a full piece we wait, so that a slow reader holds one piece in memory, be it of one
        # answer or of many small ones.
        if out or isinstance(self._waiting_for, Drain) or self._unread_bytes >= size:
            self._draining = True

    def _balance_reading(self) -> None:
        crowded = (
            self._running is not None or self._draining
        ) and self._reader.buffered_bytes > self._settings.pipelined_bytes_max
        if crowded and not self._paused and not self._ended:
            self._paused = True
            self._events.append(ReadingPaused())
        elif self._paused and not crowded:
            self._paused = False
            if not self._ended:
                self._events.append(ReadingResumed())

    def _end(self, text: str, tagged: str) -> None:
        """Say BYE and finish."""
        self.conversation.say(f"* BYE {text}".encode())
        if tagged:
            self.conversation.say(_plain(tagged))
        self._finish()

    def _finish(self) -> None:
        self._stop_running()
        if self.conversation.out:
            self._events.append(Reply(bytes(self.conversation.out)))
            self.conversation.out.clear()
        self._ended = True
        self._events.append(SessionEnded())


def _code(code: str) -> str:
    return f"[{code}] " if code else ""


def _plain(text: str) -> bytes:
    """A line of text for people: ASCII without line ends, whatever name was quoted in it (RFC 3501, text)."""
    return " ".join(text.splitlines()).encode("ascii", "replace")
