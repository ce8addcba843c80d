"""What a connector's sessions have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.directory.model import Organisation, PermissionGroup, ReceiveConnector, Server, TlsMode
from holdfast.transport.rights import NO_RIGHTS, RIGHTS_OF_GROUP, Client, ClientKind
from holdfast.transport.session_terms import Terms, certificate_fits
from holdfast.transport.tls_policy import TlsFacts

CONNECTOR = ReceiveConnector("in", "mx", (), (), fqdn="mail.Example.test")
ORGANISATION = Organisation(
    servers=(Server("mx", "MX.example.test", "here", addresses=("2001:DB8::1",)),),
    receive_connectors=(CONNECTOR,),
    message_bytes_max=1000,
)
STRANGER = Client(ClientKind.ANONYMOUS, NO_RIGHTS)
SERVER = Client(ClientKind.SERVER, RIGHTS_OF_GROUP[PermissionGroup.SERVERS])


def test_our_servers_are_known_by_all_their_names() -> None:
    terms = Terms(CONNECTOR, "Door.example.test", ORGANISATION)
    assert terms.host_names == {"mx.example.test", "mail.example.test", "door.example.test"}
    assert terms.server_addresses == {"2001:db8::1"}
    assert terms.greeting == b"220 Door.example.test ESMTP\r\n"


def test_the_answer_to_ehlo_says_what_holds_now() -> None:
    terms = Terms(CONNECTOR, "mx", ORGANISATION)
    lines = terms.ehlo_reply(STRANGER, tls_active=False, sign_in_offered=True).split(b"\r\n")
    assert lines == [
        b"250-mx",
        b"250-PIPELINING",
        b"250-SIZE 1000",
        b"250-8BITMIME",
        b"250-ENHANCEDSTATUSCODES",
        b"250-CHUNKING",
        b"250-SMTPUTF8",
        b"250-DSN",
        b"250-STARTTLS",
        b"250-AUTH PLAIN LOGIN",
        b"250 HELP",
        b"",
    ]
    reply = terms.ehlo_reply(SERVER, tls_active=True, sign_in_offered=False)
    assert b"STARTTLS" not in reply
    assert b"AUTH" not in reply
    assert b"SIZE 37748736" in reply
    plain = Terms(replace(CONNECTOR, tls=TlsMode.NONE), "mx", ORGANISATION)
    assert b"STARTTLS" not in plain.ehlo_reply(STRANGER, tls_active=False, sign_in_offered=False)


@pytest.mark.parametrize(
    ("facts", "fits"),
    [
        (None, False),
        (TlsFacts("TLSv1.3", "x", verified=False, peer_names=("x.test",)), False),
        (TlsFacts("TLSv1.3", "x", verified=True, peer_names=("y.test", "ax.test")), False),
        (TlsFacts("TLSv1.3", "x", verified=True, peer_names=("y.test", "X.test")), True),
        (TlsFacts("TLSv1.3", "x", verified=True, peer_names=("*.x.test",)), True),
        (TlsFacts("TLSv1.3", "x", verified=True, peer_names=("mx.x.test",)), True),
    ],
)
def test_a_certificate_is_of_the_domain_that_is_asked_for(facts: TlsFacts | None, fits: bool) -> None:
    assert certificate_fits(replace(CONNECTOR, client_certificate_domains=("x.test",)), facts) is fits
    assert certificate_fits(CONNECTOR, facts)
