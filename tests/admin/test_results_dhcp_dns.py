"""What the verbs about names in DNS give back is shown as tables and as JSON."""

from __future__ import annotations

import msgspec

from holdfast.admin.results_dhcp_dns import DnsNameRow, DnsStatus, DnsZoneRow
from holdfast.cli.render import as_json, show

STATUS = DnsStatus(
    registers=True, registered_count=3, waiting_count=1, refused_count=0, removal_count=0, in_flight_count=0,
    zones=[DnsZoneRow("o.test", "takes none", "192.0.2.53: answers REFUSED", 100.0, 200.0, 1)],
    names=[DnsNameRow("192.0.2.10", "desk.o.test", "waits", "02:00:00:00:00:01")],
)  # fmt: skip


def test_json_is_read_back() -> None:
    assert msgspec.json.decode(as_json(STATUS), type=DnsStatus) == STATUS


def test_people_see_tables(capsys: object) -> None:
    show(STATUS)
    shown = capsys.readouterr().out  # type: ignore[attr-defined]  # a fixture without a public type
    for word in ("o.test", "answers REFUSED", "desk.o.test", "waits"):
        assert word in shown
