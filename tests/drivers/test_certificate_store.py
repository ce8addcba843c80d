"""Which certificate our doors show: real handshakes with certificates made here."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from certificates.made import DAY, NOW, Issued, make_authority, make_self_signed
from holdfast.directory.model import Organisation, ReceiveConnector, Server, TlsMode, Usage
from holdfast.directory.server_certificates import sha256_of, write_certificates
from holdfast.drivers import tls
from holdfast.drivers.certificate_store import (
    LOOK_S,
    REBUILD_S,
    CertificateStore,
    describe,
    describe_own,
    ensure_own,
    own_names,
)
from holdfast.kernel.errors import Unavailable
from holdfast.kernel.events import LogEvent
from holdfast.kernel.iprange import parse_ip_range

ROOT = make_authority()
SERVER = Server("s1", "mail.example.org", "here")
ANYBODY = (parse_ip_range("0.0.0.0/0"),)


def connector(name: str, **more: object) -> ReceiveConnector:
    return ReceiveConnector(name, "s1", ("127.0.0.1:25",), ANYBODY, Usage.INTERNET, **more)  # type: ignore[arg-type]  # settings, by name


def organisation(*connectors: ReceiveConnector) -> Organisation:
    return Organisation(servers=(SERVER,), receive_connectors=connectors)


class Stage:
    """A state directory with certificates, a clock, and the store that reads it."""

    def __init__(self, home: Path, *connectors: ReceiveConnector) -> None:
        self.home = home
        self.now = NOW.timestamp()
        self.events: list[LogEvent] = []
        (home / "tls" / "trusted").mkdir(parents=True)
        (home / "tls" / "trusted" / "root.pem").write_bytes(ROOT.pem)
        self.store = CertificateStore(home, self.events.append, lambda: self.now)
        self.organisation = organisation(*(connectors or (connector("internet"),)))
        self.store.follow(self.organisation, SERVER)

    def put(self, name: str, issued: Issued) -> Issued:
        issued.write(self.home / "tls", name)
        self.store.forget()
        return issued

    def shown(self, connector: str = "internet", sni: str | None = None) -> bytes:
        """What a client sees."""
        certificate, _ = self.handshake(connector, sni)
        return certificate

    def handshake(
        self, connector: str, sni: str | None, client: ssl.SSLContext | None = None
    ) -> tuple[bytes, ssl.SSLObject]:
        context = client or client_context()
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = self.store.context(connector).wrap_bio(to_server, to_client, server_side=True)
        theirs = context.wrap_bio(to_client, to_server, server_hostname=sni)
        done = 0
        for _ in range(6):
            for each in (theirs, ours):
                try:
                    each.do_handshake()
                    done += 1
                except ssl.SSLWantReadError:
                    pass
        assert done > 1
        certificate = theirs.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate, ours


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_without_any_certificate_a_self_signed_one_is_made(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    shown = x509.load_der_x509_certificate(stage.shown())
    assert shown.issuer == shown.subject
    assert (tmp_path / "tls" / tls.FALLBACK_FILE).exists()


def test_the_certificate_of_the_connector_s_name_is_shown(tmp_path: Path) -> None:
    stage = Stage(tmp_path, connector("internet"), connector("submission", fqdn="smtp.example.net"))
    first = stage.put("certificate", ROOT.issue("mail.example.org"))
    second = stage.put("second", ROOT.issue("smtp.example.net"))
    assert stage.shown("internet") == first.der
    assert stage.shown("submission") == second.der
    assert stage.shown("") == first.der
    assert stage.shown("nobody knows it") == first.der


def test_a_client_may_ask_for_another_name(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    own = stage.put("certificate", ROOT.issue("mail.example.org"))
    other = stage.put("other", ROOT.issue("*.example.net"))
    assert stage.shown(sni="mail.example.org") == own.der
    assert stage.shown(sni="imap.example.net") == other.der
    assert stage.shown(sni="imap.example.net") == other.der
    assert stage.shown(sni="nobody.example") == own.der


def test_a_pinned_certificate_is_shown_whatever_is_asked(tmp_path: Path) -> None:
    pinned = ROOT.issue("pinned.example")
    digest = pinned.certificate.fingerprint(hashes.SHA256()).hex()
    stage = Stage(tmp_path, connector("internet", certificate=digest))
    stage.put("certificate", ROOT.issue("mail.example.org"))
    stage.put("pinned", pinned)
    assert stage.shown() == pinned.der
    assert stage.shown(sni="mail.example.org") == pinned.der


def test_a_new_file_is_seen_without_a_restart(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("certificate", ROOT.issue("mail.example.org"))
    stage.shown()
    newer = ROOT.issue("mail.example.org", not_before=NOW - DAY / 2)
    newer.write(tmp_path / "tls", "newer")
    stage.now += LOOK_S
    assert stage.shown() == newer.der
    stage.now += LOOK_S
    assert stage.shown() == newer.der
    (tmp_path / "tls" / "newer.pem").unlink()
    stage.now += LOOK_S
    assert stage.shown() != newer.der


def test_one_that_expires_is_replaced_in_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    lasting = stage.put("lasting", ROOT.issue("mail.example.org", not_before=NOW - 2 * DAY))
    ending = stage.put("ending", ROOT.issue("mail.example.org", not_after=NOW + DAY / 48))
    assert stage.shown() == ending.der
    assert [each.kind.event_id for each in stage.events] == ["DRV-0322"]
    stage.now += REBUILD_S
    assert stage.shown() == lasting.der


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"bad.pem": b"nonsense"}, "certificate and key must be PEM"),
        ({"bad.pem": b""}, "certificate and key must be PEM"),
        ({"bad.pem": ROOT.pem}, "certificate and key must be PEM"),
        ({"bad.pem": ROOT.pem, "bad.key.pem": make_authority().key_pem}, "belong together"),
        ({"bad.pem": bytes((1 << 20) + 1)}, "longer than 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_once_and_passed_over(
    tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    stage = Stage(tmp_path)
    own = stage.put("certificate", ROOT.issue("mail.example.org"))
    for name, data in files.items():
        (tmp_path / "tls" / name).write_bytes(data)
    for _ in range(2):
        assert stage.shown() == own.der
        stage.store.forget()
    (event,) = stage.events
    assert event.kind.event_id == "DRV-0321"
    assert event.fields["path"] == "bad.pem"
    assert reason in str(event.fields["reason"])


def test_a_key_with_a_password_is_not_asked_for(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    stage = Stage(tmp_path)
    locked = ROOT.issue("mail.example.org")
    stage.put("certificate", locked)
    (tmp_path / "tls" / "key.pem").write_bytes(
        locked.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert stage.shown() != locked.der
    assert "locked with a password" in str(stage.events[0].fields["reason"])


def test_certificate_and_key_may_be_one_file(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    own = ROOT.issue("mail.example.org")
    (tmp_path / "tls" / "both.pem").write_bytes(own.key_pem + own.pem)
    assert stage.shown() == own.der


def test_when_nothing_can_be_made_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("in the way")
    store = CertificateStore(tmp_path)
    with pytest.raises(Unavailable, match="cannot be made"):
        store.context("")


# --- partners ----------------------------------------------------------------------------------------


def test_a_partner_is_asked_for_its_certificate(tmp_path: Path) -> None:
    stage = Stage(tmp_path, connector("partner", client_certificate_domains=("partner.example",)))
    stage.put("certificate", ROOT.issue("mail.example.org"))
    theirs = ROOT.issue("mx.partner.example", purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    theirs.write(tmp_path, "client")
    client = client_context()
    client.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key.pem")
    _, ours = stage.handshake("partner", None, client)
    certificate = ours.getpeercert()
    assert certificate is not None
    assert certificate["subjectAltName"] == (("DNS", "mx.partner.example"),)
    # Who has none comes in as well: the session says what it may do then.
    _, ours = stage.handshake("partner", None)
    assert not ours.getpeercert()
    other = make_authority("Somebody").issue("mx.partner.example")
    other.write(tmp_path, "other")
    client.load_cert_chain(tmp_path / "other.pem", tmp_path / "other.key.pem")
    with pytest.raises(ssl.SSLError):
        stage.handshake("partner", None, client)


# --- what people see ----------------------------------------------------------------------------------


def test_each_door_is_described(tmp_path: Path) -> None:
    stage = Stage(tmp_path, connector("internet"), connector("plain", tls=TlsMode.NONE))
    stage.put("certificate", ROOT.issue("mail.example.org"))
    stage.put("second", make_authority("Somebody").issue("mail.example.org"))
    server, internet = describe(tmp_path, stage.organisation)
    assert (server.connector, internet.connector) == ("", "internet")
    assert internet.choice.certificate is not None
    assert internet.choice.certificate.path == "certificate.pem"
    assert internet.choice.certificate.trusted
    assert internet.choice.why == "it has the name mail.example.org, is valid and trusted"
    ((other, why),) = internet.choice.others
    assert (other.path, why) == ("second.pem", "its authority is not trusted here")
    assert {each.path for each in stage.store.certificates()} == {"certificate.pem", "second.pem"}


def test_the_names_of_a_self_signed_certificate() -> None:
    connectors = (
        connector("a", fqdn="SMTP.example.net"),
        replace(connector("b"), server="other", fqdn="x.example"),
    )
    assert own_names(organisation(*connectors), SERVER) == ("mail.example.org", "mail", "smtp.example.net")
    assert own_names(organisation(), None) == ("localhost",)


def test_our_own_pair_follows_the_connectors(tmp_path: Path) -> None:
    assert ensure_own(tmp_path, organisation(), SERVER)
    assert not ensure_own(tmp_path, organisation(connector("a")), SERVER)
    assert ensure_own(tmp_path, organisation(connector("a", fqdn="smtp.example.net")), SERVER)
    store = CertificateStore(tmp_path)
    store.follow(organisation(connector("a", fqdn="smtp.example.net")), SERVER)
    (own,) = store.certificates()
    assert own.names == ("mail.example.org", "mail", "smtp.example.net")
    assert own.self_signed
    assert all(each.choice.certificate is own for each in store.choices())


def test_other_servers_see_the_certificate_by_which_they_know_us(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    first = stage.put("certificate", ROOT.issue("mail.example.org"))
    assert stage.store.own().der == first.der
    assert not stage.store.own().known
    assert stage.events == []  # nobody knows us by any other
    known = replace(SERVER, certificate=write_certificates((first.der,)))
    stage.store.follow(replace(stage.organisation, servers=(known,)), known)
    assert stage.store.own().known
    # Strangers are shown the renewed one, servers of ours go on seeing the one that they know.
    stage.put("older", first)
    renewed = stage.put("certificate", ROOT.issue("mail.example.org", not_after=NOW + 90 * DAY))
    assert stage.shown() == renewed.der
    assert stage.store.own().der == first.der
    assert stage.events == []


def test_a_certificate_by_which_nobody_knows_us_is_told_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    known = replace(SERVER, certificate=write_certificates((ROOT.der,)))
    stage.store.follow(replace(stage.organisation, servers=(known,)), known)
    other = stage.put("certificate", ROOT.issue("mail.example.org"))
    for _ in range(2):
        assert not stage.store.own().known
    (event,) = stage.events
    assert event.kind.event_id == "DRV-0324"
    assert event.fields["sha256"] == sha256_of(other.der)


def test_ours_is_found_without_a_role(tmp_path: Path) -> None:
    own = describe_own(tmp_path, organisation(), "s1")
    assert (own.known, own.pair.facts.self_signed) == (False, True)
    assert ssl.DER_cert_to_PEM_cert(own.der) in (tmp_path / "tls" / "certificate.pem").read_text()


def test_doors_for_servers_ask_for_the_certificates_of_the_others(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    own = stage.put("certificate", ROOT.issue("mail.example.org"))
    stage.put("public", ROOT.issue("mail.example.org", not_after=NOW + 90 * DAY))
    other = make_self_signed("mail2.example.org")
    known = replace(SERVER, certificate=write_certificates((own.der,)))
    friend = Server("s2", "mail2.example.org", "here", certificate=write_certificates((other.der,)))
    stage.store.follow(replace(stage.organisation, servers=(known, friend)), known)
    context = stage.store.context("internet", of_servers=True)
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert context.cert_store_stats() == {"x509": 1, "crl": 0, "x509_ca": 0}
    assert context.sni_callback is None
    assert context is stage.store.context("internet", of_servers=True)
    # Others are not asked, and see what is made for them.
    assert stage.store.context("internet").verify_mode is ssl.CERT_NONE
    assert (stage.store.server_of(other.der), stage.store.server_of(own.der)) == ("s2", "")
    assert stage.store.client_context() is stage.store.client_context()
    stage.put("more", ROOT.issue("more.example.org"))
    assert stage.store.context("internet", of_servers=True) is not context


def test_a_door_for_servers_shows_what_there_is_while_nobody_knows_us(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put("certificate", ROOT.issue("mail.example.org"))
    friend = Server("s2", "mail2.example.org", "here", certificate=write_certificates((ROOT.der,)))
    stage.store.follow(replace(stage.organisation, servers=(SERVER, friend)), SERVER)
    context = stage.store.context("internet", of_servers=True)
    assert (context.verify_mode, context.sni_callback) == (ssl.CERT_OPTIONAL, None)
    assert context.get_ca_certs(binary_form=True) == [ROOT.der]


def test_a_server_that_gets_another_name_goes_on_being_known(tmp_path: Path) -> None:
    # Other names make another certificate; by the old one the other servers know us, until they are told.
    ensure_own(tmp_path, organisation(), SERVER)
    own = describe_own(tmp_path, organisation(), "s1")
    known = replace(SERVER, certificate=write_certificates((own.der,)))
    renamed = replace(known, fqdn="mx.example.org")
    after = replace(organisation(connector("internet", fqdn="mx.example.org")), servers=(renamed,))
    assert ensure_own(tmp_path, after, renamed)
    events: list[LogEvent] = []
    still = describe_own(tmp_path, after, "s1", events.append)
    assert (still.known, still.der, events) == (True, own.der, [])
    door = next(each for each in describe(tmp_path, after, "s1") if each.connector == "internet")
    assert door.choice.certificate is not None
    assert door.choice.certificate.names[0] == "mx.example.org"
    # One that nobody knows us by is replaced, and not kept.
    unknown = replace(renamed, fqdn="third.example.org", certificate="")
    ensure_own(tmp_path, replace(after, servers=(unknown,)), unknown)
    assert len(list((tmp_path / "tls").glob("former-*.key.pem"))) == 1


def test_a_certificate_that_is_put_in_place_is_noticed_whoever_comes(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    first = stage.put("certificate", ROOT.issue("mail.example.org"))
    known = replace(SERVER, certificate=write_certificates((first.der,)))
    stage.store.follow(replace(stage.organisation, servers=(known,)), known)
    stage.store.tells_of_own = True
    stage.shown()
    assert stage.events == []
    stage.put("certificate", ROOT.issue("mail.example.org"))
    stage.shown()
    assert [each.kind.event_id for each in stage.events] == ["DRV-0324"]
