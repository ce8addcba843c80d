"""The one catalogue of management verbs: what each takes, gives and changes.

The command line is generated from it, and so are its reference page and, later,
the HTTP API, the console and the remote shell. A noun lives in one module, which
is imported only when the noun is wanted: the command line starts quickly.

Invariant: an argument is read by ``read_value`` alone, on both sides of the
socket, so nothing can be said over the socket that the command line would refuse.
"""

from __future__ import annotations

import enum
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from holdfast.admin.sent_files import check_packed
from holdfast.kernel.address import parse_address, parse_domain
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range, parse_ipv4_address
from holdfast.kernel.quantities import parse_size, parse_span

if TYPE_CHECKING:
    from holdfast.admin.context import Context
    from holdfast.admin.streaming import Stream

ArgumentValue = str | int | float | bool | list[str] | None

TEXT_CHARACTERS_MAX = 10_000
FILE_CHARACTERS_MAX = 32 << 20
PASSWORD_CHARACTERS_MIN = 8
PASSWORD_CHARACTERS_MAX = 1000
MANY_MAX = 10_000

_SPAN_AGO = re.compile(r"[0-9.]+\s*[a-z]{1,2}")
_BINDING = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([0-9]{1,5})")


class Kind(enum.Enum):
    """What an argument is; decides how it is read, completed and described."""

    TEXT = "text"
    ADDRESS = "mail address"
    DOMAIN = "domain"
    SIZE = "size"
    SPAN = "span of time"
    COUNT = "number"
    FLAG = "yes or no"
    CHOICE = "choice"
    RANGE = "IP range"
    IPV4 = "IPv4 address"
    BINDING = "address:port"
    MOMENT = "date and time"
    FILE = "file"  # read by the asker; travels as [name, text]
    DATA = "large file"  # any bytes, read by the asker; travels as ``sent_files.pack_file`` makes it
    OUTPUT = "file to write"  # stays with the asker, who writes the result's text there
    PASSWORD = "password"  # noqa: S105  # the kind's name; never on a command line, where other users can see it


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a verb.

    Attributes:
        name: as in ``--name``; dashes between words.
        kind: see :class:`Kind`.
        help: what it means, one sentence without a full stop.
        required: whether the verb needs it.
        positional: given by place instead of ``--name``.
        many: may be given several times (or several places).
        default: taken when it is not given.
        choices: the words that a choice allows.
        completes: ``noun.list.field``: which list's field completes it in a shell.
    """

    name: str
    kind: Kind
    help: str
    required: bool = False
    positional: bool = False
    many: bool = False
    default: ArgumentValue = None
    choices: tuple[str, ...] = ()
    completes: str = ""


class Runs(enum.Enum):
    """Where a verb is done."""

    SERVER = "server"  # by management, over its socket
    LOCAL = "local"  # by the asker itself; needs no server
    PROGRAM = "program"  # starts another program of ours; only the command line has it


class Arguments:
    """The arguments of one call, checked against their verb; each getter states the type it expects."""

    def __init__(self, values: Mapping[str, ArgumentValue]) -> None:
        """Take checked values, one for every argument of the verb."""
        self._values = values

    def text(self, name: str) -> str:
        """A text that is there."""
        value = self._values[name]
        assert isinstance(value, str), name
        return value

    def optional_text(self, name: str) -> str | None:
        """A text, or None when it was not given."""
        return None if self._values[name] is None else self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """All texts of an argument that may be given several times, or of a file (name and text)."""
        value = self._values[name]
        assert isinstance(value, list), name
        return tuple(value)

    def count(self, name: str) -> int:
        """A number or a size in bytes that is there."""
        value = self._values[name]
        assert isinstance(value, int), name
        return value

    def optional_count(self, name: str) -> int | None:
        """A number or a size in bytes, or None."""
        return None if self._values[name] is None else self.count(name)

    def optional_span_s(self, name: str) -> float | None:
        """A span in seconds, or None."""
        value = self._values[name]
        assert value is None or isinstance(value, int | float), name
        return value

    def flag(self, name: str) -> bool:
        """Whether a flag was given."""
        return self._values[name] is True

    def has(self, name: str) -> bool:
        """Whether the verb takes such an argument."""
        return name in self._values

    def value(self, name: str) -> ArgumentValue:
        """The value of an argument of any type."""
        return self._values[name]

    def values(self) -> Mapping[str, ArgumentValue]:
        """All values by name, for a program that does not know the catalogue."""
        return self._values

    def given(self, name: str) -> bool:
        """Whether the argument was given at all."""
        return self._values[name] not in (None, [])


Perform = Callable[["Context", Arguments], msgspec.Struct]
PerformLocal = Callable[[Arguments], "msgspec.Struct | Stream"]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of the catalogue.

    Attributes:
        noun: what it is about.
        name: what is done; empty when the noun has just one verb.
        summary: one sentence.
        example: a command line that works.
        result: the type of the result; field names carry units (``_bytes``, ``_s``, ``_at``).
        arguments: what it takes.
        detail: further sentences of help.
        changes: whether it changes the organisation.
        runs: where it is done.
        perform: does it in management.
        perform_local: does it at the asker; a listing without end comes as a stream.
    """

    noun: str
    name: str
    summary: str
    example: str
    result: type[msgspec.Struct]
    arguments: tuple[Argument, ...] = ()
    detail: str = ""
    changes: bool = False
    runs: Runs = Runs.SERVER
    perform: Perform | None = None
    perform_local: PerformLocal | None = None

    @property
    def title(self) -> str:
        """Noun and verb as typed."""
        return f"{self.noun} {self.name}".strip()

    def argument(self, name: str) -> Argument | None:
        """Find an argument by its name."""
        return next((each for each in self.arguments if each.name == name), None)


# Every verb that changes the organisation takes these.
CHANGE_ARGUMENTS = (
    Argument("plan", Kind.FLAG, "show what would change and change nothing"),
    Argument("yes", Kind.FLAG, "do it although it is dangerous (the plan lists why)"),
    Argument("why", Kind.TEXT, "the reason, for the change log", default=""),
)


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun of the catalogue: its module, and what it is in a few words."""

    name: str
    module: str
    summary: str


NOUNS: dict[str, Noun] = {
    noun.name: noun
    for noun in (
        Noun("up", "verbs_program", "Start this server and keep it running."),
        Noun("status", "verbs_server", "Show the roles of this server."),
        Noun("organisation", "verbs_organisation", "Everything declared, its change log, export and import."),
        Noun("site", "verbs_place", "Places with IP subnets."),
        Noun("site-link", "verbs_site_link", "Links between sites, their cost and limits."),
        Noun("server", "verbs_place", "Machines of ours and what runs on them."),
        Noun("domain", "verbs_place", "Domains whose mail is ours."),
        Noun("connector", "verbs_connector", "Doors that mail comes in and leaves by."),
        Noun("tls", "verbs_required_tls", "Domains that mail is sent to with TLS only."),
        Noun("text", "verbs_text", "Words of ours in delivery reports."),
        Noun("threshold", "verbs_threshold", "Where back pressure begins and ends."),
        Noun("database", "verbs_place", "Stores of mailboxes."),
        Noun("mailbox", "verbs_mailbox", "People's mail."),
        Noun("group", "verbs_group", "Addresses that stand for many."),
        Noun("message", "verbs_mail", "Where a message went."),
        Noun("queue", "verbs_queue", "Messages that wait here, by next hop."),
        Noun("safety-net", "verbs_safety_net", "Delivered messages that are kept for a while."),
        Noun("pressure", "verbs_queue", "Resources that run short, and what is done about it."),
        Noun("certificate", "verbs_certificate", "Certificates that this server shows."),
        Noun("dhcp", "verbs_dhcp", "Leases of addresses: servers, scopes, reservations, options, policies."),
        Noun("dhcp import", "verbs_dhcp_import", "Move in from Windows, ISC dhcpd or Kea."),
        Noun("dhcp export", "verbs_dhcp_export", "Write what another server reads."),
        Noun("dhcp migrate", "verbs_dhcp_migrate", "Make one scope of two halves."),
        Noun("dhcp dns", "verbs_dhcp_dns", "Names of clients in DNS."),
        Noun("dhcp failover", "verbs_dhcp_failover", "Scopes that two servers lease together."),
        Noun("dhcp scope", "verbs_dhcp_scope", "Subnets whose addresses are leased."),
        Noun("dhcp reservation", "verbs_dhcp_reservation", "Addresses that one client always gets."),
        Noun("dhcp exclusion", "verbs_dhcp_exclusion", "Parts of a pool that are never leased."),
        Noun("dhcp lease", "verbs_dhcp_lease", "Who has which address."),
        Noun("dhcp option", "verbs_dhcp_option", "What clients are told."),
        Noun("dhcp option-definition", "verbs_dhcp_definition", "The forms of options."),
        Noun("dhcp class", "verbs_dhcp_class", "Vendor and user classes of clients."),
        Noun("dhcp policy", "verbs_dhcp_policy", "Clients that are treated in another way than the rest."),
        Noun("dhcp filter", "verbs_dhcp_filter", "Clients that are served alone, or never."),
        Noun("dhcp client", "verbs_dhcp_client", "Be a DHCP client, and show what happens."),
        Noun("dhcp probe", "verbs_dhcp_client", "Find the DHCP servers of a network."),
        Noun("ledger", "verbs_mail", "Account for every accepted message."),
        Noun("ip", "verbs_ip", "Calculate with IP subnets."),
        Noun("explain", "verbs_local", "Explain an event of the log."),
        Noun("simulate", "verbs_program", "Run the made-up world with one seed."),
        Noun("lab", "verbs_lab", "Several servers on this machine, each in a network of its own."),
        Noun("drill", "verbs_drill", "A rehearsed failure under load, with a report."),
        Noun("completion", "verbs_program", "Print the completion script of a shell."),
        Noun("version", "verbs_local", "Show the version."),
    )
}


def verbs_of(noun: str) -> tuple[Verb, ...]:
    """All verbs of a noun, in the order of the help; none for an unknown noun."""
    known = NOUNS.get(noun)
    if known is None:
        return ()
    module = importlib.import_module(f"holdfast.admin.{known.module}")
    verbs: tuple[Verb, ...] = module.VERBS
    return tuple(verb for verb in verbs if verb.noun == noun)


def all_verbs() -> tuple[Verb, ...]:
    """The whole catalogue."""
    return tuple(verb for noun in NOUNS for verb in verbs_of(noun))


def find_verb(noun: str, name: str) -> Verb | None:
    """Find one verb."""
    return next((verb for verb in verbs_of(noun) if verb.name == name), None)


def read_arguments(verb: Verb, given: Mapping[str, ArgumentValue]) -> Arguments:
    """Check everything that was given for a verb, and fill in defaults.

    Raises:
        Refusal: an argument is unknown, missing or malformed.
    """
    for name in given:
        if verb.argument(name) is None:
            raise Refusal(f'"{verb.title}" takes no argument "{name}"')
    values: dict[str, ArgumentValue] = {}
    for argument in verb.arguments:
        values[argument.name] = _read_argument(verb, argument, given.get(argument.name))
    return Arguments(values)


def _read_argument(verb: Verb, argument: Argument, given: ArgumentValue) -> ArgumentValue:
    if argument.many:
        if given is None:
            given = []
        if not isinstance(given, list) or len(given) > MANY_MAX:
            raise Refusal(f"{argument.name}: give a list of at most {MANY_MAX}")
        if argument.required and not given:
            raise Refusal(f'"{verb.title}" needs {argument.name}: {argument.help}')
        return [str(_named(argument, each)) for each in given]
    if given is None:
        if argument.required:
            raise Refusal(f'"{verb.title}" needs {argument.name}: {argument.help}')
        return argument.default
    return _named(argument, given)


def _named(argument: Argument, given: ArgumentValue) -> ArgumentValue:
    try:
        return read_value(argument, given)
    except Refusal as refusal:
        raise Refusal(f"{argument.name}: {refusal.text}") from None


def read_value(argument: Argument, given: ArgumentValue) -> ArgumentValue:
    """Read one value of an argument, as typed or as it travels.

    Raises:
        Refusal: it is not of the argument's kind; the text says what is.
    """
    match argument.kind:
        case Kind.FLAG:
            if isinstance(given, bool):
                return given
            raise Refusal("it is given or not, it takes no value")
        case Kind.COUNT | Kind.SIZE | Kind.SPAN:
            return _read_number(argument.kind, given)
        case Kind.FILE:
            if isinstance(given, list) and len(given) == 2 and len(given[1]) <= FILE_CHARACTERS_MAX:
                return given
            raise Refusal(f"give the name of a file of at most {FILE_CHARACTERS_MAX} characters")
        case _:
            if not isinstance(given, str):
                raise Refusal("give a text")
            return check_packed(given) if argument.kind is Kind.DATA else _read_text(argument, given)


def _read_number(kind: Kind, given: ArgumentValue) -> int | float:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise Refusal("give a number")
    if kind is Kind.SPAN:
        span_s = parse_span(given) if isinstance(given, str) else float(given)
        if not 0 <= span_s < 1e12:
            raise Refusal("a span of time lies between 0 and 10,000 years")
        return span_s
    if isinstance(given, str):
        number = parse_size(given) if kind is Kind.SIZE else _parse_count(given)
    elif isinstance(given, int):
        number = given
    else:
        raise Refusal("give a whole number")
    if not 0 <= number < 1 << 62:
        raise Refusal("a number lies between 0 and 4,611,686,018,427,387,903")
    return number


def _parse_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise Refusal(f'"{text}" is not a number; write digits, for example 100')
    return int(text)


def _read_text(argument: Argument, given: str) -> str:
    if len(given) > TEXT_CHARACTERS_MAX:
        raise Refusal(f"a text of {len(given)} characters is longer than {TEXT_CHARACTERS_MAX}")
    if not given.isprintable():
        raise Refusal("a text holds no control characters")
    match argument.kind:
        case Kind.ADDRESS:
            return str(_domain_in_range(given))
        case Kind.DOMAIN:
            return parse_domain(given)
        case Kind.RANGE:
            return str(parse_ip_range(given))
        case Kind.IPV4:
            return str(parse_ipv4_address(given))
        case Kind.BINDING:
            return _read_binding(given)
        case Kind.MOMENT:
            read_moment(given, 0.0)
        case Kind.CHOICE if given not in argument.choices:
            raise Refusal(f'"{given}" is not one of {", ".join(argument.choices)}')
        case Kind.PASSWORD if not PASSWORD_CHARACTERS_MIN <= len(given) <= PASSWORD_CHARACTERS_MAX:
            raise Refusal(
                f"a {argument.name} has {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters"
            )
        case _:
            pass
    return given


def _domain_in_range(given: str) -> object:
    try:
        return parse_address(given)
    except Refusal as refusal:
        raise Refusal(f'"{given}" is not a mail address: {refusal.text}') from None


def _read_binding(given: str) -> str:
    match = _BINDING.fullmatch(given)
    if match is None or not 0 < int(match[2]) < 65536:
        raise Refusal(f'"{given}" is not address:port; write 192.0.2.1:25 or [2001:db8::1]:25')
    parse_ip_range(match[1].strip("[]"))
    return given


def read_moment(text: str, now: float) -> float:
    """Read ``2026-05-01``, ``2026-05-01T12:30`` (local time unless it names an offset) or ``2h`` (ago).

    Returns:
        Seconds since the epoch.

    Raises:
        Refusal: it is neither.
    """
    if _SPAN_AGO.fullmatch(text):
        return now - parse_span(text)
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise Refusal(
            f'"{text}" is not a date and time; write 2026-05-01, 2026-05-01T12:30 or 2h (two hours ago)'
        ) from None
