"""The numbers that hold where nobody says another one: Exchange's, and ours where docs/reference says why."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.directory.connectors import ReceiveConnector, SendConnector, SendTls
from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.model import Organisation, SiteLink
from holdfast.kernel.ids import MailboxId

RECEIVE = ReceiveConnector("in", "mx", (), ())
SEND = SendConnector("out", ("*",))
ORGANISATION = Organisation()

# Exchange's number, and ours where that is another one.
NUMBERS: dict[str, tuple[object, str, object, object]] = {
    "RC-7 connections": (RECEIVE, "connection_count_max", 5000, 5000),
    "RC-7 connections of one source": (RECEIVE, "connection_count_per_source_max", 20, 1000),
    "RC-7 share of one source, percent": (RECEIVE, "connection_percent_per_source", 2, 2),
    "RC-7 protocol errors": (RECEIVE, "protocol_error_count_max", 5, 5),
    "RC-7 tarpit": (RECEIVE, "tarpit_s", 5.0, 5.0),
    "RC-7 recipients": (RECEIVE, "recipient_count_max", 200, 200),
    "RC-7 message size": (RECEIVE, "message_bytes_max", 36 << 20, 36 << 20),
    "RC-7 header size": (RECEIVE, "header_bytes_max", 256 << 10, 256 << 10),
    "RC-7 hops": (RECEIVE, "hop_count_max", 30, 30),
    "RC-7 local hops": (RECEIVE, "local_hop_count_max", 8, 8),
    "RC-7 messages a minute of a client": (RECEIVE, "message_rate_max", 5, 0),
    "RC-10 session": (RECEIVE, "session_s", 600.0, 600.0),
    "RC-10 inactivity": (RECEIVE, "inactivity_s", 300.0, 300.0),
    "RC-8 reserved domains": (RECEIVE, "reject_reserved_domains", False, False),
    "RC-8 single labels": (RECEIVE, "reject_single_label_domains", False, False),
    "RC-11 message size": (ORGANISATION, "message_bytes_max", 10 << 20, 36 << 20),
    "RC-11 recipients": (ORGANISATION, "recipient_count_max", 500, 500),
    "RT-1 cost of a link": (SiteLink("l", ("A", "B")), "cost", 100, 100),
    "RT-8 limit of a link": (SiteLink("l", ("A", "B")), "message_bytes_max", 0, 0),
    "SC-7 messages per connection": (SEND, "message_count_per_connection_max", 20, 20),
    "SC-7 inactivity": (SEND, "inactivity_s", 600.0, 600.0),
    "SC-7, SC-10 TLS": (SEND, "tls", SendTls.OPPORTUNISTIC, SendTls.OPPORTUNISTIC),
    "SC-9 scoped": (SEND, "scoped", False, False),
    "SC-11 message size": (SEND, "message_bytes_max", 35 << 20, 35 << 20),
    "QU-1 glitch tries": (ORGANISATION, "glitch_retry_count", 4, 4),
    "QU-1 between them": (ORGANISATION, "glitch_retry_s", 60.0, 60.0),
    "QU-1 transient tries": (ORGANISATION, "transient_retry_count", 6, 6),
    "QU-1 between those": (ORGANISATION, "transient_retry_s", 300.0, 300.0),
    "QU-1 later": (ORGANISATION, "retry_s", 600.0, 600.0),
    "QU-1 one message": (ORGANISATION, "message_retry_s", 900.0, 900.0),
    "QU-2 idle": (ORGANISATION, "idle_resubmit_s", 12 * 3600.0, 12 * 3600.0),
    "QU-3 notice": (ORGANISATION, "delay_notice_s", 4 * 3600.0, 4 * 3600.0),
    "QU-3 expiry": (ORGANISATION, "expiry_s", 2 * 86400.0, 2 * 86400.0),
    "QU-5 crashes": (ORGANISATION, "poison_count", 2, 2),
    "QU-7 connections out": (ORGANISATION, "outbound_connection_count_max", 1000, 1000),
    "QU-7 new ones a minute": (ORGANISATION, "outbound_connection_rate_max", 1200, 1200),
    "QU-7 connections of one next hop": (SEND, "connection_count_per_domain_max", 20, 20),
    "MT subject": (ORGANISATION, "tracking_subject", True, True),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_number(name: str) -> None:
    declared, attribute, _, ours = NUMBERS[name]
    value: Any = getattr(declared, attribute)
    assert value == ours


def test_where_ours_is_another_number() -> None:
    assert {name for name, (_, _, exchange, ours) in NUMBERS.items() if exchange != ours} == {
        "RC-7 connections of one source",
        "RC-7 messages a minute of a client",
        "RC-11 message size",
    }


def test_nothing_leaves_until_a_send_connector_is_made() -> None:
    first = demonstration_organisation(
        server_name="mx",
        fqdn="mx.example.test",
        alice=MailboxId("a"),
        bob=MailboxId("b"),
        ports=DemonstrationPorts(),
    )
    assert first.send_connectors == ORGANISATION.send_connectors == ()
