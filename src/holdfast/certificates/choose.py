"""Choose the certificate that a door shows, and say why, and why not each other one.

A pinned certificate first; then one that has the name itself, is valid and of
an authority that is trusted, the latest issued; then a wildcard of that kind;
then the same two without a trusted authority; then the default pair, whatever
its names, since an encrypted connection is better than none.

Source: exchange-behaviour TL-1, TL-2, TL-6, TL-7; RFC 9525 section 6.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdfast.certificates.names import presented_name_matches

DEFAULT_FILE = "certificate.pem"


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What is known of one certificate that we have the key of.

    Attributes:
        path: its file's name in the certificates' directory.
        names: its DNS names in lower case, wildcards among them.
        subject: the subject's distinguished name as RFC 4514 writes it.
        issuer: the issuer's.
        not_before: seconds since the epoch.
        not_after: seconds since the epoch.
        trusted: whether an authority that this machine trusts vouches for it.
        self_signed: whether nobody but itself vouches for it.
        sha256: of the certificate, in lower-case hexadecimal.
    """

    path: str
    names: tuple[str, ...]
    subject: str
    issuer: str
    not_before: float
    not_after: float
    trusted: bool
    self_signed: bool
    sha256: str

    def valid(self, now: float) -> bool:
        """Whether its dates hold; ``now`` by the wall clock."""
        return self.not_before <= now <= self.not_after


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a name.

    Attributes:
        certificate: None when there is none at all.
        why: for people.
        others: each other one, and why it was not taken.
    """

    certificate: CertificateFacts | None
    why: str
    others: tuple[tuple[CertificateFacts, str], ...] = ()


# How well a certificate fits, from best to worst, and what is said of it.
_PINNED, _EXACT, _WILDCARD, _EXACT_UNTRUSTED, _WILDCARD_UNTRUSTED, _DEFAULT, _OTHER, _NOT_VALID = range(8)
_WHY = {
    _PINNED: "the connector names it",
    _EXACT: "it has the name {name}, is valid and trusted",
    _WILDCARD: "its wildcard covers {name}, and it is valid and trusted",
    _EXACT_UNTRUSTED: "it has the name {name} and is valid, though {vouched}",
    _WILDCARD_UNTRUSTED: "its wildcard covers {name} and it is valid, though {vouched}",
    _DEFAULT: "it is the default; none that is valid has the name {name}",
    _OTHER: "none that is valid has the name {name}, and there is no valid default",
    _NOT_VALID: "no certificate is valid now",
}


def choose(now: float, certificates: Iterable[CertificateFacts], name: str, pinned: str = "") -> Choice:
    """Choose a certificate for a name.

    Args:
        now: by the wall clock.
        certificates: all that we have the keys of.
        name: the connector's FQDN, or what a client asked for by SNI.
        pinned: SHA-256 in hexadecimal, or ``<I>issuer<S>subject``; empty pins none.
    """
    ranked = sorted(
        ((_rank(now, each, name, pinned), -each.not_before, each.path, each) for each in certificates),
        key=lambda entry: entry[:3],
    )
    if not ranked:
        return Choice(None, "there is no certificate")
    rank, _, _, best = ranked[0]
    why = _why(rank, best, name)
    if pinned and rank != _PINNED:
        why += f'; the pinned certificate "{pinned}" is not among ours'
    others = tuple((each, _why_not(now, each, name, number, rank)) for number, _, _, each in ranked[1:])
    return Choice(best, why, others)


def covers(now: float, certificates: Sequence[CertificateFacts], name: str) -> CertificateFacts | None:
    """Return the certificate for a name that a client asked for by SNI; None when none is made for it."""
    found = choose(now, certificates, name).certificate
    if found is None or not found.valid(now) or not _match(found, name):
        return None
    return found


def is_pinned(certificate: CertificateFacts, pinned: str) -> bool:
    """Whether a pin means this certificate (exchange-behaviour TL-6)."""
    if pinned.lower().startswith("<i>"):
        issuer, separator, subject = pinned[3:].partition("<S>")
        if not separator:
            issuer, _, subject = pinned[3:].partition("<s>")
        return _same_name(issuer, certificate.issuer) and _same_name(subject, certificate.subject)
    digest = pinned.replace(":", "").replace(" ", "").lower()
    return bool(digest) and digest == certificate.sha256


def _same_name(written: str, name: str) -> bool:
    """Whether a distinguished name is meant, with any spaces after its commas."""
    return [each.strip().lower() for each in written.split(",")] == [
        each.strip().lower() for each in name.split(",")
    ]


def _match(certificate: CertificateFacts, name: str) -> str:
    """How a certificate has a name: ``exact``, ``wildcard``, or empty for not at all."""
    matching = [each for each in certificate.names if presented_name_matches(each, name)]
    if not matching:
        return ""
    return "exact" if any(not each.startswith("*.") for each in matching) else "wildcard"


def _rank(now: float, certificate: CertificateFacts, name: str, pinned: str) -> int:
    if pinned and is_pinned(certificate, pinned):
        return _PINNED
    if not certificate.valid(now):
        return _NOT_VALID
    match _match(certificate, name):
        case "exact":
            return _EXACT if certificate.trusted else _EXACT_UNTRUSTED
        case "wildcard":
            return _WILDCARD if certificate.trusted else _WILDCARD_UNTRUSTED
    return _DEFAULT if certificate.path == DEFAULT_FILE else _OTHER


def _why(rank: int, certificate: CertificateFacts, name: str) -> str:
    return _WHY[rank].format(name=name, vouched=_vouched(certificate))


def _vouched(certificate: CertificateFacts) -> str:
    return "it is self-signed" if certificate.self_signed else "its authority is not trusted here"


def _why_not(now: float, certificate: CertificateFacts, name: str, rank: int, chosen: int) -> str:
    """Why one that was not chosen was not."""
    if now > certificate.not_after:
        return "it has expired"
    if now < certificate.not_before:
        return "it is not valid yet"
    if not _match(certificate, name):
        return f"it does not have the name {name}"
    if rank == chosen:
        return "another one was issued later"
    if not certificate.trusted and chosen != _PINNED:
        return _vouched(certificate)
    return (
        "the connector names another one" if chosen == _PINNED else "a wildcard comes after the name itself"
    )
