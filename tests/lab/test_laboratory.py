"""A lab of real processes on loopback: up in order, killed, frozen, back with what it had, and down."""

from __future__ import annotations

import imaplib
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.lab import processes
from holdfast.lab.laboratory import Lab

pytestmark = pytest.mark.process

SHEET = "name,site,wait,start,mailboxes\nmail1,North,no,yes,1\nmail2,South,yes,yes,1\nspare,South,yes,no,1\n"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab")
    yield made
    made.destroy()


def subjects(lab: Lab, server: str, address: str) -> list[bytes]:
    machine = lab.sheet.machine(server)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with imaplib.IMAP4_SSL(
        machine.address, machine.ports.imap_tls, ssl_context=context, timeout=60
    ) as client:
        client.login(address, lab.passwords()[address])
        client.select("INBOX", readonly=True)
        _, found = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return [each[1].strip() for each in found if isinstance(each, tuple)]


def test_a_lab_on_loopback_from_up_to_down(lab: Lab, until: Callable[[Callable[[], bool]], None]) -> None:
    said: list[str] = []
    lab.up(SHEET, "lab.csv", loopback=True, say=said.append)
    assert said.index("start mail1") < said.index("start mail2") < said.index("declare mail1")
    assert "start spare" not in said
    assert [each.state for each in lab.status()] == ["serving", "serving", "down"]
    with pytest.raises(Refusal, match="is up already"):
        lab.up(SHEET, "lab.csv", loopback=True, say=said.append)
    with pytest.raises(Refusal, match="mail1 runs already"):
        lab.start("mail1", said.append)
    addresses = [each.address for each in lab.sheet.machines]

    # Any server takes mail for any mailbox: it crosses to the server that has it.
    first = lab.sheet.machine("mail1")
    recipients = ["mail1.user1@lab.test", "mail2.user1@lab.test"]
    with smtplib.SMTP(first.address, first.ports.smtp, timeout=60) as client:
        client.sendmail("x@outside.example", recipients, "Subject: crossing\n\nhello")
    until(lambda: subjects(lab, "mail2", "mail2.user1@lab.test") == [b"Subject: crossing"])

    count = lab.freeze("mail2")
    assert count >= 5  # the supervisor and four roles, and what these start
    until(lambda: lab.status()[1].state == "frozen")
    assert lab.thaw("mail2") == count
    assert lab.kill("mail2") == count
    assert [each.state for each in lab.status()] == ["serving", "down", "down"]
    with pytest.raises(Refusal, match="mail1 runs; kill it"):
        lab.lose_queue("mail1")
    lost = lab.lose_queue("mail2")
    assert (lost / "queue.sqlite").exists()
    assert not list(lab.home("mail2").glob("queue.*"))
    lab.start("mail2", said.append)
    assert subjects(lab, "mail2", "mail2.user1@lab.test") == [b"Subject: crossing"]

    assert lab.down() == 2 * count
    assert processes.find(lab.lab_id) == []
    again = Lab(lab.state)
    again.up(None, "lab.csv", loopback=True, say=said.append)
    assert [each.address for each in again.sheet.machines] == addresses
    assert subjects(again, "mail1", "mail1.user1@lab.test") == [b"Subject: crossing"]
    with pytest.raises(Refusal, match="no cables"):
        again.cut("mail1", "", one_way=False)
    with pytest.raises(Refusal, match='no server "mail9"'):
        again.kill("mail9")
    command, environment = again.exec_command("mail1", ("holdfast", "status"))
    assert command == ("holdfast", "status")
    assert environment["HOLDFAST_HOME"] == str(lab.state / "mail1")
    again.down()
    with pytest.raises(Refusal, match="were on loopback before"):
        Lab(lab.state).up(None, "lab.csv", loopback=False, say=said.append)


def test_a_port_that_is_taken_is_named_before_anything_is_started(lab: Lab) -> None:
    lab._adopt(SHEET, "lab.csv", loopback=True)
    machine = lab.sheet.machines[1]
    with socket.socket() as taken:
        taken.bind((machine.address, machine.ports.imap))
        taken.listen()
        with pytest.raises(Refusal, match=f"mail2 cannot have {machine.address}:{machine.ports.imap}"):
            lab.up(None, "lab.csv", loopback=True, say=lambda _: None)
    assert processes.find(lab.lab_id) == []


def test_a_server_that_ends_at_once_takes_the_lab_down_and_says_why(lab: Lab) -> None:
    (lab.state / "mail1" / "directory.sqlite").mkdir(parents=True)
    with pytest.raises(Unavailable, match="mail1 ended; it printed"):
        lab.up(SHEET, "lab.csv", loopback=True, say=lambda _: None)
    assert processes.find(lab.lab_id) == []
