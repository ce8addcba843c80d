"""Two servers as real processes: what is protected is seen, and a server that is gone is declared lost."""

from __future__ import annotations

import imaplib
import json
import smtplib
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.kernel.errors import Refusal
from holdfast.lab.laboratory import Lab

pytestmark = pytest.mark.process

SHEET = "name,site,wait,start,mailboxes\nmail1,North,no,yes,1\nmail2,South,yes,yes,1\n"
USER = "mail1.user1@lab.test"
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab")
    made.up(SHEET, "lab.csv", loopback=True, say=lambda _: None)
    yield made
    made.destroy()


def told(lab: Lab, server: str, *words: str) -> Any:
    return json.loads(lab.manage(server, *words, "--json"))


def hand_in(lab: Lab, server: str, subject: str) -> None:
    machine = lab.sheet.machine(server)
    with smtplib.SMTP(machine.address, machine.ports.smtp, timeout=60) as client:
        client.sendmail("x@outside.example", [USER], f"Subject: {subject}\n\nhello")


def subjects(lab: Lab) -> Counter[str]:
    machine = lab.sheet.machine("mail1")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with imaplib.IMAP4_SSL(
        machine.address, machine.ports.imap_tls, ssl_context=context, timeout=60
    ) as client:
        client.login(USER, lab.passwords()[USER])
        client.select("INBOX", readonly=True)
        _, found = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        texts = [each[1].decode().strip() for each in found if isinstance(each, tuple)]
        return Counter(each.removeprefix("Subject: ") for each in texts)


def protection(lab: Lab, server: str, *words: str) -> Any:
    return told(lab, server, "message", "protection", *words)


def takes_copies(lab: Lab, server: str) -> bool:
    return [each["takes_copies"] for each in protection(lab, server)["partners"]] == ["yes"]


def counts(lab: Lab) -> tuple[int, int]:
    shown = protection(lab, "mail1")
    return shown["protected_message_count"], shown["unprotected_message_count"]


def test_what_is_protected_is_seen_and_a_lost_server_is_taken_over(lab: Lab, until: Until) -> None:
    until(lambda: takes_copies(lab, "mail1") and takes_copies(lab, "mail2"))
    (database,) = (
        each["name"]
        for each in told(lab, "mail1", "database", "list")["databases"]
        if each["server"] == "mail1"
    )
    told(lab, "mail1", "queue", "hold", f"mailbox:{database}")
    hand_in(lab, "mail1", "one")
    assert counts(lab) == (1, 0)
    (queue,) = protection(lab, "mail2")["shadow_queues"]
    assert (queue["queue"], queue["status"], queue["message_count"]) == ("shadow:mail1", "ready", 1)
    assert told(lab, "mail2", "queue", "list")["shadow_queues"] == [queue]
    lab.kill("mail2")
    hand_in(lab, "mail1", "two")
    until(lambda: counts(lab) == (1, 1))
    shown = protection(lab, "mail1", "--list")
    (row,) = shown["unprotected"]
    assert (row["recipients"], row["unprotected_since_at"]) == (
        [USER],
        pytest.approx(shown["unprotected_since_at"], abs=5),
    )
    ledger = told(lab, "mail1", "ledger")
    assert (ledger["protected_message_count"], ledger["unprotected_message_count"]) == (1, 1)
    lab.start("mail2", lambda _: None)
    until(lambda: counts(lab) == (2, 0))
    lab.kill("mail1")
    with pytest.raises(Refusal, match="add --yes"):
        lab.manage("mail2", "server", "declare-lost", "mail1")
    lab.manage("mail2", "server", "declare-lost", "mail1", "--yes")
    until(lambda: protection(lab, "mail2")["shadow_queues"][0]["message_count"] == 0)
    lab.start("mail1", lambda _: None)
    until(lambda: takes_copies(lab, "mail1"))
    told(lab, "mail1", "queue", "release", f"mailbox:{database}")
    until(lambda: told(lab, "mail2", "ledger")["queued"] == 0 and told(lab, "mail1", "ledger")["queued"] == 0)
    assert subjects(lab) == {"one": 1, "two": 1}
    assert protection(lab, "mail2")["shadow_queues"][0]["untold_message_count"] == 0
    for name in ("mail1", "mail2"):
        assert told(lab, name, "ledger")["unaccounted"] == 0
