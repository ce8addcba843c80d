"""Connector verbs on a real directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.admin.context import RoleState
from holdfast.directory.model import (
    ErrorPolicy,
    PermissionGroup,
    SendConnector,
    SendTls,
    SizeMode,
    SmartHostAuth,
    TlsMode,
    Usage,
)
from holdfast.directory.plan import plan_change
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.drivers.tls import ensure_certificate
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range

Call = Callable[..., Any]


def test_a_receive_connector_is_opened_changed_and_closed(call: Call, store: DirectoryStore) -> None:
    call(
        "connector add-receive",
        name="scanner",
        binding=["127.0.0.1:2626"],
        remote_range=["192.0.2.64/28"],
        usage="internal",
        tls="none",
        message_size_max="5MB",
        tarpit="1s",
    )
    connector = store.read().receive_connectors[-1]
    assert (connector.server, connector.bindings) == ("demo", ("127.0.0.1:2626",))
    assert (connector.usage, connector.tls) == (Usage.INTERNAL, TlsMode.NONE)
    assert (connector.message_bytes_max, connector.tarpit_s) == (5 << 20, 1.0)
    call(
        "connector set",
        name="scanner",
        binding=["127.0.0.1:2627"],
        recipient_count_max=5,
        fqdn="scan.example.test",
        yes=True,
    )
    after = store.read().receive_connectors[-1]
    assert after == replace(
        connector, bindings=("127.0.0.1:2627",), recipient_count_max=5, fqdn="scan.example.test"
    )
    call("connector remove", name="scanner", yes=True)
    assert [row.name for row in call("connector list").connectors] == ["internet", "client", "client-tls"]


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_connector_that_is_so_already_is_a_warning(call: Call, world: Any, state: str) -> None:
    verb = f"connector {state.removesuffix('d')}"
    call(verb, name="internet", yes=True)
    world.warnings.clear()
    assert not call(verb, name="internet", yes=True).applied
    assert f'receive connector "internet" is {state} already' in world.warnings


def test_show_writes_values_as_files_do(call: Call) -> None:
    settings = {row.name: row.value for row in call("connector show", name="internet").settings}
    assert settings["message_size_max"] == "36MB"
    assert settings["bindings"] == "127.0.0.1:2525"


def test_show_says_what_is_open_here_and_why_the_rest_is_not(call: Call, world: Any) -> None:
    reason = "cannot listen on 192.0.2.1:2556: this machine does not have that address"
    call(
        "connector set", name="internet", binding=["127.0.0.1:2525", "192.0.2.1:2556", "[::1]:2525"], yes=True
    )
    world.roles = [
        RoleState("transport", 8, 1, {"ports": "127.0.0.1:2525", "not_open_192.0.2.1:2556": reason})
    ]
    shown = call("connector show", name="internet").bindings
    assert [(row.binding, row.open, row.reason) for row in shown] == [
        ("127.0.0.1:2525", "yes", ""),
        ("192.0.2.1:2556", "no", reason),
        ("[::1]:2525", "no", "not yet"),
    ]


def test_what_cannot_be_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match="there already"):
        call("connector add-receive", name="internet", binding=["127.0.0.1:2626"])
    with pytest.raises(Refusal, match="nothing was changed"):
        call("connector add-receive", name="second", binding=["127.0.0.1:2525"])
    with pytest.raises(Refusal, match='did you mean "internet"'):
        call("connector show", name="internett")


def test_a_door_for_users_offers_tls(call: Call) -> None:
    with pytest.raises(Refusal, match="nothing was changed") as caught:
        call("connector add-receive", name="cl0", binding=["127.0.0.1:2626"], usage="client", tls="none")
    assert 'serves users alone, who sign in under TLS only, but its tls is "none"' in str(
        caught.value.problems[0]
    )


def test_a_pin_that_names_no_certificate_here_is_said(call: Call, world: Any, tmp_path: Path) -> None:
    pin = {"name": "internet", "certificate": "0" * 64}
    ensure_certificate(tmp_path / "tls", ("demo.example.test",))
    for plan in (True, False):
        assert call("connector set", **pin, plan=plan).applied is not plan
        assert len(world.warnings) == 1
    assert world.warnings == [
        f'receive connector "internet" pins the certificate "{"0" * 64}", which is not on this server; '
        "until it is put into its folder tls, certificate.pem is shown; see: holdfast certificate list"
    ]
    call("connector add-receive", **pin | {"name": "second", "enabled": "no"}, binding=["127.0.0.1:2626"])
    assert world.warnings == []
    call("connector enable", name="second")
    assert 'receive connector "second" pins' in world.warnings[0]
    here = call("certificate list").certificates[0].sha256
    call("connector set", name="internet", certificate=here.upper(), yes=True)
    assert world.warnings == []


def test_a_send_connector_is_made_changed_switched_off_and_removed(call: Call, store: DirectoryStore) -> None:
    call(
        "connector add-send",
        name="out",
        address_space=["*", "example.com;5"],
        smart_host=["smart.example.com", "[192.0.2.25]"],
        port="587",
        tls="certificate",
        auth="basic-require-tls",
        user="us",
        error_policy=["downgrade-dns-failures"],
        private_range=["10.0.0.0/8"],
    )
    (out,) = store.read().send_connectors
    assert out == SendConnector(
        "out",
        ("*", "example.com;5"),
        ("smart.example.com", "[192.0.2.25]"),
        port=587,
        tls=SendTls.CERTIFICATE,
        auth=SmartHostAuth.BASIC_REQUIRE_TLS,
        user="us",
        error_policies=(ErrorPolicy.DOWNGRADE_DNS_FAILURES,),
        private_ranges=(parse_ip_range("10.0.0.0/8"),),
    )
    call("connector set", name="OUT", default=["error-policy", "port"], inactivity="5m")
    changed = store.read().send_connectors[0]
    assert (changed.error_policies, changed.port, changed.inactivity_s) == ((), 25, 300.0)
    with pytest.raises(Refusal, match="dangerous"):
        call("connector disable", name="out")
    call("connector disable", name="out", yes=True)
    assert not store.read().send_connectors[0].enabled
    row = call("connector list").connectors[-1]
    assert (row.name, row.direction, row.enabled, row.peers, row.tls) == (
        "out",
        "send",
        False,
        ["smart.example.com", "[192.0.2.25]"],
        "certificate",
    )
    call("connector enable", name="out")
    assert store.read().send_connectors[0].enabled
    call("connector remove", name="out", yes=True)
    assert store.read().send_connectors == ()


def test_a_setting_of_the_other_direction_is_refused(call: Call) -> None:
    call("connector add-send", name="out", address_space=["*"])
    with pytest.raises(Refusal, match='send connector "out" has no setting tarpit'):
        call("connector set", name="out", tarpit="1s")
    with pytest.raises(Refusal, match='receive connector "internet" has no setting port'):
        call("connector set", name="internet", default=["port"])
    with pytest.raises(Refusal, match='tls: "starttls" is not one of opportunistic'):
        call("connector set", name="out", tls="starttls")
    with pytest.raises(Refusal, match="binding has no default"):
        call("connector set", name="internet", default=["binding"])
    with pytest.raises(Refusal, match="port is given, and to have its default"):
        call("connector set", name="out", default=["port"], port="26")


def test_one_name_for_one_door(call: Call, store: DirectoryStore) -> None:
    with pytest.raises(Refusal, match='receive connector "internet" is there already'):
        call("connector add-send", name="Internet", address_space=["*"])
    before = store.read()
    plan = plan_change(before, replace(before, send_connectors=(SendConnector("internet", ("*",)),)))
    store.apply(plan, who="test", why="from a file", at=0.0)
    with pytest.raises(Refusal, match="say which with --direction"):
        call("connector show", name="internet")
    assert call("connector show", name="internet", direction="send").direction == "send"
    assert call("connector show", name="internet", direction="receive").direction == "receive"
    assert "localhost" not in call("connector show", name="internet", direction="receive").certificate
    assert "it expires in" in call("connector show", name="internet", direction="receive").certificate


def test_every_setting_can_be_said(call: Call, store: DirectoryStore) -> None:
    call(
        "connector set",
        name="internet",
        permission_group=["anonymous", "users"],
        require_tls="yes",
        client_certificate_domain=["*.partner.example"],
        certificate="ab" * 32,
        proxy_from=["127.0.0.9"],
        size_mode="disabled",
        connection_percent_per_source="50",
        message_rate_max="5",
        reject_reserved_domains="yes",
        reject_single_label_domains="yes",
        local_hop_count_max="4",
        enabled="yes",
        yes=True,
    )
    internet = store.read().receive_connectors[0]
    assert internet.permission_groups == (PermissionGroup.ANONYMOUS, PermissionGroup.USERS)
    assert (internet.require_tls, internet.size_mode) == (True, SizeMode.DISABLED)
    assert internet.client_certificate_domains == ("*.partner.example",)
    assert (internet.certificate, internet.proxy_from) == ("ab" * 32, (parse_ip_range("127.0.0.9"),))
    assert (internet.connection_percent_per_source, internet.message_rate_max) == (50, 5)
    assert internet.reject_reserved_domains
    assert internet.reject_single_label_domains
    assert internet.local_hop_count_max == 4
    call("connector set", name="internet", default=["require-tls", "certificate"], yes=True)
    after = store.read().receive_connectors[0]
    assert (after.require_tls, after.certificate) == (False, "")
