"""What the first start makes, and what every start tells.

The first command gives a running server (product, "who uses it").
"""

from __future__ import annotations

import json
import os
import random
import shlex
import sys
import time
from pathlib import Path

from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.model import Organisation, Server, TlsMode, Usage
from holdfast.directory.plan import plan_change
from holdfast.drivers.files import write_private
from holdfast.drivers.passwords import hash_password, new_password
from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.ids import MailboxId, new_mailbox_id

CREDENTIALS_FILE = "demo-credentials.json"
HOME_BYTES_MAX = 400  # SQLite takes 512 with the names of its own files


def make_home(home: Path) -> None:
    """Make the state directory, closed to others.

    Raises:
        Unavailable: it cannot be made.
    """
    if len(os.fsencode(home)) > HOME_BYTES_MAX:
        raise Unavailable(
            f"the path of the state directory is longer than {HOME_BYTES_MAX} bytes, which SQLite cannot "
            "open; give --home a shorter one"
        )
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "run").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make the state directory {home}: {error.strerror}") from None


def prepare(home: Path, *, demonstration: bool, ports: DemonstrationPorts | None = None) -> bool:
    """Make the state directory, and the demonstration organisation in it when it is empty.

    Returns:
        Whether the demonstration organisation was made now.

    Raises:
        Refusal: the state is of a newer version.
        Unavailable: the directory cannot be made or used.
    """
    make_home(home)
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


def welcome(home: Path, *, new: bool, open_bindings: frozenset[str], server_name: str = "") -> str:
    """What listens where, how to send a first message and how to read it.

    Args:
        home: the state directory.
        new: whether the demonstration organisation was made now.
        open_bindings: where the roles really listen, as ``address:port``.
        server_name: which server of the organisation this is, where it has several.
    """
    store = DirectoryStore.open(home / "directory.sqlite", writable=False)
    try:
        organisation = store.read()
    finally:
        store.close()
    lines = [f'Holdfast is ready: organisation "{organisation.name}", state in {home}', ""]
    lines += _listening(organisation, organisation.own_server(server_name), open_bindings)
    if (home / CREDENTIALS_FILE).exists():
        lines += _first_message(organisation, home / CREDENTIALS_FILE, open_bindings)
        if new:
            lines.insert(-4, "  The demonstration organisation and its passwords were made just now.")
    command = shlex.join(
        [sys.argv[0] if sys.argv[0].endswith("/holdfast") else "holdfast", "--home", str(home)]
    )
    lines += ["", f"  Manage:  {command} status", "  Stop:    Ctrl-C", ""]
    return "\n".join(lines)


def _listening(organisation: Organisation, own: Server | None, open_bindings: frozenset[str]) -> list[str]:
    if own is None:
        known = ", ".join(each.name for each in organisation.servers)
        if known:
            return [f"  Nothing listens: say which server this is with --server; there are {known}."]
        return ["  Nothing listens yet: declare it with `holdfast organisation import FILE.toml`."]
    what = {Usage.CLIENT: "submission"}
    doors = [
        (what.get(each.usage, "SMTP"), binding, f"receive connector {each.name}, TLS: {each.tls.value}")
        for each in organisation.receive_connectors
        if each.enabled and each.server == own.name
        for binding in each.bindings
    ]
    doors += [("IMAP", each.bind, f"TLS: {each.tls.value}") for each in own.imap]
    if own.metrics:
        doors.append(("metrics", own.metrics, f"http://{own.metrics}/metrics"))
    if not doors:
        return ["  Nothing listens yet: declare it with `holdfast organisation import FILE.toml`."]
    not_open = "NOT OPEN, the log says why (DRV-0001)"
    return [
        f"  {name:<12} {binding:<22} {text if binding in open_bindings else not_open}"
        for name, binding, text in doors
    ]


def _first_message(organisation: Organisation, credentials: Path, open_bindings: frozenset[str]) -> list[str]:
    smtp = next((c.bindings[0] for c in organisation.receive_connectors if c.usage is Usage.INTERNET), "")
    listeners = [each for server in organisation.servers for each in server.imap]
    imap = next((each.bind for each in listeners if each.tls is TlsMode.STARTTLS), "")
    if not {smtp, imap} <= open_bindings or "alice@example.test" not in organisation.recipients:
        return []
    imap_host, _, imap_port = imap.rpartition(":")
    return [
        "",
        f"  Passwords of the demonstration mailboxes: {credentials}",
        "  Send a first message:",
        f'    python3 -c \'import smtplib; smtplib.SMTP("{smtp}").sendmail("bob@example.test", '
        '"alice@example.test", "Subject: hello\\n\\nFirst message")\'',
        "  Read it:",
        f'    python3 -c \'import imaplib, json, sys; m = imaplib.IMAP4("{imap_host}", {imap_port}); '
        'm.login("alice@example.test", json.load(open(sys.argv[1]))["alice@example.test"]); '
        f'm.select(); print(m.fetch("*", "(RFC822)")[1][0][1].decode())\' {shlex.quote(str(credentials))}',
    ]
