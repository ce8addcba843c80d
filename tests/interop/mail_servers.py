"""Real mail servers for the tests: Postfix, Exim and OpenSMTPD, each in a folder of its own.

Each takes all mail at its port: what is for its own domain goes into a maildir,
everything else to the smart host it was given. They need root, since that is how
they are made: a privileged parent and children without rights.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin"
START_PATIENCE_S = 120
STOP_PATIENCE_S = 60
# Where .ci/install-peers has put what cannot be installed beside Postfix.
PEERS = Path(os.environ.get("HOLDFAST_PEERS_ROOT", Path(__file__).parents[2] / ".peers"))


@dataclass(frozen=True)
class Certificate:
    """A certificate chain and its key, as PEM files."""

    chain: Path
    key: Path


@dataclass(frozen=True)
class PeerPlan:
    """How a peer is wanted.

    Attributes:
        directory: a folder of its own.
        domain: mail for it goes into the maildir.
        port: where it listens.
        smart_host_port: where everything else goes, on loopback.
        certificate: offers STARTTLS with it.
        address: where it listens.
        more: further lines of its configuration, in its own language; for Exim the list "judge".
        sections: further sections, for Exim.
    """

    directory: Path
    domain: str
    port: int
    smart_host_port: int = 9
    certificate: Certificate | None = None
    address: str = "127.0.0.1"
    more: str = ""
    sections: str = ""


class Peer:
    """One running mail server."""

    name = ""

    def __init__(self, plan: PeerPlan) -> None:
        self.plan = plan
        self.maildir = plan.directory / "mail"
        self.log = plan.directory / "log"
        plan.directory.mkdir(parents=True, exist_ok=True)
        # Their children without rights must come through the folders above, made for the owner alone.
        for parent in (plan.directory, *plan.directory.parents):
            if parent.stat().st_uid == os.getuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o055)

    def wait_until_it_listens(self) -> None:
        """Wait for the port, and say what its log says when it does not come."""
        pause = threading.Event()
        deadline = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((self.plan.address, self.plan.port)) == 0:
                    return
            pause.wait(0.05)
        raise AssertionError(f"{self.name} does not listen: {self.log_text()}")

    def log_text(self) -> str:
        """What it logged so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def messages(self) -> list[bytes]:
        """The messages that it has delivered, in no order."""
        return [path.read_bytes() for path in sorted(self.maildir.rglob("new/*"))]

    def send(self, sender: str, recipient: str, message: bytes) -> None:
        """Hand it a message by SMTP, as a mail client does."""
        import smtplib

        with smtplib.SMTP(self.plan.address, self.plan.port, timeout=30) as client:
            client.sendmail(sender, [recipient], message)

    def stop(self) -> None:
        """Stop it."""
        raise NotImplementedError


class Postfix(Peer):
    """Debian's Postfix."""

    name = "Postfix"

    def __init__(self, plan: PeerPlan) -> None:
        super().__init__(plan)
        directory = plan.directory
        self._configuration = directory / "etc"
        owner = pwd.getpwnam("postfix").pw_uid
        for name in ("etc", "spool", "data", "mail"):
            (directory / name).mkdir()
        os.chown(directory / "data", owner, -1)
        os.chown(directory / "mail", owner, -1)
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": directory / "spool",
            "data_directory": directory / "data",
            "maillog_file": self.log,
            "maillog_file_prefixes": directory,
            "myhostname": f"postfix.{plan.domain}",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": plan.address,
            "inet_protocols": "ipv4",
            "relayhost": f"[127.0.0.1]:{plan.smart_host_port}",
            "smtp_bind_address": "127.0.0.1",
            "minimal_backoff_time": "5s",
            "queue_run_delay": "5s",
            "virtual_mailbox_domains": plan.domain,
            "virtual_mailbox_base": directory / "mail",
            "virtual_mailbox_maps": f"inline:{{bob@{plan.domain}=bob/}}",
            "virtual_uid_maps": f"static:{owner}",
            "virtual_gid_maps": f"static:{owner}",
            "alias_maps": "",
            "alias_database": "",
            "smtputf8_enable": "yes",
        }
        if plan.certificate is not None:
            settings |= {
                "smtpd_tls_security_level": "may",
                "smtpd_tls_chain_files": f"{plan.certificate.key}, {plan.certificate.chain}",
                "smtp_tls_security_level": "may",
            }
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (self._configuration / "main.cf").write_text(text + plan.more, encoding="utf-8")
        master = Path("/usr/share/postfix/master.cf.dist").read_text(encoding="utf-8")
        lines = [line for line in master.splitlines() if not line.startswith("smtp      inet")]
        services = [_without_chroot(line) for line in lines]
        smtpd = f"{plan.address}:{plan.port} inet n - n - - smtpd"
        (self._configuration / "master.cf").write_text("\n".join((smtpd, *services, "")), encoding="utf-8")
        self._run("start")
        self.wait_until_it_listens()

    def _run(self, command: str) -> None:
        words = ["postfix", "-c", str(self._configuration), command]
        environment = {**os.environ, "PATH": SYSTEM_PATH}
        result = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        assert result.returncode == 0, result.stdout + result.stderr

    def stop(self) -> None:
        """Stop it."""
        self._run("stop")


def _without_chroot(line: str) -> str:
    # Debian's chroot needs files copied into the spool; Postfix's own distribution has none.
    words = line.split()
    if not line.startswith("#") and len(words) >= 8 and words[1] in ("unix", "inet"):
        words[4] = "n"
        return " ".join(words)
    return line


class Exim(Peer):
    """Debian's Exim 4."""

    name = "Exim"

    def __init__(self, plan: PeerPlan) -> None:
        super().__init__(plan)
        directory = plan.directory
        for name in ("spool", "mail"):
            (directory / name).mkdir()
            shutil.chown(directory / name, "Debian-exim", "Debian-exim")
        shutil.chown(directory, "Debian-exim", "Debian-exim")
        if plan.certificate is not None:
            shutil.chown(plan.certificate.key, "Debian-exim")  # the others want it to be root's
        self.log = directory / "mainlog"
        program = PEERS / "usr/sbin/exim4"
        tls = (
            f"tls_certificate = {plan.certificate.chain}\ntls_privatekey = {plan.certificate.key}\n"
            "tls_advertise_hosts = *\n"
            if plan.certificate is not None
            else "tls_advertise_hosts =\n"
        )
        configuration = directory / "exim.conf"
        configuration.write_text(
            f"""exim_path = {program}
exim_user = Debian-exim
exim_group = Debian-exim
primary_hostname = exim.{plan.domain}
spool_directory = {directory}/spool
log_file_path = {directory}/%slog
pid_file_path = {directory}/exim.pid
daemon_smtp_ports = {plan.port}
local_interfaces = {plan.address}
domainlist local_domains = {plan.domain}
acl_smtp_rcpt = judge
acl_smtp_data = take
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
disable_ipv6
chunking_advertise_hosts = *
{tls}
begin acl
{plan.more or DEFAULT_EXIM_ACL}
take:
  accept
begin routers
store:
  driver = accept
  domains = +local_domains
  transport = store
out:
  driver = manualroute
  route_list = * 127.0.0.1::{plan.smart_host_port} byname
  self = send
  transport = out
begin transports
store:
  driver = appendfile
  directory = {directory}/mail/bob
  maildir_format
  user = Debian-exim
  create_directory
out:
  driver = smtp
  hosts_try_dane =
begin retry
* * F,2h,5s
{plan.sections}
""",
            encoding="utf-8",
        )
        configuration.chmod(0o644)
        self._output = (directory / "output").open("w")
        self._process = subprocess.Popen(
            [str(program), "-C", str(configuration), "-bdf", "-q5s"],
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
        )  # fmt: skip
        self.wait_until_it_listens()

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(30)
        self._output.close()


# Exim's language for who may be written to; a test may give another "judge".
DEFAULT_EXIM_ACL = """judge:
  deny
    condition = ${if eq{$local_part}{nobody}}
    message = no such user here, and this text\\nhas two lines
  accept
"""


class OpenSmtpd(Peer):
    """Debian's OpenSMTPD; one at a time, since its control socket has a fixed place."""

    name = "OpenSMTPD"
    _CONTROL = "/var/run/smtpd.sock"

    def __init__(self, plan: PeerPlan) -> None:
        super().__init__(plan)
        directory = plan.directory
        (directory / "mail").mkdir()
        shutil.chown(directory / "mail", "nobody")
        configuration = directory / "smtpd.conf"
        pki, tls = "", ""
        if plan.certificate is not None:
            name = f"opensmtpd.{plan.domain}"
            pki = f'pki {name} cert "{plan.certificate.chain}"\npki {name} key "{plan.certificate.key}"\n'
            tls = f"tls pki {name}"
        configuration.write_text(
            f"""{pki}listen on {plan.address} port {plan.port} {tls} hostname opensmtpd.{plan.domain}
table users {{ "bob@{plan.domain}" = "nobody" }}
action "store" maildir "{directory}/mail/%{{rcpt.user}}" virtual <users>
action "out" relay host "smtp://127.0.0.1:{plan.smart_host_port}" helo opensmtpd.{plan.domain}
{plan.more}
match from any for domain "{plan.domain}" action "store"
match from any for any action "out"
""",
            encoding="utf-8",
        )
        configuration.chmod(0o600)
        self._output = self.log.open("w")
        self._process = subprocess.Popen(
            [str(PEERS / "usr/sbin/smtpd"), "-d", "-v", "-f", str(configuration)],
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
        )  # fmt: skip
        self.wait_until_it_listens()

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(STOP_PATIENCE_S)
        self._output.close()
        # On a busy machine its children outlive it, and the next one does not begin beside them.
        pause = threading.Event()
        deadline = time.monotonic() + STOP_PATIENCE_S
        while self._is_controlled():
            assert time.monotonic() < deadline, f"something still listens at {self._CONTROL}"
            pause.wait(0.05)

    def _is_controlled(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self._CONTROL) == 0
