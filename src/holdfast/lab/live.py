"""A drill on servers that are in use: it has a mailbox of its own, and hits nobody unless told so twice.

What takes part is read from the organisation as the server exports it. Letters go
to the doors of every server that takes mail for the mailbox; where servers do not
share their directory yet, that is this one alone. Only this server can be hit: the
others are other machines. Who starts it again is whoever keeps it running; the
drill waits for that and does not do it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from holdfast.directory.listening import parse_binding
from holdfast.directory.model import DomainKind, Organisation, Role, Server, TlsMode, Usage
from holdfast.directory.toml_format import read_organisation
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.ids import MailboxId
from holdfast.lab import processes
from holdfast.lab.drill_plan import Blow, Orders
from holdfast.lab.laboratory import COMMAND_TIMEOUT_S, HOLDFAST
from holdfast.lab.sheet import Machine, Ports

DOOR_TIMEOUT_S = 10.0
NOT_THERE = 0  # a port of a door that a server does not have; nothing listens there
_UNREACHABLE = 3
_MAILBOX_START = "fire-drill-"


class LiveStage:
    """This server and those of its organisation that take mail for the drill's mailbox."""

    def __init__(self, home: Path, run: str) -> None:
        """Read what the organisation is and make the mailbox of the drill.

        Raises:
            Refusal: there is no database or domain for a mailbox here, or no door takes mail for it.
            Unavailable: the server does not answer.
        """
        self._home = home
        self.notes: list[str] = []
        status = json.loads(self._verb("status", "--json"))
        self._own = str(status["server"])
        self._organisation = self._read_organisation()
        own = self._organisation.server(self._own)
        if own is None:
            raise Refusal(f"the organisation has no server {self._own or 'of this name'}: nothing to drill")
        self.address, self._password = self._make_mailbox(own, run)
        try:
            machine = _machine(self._organisation, own)
            self.mailboxes = {self.address: machine}
            self.machines = tuple(self._taking(machine))
        except BaseException:
            self.close()
            raise

    def _read_organisation(self) -> Organisation:
        text = self._verb("organisation", "export")
        return read_organisation(
            text, "the export", existing=Organisation(), new_id=lambda: MailboxId("unknown")
        )

    def _make_mailbox(self, own: Server, run: str) -> tuple[str, str]:
        organisation = self._organisation
        database = next((each for each in organisation.mailbox_databases if each.server == own.name), None)
        domain = next(
            (each for each in organisation.accepted_domains if each.kind is DomainKind.AUTHORITATIVE), None
        )
        if database is None or domain is None:
            raise Refusal(
                f"a drill needs a mailbox of its own, and {own.name} has no mailbox database, or the "
                "organisation no domain of its own; run it on a server that has"
            )
        address = f"{_MAILBOX_START}{run}@{domain.name}"
        words = ("--database", database.name, "--display-name", "Fire drill", "--why", "fire drill", "--json")
        added = json.loads(self._verb("mailbox", "add", address, *words))
        return address, str(added["password"])

    def _taking(self, own: Machine) -> Iterator[Machine]:
        """The servers whose door takes mail for the mailbox; this one has to."""
        for server in self._organisation.servers:
            machine = own if server.name == own.name else _machine(self._organisation, server)
            reason = _why_not(machine, self.address)
            if not reason:
                yield machine
            elif machine is own:
                raise Refusal(f"{server.name} takes no mail for {self.address}: {reason}")
            else:
                self.notes.append(f"{server.name} takes no part: {reason}")

    def close(self) -> None:
        """Take the mailbox away again."""
        try:
            self._verb("mailbox", "remove", self.address, "--yes", "--why", "fire drill is over")
        except (Refusal, Unavailable) as error:
            self.notes.append(f"the mailbox {self.address} is left over, remove it: {error.text}")

    def passwords(self) -> dict[str, str]:
        """The password of the one mailbox."""
        return {self.address: self._password}

    def check(self, orders: Orders) -> None:
        """Only this server can be hit, and its cables are not ours."""
        if orders.blow is Blow.CUT:
            raise Refusal("a drill on a running server cuts no cable; use --kill or --freeze, or a lab")
        if orders.blow is not Blow.NONE and orders.server != self._own:
            raise Refusal(f"only this server can be hit from here: say --{orders.blow.value} {self._own}")

    def hit(self, name: str, orders: Orders) -> None:
        """Kill or freeze everything of this server."""
        if orders.blow is Blow.KILL:
            processes.kill(self._processes())
        elif orders.blow is Blow.FREEZE:
            processes.send(self._processes()(), signal.SIGSTOP)

    def undo(self, name: str, orders: Orders) -> None:
        """Let it go on; a killed one is started by whoever keeps it running."""
        if orders.blow is Blow.FREEZE:
            processes.send(self._processes()(), signal.SIGCONT)

    def _processes(self) -> Callable[[], list[processes.Found]]:
        """What finds the processes of this server: its supervisor as it is now, and all below it."""
        file = self._home / "run" / "supervisor.lock"
        try:
            supervisor = int(file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            raise Unavailable(f"{file} does not tell which process runs this server") from None
        return lambda: processes.below(supervisor, self._own)

    def serves(self, name: str) -> bool:
        """Whether this server listens everywhere it should."""
        (machine,) = self.mailboxes.values()
        return {each for each in machine.listening() if each[1] != NOT_THERE} <= processes.listening(
            os.getpid()
        )

    def manage(self, name: str, *words: str) -> str:
        """Run a management verb; only on this server."""
        if name != self._own:
            raise Unavailable(f"{name} is another machine")
        return self._verb(*words)

    def where_to_look(self, name: str) -> str:
        """What to do when it is not started again."""
        return f"nobody started it again; start it, and then: holdfast mailbox remove {self.address} --yes"

    def _verb(self, *words: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603  # our own command
                (*HOLDFAST, "--home", str(self._home), *words),
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"`holdfast {' '.join(words[:2])}` takes longer than {COMMAND_TIMEOUT_S:g} s"
            ) from None
        if done.returncode == _UNREACHABLE:
            raise Unavailable(done.stderr.strip())
        if done.returncode != 0:
            raise Refusal(f"`holdfast {' '.join(words[:2])}` was refused: {done.stderr.strip()}")
        return done.stdout


def _machine(organisation: Organisation, server: Server) -> Machine:
    """Where clients reach a server, by its connectors and listeners; port 0 for what it does not have."""
    smtp = submission = imap = imap_tls = NOT_THERE
    address = server.addresses[0] if server.addresses else "127.0.0.1"
    for connector in organisation.receive_connectors:
        if connector.server == server.name and connector.enabled and connector.tls is not TlsMode.IMPLICIT:
            place = _place(connector.bindings, address)
            if connector.usage is Usage.INTERNET and not smtp:
                address, smtp = place
            elif connector.usage is Usage.CLIENT and not submission:
                submission = place[1]
    for listener in server.imap:
        if listener.tls is TlsMode.IMPLICIT:
            imap_tls = imap_tls or _place((listener.bind,), address)[1]
        else:
            imap = imap or _place((listener.bind,), address)[1]
    ports = Ports(smtp, submission, NOT_THERE, imap, imap_tls, NOT_THERE)
    return Machine(server.name, server.site, address, _roles(server), ports=ports)


def _place(bindings: tuple[str, ...], address: str) -> tuple[str, int]:
    endpoint = parse_binding(bindings[0]) if bindings else None
    if endpoint is None:
        return address, NOT_THERE
    return address if endpoint.address.is_unspecified else str(endpoint.address), endpoint.port


def _roles(server: Server) -> tuple[Role, ...]:
    return tuple(each for each in server.roles if each in (Role.TRANSPORT, Role.MAILBOX, Role.ACCESS))


def _why_not(machine: Machine, recipient: str) -> str:
    """Why a server takes no mail for a mailbox now; empty when it does. Nothing is sent."""
    if not machine.ports.smtp:
        return "it has no door for mail from outside"
    try:
        with smtplib.SMTP(machine.address, machine.ports.smtp, timeout=DOOR_TIMEOUT_S) as client:
            client.ehlo("sender.outside.example")
            client.mail("drill@outside.example")
            code, text = client.rcpt(recipient)
            client.rset()
    except (OSError, smtplib.SMTPException) as error:
        return f"{machine.address}:{machine.ports.smtp} does not answer: {error}"
    return "" if code == 250 else f"{code} {text.decode('utf-8', 'replace')[:100]}"


def ask(run_words: str, *, yes: bool) -> None:
    """Have the administrator agree.

    Raises:
        Refusal: he did not, or there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refusal(f"{run_words}; say --yes if that is meant")
    sys.stderr.write(f"{run_words}. Go on? [y/N] ")
    sys.stderr.flush()
    with contextlib.suppress(EOFError):
        if sys.stdin.readline().strip().casefold() in ("y", "yes"):
            return
    raise Refusal("nothing was done")
