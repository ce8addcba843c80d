"""A lab: servers as real processes, brought up in the order of the sheet, cut, killed, frozen and taken down.

What a lab is stands in files of its state directory, and what lives is found by
its marks: any later command, also after a crash of an earlier one, sees the lab
as it is. Taking it down keeps the state directories of the servers.

    STATE/lab.json             id, flavour, cuts
    STATE/lab.csv              the sheet
    STATE/organisation.toml    what every server imports
    STATE/passwords.csv        of the mailboxes
    STATE/NAME/                the state directory of a server; STATE/NAME.log: what it printed
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab import processes
from holdfast.lab.declare import addresses_of, declaration, declare, fqdn_of
from holdfast.lab.network import OUTSIDE, Command, Cut, Network, cuts_between, prefix_of
from holdfast.lab.pairs import ensure_pair
from holdfast.lab.sheet import TWO_SERVERS, Machine, Sheet, on_loopback, read_sheet

HOLDFAST: Command = (sys.executable, "-m", "holdfast.cli.main")
READY_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 120.0
_CLONE_NEWNET = 0x40000000  # <sched.h>
_UNREACHABLE = 3  # the exit code of holdfast when management does not answer

Say = Callable[[str], None]


@dataclass(slots=True)
class Kept:
    """What is in lab.json.

    Attributes:
        declared: servers whose mailboxes have their passwords.
        cuts: what is dropped now.
    """

    loopback: bool
    declared: list[str] = field(default_factory=list)
    cuts: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MachineState:
    """What ``lab status`` shows of a server.

    Attributes:
        state: ``serving``, ``starting``, ``frozen``, or ``down``.
    """

    name: str
    site: str
    address: str
    state: str
    process_count: int
    home: str


class Lab:
    """One lab, by its state directory."""

    def __init__(self, state: Path) -> None:
        """Take the state directory; it need not exist."""
        self.state = state.absolute()
        # The state directory is what makes two labs different, so it makes their names different.
        self.lab_id = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:6]
        self._kept: Kept | None = None
        self._sheet: Sheet | None = None
        # Those that this process started itself, so that they are waited for when they end.
        self._children: list[subprocess.Popen[bytes]] = []

    # --- what it is --------------------------------------------------------------------------

    @property
    def sheet(self) -> Sheet:
        """The servers, with the addresses that they have.

        Raises:
            Refusal: no lab was ever brought up here.
        """
        if self._sheet is None:
            file = self.state / "lab.csv"
            if not file.exists():
                raise Refusal(f"there is no lab in {self.state}; bring one up with: holdfast lab up LAB.csv")
            sheet = read_sheet(file.read_text(encoding="utf-8"), str(file))
            self._sheet = on_loopback(sheet, self.lab_id) if self.kept.loopback else sheet
        return self._sheet

    @property
    def kept(self) -> Kept:
        """What is kept about it."""
        if self._kept is None:
            file = self.state / "lab.json"
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
                cuts = [(str(one), str(other)) for one, other in found["cuts"]]
                self._kept = Kept(bool(found["loopback"]), list(found["declared"]), cuts)
            except FileNotFoundError:
                raise Refusal(
                    f"there is no lab in {self.state}; bring one up with: holdfast lab up LAB.csv"
                ) from None
            except (ValueError, KeyError, TypeError):
                raise Refusal(f"{file} is damaged; remove it and bring the lab up again") from None
        return self._kept

    @property
    def network(self) -> Network:
        """Its network, as names and commands."""
        return Network(self.lab_id, self.sheet)

    def home(self, name: str) -> Path:
        """The state directory of a server."""
        return self.state / name

    def log_file(self, name: str) -> Path:
        """What a server printed."""
        return self.state / f"{name}.log"

    def passwords(self) -> dict[str, str]:
        """The passwords of all mailboxes, by address."""
        lines = (self.state / "passwords.csv").read_text(encoding="utf-8").splitlines()
        return dict(line.split(",", 1) for line in lines if line)

    def _keep(self) -> None:
        self._write("lab.json", json.dumps(asdict(self.kept), indent=2) + "\n")

    def _write(self, name: str, text: str) -> None:
        path = self.state / name
        beside = path.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)

    def _make_state(self) -> None:
        try:
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot use {self.state} for a lab: {error.strerror}") from None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One command at a time changes a lab; the kernel frees the lock however a process ends.

        Raises:
            Refusal: another one is at it.
            Unavailable: the state directory cannot be made.
        """
        self._make_state()
        lock = os.open(self.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Refusal(
                f"another command works on the lab in {self.state}; wait for it, or give --state another one"
            ) from None
        finally:
            os.close(lock)

    # --- up and down -------------------------------------------------------------------------

    def up(self, sheet_text: str | None, file_name: str, *, loopback: bool, say: Say) -> None:
        """Bring it up: the network, then every server in its turn.

        Args:
            sheet_text: the LAB.csv; None takes the one of the last time, else two servers.
            say: told what is being done.

        Raises:
            Refusal: the sheet is wrong, a server is not allowed here, or the lab is up already.
            Unavailable: something did not come up; what was started has been taken down.
        """
        self._adopt(sheet_text, file_name, loopback=loopback)
        if processes.find(self.lab_id):
            raise Refusal(f"the lab in {self.state} is up already; take it down with: holdfast lab down")
        self._check_surroundings()
        certificates = {
            each.name: ensure_pair(self.home(each.name), fqdn_of(each)) for each in self.sheet.machines
        }
        organisation = declare(self.sheet, certificates)
        self._write("organisation.toml", declaration(organisation))
        self._make_passwords()
        try:
            self._clear_network()
            if not loopback:
                say("network")
                self._run_all(self.network.up())
            later = []
            for machine in self.sheet.machines:
                if machine.start:
                    self._begin(machine, say)
                    if machine.wait:
                        self._settle(machine, say)
                    else:
                        later.append(machine)
            for machine in later:
                self._settle(machine, say)
        except BaseException:
            # Also when the administrator presses Ctrl-C: half a lab helps nobody.
            self.destroy()
            raise

    def _adopt(self, text: str | None, file_name: str, *, loopback: bool) -> None:
        self._make_state()
        file = self.state / "lab.csv"
        if text is None:
            text = file.read_text(encoding="utf-8") if file.exists() else _as_csv(TWO_SERVERS)
        read_sheet(text, file_name)
        declared: list[str] = []
        if (self.state / "lab.json").exists():
            declared = self.kept.declared
            if declared and self.kept.loopback != loopback:
                was = "on loopback" if self.kept.loopback else "in namespaces"
                raise Refusal(
                    f"the servers in {self.state} were {was} before and have those addresses; "
                    "give --state another directory, or remove this one"
                )
        self._write("lab.csv", text)
        self._sheet, self._kept = None, Kept(loopback, declared)
        self._keep()

    def _check_surroundings(self) -> None:
        if self.kept.loopback:
            for machine in self.sheet.machines:
                for address, port in machine.listening():
                    _check_free(machine, address, port)
            return
        if os.geteuid() != 0:
            raise Refusal("network namespaces need root: use sudo, or --loopback, which does without")
        for program, package in (("ip", "iproute2"), ("nft", "nftables"), ("sysctl", "procps")):
            if shutil.which(program) is None:
                raise Refusal(f'the program "{program}" is missing; install it: apt install {package}')

    def _make_passwords(self) -> None:
        file = self.state / "passwords.csv"
        known = self.passwords() if file.exists() else {}
        lines = [
            f"{address},{known.get(address) or secrets.token_urlsafe(12)}"
            for machine in self.sheet.machines
            for address in addresses_of(machine)
        ]
        self._write("passwords.csv", "\n".join(lines) + "\n")

    def _begin(self, machine: Machine, say: Say) -> None:
        say(f"start {machine.name}")
        words = ("--home", str(self.home(machine.name)), "up", "--empty", "--server", machine.name)
        command = (*HOLDFAST, *words)
        if not self.kept.loopback:
            command = self.network.inside(machine.name, command)
        mark = f"{self.lab_id}/{machine.name}"
        self._children.append(processes.start(mark, command, self.log_file(machine.name)))

    def _settle(self, machine: Machine, say: Say) -> None:
        """Give a server the organisation, and wait until it serves."""
        say(f"declare {machine.name}")
        import_it = (
            "organisation",
            "import",
            str(self.state / "organisation.toml"),
            "--yes",
            "--why",
            "lab up",
        )
        deadline = processes.wait_until(lambda: self._managed(machine.name, *import_it), READY_TIMEOUT_S)
        if not deadline:
            raise Unavailable(f"{machine.name} does not answer; {self._last_words(machine.name)}")
        if machine.name not in self.kept.declared:
            self.manage(machine.name, "mailbox", "set-passwords", str(self.state / "passwords.csv"))
            self.kept.declared.append(machine.name)
            self._keep()
        say(f"wait for {machine.name}")
        if not processes.wait_until(lambda: self._serves(machine), READY_TIMEOUT_S):
            raise Unavailable(f"{machine.name} does not listen; {self._last_words(machine.name)}")

    def _managed(self, name: str, *words: str) -> bool:
        if not self._living(name):
            raise Unavailable(f"{name} ended; {self._last_words(name)}")
        done = self._holdfast(name, *words)
        if done.returncode == _UNREACHABLE:
            return False
        if done.returncode != 0:
            raise Refusal(f"{name} refuses `holdfast {words[0]} {words[1]}`: {done.stderr.strip()}")
        return True

    def _serves(self, machine: Machine) -> bool:
        living = self._living(machine.name)
        if not living:
            raise Unavailable(f"{machine.name} ended; {self._last_words(machine.name)}")
        return set(machine.listening()) <= processes.listening(living[0].pid)

    def _living(self, name: str) -> list[processes.Found]:
        return processes.look_again(lambda: processes.of_server(self.lab_id, name))

    def _last_words(self, name: str) -> str:
        """The last thing that a server printed, for an error message."""
        with contextlib.suppress(OSError):
            lines = self.log_file(name).read_text(encoding="utf-8", errors="replace").splitlines()
            if lines:
                return f'it printed "{lines[-1][:300]}"; all of it is in {self.log_file(name)}'
        return f"its log is {self.log_file(name)}"

    def down(self) -> int:
        """Take it down: stop every server cleanly, then remove the network. State directories stay.

        Returns:
            How many processes ran.
        """
        count = len(processes.find(self.lab_id))
        processes.stop(lambda: processes.find(self.lab_id))
        self.destroy()
        return count

    def destroy(self) -> None:
        """``kill -9`` everything and remove the network; also what an earlier process of the lab left."""
        processes.kill(lambda: processes.find(self.lab_id))
        self._forget_ended()
        self._clear_network()

    def _forget_ended(self) -> None:
        living = {each.pid for each in processes.find(self.lab_id)}
        for child in self._children:
            if child.pid not in living:
                child.wait(processes.KILL_TIMEOUT_S)
        self._children = [each for each in self._children if each.pid in living]

    def _clear_network(self) -> None:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            return
        listed = self._run(("ip", "-o", "netns", "list"))
        # Names only, and in brackets a number: "hf-3f21aa-mail1 (id: 3)".
        names = [line.split()[0] for line in listed.stdout.splitlines() if line.strip()]
        for name in names:
            if name.startswith(prefix_of(self.lab_id)):
                self._empty(name)
                self._run(("ip", "netns", "del", name))
        if self._kept is not None and self._kept.cuts:
            self._kept.cuts = []
            self._keep()

    def _empty(self, namespace: str) -> None:
        """End what else was started in a namespace (`lab exec`): it would keep it alive."""
        for pid in self._run(("ip", "netns", "pids", namespace)).stdout.split():
            if int(pid) != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)

    # --- one server --------------------------------------------------------------------------

    def start(self, name: str, say: Say) -> None:
        """Start a server that is down, and wait until it serves.

        Raises:
            Refusal: it runs already, or there is none of that name.
            Unavailable: it does not come up.
        """
        machine = self.sheet.machine(name)
        if processes.of_server(self.lab_id, name):
            raise Refusal(f"{name} runs already; see: holdfast lab status")
        self._begin(machine, say)
        self._settle(machine, say)

    def begin(self, name: str) -> None:
        """Start a server that was declared before, without waiting for it."""
        self._begin(self.sheet.machine(name), lambda _: None)

    def serves(self, name: str) -> bool:
        """Whether a server listens everywhere it should; no while it is down."""
        living = processes.of_server(self.lab_id, name)
        return bool(living) and set(self.sheet.machine(name).listening()) <= processes.listening(
            living[0].pid
        )

    def kill(self, name: str) -> int:
        """``kill -9`` everything of a server, at one instant.

        Returns:
            How many processes that were.
        """
        self.sheet.machine(name)
        count = processes.kill(lambda: processes.of_server(self.lab_id, name))
        self._forget_ended()
        return count

    def lose_queue(self, name: str) -> Path:
        """Take the queue database of a server that is down out of its way, as if its disk were lost.

        Returns:
            Where the files are now.

        Raises:
            Refusal: the server runs.
        """
        if self._living(self.sheet.machine(name).name):
            raise Refusal(f"{name} runs; kill it before its queue is taken away")
        number = 1
        while (target := self.home(name) / f"lost-{number}").exists():
            number += 1
        target.mkdir(mode=0o700)
        for file in self.home(name).glob("queue.*"):
            file.rename(target / file.name)
        return target

    def freeze(self, name: str) -> int:
        """Stop every process of a server where it is, as a machine that hangs.

        Returns:
            How many processes that were.
        """
        self.sheet.machine(name)
        living = processes.of_server(self.lab_id, name)
        processes.send(living, signal.SIGSTOP)
        return len(living)

    def thaw(self, name: str) -> int:
        """Let a frozen server go on.

        Returns:
            How many processes that were.
        """
        self.sheet.machine(name)
        living = processes.of_server(self.lab_id, name)
        processes.send(living, signal.SIGCONT)
        return len(living)

    # --- cables ------------------------------------------------------------------------------

    def cut(self, one: str, other: str, *, one_way: bool) -> tuple[Cut, ...]:
        """Cut the way between two servers or sites, or between one and everything.

        Raises:
            Refusal: on loopback there is no cable; or there is no such server.
        """
        self._needs_cables()
        cuts = cuts_between(self.sheet, one, other, one_way=one_way)
        for cut in cuts:
            if (cut.source, cut.target) not in self.kept.cuts:
                self._run_all(self.network.cut(cut))
                self.kept.cuts.append((cut.source, cut.target))
        self._keep()
        return cuts

    def heal(self, one: str = "", other: str = "") -> tuple[Cut, ...]:
        """End cuts: those between two, those of one, or all.

        Returns:
            The cuts that were ended.

        Raises:
            Refusal: on loopback there is no cable; or there is no such server.
        """
        self._needs_cables()
        wanted = None
        if one:
            wanted = {
                (each.source, each.target) for each in cuts_between(self.sheet, one, other, one_way=False)
            }
        of_one = {each.address for each in self.sheet.machines if one in (each.name, each.site)}
        ended = []
        for source, target in list(self.kept.cuts):
            alone = not other and bool({source, target} & of_one)
            if wanted is None or (source, target) in wanted or alone:
                self._run_all(self.network.heal(Cut(source, target)))
                self.kept.cuts.remove((source, target))
                ended.append(Cut(source, target))
        self._keep()
        return tuple(ended)

    def _needs_cables(self) -> None:
        if self.kept.loopback:
            raise Refusal(
                "a lab on loopback has no cables to cut; use freeze or kill, or namespaces (as root)"
            )
        if not processes.find(self.lab_id):
            raise Refusal(f"the lab in {self.state} is down; bring it up with: holdfast lab up")

    def enter_outside(self) -> None:
        """Move this process to where senders and readers are; it cannot come back.

        Raises:
            Unavailable: the kernel does not let us.
        """
        name = self.network.namespace(OUTSIDE)
        try:
            descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                # Python has os.setns from 3.12 on only.
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unavailable(f"cannot enter the network of the lab: {error.strerror}") from None

    # --- commands ----------------------------------------------------------------------------

    def status(self) -> tuple[MachineState, ...]:
        """What each server is doing."""
        found = processes.find(self.lab_id)
        states = []
        for machine in self.sheet.machines:
            living = [each for each in found if each.server == machine.name]
            if not living:
                state = "down"
            elif all(each.stopped for each in living):
                state = "frozen"
            else:
                state = "serving" if self.serves(machine.name) else "starting"
            home = str(self.home(machine.name))
            states.append(MachineState(machine.name, machine.site, machine.address, state, len(living), home))
        return tuple(states)

    def exec_command(self, name: str, command: Command) -> tuple[Command, dict[str, str]]:
        """A command as it is run on a server: in its network, with its home, and our own ``holdfast``.

        ``outside`` is the place of senders and readers.
        """
        environment = dict(os.environ)
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', os.defpath)}"
        if name != OUTSIDE:
            environment["HOLDFAST_HOME"] = str(self.home(self.sheet.machine(name).name))
        if not self.kept.loopback:
            command = self.network.inside(name, command)
        return command, environment

    def manage(self, name: str, *words: str) -> str:
        """Run a management verb on a server and return its output.

        Raises:
            Unavailable: the server does not answer.
            Refusal: it refuses.
        """
        done = self._holdfast(name, *words)
        if done.returncode == _UNREACHABLE:
            raise Unavailable(f"{name} does not answer: {done.stderr.strip()}")
        if done.returncode != 0:
            raise Refusal(f"{name} refuses `holdfast {' '.join(words[:2])}`: {done.stderr.strip()}")
        return done.stdout

    def _holdfast(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run((*HOLDFAST, "--home", str(self.home(name)), *words))

    def _run_all(self, commands: list[Command]) -> None:
        for command in commands:
            done = self._run(command)
            if done.returncode != 0:
                raise Unavailable(
                    f"`{' '.join(command[:8])}` failed: {done.stderr.strip() or done.returncode}"
                )

    def _run(self, command: Command) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603  # our own commands, with names that were checked
                command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"`{' '.join(command[:8])}` takes longer than {COMMAND_TIMEOUT_S:g} s"
            ) from None
        except OSError as error:
            raise Unavailable(f"cannot run {command[0]}: {error.strerror}") from None


def _check_free(machine: Machine, address: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise Refusal(
                f"{machine.name} cannot have {address}:{port}: {error.strerror}; "
                "end what listens there, or give the server other ports"
            ) from None


def _as_csv(sheet: Sheet) -> str:
    lines = ["name,site,address"]
    lines += [f"{each.name},{each.site},{each.address}" for each in sheet.machines]
    return "\n".join(lines) + "\n"
