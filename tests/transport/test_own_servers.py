"""Where a server of ours takes mail from the others."""

from __future__ import annotations

import pytest

from holdfast.directory.model import Organisation, ReceiveConnector, Role, Server, TlsMode, Usage
from holdfast.directory.server_certificates import write_certificates
from holdfast.kernel.iprange import parse_ip_range
from holdfast.transport.hop_profile import ServerAddress
from holdfast.transport.own_servers import OwnServers, ReachedServer, own_door

ANYBODY = (parse_ip_range("0.0.0.0/0"), parse_ip_range("::/0"))
OTHERS = (parse_ip_range("192.0.2.99"),)


def reached(
    *connectors: ReceiveConnector, addresses: tuple[str, ...] = ("192.0.2.1", "2001:db8::1")
) -> tuple[str, int, bool] | None:
    organisation = Organisation(
        servers=(
            Server("one", "one.example.com", "here", addresses=addresses),
            Server("two", "two.example.com", "here", addresses=("192.0.2.99", "malformed")),
            Server("three", "three.example.com", "here", roles=(Role.DHCP,)),
        ),
        receive_connectors=connectors,
    )
    found = OwnServers(organisation).in_site("here")
    assert len(found) <= 1
    if not found:
        return None
    return found[0].address.address, found[0].address.port, found[0].offers_tls


def door(name: str, *bindings: str, usage: Usage = Usage.INTERNAL, **changes: object) -> ReceiveConnector:
    arguments = {"remote_ranges": ANYBODY, "usage": usage} | changes
    return ReceiveConnector(name, "one", bindings, **arguments)  # type: ignore[arg-type]  # fields, by name


CASES = {
    "internal before internet": (
        (door("a", "192.0.2.1:25", usage=Usage.INTERNET), door("b", "192.0.2.1:2525")),
        ("192.0.2.1", 2525, True),
    ),
    "internet where there is no internal one": (
        (door("a", "192.0.2.1:25", usage=Usage.INTERNET),),
        ("192.0.2.1", 25, True),
    ),
    "the one that lets the others in": (
        (
            door("a", "192.0.2.1:25", remote_ranges=(parse_ip_range("10.0.0.0/8"),)),
            door("b", "192.0.2.1:26", remote_ranges=OTHERS),
        ),
        ("192.0.2.1", 26, True),
    ),
    "lowest name": ((door("B", "192.0.2.1:26"), door("a", "192.0.2.1:25")), ("192.0.2.1", 25, True)),
    "every IPv4 address": ((door("a", "0.0.0.0:25"),), ("192.0.2.1", 25, True)),
    "every address": ((door("a", "[::]:25"),), ("192.0.2.1", 25, True)),
    "loopback last": ((door("a", "127.0.0.1:25", "192.0.2.1:26"),), ("192.0.2.1", 26, True)),
    "loopback where there is nothing else": ((door("a", "127.0.0.1:25"),), ("127.0.0.1", 25, True)),
    "without TLS": ((door("a", "192.0.2.1:25", tls=TlsMode.NONE),), ("192.0.2.1", 25, False)),
    "TLS from the first byte is for clients": ((door("a", "192.0.2.1:465", tls=TlsMode.IMPLICIT),), None),
    "disabled": ((door("a", "192.0.2.1:25", enabled=False),), None),
    "for clients": ((door("a", "192.0.2.1:587", usage=Usage.CLIENT),), None),
    "malformed": ((door("a", "nowhere"),), None),
}


@pytest.mark.parametrize(("connectors", "expected"), CASES.values(), ids=CASES)
def test_door(connectors: tuple[ReceiveConnector, ...], expected: tuple[str, int, bool] | None) -> None:
    assert reached(*connectors) == expected


def test_a_server_without_a_declared_address() -> None:
    assert reached(door("a", "0.0.0.0:25"), addresses=()) is None
    assert reached(door("a", "0.0.0.0:25"), addresses=("2001:db8::1",)) is None
    assert reached(door("a", "[::]:25"), addresses=("2001:db8::1",)) == ("2001:db8::1", 25, True)


def test_some_of_them() -> None:
    one, two = Server("one", "1.example.com", "here"), Server("two", "2.example.com", "here")
    servers = OwnServers(Organisation(servers=(one, two), receive_connectors=(door("a", "192.0.2.1:25"),)))
    assert servers.reached((two, one)) == (
        ReachedServer(ServerAddress("one", "1.example.com", "192.0.2.1", 25), offers_tls=True),
    )
    assert servers.in_site("elsewhere") == ()


def test_what_a_server_is_known_by_goes_with_it_where_tls_is_offered() -> None:
    server = Server(
        "one",
        "one.example.com",
        "here",
        addresses=("192.0.2.1",),
        certificate=write_certificates((b"\x30\x01a",)),
    )
    for tls, expected in ((TlsMode.STARTTLS, (b"\x30\x01a",)), (TlsMode.NONE, ())):
        organisation = Organisation(
            servers=(server,), receive_connectors=(door("a", "192.0.2.1:25", tls=tls),)
        )
        (found,) = OwnServers(organisation).in_site("here")
        assert found.address.certificates == expected


DOORS = (
    door("off", "192.0.2.1:26", enabled=False),
    door("one address", "192.0.2.1:25", "malformed"),
    door("every IPv4", "0.0.0.0:587"),
    door("every", "[::]:2525", usage=Usage.CLIENT),
)


@pytest.mark.parametrize(
    ("host", "port", "found"),
    [
        ("192.0.2.1", 25, "one address"),
        ("::ffff:192.0.2.1", 25, "one address"),
        ("One.Example.com", 25, "one address"),
        ("192.0.2.1", 26, ""),
        ("192.0.2.2", 25, ""),
        ("127.0.0.1", 25, ""),
        ("two.example.com", 25, ""),
        ("192.0.2.1", 587, "every IPv4"),
        ("127.0.0.1", 587, "every IPv4"),
        ("::1", 587, ""),
        ("2001:db8::1", 587, ""),
        ("192.0.2.2", 587, ""),
        ("2001:db8::1", 2525, "every"),
        ("192.0.2.1", 2525, "every"),
        ("::1", 2525, "every"),
    ],
)
def test_where_a_server_itself_takes_mail(host: str, port: int, found: str) -> None:
    one = Server("one", "one.example.com", "here", addresses=("192.0.2.1", "2001:db8::1"))
    elsewhere = ReceiveConnector("of two", "two", ("192.0.2.2:25", "0.0.0.0:25"), ANYBODY, Usage.INTERNET)
    organisation = Organisation(servers=(one,), receive_connectors=(elsewhere, *DOORS))
    assert own_door(organisation, one, host, port) == found
