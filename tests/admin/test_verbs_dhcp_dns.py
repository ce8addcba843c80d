"""How names are registered is set, shown, and its state told; the secret of the key is shown nowhere."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.admin.conftest import World

from holdfast.admin.verbs_dhcp_dns import read_secret
from holdfast.directory.dhcp import DnsUpdates, KeyAlgorithm
from holdfast.directory.toml_format import write_organisation
from holdfast.drivers.dhcp_requests import (
    RETRY_DNS,
    SHOW_DNS,
    DnsNameState,
    DnsQuestion,
    DnsRetried,
    DnsState,
    DnsZoneState,
)
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]
SECRET = base64.b64encode(b"s" * 32).decode()


@pytest.fixture(autouse=True)
def _scopes(call: Call) -> None:
    call("dhcp enable")
    call(
        "dhcp scope add",
        name="office",
        subnet="192.0.2.0/24",
        pool="192.0.2.10-192.0.2.99",
        domain_name="o.test",
    )
    call("dhcp scope add", name="lab", subnet="198.51.100.0/24", pool="198.51.100.10-198.51.100.99")


def test_settings_of_the_server_and_of_its_scopes(call: Call, store: DirectoryStore, world: World) -> None:
    changed = call(
        "dhcp dns set", dns_server=["192.0.2.53"], dns_zone=["o.test"], dns_key="dhcp-key",
        dns_key_algorithm="hmac-sha512", dns_without_request="yes",
    )  # fmt: skip
    assert changed.applied
    assert 'scope "lab" has no domain' in world.warnings[0]
    assert 'the key "dhcp-key" has no secret yet' in world.warnings[1]
    server = store.read().dhcp_server("demo")
    assert (server.dns_servers, server.dns_zones) == (("192.0.2.53",), ("o.test",))
    assert (server.dns_key, server.dns_key_algorithm) == ("dhcp-key", KeyAlgorithm.HMAC_SHA512)
    assert [each.dns_without_request for each in store.read().scopes] == [True, True]
    call("dhcp dns set", scope=["LAB"], dns_updates="always", dns_suffix="lab.test", dns_remove="no")
    office, lab = store.read().scopes
    assert (lab.dns_updates, lab.dns_suffix, lab.dns_remove) == (DnsUpdates.ALWAYS, "lab.test", False)
    assert (office.dns_updates, office.dns_suffix, office.dns_remove) == (DnsUpdates.ON_REQUEST, "", True)
    call("dhcp dns set", scope=["lab"], default=["dns-updates"])
    assert store.read().scopes[1].dns_updates is DnsUpdates.ON_REQUEST
    shown = call("dhcp dns show")
    assert (shown.server, shown.registers, shown.secret) == ("demo", True, False)
    assert {each.name: each.value for each in shown.settings}["dns_key_algorithm"] == "hmac-sha512"
    assert [(each.scope, each.domain, each.without_request, each.remove) for each in shown.scopes] == [
        ("office", "o.test", True, True), ("lab", "lab.test", True, False),
    ]  # fmt: skip


def test_what_cannot_be_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match="say what is to change in these scopes"):
        call("dhcp dns set", scope=["lab"])
    with pytest.raises(Refusal, match='there is no scope "hall"'):
        call("dhcp dns set", scope=["hall"], dns_reverse="no")
    with pytest.raises(Refusal, match="dangerous") as caught:
        call("dhcp dns set", dns_server=["192.0.2.53"])
    assert "without a key" in str(caught.value.problems[0])


def test_the_secret_is_set_and_shown_nowhere(call: Call, store: DirectoryStore) -> None:
    with pytest.raises(Refusal, match='no DHCP server signs with a key "dhcp-key"'):
        call("dhcp dns set-secret", key="dhcp-key", secret=SECRET)
    call("dhcp dns set", dns_server=["192.0.2.53"], dns_key="dhcp-key")
    told = call("dhcp dns set-secret", key="dhcp-key", secret=f'  secret "{SECRET}";')
    assert (told.key, told.secret) == ("dhcp-key", True)
    assert store.tsig_secret("dhcp-key") == SECRET
    shown = call("dhcp dns show")
    assert shown.secret
    everything = write_organisation(store.read()) + repr(store.history(10)) + repr(shown) + repr(told)
    assert SECRET not in everything
    for given in ({}, {"secret": SECRET, "forget": True}):
        with pytest.raises(Refusal, match="--secret-file FILE or --ask-secret"):
            call("dhcp dns set-secret", key="dhcp-key", **given)
    assert not call("dhcp dns set-secret", key="dhcp-key", forget=True).secret
    assert store.tsig_secret("dhcp-key") is None


@pytest.mark.parametrize("text", [SECRET, f'secret "{SECRET}";', f"    secret: {SECRET}", f"  {SECRET}  "])
def test_a_secret_as_key_files_have_it(text: str) -> None:
    assert read_secret(text) == SECRET


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("correct horse battery staple", "this is no secret in base64"),
        (base64.b64encode(b"short").decode(), "the secret has 5 bytes; 16 are the least"),
    ],
)
def test_what_is_no_secret_is_not_repeated(text: str, reason: str) -> None:
    with pytest.raises(Refusal, match=reason) as caught:
        read_secret(text)
    assert text not in str(caught.value)


STATE = DnsState(
    is_on=True,
    zones=(
        DnsZoneState("o.test", "", None, None, 0),
        DnsZoneState("2.0.192.in-addr.arpa", "192.0.2.53: answers NOTAUTH", 100.0, 200.0, 7),
    ),
    registered_count=1, waiting_count=7, refused_count=1, removal_count=0, in_flight_count=2,
    names=(DnsNameState("192.0.2.10", "desk.o.test", "refused", "02:00:00:00:00:01"),),
)  # fmt: skip


def test_the_state_is_told_and_a_retry_is_asked_for(call: Call, world: World) -> None:
    asked: list[object] = []

    def role(verb: str, body: bytes) -> bytes:
        asked.append(SHOW_DNS.read(body) if verb == SHOW_DNS.name else verb)
        return msgspec.msgpack.encode(STATE if verb == SHOW_DNS.name else DnsRetried(1))

    world.dhcp = role
    status = call("dhcp dns status", limit=1)
    assert (status.registered_count, status.waiting_count, status.refused_count) == (1, 7, 1)
    assert [(each.zone, each.state, each.waiting_count) for each in status.zones] == [
        ("o.test", "takes updates", 0), ("2.0.192.in-addr.arpa", "takes none", 7),
    ]  # fmt: skip
    assert [(each.name, each.state) for each in status.names] == [("desk.o.test", "refused")]
    assert world.warnings == ["the first 1 names are listed; raise --limit"]
    assert call("dhcp dns retry").zone_count == 1
    assert asked == [DnsQuestion(1), RETRY_DNS.name]


def test_where_nothing_is_registered_it_is_said(call: Call, world: World) -> None:
    off = msgspec.structs.replace(STATE, is_on=False, names=())
    world.dhcp = lambda verb, body: msgspec.msgpack.encode(off)
    assert not call("dhcp dns status").registers
    assert "names are not registered; begin with: holdfast dhcp dns set --dns-server" in world.warnings[0]
