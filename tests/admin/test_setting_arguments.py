"""Every setting of the model is an argument of the right kind, and is read back as the model has it."""

from __future__ import annotations

import typing
from ipaddress import IPv4Address

import pytest

from holdfast.admin.catalogue import Argument, ArgumentValue, Kind, Verb, read_arguments
from holdfast.admin.results import Nothing
from holdfast.admin.setting_arguments import (
    argument_name,
    default_argument,
    given_settings,
    merged_arguments,
    setting_arguments,
)
from holdfast.directory.dhcp import Reservation, Scope
from holdfast.directory.kinds import KINDS, settings_of
from holdfast.directory.model import (
    Organisation,
    PermissionGroup,
    ReceiveConnector,
    RequiredTls,
    SendConnector,
    Server,
    Site,
    SiteLink,
    TlsMode,
)
from holdfast.directory.values import write_text
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range

TYPES = (ReceiveConnector, SendConnector, Site, SiteLink, RequiredTls, Organisation)


def _read(record_type: type, **given: ArgumentValue) -> dict[str, typing.Any]:
    arguments = setting_arguments(record_type)
    verb = Verb("x", "y", "z", "x", Nothing, (*arguments, default_argument(arguments)))
    named = {name.replace("_", "-"): value for name, value in given.items()}
    return given_settings(read_arguments(verb, named), record_type)


@pytest.mark.parametrize("record_type", TYPES)
def test_names_are_unique_and_nothing_is_left_out(record_type: type) -> None:
    names = [each.name for each in setting_arguments(record_type)]
    assert len(set(names)) == len(names) == len(settings_of(record_type))


@pytest.mark.parametrize("record_type", [kind.type for kind in KINDS if kind.type in TYPES] + [Organisation])
def test_the_defaults_can_be_said_and_are_read_as_they_are(record_type: type) -> None:
    for setting in settings_of(record_type):
        if setting.required or setting.default in ("", ()):
            continue
        text = write_text(setting.default, setting.unit)
        assert _read(record_type, **{argument_name(setting): text}) == {setting.attribute: setting.default}


def test_what_may_be_left_out_is_an_argument_of_its_type() -> None:
    arguments = {each.name: each for each in setting_arguments(Scope, leave_out=("policies", "options"))}
    assert arguments["pool"].kind is Kind.RANGE
    assert arguments["shortest-lease"].kind is Kind.SPAN
    assert (arguments["relay"].kind, arguments["relay"].many) == (Kind.IPV4, True)
    assert arguments["server"].completes == "server.servers.name"


def test_what_may_be_left_out_is_read_by_its_type() -> None:
    verb = Verb(
        "x", "y", "z", "x", Nothing, setting_arguments(Scope, leave_out=("policies", "options", "name"))
    )
    given = {"pool": "192.0.2.1-192.0.2.9", "shortest-lease": "1m", "relay": ["192.0.2.1"]}
    assert given_settings(read_arguments(verb, given), Scope) == {
        "pool": parse_ip_range("192.0.2.1-192.0.2.9"),
        "shortest_lease_s": 60.0,
        "relays": (IPv4Address("192.0.2.1"),),
    }
    address = setting_arguments(Reservation, leave_out=("options",))
    reserved = read_arguments(Verb("x", "y", "z", "x", Nothing, address), {"address": "192.0.2.7"})
    assert given_settings(reserved, Reservation) == {"address": IPv4Address("192.0.2.7")}


def test_names_of_lists_are_those_of_one() -> None:
    names = {each.attribute: argument_name(each) for each in settings_of(SendConnector)}
    assert names["address_spaces"] == "address-space"
    assert names["error_policies"] == "error-policy"
    assert names["tls"] == "tls"
    assert names["message_bytes_max"] == "message-size-max"
    own = {each.attribute: argument_name(each) for each in settings_of(Organisation)}
    assert (own["resolver_addresses"], own["expiry_s"]) == ("resolver-address", "expiry")
    assert {each.attribute: argument_name(each) for each in settings_of(ReceiveConnector)}[
        "proxy_from"
    ] == "proxy-from"


def test_kinds_and_completion() -> None:
    receive = {each.name: each for each in setting_arguments(ReceiveConnector, leave_out=("name",))}
    assert "name" not in receive
    assert receive["binding"].kind is Kind.BINDING
    assert receive["binding"].many
    assert receive["remote-range"].kind is Kind.RANGE
    assert receive["fqdn"].kind is Kind.DOMAIN
    assert receive["tarpit"].kind is Kind.SPAN
    assert receive["message-size-max"].kind is Kind.SIZE
    assert receive["require-tls"].choices == ("yes", "no")
    assert receive["permission-group"].choices == tuple(each.value for each in PermissionGroup)
    assert receive["server"].completes == "server.servers.name"
    assert {each.name: each for each in setting_arguments(SiteLink)}["site"].completes == "site.sites.name"
    assert {each.name: each for each in setting_arguments(Organisation)}[
        "tls-report-contact"
    ].kind is Kind.ADDRESS


def test_values_are_those_of_the_model() -> None:
    assert _read(
        ReceiveConnector,
        tls="none",
        permission_group=["users"],
        remote_range=["192.0.2.1"],
        enabled="no",
        tarpit="2s",
        message_size_max="1MB",
        default=["fqdn"],
    ) == {
        "tls": TlsMode.NONE,
        "permission_groups": (PermissionGroup.USERS,),
        "remote_ranges": (parse_ip_range("192.0.2.1"),),
        "enabled": False,
        "tarpit_s": 2.0,
        "message_bytes_max": 1 << 20,
        "fqdn": "",
    }
    assert _read(ReceiveConnector) == {}


def test_a_default_that_is_not_there_or_not_meant() -> None:
    with pytest.raises(Refusal, match="server has no default"):
        _read(ReceiveConnector, default=["server"])
    with pytest.raises(Refusal, match="say one of them"):
        _read(ReceiveConnector, default=["fqdn"], fqdn="a.example")


def test_arguments_of_several_kinds_are_put_together() -> None:
    one = Argument("tls", Kind.CHOICE, "inbound", choices=("none", "both"))
    other = Argument("tls", Kind.CHOICE, "outbound", choices=("both", "always"))
    same = Argument("fqdn", Kind.DOMAIN, "the name")
    tls, fqdn = merged_arguments(("doors", (one, same)), ("ways", (other, same)))
    assert tls.choices == ("none", "both", "always")
    assert tls.help == "doors: inbound; ways: outbound"
    assert fqdn == same


def test_servers_can_be_described_too() -> None:
    assert {each.name for each in setting_arguments(Server)} >= {"name", "fqdn", "site", "role", "address"}
