"""Which doors are open: what the transport role says, held against what is declared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.admin.context import RoleState
from holdfast.admin.open_doors import binding_rows, changed_connectors, not_open
from holdfast.directory.model import Organisation, ReceiveConnector, Server
from holdfast.kernel.iprange import parse_ip_range

HERE = ReceiveConnector("in", "mail1", ("192.0.2.1:25", "[2001:db8::1]:25"), (parse_ip_range("0.0.0.0/0"),))
THERE = replace(HERE, name="there", server="mail2")
SERVERS = (Server("mail1", "mail1.example.test", "A"), Server("mail2", "mail2.example.test", "A"))
ORGANISATION = Organisation(servers=SERVERS, receive_connectors=(HERE, THERE))
WHY = "cannot listen on 2001:db8::1:25: this machine does not have that address"
SERVING = RoleState("transport", 8, 1, {"ports": "192.0.2.1:25", "not_open_[2001:db8::1]:25": WHY})
SILENT = RoleState("transport", 8, 1, {"state": "does not answer"})
ELSEWHERE = 'server "mail2" opens it: ask there'

ROWS: dict[str, tuple[ReceiveConnector, list[RoleState], list[tuple[str, str]]]] = {
    "open and not open": (HERE, [SERVING], [("yes", ""), ("no", WHY)]),
    "the process that came last": (HERE, [SILENT, SERVING], [("yes", ""), ("no", WHY)]),
    "of another server": (THERE, [SERVING], [("not known", ELSEWHERE)] * 2),
    "disabled": (replace(HERE, enabled=False), [SERVING], [("no", "the connector is disabled")] * 2),
    "nobody to open it": (
        HERE,
        [RoleState("access", 9, 1, {"ports": "192.0.2.1:25"})],
        [("no", "the transport role is not running; see: holdfast status")] * 2,
    ),
    "no answer": (
        HERE,
        [SILENT],
        [("not known", "the transport role does not answer; see: holdfast status")] * 2,
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_each_binding_says_whether_it_is_open(case: str) -> None:
    connector, roles, expected = ROWS[case]
    rows = binding_rows(connector, ORGANISATION, "mail1", roles)
    assert [row.binding for row in rows] == list(connector.bindings)
    assert [(row.open, row.reason) for row in rows] == expected


def test_who_changes_a_connector_hears_of_that_one_alone() -> None:
    new, same = replace(HERE, name="new"), replace(HERE, tarpit_s=1.0)
    after = replace(
        ORGANISATION, receive_connectors=(same, THERE, new, replace(new, name="off", enabled=False))
    )
    changed = changed_connectors(ORGANISATION, after, "mail1")
    assert changed == [same, new]
    assert changed_connectors(after, ORGANISATION, "unknown") == []
    assert not_open([new], after, "mail1", [SERVING]) == [
        f'receive connector "new" is not open at [2001:db8::1]:25: {WHY}; it is tried again until it is, '
        "see: holdfast connector show new"
    ]
    assert not_open([new], after, "mail1", [SILENT]) == []
    (once,) = not_open(changed, after, "mail1", [])
    assert once == "no connector is open yet: the transport role is not running; see: holdfast status"
