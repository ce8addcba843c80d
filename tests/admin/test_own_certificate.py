"""A server enters its own certificate where others have to know it, and never changes one that is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from holdfast.admin.own_certificate import with_own_certificate
from holdfast.directory.model import Organisation, Role, Server
from holdfast.directory.server_certificates import known_certificates, sha256_of, write_certificates
from holdfast.drivers.certificate_store import describe_own

A, B = Server("a", "a.example.test", "here"), Server("b", "b.example.test", "here")


def test_it_is_entered_where_another_server_has_to_know_it(tmp_path: Path) -> None:
    after = with_own_certificate(Organisation(servers=(A, B)), tmp_path, "a")
    own = describe_own(tmp_path, after, "a")
    assert own.known
    assert [known_certificates(each) for each in after.servers] == [(own.der,), ()]
    assert own.pair.facts.sha256 == sha256_of(own.der)
    # The second time there is nothing to do.
    assert with_own_certificate(after, tmp_path, "a") is after


def test_it_is_not_entered_where_nobody_has_to_know_it(tmp_path: Path) -> None:
    store = replace(B, roles=(Role.MAILBOX,))
    for organisation, name in (
        (Organisation(servers=(A,)), "a"),
        (Organisation(servers=(A, store)), "a"),
        (Organisation(servers=(A, store)), "b"),
        (Organisation(servers=(A, B)), "c"),
    ):
        assert with_own_certificate(organisation, tmp_path, name) is organisation
    assert not (tmp_path / "tls").exists()


def test_one_that_is_there_stays(tmp_path: Path) -> None:
    known = replace(A, certificate=write_certificates((b"\x30\x01a",)))
    organisation = Organisation(servers=(known, B))
    assert with_own_certificate(organisation, tmp_path, "a") is organisation


def test_without_a_place_for_certificates_the_change_is_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("a file in the way")
    organisation = Organisation(servers=(A, B))
    assert with_own_certificate(organisation, tmp_path, "a") is organisation
