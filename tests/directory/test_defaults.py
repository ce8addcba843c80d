"""The demonstration is a complete organisation without a problem."""

from __future__ import annotations

from holdfast.directory.checks import check_organisation
from holdfast.directory.model import Organisation, Role, TlsMode, Usage


def test_a_load_generator_on_loopback_is_neither_slowed_nor_cut_off(organisation: Organisation) -> None:
    for connector in organisation.receive_connectors:
        assert (connector.tarpit_s, connector.connection_percent_per_source) == (0.0, 100)


def test_nothing_is_wrong_with_it(organisation: Organisation) -> None:
    assert check_organisation(organisation) == ()


def test_it_listens_on_unprivileged_local_ports(organisation: Organisation) -> None:
    doors = {(each.bindings, each.usage, each.tls) for each in organisation.receive_connectors}
    assert doors == {
        (("127.0.0.1:2525",), Usage.INTERNET, TlsMode.STARTTLS),
        (("127.0.0.1:2587",), Usage.CLIENT, TlsMode.STARTTLS),
        (("127.0.0.1:2465",), Usage.CLIENT, TlsMode.IMPLICIT),
    }
    (server,) = organisation.servers
    assert [(each.bind, each.tls) for each in server.imap] == [
        ("127.0.0.1:2143", TlsMode.STARTTLS),
        ("127.0.0.1:2993", TlsMode.IMPLICIT),
    ]
    assert server.metrics == "127.0.0.1:2090"
    assert server.roles == (Role.TRANSPORT, Role.MAILBOX, Role.ACCESS)
