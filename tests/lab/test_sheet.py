"""LAB.csv: what is read, what is refused, and that the same file gives the same addresses."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.model import Role
from holdfast.kernel.errors import Refusal
from holdfast.lab.sheet import COLUMNS, TWO_SERVERS, Machine, Ports, on_loopback, read_sheet

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def test_every_column_is_read() -> None:
    sheet = read_sheet(
        "# a lab\nname, site, roles, address, wait, ports, start, mailboxes\n"
        "mail1,North,transport+mailbox,10.1.0.11,no,smtp=2525 imap=1143,no,3\n\n",
        "lab.csv",
    )
    assert sheet.machines == (
        Machine(
            "mail1",
            "North",
            "10.1.0.11",
            (Role.TRANSPORT, Role.MAILBOX),
            wait=False,
            ports=Ports(smtp=2525, imap=1143),
            start=False,
            mailbox_count=3,
        ),
    )
    assert sheet.machines[0].listening() == (("10.1.0.11", 2525), ("10.1.0.11", 587), ("10.1.0.11", 465))


def test_two_columns_are_enough() -> None:
    sheet = read_sheet("\ufeffname,site\r\nmail1,North\r\nmail2,South\r\nmail3,North\r\n", "lab.csv")
    assert [each.address for each in sheet.machines] == ["10.61.0.11", "10.61.1.12", "10.61.0.13"]
    assert all(each.wait and each.start for each in sheet.machines)
    assert sheet.sites == ("North", "South")
    assert [each.name for each in sheet.of_site("North")] == ["mail1", "mail3"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.csv")), ids=lambda path: path.name)
def test_the_examples_are_sheets(path: Path) -> None:
    assert len(read_sheet(path.read_text(encoding="utf-8"), path.name).machines) >= 2


HEAD = "name,site,roles,address,wait,ports,start,mailboxes\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "names no server"),
        ("name,site\n", "names no server"),
        ("name,colour\nmail1,red\n", 'unknown column "colour"'),
        ("name\nmail1\n", 'column "site" is missing'),
        ("name,site,site\nmail1,a,b\n", "a column is there twice"),
        (HEAD + "mail 1,Main\n", "is no name for a server"),
        (HEAD + "mail1,\n", "has no site"),
        (HEAD + "mail1,Main,cook\n", 'unknown role "cook"; the roles are transport, mailbox, access'),
        (HEAD + "mail1,Main,,10.1.0\n", "is not an IPv4 address"),
        (HEAD + "mail1,Main,,127.0.0.1\n", "cannot be the address of a server"),
        (HEAD + "mail1,Main,,10.1.0.254\n", "is the network's own address"),
        (HEAD + "mail1,Main,,10.1.0.1\nmail2,Main,,10.1.0.1\n", "10.1.0.1 is in line 2 already"),
        (HEAD + "mail1,Main,,10.1.0.1\nMAIL1,Main,,10.1.0.2\n", 'server "MAIL1" is in line 2 already'),
        (HEAD + "mail1,A,,10.1.0.1\nmail2,B,,10.1.0.2\n", 'is the network of site "A"'),
        (HEAD + "mail1,Main,,,perhaps\n", 'wait is "perhaps"'),
        (HEAD + "mail1,Main,,,,,perhaps\n", 'start is "perhaps"'),
        (HEAD + "mail1,Main,,,,http=80\n", 'unknown port "http"'),
        (HEAD + "mail1,Main,,,,smtp=0\n", "is not a port"),
        (HEAD + "mail1,Main,,,,smtp=70000\n", "is not a port"),
        (HEAD + "mail1,Main,,,,smtp=143\n", "the port 143 is taken twice"),
        (HEAD + "mail1,Main,,,,,,many\n", 'mailboxes is "many"'),
        (HEAD + "mail1,Main,,,,,,,too much\n", "9 cells, but 8 columns"),
        ('name,site\n"mail1,Main\n', "is not CSV"),
        ("name,site\n" + "".join(f"m{n},Main\n" for n in range(65)), "at most 64"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, what: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_sheet(text, "lab.csv")
    texts = [refused.value.text, *map(str, refused.value.problems)]
    assert any(what in each and "lab.csv" in each for each in texts), texts


def test_all_problems_are_found_in_one_go() -> None:
    with pytest.raises(Refusal, match="4 problems") as refused:
        read_sheet(HEAD + "mail1,,cook,x,perhaps\n", "lab.csv")
    assert len(refused.value.problems) == 4


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.text(max_size=12), max_size=9), max_size=5))
def test_any_rows_are_read_or_refused(rows: list[list[str]]) -> None:
    text = ",".join(COLUMNS) + "\n" + "\n".join(",".join(row) for row in rows)
    with suppress(Refusal):
        read_sheet(text, "lab.csv")


def test_on_loopback_addresses_are_the_same_each_time_and_differ_between_labs() -> None:
    one, again, other = (on_loopback(TWO_SERVERS, each) for each in ("3f21aa", "3f21aa", "3f21ab"))
    assert one == again
    addresses = {each.address for sheet in (one, other) for each in sheet.machines}
    assert len(addresses) == 4
    assert all(address.startswith("127.") for address in addresses)
    assert all(port > 1023 for machine in one.machines for _, port in machine.listening())


def test_an_unknown_server_is_named_with_those_that_there_are() -> None:
    with pytest.raises(Refusal, match='no server "mail9"; it has mail1, mail2'):
        TWO_SERVERS.machine("mail9")
