"""A connector that says nothing has the defaults of the standards and of exchange-behaviour."""

from __future__ import annotations

from holdfast.directory import connectors, model
from holdfast.directory.connectors import ReceiveConnector, SendConnector, SendTls, SmartHostAuth
from holdfast.kernel.iprange import parse_ip_range


def test_receive_connector_does_not_relay_by_itself() -> None:
    connector = ReceiveConnector("a", "mail1", ("192.0.2.1:25",), (parse_ip_range("0.0.0.0/0"),))
    assert not connector.anonymous_relay
    assert not connector.externally_secured
    assert connector.proxy_from == ()


def test_limits_are_those_of_exchange_where_they_are_ours_too() -> None:
    connector = ReceiveConnector("a", "mail1", (), ())
    assert (connector.tarpit_s, connector.connection_percent_per_source) == (5.0, 2)
    assert (connector.hop_count_max, connector.local_hop_count_max) == (30, 8)
    assert connector.recipient_count_max == 200


def test_send_connector_asks_dns_and_takes_tls_where_it_is_offered() -> None:
    connector = SendConnector("a", ("*",))
    assert connector.smart_hosts == ()
    assert (connector.tls, connector.auth, connector.port) == (
        SendTls.OPPORTUNISTIC,
        SmartHostAuth.NONE,
        25,
    )


def test_the_model_has_them_too() -> None:
    for name in ("ReceiveConnector", "SendConnector", "RequiredTls", "Usage", "SendTls"):
        assert getattr(model, name) is getattr(connectors, name)
