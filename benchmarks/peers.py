"""The servers that benchmarks measure: ourselves and Debian's Postfix, each in a folder of its own.

Every server, and whatever sends to it or takes from it, is in a session of its own, as under a service
manager. Postfix makes itself one anyway, and Linux shares the processor between sessions first
(sched_autogroup_enabled, sched(7)): a server that shared its session with other work would get the less.

Postfix runs with its durable defaults (the queue file is synced before 250,
the maildir file before it is renamed into place). What is set below is only
what lets it run beside a system's own Postfix, and what makes the case the
same for both: no client limits towards loopback, no DNS.
"""

from __future__ import annotations

import imaplib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from harness import seconds_of
from holdfast.daemons.first_start import CREDENTIALS_FILE, prepare
from holdfast.directory.defaults import DemonstrationPorts

RECIPIENT = "alice@example.test"
_SETTLE_S = 0.02
_PATIENCE_S = 300.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for_port(port: int) -> None:
    """Wait until something listens there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port} after 30 s")


class Holdfast:
    """Ourselves, under ``holdfast up``, as a user starts it."""

    name = "Holdfast"
    address = "127.0.0.1"

    def __init__(self, directory: Path) -> None:
        names = ("smtp", "submission", "submission_tls", "imap", "imap_tls", "metrics")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.port = ports["smtp"]
        self._imap = ports["imap"]
        self.home = directory / "holdfast"
        prepare(self.home, demonstration=True, ports=DemonstrationPorts(**ports))
        passwords = json.loads((self.home / CREDENTIALS_FILE).read_text(encoding="utf-8"))
        self._password = passwords[RECIPIENT]
        self._log = (directory / "holdfast.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.cli.main", "--home", str(self.home), "up"],
            stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        wait_for_port(self.port)
        wait_for_port(self._imap)
        self._client = imaplib.IMAP4("127.0.0.1", self._imap)
        self._client.login(RECIPIENT, self._password)

    def delivered_count(self) -> int:
        """Messages in the mailbox now."""
        _, answer = self._client.status("INBOX", "(MESSAGES)")
        return int(answer[0].rsplit(b" ", 1)[1].rstrip(b")"))

    def close(self) -> None:
        """Stop it."""
        self._client.logout()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()


class Postfix:
    """Debian's Postfix, delivering into a maildir by virtual(8). Needs root."""

    name = "Postfix"
    address = "127.0.0.1"

    def __init__(self, directory: Path) -> None:
        if shutil.which("postfix", path=f"{os.environ['PATH']}:/usr/sbin") is None:
            raise SystemExit("Postfix is not installed; `apt-get install postfix` as root and try again")
        if os.geteuid() != 0:
            raise SystemExit("Postfix can be started by root only; run `make bench` as root")
        self.port = free_ports(1)[0]
        self._configuration = directory / "postfix"
        self._maildir = directory / "mail" / "alice"
        self._write_configuration(directory)
        self._run("check")
        self._run("start")
        wait_for_port(self.port)

    def _write_configuration(self, directory: Path) -> None:
        owner = pwd.getpwnam("postfix").pw_uid
        directory.chmod(0o755)
        self._configuration.mkdir()
        for name in ("spool", "data", "mail"):
            (directory / name).mkdir()
        os.chown(directory / "data", owner, -1)
        os.chown(directory / "mail", owner, -1)
        settings: dict[str, object] = {
            "compatibility_level": "3.6",
            "queue_directory": directory / "spool",
            "data_directory": directory / "data",
            "maillog_file": directory / "postfix.log",
            "maillog_file_prefixes": directory,
            "myhostname": "bench.example.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "smtpd_peername_lookup": "no",
            "alias_maps": "",
            "alias_database": "",
            **self._more_settings(directory, owner),
        }
        (self._configuration / "main.cf").write_text(
            "".join(f"{name} = {value}\n" for name, value in settings.items()), encoding="utf-8"
        )
        master = Path("/usr/share/postfix/master.cf.dist").read_text(encoding="utf-8")
        smtpd = f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        lines = [line for line in master.splitlines(keepends=True) if not line.startswith("smtp      inet")]
        # Without chroot, as Postfix's own distribution has it: Debian's needs files copied into the spool.
        services = [line if line.startswith("#") else _without_chroot(line) for line in lines]
        (self._configuration / "master.cf").write_text(smtpd + "".join(services), encoding="utf-8")

    def _more_settings(self, directory: Path, owner: int) -> dict[str, object]:
        """Where the mail goes: here into a maildir."""
        return {
            "virtual_mailbox_domains": "example.test",
            "virtual_mailbox_base": directory / "mail",
            "virtual_mailbox_maps": "inline:{" + RECIPIENT + "=alice/}",
            "virtual_uid_maps": f"static:{owner}",
            "virtual_gid_maps": f"static:{owner}",
            "virtual_mailbox_limit": "0",
        }

    def _run(self, command: str) -> None:
        words = ["postfix", "-c", str(self._configuration), command]
        path = f"{os.environ['PATH']}:/usr/sbin"
        environment = {**os.environ, "PATH": path}
        result = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        if result.returncode != 0:
            raise SystemExit(f"{' '.join(words)} failed: {result.stdout}{result.stderr}")

    def delivered_count(self) -> int:
        """Messages in the mailbox now."""
        new = self._maildir / "new"
        return len(os.listdir(new)) if new.exists() else 0

    def close(self) -> None:
        """Stop it."""
        self._run("stop")


def _without_chroot(line: str) -> str:
    words = line.split()
    if len(words) >= 8 and words[1] in ("unix", "inet") and words[4] == "y":
        words[4] = "n"
        return " ".join(words) + "\n"
    return line


def accept_to_mailbox(server: Holdfast | Postfix, *, sessions: int, count: int, size: int) -> float:
    """Send messages with smtp-source over lasting sessions until all are in the mailbox.

    Returns:
        Messages per second, from the first connection to the last message being there.
    """
    program = shutil.which("smtp-source", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise SystemExit("smtp-source is not installed; it comes with Debian's postfix package")
    wanted = server.delivered_count() + count
    started = time.monotonic()
    seconds_of(
        [program, "-d", "-s", str(sessions), "-m", str(count), "-l", str(size), "-f", "load@outside.example",
         "-t", RECIPIENT, f"127.0.0.1:{server.port}"],
        _PATIENCE_S,
    )  # fmt: skip
    while server.delivered_count() < wanted:
        if time.monotonic() - started > _PATIENCE_S:
            raise SystemExit(f"{server.name} delivered {server.delivered_count()} of {wanted} messages")
        time.sleep(_SETTLE_S)
    return count / (time.monotonic() - started)
