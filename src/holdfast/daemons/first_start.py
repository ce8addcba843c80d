"""What the first start makes, and what every start tells.

The first command gives a running server (product, "who uses it").
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.model import Organisation, TlsMode, Usage
from holdfast.directory.plan import plan_change
from holdfast.drivers.files import write_private
from holdfast.drivers.passwords import hash_password, new_password
from holdfast.drivers.role_link import DIRECTORY_FILE, read_organisation
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import MailboxId, new_mailbox_id

CREDENTIALS_FILE = "demo-credentials.json"


def prepare(home: Path, *, demonstration: bool, ports: DemonstrationPorts | None = None) -> bool:
    """Make the state directory, and the demonstration organisation in it when it is empty.

    Returns:
        Whether the demonstration organisation was made now.

    Raises:
        Refusal: the state is of a newer version.
        Unavailable: the directory cannot be made or used.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "run").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make the state directory {home}: {error.strerror}") from None
    store = DirectoryStore.open(home / DIRECTORY_FILE, writable=True)
    try:
        if store.revision() or not demonstration:
            return False
        _make_demonstration(home, store, ports or DemonstrationPorts())
        return True
    finally:
        store.close()


def _make_demonstration(home: Path, store: DirectoryStore, ports: DemonstrationPorts) -> None:
    luck = random.Random(os.urandom(16))
    alice, bob = new_mailbox_id(luck), new_mailbox_id(luck)
    organisation = demonstration_organisation(
        server_name="demo", fqdn="demo.example.test", alice=alice, bob=bob, ports=ports
    )
    passwords = {"alice@example.test": new_password(), "bob@example.test": new_password()}
    path = home / CREDENTIALS_FILE
    # Before the change is applied: a crash in between must not leave mailboxes with unknown passwords.
    write_private(path, (json.dumps(passwords, indent=2) + "\n").encode())
    _set_passwords(store, {alice: passwords["alice@example.test"], bob: passwords["bob@example.test"]})
    plan = plan_change(store.read(), organisation)
    store.apply(plan, who="holdfast up", why="demonstration organisation", at=time.time())


def _set_passwords(store: DirectoryStore, passwords: dict[MailboxId, str]) -> None:
    for mailbox_id, password in passwords.items():
        store.set_secret(mailbox_id, hash_password(password))


def welcome(home: Path, *, new: bool) -> str:
    """What listens where, how to send a first message and how to read it."""
    organisation = read_organisation(home)
    lines = [f'Holdfast is ready: organisation "{organisation.name}", state in {home}', ""]
    lines += _listening(organisation)
    if (home / CREDENTIALS_FILE).exists():
        lines += _first_message(organisation, home / CREDENTIALS_FILE, new)
    lines += ["", f"  Manage:  holdfast --home {home} status      Stop: Ctrl-C", ""]
    return "\n".join(lines)


def _listening(organisation: Organisation) -> list[str]:
    what = {Usage.CLIENT: "submission"}
    lines = [
        f"  {what.get(connector.usage, 'SMTP'):<12} {binding:<22} receive connector {connector.name}, "
        f"TLS: {connector.tls.value}"
        for connector in organisation.receive_connectors
        for binding in connector.bindings
    ]
    for server in organisation.servers:
        lines += [f"  {'IMAP':<12} {each.bind:<22} TLS: {each.tls.value}" for each in server.imap]
        if server.metrics:
            lines.append(f"  {'metrics':<12} http://{server.metrics}/metrics")
    if not lines:
        lines.append("  Nothing listens yet: declare it with `holdfast organisation import FILE.toml`.")
    return lines


def _first_message(organisation: Organisation, credentials: Path, new: bool) -> list[str]:
    smtp = next((c.bindings[0] for c in organisation.receive_connectors if c.usage is Usage.INTERNET), "")
    listeners = [each for server in organisation.servers for each in server.imap]
    imap = next((each.bind for each in listeners if each.tls is TlsMode.STARTTLS), "")
    if not smtp or not imap or "alice@example.test" not in organisation.recipients:
        return []
    imap_host, _, imap_port = imap.rpartition(":")
    return [
        "",
        f"  Passwords of the demonstration mailboxes{' (just made)' if new else ''}: {credentials}",
        "  Send a first message:",
        f'    python3 -c \'import smtplib; smtplib.SMTP("{smtp}").sendmail("bob@example.test", '
        '"alice@example.test", "Subject: hello\\n\\nFirst message")\'',
        "  Read it:",
        f'    python3 -c \'import imaplib, json; m = imaplib.IMAP4("{imap_host}", {imap_port}); '
        f'm.login("alice@example.test", json.load(open("{credentials}"))["alice@example.test"]); '
        'm.select(); print(m.fetch("*", "(RFC822)")[1][0][1].decode())\'',
    ]
