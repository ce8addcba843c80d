"""Names that do not exist are told with the nearest that does."""

from __future__ import annotations

import pytest

from holdfast.directory.model import Organisation, Role
from holdfast.directory.references import Names, check_fqdn, nearest_name


def _texts(problems: object) -> list[str]:
    assert not isinstance(problems, list)
    return [str(each) for each in problems]  # type: ignore[attr-defined]  # an iterator of problems


def test_unknown_name_is_told_with_the_nearest(organisation: Organisation) -> None:
    names = Names(organisation)
    assert _texts(names.check("mailbox database", ("DB01", "DB02", "zz"), "x")) == [
        'x: mailbox database "DB02" does not exist; the nearest name is "DB01"',
        'x: mailbox database "zz" does not exist; declare the mailbox database or name another',
    ]


def test_server_must_have_the_role(organisation: Organisation) -> None:
    names = Names(organisation)
    assert _texts(names.check_role("mail1", Role.TRANSPORT, "x")) == []
    assert _texts(names.check_role("Mail1", Role.TRANSPORT, "x")) == [
        'x: server "Mail1" does not exist; the nearest name is "mail1"'
    ]
    assert _texts(names.check_role("mail1", Role.DHCP, "x")) == [
        'x: server "mail1" does not have the role dhcp; give it the role or name another server'
    ]


@pytest.mark.parametrize(
    ("fqdn", "required", "good"),
    [
        ("mail1.example.test", True, True),
        ("MAIL1", True, True),
        ("", False, True),
        ("", True, False),
        ("a b", False, False),
        ("bücher.example", True, False),
        ("[192.0.2.1]", True, False),
    ],
)
def test_host_names(fqdn: str, required: bool, good: bool) -> None:
    problems = list(check_fqdn(fqdn, "x", required=required))
    assert not problems if good else f'"{fqdn}" is not a host name' in str(problems[0])


def test_nearest_ignores_case() -> None:
    assert nearest_name("site", "MAINN", ["main"]) == 'the nearest name is "main"'
