"""A small organisation with two DHCP servers, for the tests of its checks and dangers."""

from __future__ import annotations

import dataclasses
import typing
from ipaddress import IPv4Address

from holdfast.directory.model import Organisation, Reservation, Role, Scope, Server, Site
from holdfast.kernel.iprange import parse_ip_range

MAC = "00:1a:2b:3c:4d:5e"
OTHER_MAC = "00:1a:2b:3c:4d:5f"
OFFICE = Scope("office", parse_ip_range("192.0.2.0/24"), "dhcp1", parse_ip_range("192.0.2.10-192.0.2.200"))
BASE = Organisation(
    sites=(Site("Main"),),
    servers=(
        Server("dhcp1", "dhcp1.example.test", "Main", (Role.DHCP,)),
        Server("dhcp2", "dhcp2.example.test", "Main", (Role.DHCP,)),
        Server("mail1", "mail1.example.test", "Main"),
    ),
    scopes=(OFFICE,),
)


def office(**changes: typing.Any) -> Scope:
    """The scope of the office, changed."""
    return dataclasses.replace(OFFICE, **changes)


def with_office(**changes: typing.Any) -> Organisation:
    """The organisation with the scope of the office changed."""
    return dataclasses.replace(BASE, scopes=(office(**changes),))


def with_scopes(*scopes: Scope) -> Organisation:
    """The organisation with these scopes."""
    return dataclasses.replace(BASE, scopes=scopes)


def reserve(address: str, mac: str = "", scope: str = "office", **changes: typing.Any) -> Reservation:
    """A reservation."""
    return Reservation(scope, IPv4Address(address), mac, **changes)
