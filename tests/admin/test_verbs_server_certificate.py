"""Servers are made known to each other, and changed, by verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certificates.made import make_authority
from holdfast.directory.model import Server
from holdfast.directory.plan import plan_change
from holdfast.directory.server_certificates import sha256_of, write_certificates
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]
OLD, NEW = make_authority(), make_authority()


def _pem(*ders: bytes) -> list[str]:
    return ["mail2.pem", write_certificates(ders)]


@pytest.fixture
def second(store: DirectoryStore) -> None:
    """Another transport server beside the demonstration's."""
    organisation = store.read()
    other = Server("mail2", "mail2.example.test", "Main")
    after = replace(organisation, servers=(*organisation.servers, other))
    store.apply(plan_change(organisation, after), who="test", why="second", at=1.0)


@pytest.mark.usefixtures("second")
def test_another_server_is_made_known_and_ours_is_entered_with_it(call: Call) -> None:
    done = call("server trust", name="MAIL2", file=_pem(OLD.der))
    assert f'change server "mail2": certificate  -> SHA-256 {sha256_of(OLD.der)}' in done.changes
    assert call("server show", name="mail2").certificates == [sha256_of(OLD.der)]
    assert {each.name: each.known for each in call("server list").servers} == {"demo": True, "mail2": True}
    printed = call("server certificate").text
    (own,) = call("server show", name="demo").certificates
    assert f"server demo, SHA-256 {own}, until" in printed
    assert "-----BEGIN CERTIFICATE-----\n" in printed
    # Given back to us as it was printed, it is our own and nothing changes.
    assert call("server trust", name="demo", file=["demo.pem", printed]).changes == []


@pytest.mark.usefixtures("second")
def test_a_second_certificate_is_added_and_the_first_one_is_taken_away(call: Call, world: Any) -> None:
    call("server trust", name="mail2", file=_pem(OLD.der))
    call("server trust", name="mail2", file=_pem(NEW.der))
    assert call("server show", name="mail2").certificates == [sha256_of(OLD.der), sha256_of(NEW.der)]
    assert call("server trust", name="mail2", file=_pem(NEW.der)).applied is False
    assert "is known by that certificate already" in world.warnings[0]
    call("server set", name="mail2", certificate=_pem(NEW.der))
    assert call("server show", name="mail2").certificates == [sha256_of(NEW.der)]
    with pytest.raises(Refusal, match="dangerous"):
        call("server set", name="mail2", default=["certificate"])
    call("server set", name="mail2", default=["certificate"], yes=True)
    assert call("server show", name="mail2").certificates == []


@pytest.mark.usefixtures("second")
def test_what_cannot_be_a_certificate_is_refused(call: Call) -> None:
    with pytest.raises(Refusal, match=r"mail2\.pem cannot be used: it has no"):
        call("server trust", name="mail2", file=["mail2.pem", "hello"])
    with pytest.raises(Refusal, match=r"mail2\.pem is empty"):
        call("server set", name="mail2", certificate=["mail2.pem", " \n"])
    with pytest.raises(Refusal, match="say one of them"):
        call("server set", name="mail2", certificate=_pem(NEW.der), default=["certificate"])
    with pytest.raises(Refusal, match="there is no server"):
        call("server trust", name="mail3", file=_pem(NEW.der))
    call("server trust", name="mail2", file=_pem(NEW.der))
    with pytest.raises(Refusal, match="nothing was changed") as refused:
        call("server trust", name="demo", file=_pem(NEW.der))
    assert "is known by the same certificate" in str(refused.value.problems[0])


@pytest.mark.usefixtures("second")
def test_our_own_is_told_when_the_directory_has_another(call: Call, world: Any, tmp_path: Path) -> None:
    call("server set", name="mail2", fqdn="mx2.example.test")
    assert call("server certificate").text
    assert world.warnings == []
    OLD.write(tmp_path / "tls")
    assert f"SHA-256 {sha256_of(OLD.der)}" in call("server certificate").text
    assert "holdfast server trust demo FILE" in world.warnings[0]


def test_other_settings_of_a_server(call: Call) -> None:
    call("server set", name="demo", fqdn="mx.example.test", address=["127.0.0.1", "127.0.0.9"])
    shown = call("server show", name="demo")
    assert (shown.fqdn, shown.addresses) == ("mx.example.test", ["127.0.0.1", "127.0.0.9"])
    with pytest.raises(Refusal, match="nothing was changed"):
        call("server set", name="demo", site="nowhere")


def test_protection_is_set_where_it_is_asked_for(call: Call) -> None:
    with pytest.raises(Refusal, match="dangerous") as refused:
        call("connector set", name="internet", protect="required")
    assert "no other transport server can keep one" in str(refused.value.problems[0])
    call("connector set", name="internet", protect="required", yes=True)
    with pytest.raises(Refusal, match="dangerous"):
        call("domain set", name="example.test", protect="required")
    call("domain set", name="example.test", protect="required", yes=True)
    assert call("domain list").domains[0].protect == "required"
    with pytest.raises(Refusal, match="nothing was changed"):
        call("organisation set", shadow_preference="off", yes=True)
    call("connector set", name="internet", default=["protect"])
    call("domain set", name="example.test", default=["protect"])
    call("organisation set", shadow_preference="off", yes=True)
    with pytest.raises(Refusal, match="nothing was changed"):
        call("organisation set", shadow_takeover=1, yes=True)
    call("organisation set", shadow_takeover=0, safety_net_hold=0, shadow_wait=1, shadow_heartbeat=1)
