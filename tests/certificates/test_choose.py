"""Which certificate a door shows: a table, best first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.certificates.choose import CertificateFacts, choose, covers, is_pinned

NOW = 1000.0
NAME = "mail.example.org"


def certificate(path: str, *names: str, **changes: object) -> CertificateFacts:
    made = CertificateFacts(
        path, names, f"CN={path}", "CN=Some Authority", 900.0, 2000.0, True, False, path.encode().hex()
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of the facts, by name


EXACT = certificate("exact.pem", NAME)
NEWER = certificate("newer.pem", NAME, not_before=950.0)
WILDCARD = certificate("wildcard.pem", "*.example.org", not_before=990.0)
PRIVATE = certificate("private.pem", NAME, trusted=False, not_before=999.0)
PRIVATE_WILDCARD = certificate("private-wildcard.pem", "*.example.org", trusted=False)
SELF_SIGNED = certificate("self.pem", NAME, trusted=False, self_signed=True, issuer="CN=self.pem")
DEFAULT = certificate("certificate.pem", "other.example", trusted=False, self_signed=True)
OTHER = certificate("other.pem", "other.example")
EXPIRED = certificate("expired.pem", NAME, not_after=999.0)
EARLY = certificate("early.pem", NAME, not_before=1001.0)


@pytest.mark.parametrize(
    ("certificates", "chosen", "why"),
    [
        ((DEFAULT, EXACT), EXACT, "it has the name mail.example.org, is valid and trusted"),
        ((EXACT, NEWER), NEWER, "it has the name"),
        ((WILDCARD, EXACT), EXACT, "it has the name"),
        ((WILDCARD, PRIVATE), WILDCARD, "its wildcard covers mail.example.org, and it is valid and trusted"),
        ((PRIVATE, DEFAULT), PRIVATE, "though its authority is not trusted here"),
        (
            (PRIVATE_WILDCARD, DEFAULT),
            PRIVATE_WILDCARD,
            "its wildcard covers mail.example.org and it is valid",
        ),
        ((SELF_SIGNED, DEFAULT), SELF_SIGNED, "though it is self-signed"),
        ((OTHER, DEFAULT), DEFAULT, "it is the default; none that is valid has the name mail.example.org"),
        ((OTHER, EXPIRED), OTHER, "there is no valid default"),
        ((EXPIRED, DEFAULT), DEFAULT, "it is the default"),
        ((EXPIRED, EARLY), EARLY, "no certificate is valid now"),
    ],
)
def test_the_best_is_chosen(
    certificates: tuple[CertificateFacts, ...], chosen: CertificateFacts, why: str
) -> None:
    for order in (certificates, certificates[::-1]):
        choice = choose(NOW, order, NAME)
        assert choice.certificate is chosen
        assert why in choice.why
        assert len(choice.others) == len(certificates) - 1


@pytest.mark.parametrize(
    ("other", "best", "why"),
    [
        (EXPIRED, EXACT, "it has expired"),
        (EARLY, EXACT, "it is not valid yet"),
        (OTHER, EXACT, "it does not have the name mail.example.org"),
        (EXACT, NEWER, "another one was issued later"),
        (PRIVATE, EXACT, "its authority is not trusted here"),
        (SELF_SIGNED, EXACT, "it is self-signed"),
        (WILDCARD, EXACT, "a wildcard comes after the name itself"),
    ],
)
def test_each_other_one_has_its_reason(other: CertificateFacts, best: CertificateFacts, why: str) -> None:
    assert choose(NOW, (other, best), NAME).others == ((other, why),)


@pytest.mark.parametrize(
    "pin", [EXPIRED.sha256, EXPIRED.sha256.upper(), "<I>CN=Some Authority<S>cn=expired.pem"]
)
def test_a_pinned_certificate_comes_first_whatever_it_is(pin: str) -> None:
    choice = choose(NOW, (EXACT, EXPIRED), NAME, pin)
    assert choice.certificate is EXPIRED
    assert choice.why == "the connector names it"
    assert choice.others == ((EXACT, "the connector names another one"),)


def test_a_pinned_certificate_that_is_not_there_is_said() -> None:
    choice = choose(NOW, (EXACT,), NAME, "aa:bb")
    assert choice.certificate is EXACT
    assert 'the pinned certificate "aa:bb" is not among ours' in choice.why


def test_without_any_certificate() -> None:
    choice = choose(NOW, (), NAME)
    assert choice.certificate is None
    assert choice.why == "there is no certificate"


@pytest.mark.parametrize(
    ("pin", "means"),
    [
        ("<I>CN=Sub,O=One<S>CN=a, O=Two", True),
        ("<i>CN=Sub, O=One<s>CN=a,O=Two", True),
        ("<I>CN=Sub<S>CN=a,O=Two", False),
        ("<I>CN=Sub,O=One", False),
        ("AB CD", True),
        ("abce", False),
        ("", False),
    ],
)
def test_pins(pin: str, means: bool) -> None:
    facts = certificate("x.pem", NAME, issuer="CN=Sub,O=One", subject="CN=a,O=Two", sha256="abcd")
    assert is_pinned(facts, pin) is means


def test_by_sni_only_what_is_made_for_the_name() -> None:
    certificates = (EXACT, WILDCARD, DEFAULT)
    assert covers(NOW, certificates, NAME) is EXACT
    assert covers(NOW, certificates, "imap.example.org") is WILDCARD
    assert covers(NOW, certificates, "other.example") is DEFAULT
    assert covers(NOW, certificates, "nobody.example") is None
    assert covers(NOW, (EXPIRED,), NAME) is None
    assert covers(NOW, (), NAME) is None
