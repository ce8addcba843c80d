"""Two servers as real processes: any takes mail for any mailbox, and each knows whom it gives it to."""

from __future__ import annotations

import imaplib
import json
import smtplib
import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from holdfast.lab.laboratory import Lab

pytestmark = pytest.mark.process

SHEET = "name,site,wait,start,mailboxes\nmail1,North,no,yes,1\nmail2,South,yes,yes,1\n"
HERE, THERE = "mail1.user1@lab.test", "mail2.user1@lab.test"
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab")
    made.up(SHEET, "lab.csv", loopback=True, say=lambda _: None)
    yield made
    made.destroy()


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def subjects(lab: Lab, address: str) -> list[str]:
    machine = lab.sheet.machine(address.partition(".")[0])
    with imaplib.IMAP4_SSL(
        machine.address, machine.ports.imap_tls, ssl_context=unverified(), timeout=60
    ) as client:
        client.login(address, lab.passwords()[address])
        client.select("INBOX", readonly=True)
        _, found = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return sorted(each[1].decode().strip().partition(" ")[2] for each in found if isinstance(each, tuple))


def hand_in(lab: Lab, server: str, subject: str, *recipients: str) -> None:
    machine = lab.sheet.machine(server)
    with smtplib.SMTP(machine.address, machine.ports.smtp, timeout=60) as client:
        client.sendmail("x@outside.example", recipients, f"Subject: {subject}\n\nhello")


def submit(lab: Lab, server: str, subject: str, sender: str, *recipients: str) -> None:
    machine = lab.sheet.machine(server)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, ", ".join(recipients), subject
    with smtplib.SMTP_SSL(
        machine.address, machine.ports.submission_tls, context=unverified(), timeout=60
    ) as client:
        client.login(sender, lab.passwords()[sender])
        client.send_message(message)


def told(lab: Lab, server: str, *words: str) -> Any:
    return json.loads(lab.manage(server, *words, "--json"))


def events(lab: Lab, server: str) -> list[str]:
    lines = (lab.state / f"{server}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return [json.loads(each)["id"] for each in lines if each.startswith("{")]


def test_any_server_takes_mail_for_any_mailbox_and_both_account_for_it(lab: Lab, until: Until) -> None:
    hand_in(lab, "mail1", "one", HERE, THERE)
    hand_in(lab, "mail2", "two", HERE, THERE)
    # Users may hand in their mail at either.
    submit(lab, "mail1", "three", HERE, HERE, THERE)
    submit(lab, "mail2", "four", HERE, HERE, THERE)
    expected = ["four", "one", "three", "two"]
    until(lambda: subjects(lab, HERE) == expected and subjects(lab, THERE) == expected)
    names = ("mail1", "mail2")
    until(lambda: all(told(lab, each, "ledger")["queued"] == 0 for each in names))
    ledgers = [told(lab, each, "ledger") for each in names]
    for ledger in ledgers:
        counted = ("delivered", "relayed", "transferred_out", "queued", "bounced", "dropped", "unaccounted")
        assert ledger["accepted"] == sum(ledger[each] for each in counted)
        assert (ledger["delivered"], ledger["relayed"], ledger["unaccounted"]) == (4, 0, 0)
        assert (ledger["transferred_out"], ledger["transferred_in"]) == (2, 2)
    # It is the same message everywhere.
    ids = [
        {
            each["network_message_id"]
            for each in told(lab, name, "message", "track", "--subject", "one")["rows"]
        }
        for name in names
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 1
    for name in names:
        assert not {"TRN-0340", "TRN-0341", "DRV-0324", "DRV-0325"} & set(events(lab, name))


def test_a_server_with_a_new_certificate_gets_no_mail_until_it_is_known_by_it(
    lab: Lab, until: Until, tmp_path: Path
) -> None:
    lab.kill("mail2")
    for each in (lab.home("mail2") / "tls").glob("*.pem"):
        each.unlink()
    lab.start("mail2", lambda _: None)
    hand_in(lab, "mail1", "waits", THERE)
    until(lambda: "TRN-0340" in events(lab, "mail1"))
    assert told(lab, "mail1", "ledger")["queued"] == 1
    assert subjects(lab, THERE) == []
    # The other way round it is not taken for a server of ours either.
    hand_in(lab, "mail2", "waits too", HERE)
    until(lambda: "DRV-0325" in events(lab, "mail1"))
    assert "DRV-0324" in events(lab, "mail2")
    new = tmp_path / "mail2.pem"
    new.write_text(lab.manage("mail2", "server", "certificate"))
    for server in ("mail1", "mail2"):
        lab.manage(server, "server", "trust", "mail2", str(new))
    until(lambda: subjects(lab, THERE) == ["waits"] and subjects(lab, HERE) == ["waits too"])
