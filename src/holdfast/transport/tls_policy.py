"""Decide how much TLS a connection out needs, from what the connector and the destination ask for.

The first that applies: what the administrator demands of the recipients' domain
or by the connector; DANE; MTA-STS; TLS where it is offered. What only asks for
encryption is a floor: DANE and MTA-STS may ask for more, never for less.

Invariant: a host whose TLSA records cannot be read, although its zone is
signed, gets no mail now; and DANE counts only where DNSSEC proved every step.

Source: exchange-behaviour SC-7, SC-10; RFC 3207; RFC 7672 sections 2.1 and 2.2 (DANE); RFC 8461 sections 2, 4
and 5 (MTA-STS).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.directory.model import Organisation, RequiredTls, SendTls
from holdfast.transport.hop_profile import HopProfile
from holdfast.transport.names import NameCache
from holdfast.transport.next_hop import Host
from holdfast.transport.queue import DeliveryType
from holdfast.wire.dns_answers import Answer, Outcome, Question, RecordType, TlsaRecord
from holdfast.wire.mta_sts import StsMode, StsPolicy
from holdfast.wire.tls_report import PolicyType, ResultType

if TYPE_CHECKING:  # it is made of types of ours
    from holdfast.transport.sts_policies import StsPolicies

TLSA_COUNT_MAX = 20
_DIGEST_BYTES = {1: 32, 2: 64}  # RFC 6698 section 2.1.3


class TlsLevel(enum.Enum):
    """What must hold before a message is sent, from little to much."""

    OPPORTUNISTIC = "opportunistic"  # TLS where it is offered; in the clear when it fails
    ENCRYPTED = "encrypted"  # TLS; any certificate
    VERIFIED = "verified"  # TLS; a valid certificate for one of the names
    DANE = "dane"  # TLS; a certificate that matches the TLSA records
    DIRECT = "direct"  # TLS; one of the certificates by which the directory knows a server of ours


@dataclass(frozen=True, slots=True)
class TlsDemand:
    """What one connection needs.

    Attributes:
        level: see ``TlsLevel``.
        server_name: what is sent as SNI.
        names: for VERIFIED and DANE-TA: the certificate must have one; ``*.`` stands for one label.
        tlsa: for DANE: the usable records.
        certificates: for DIRECT: as DER (exchange-behaviour TL-4).
        server: the server of ours that is connected to, which is shown our certificate when it asks; empty
            for hosts of others.
        why: for people: which rule asks for it, for example ``MTA-STS of example.org``.
        only_report: verification is tried and its failure reported, but mail goes out
            (MTA-STS mode testing).
        policy: what the domain publishes, for TLS reports.
        policy_strings: the policy as it was found, for TLS reports.
        policy_mx: the hosts that an MTA-STS policy names, for TLS reports.
        note: what is wrong although mail goes out (an MTA-STS policy in testing names other hosts, TLSA
            records that nobody can use), for TLS reports; empty otherwise.
    """

    level: TlsLevel
    server_name: str
    names: tuple[str, ...] = ()
    tlsa: tuple[TlsaRecord, ...] = ()
    certificates: tuple[bytes, ...] = ()
    server: str = ""
    why: str = "opportunistic"
    only_report: bool = False
    policy: PolicyType = PolicyType.NONE
    policy_strings: tuple[str, ...] = ()
    policy_mx: tuple[str, ...] = ()
    note: str = ""

    @property
    def optional(self) -> bool:
        """Whether mail goes out in the clear when TLS is not offered or fails (RFC 7435)."""
        return self.level is TlsLevel.OPPORTUNISTIC or self.only_report

    @property
    def proof_needed(self) -> bool:
        """Whether the host must have proved who it is before anything is said to it."""
        proving = (TlsLevel.VERIFIED, TlsLevel.DANE, TlsLevel.DIRECT)
        return self.level in proving and not self.only_report


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What a handshake gave.

    Attributes:
        version: for example ``TLSv1.3``.
        cipher: the suite's name.
        verified: whether the demand's names or records are satisfied.
        problem: why not, for people; empty when verified or nothing was asked.
        peer_names: names of the peer's certificate, for a mutual TLS partner and for explanations.
        server: the server of ours that the peer has proved to be, by a certificate that the directory knows;
            empty when it is none.
    """

    version: str
    cipher: str
    verified: bool
    problem: str = ""
    peer_names: tuple[str, ...] = ()
    server: str = ""


@dataclass(frozen=True, slots=True)
class TlsPending:
    """DNS or a web server is being asked; decide anew once it has answered."""


@dataclass(frozen=True, slots=True)
class HostRefused:
    """A host that gets no mail now; another one may, and this one may later.

    Attributes:
        reason: for people and for the sender's report (status 4.7.5).
        result: for TLS reports.
        policy: which policy refuses it.
        policy_strings, policy_mx: as in ``TlsDemand``.
    """

    reason: str
    result: ResultType
    policy: PolicyType
    policy_strings: tuple[str, ...] = ()
    policy_mx: tuple[str, ...] = ()


TLS_PENDING = TlsPending()


class TlsPolicies:
    """What every domain and connector asks for, as far as it is known."""

    def __init__(self, names: NameCache, policies: StsPolicies) -> None:
        """Know nothing of an organisation yet: TLS where it is offered.

        Args:
            names: answers of DNS.
            policies: the MTA-STS policies.
        """
        self._names = names
        self._policies = policies
        self._dane = True
        self._mta_sts = True
        self._required: dict[str, RequiredTls] = {}

    def follow(self, organisation: Organisation) -> None:
        """Go by another organisation from now on."""
        self._dane = organisation.dane
        self._mta_sts = organisation.mta_sts
        self._required = {each.domain.lower(): each for each in organisation.required_tls}

    def demand(
        self, now: float, profile: HopProfile, domain: str, host: Host
    ) -> TlsDemand | TlsPending | HostRefused:
        """Say what a connection to one host needs.

        Args:
            now: steady.
            profile: of the queue.
            domain: the recipients' domain, for DNS delivery; for a smart host the profile says what is
                needed, since the mail of many domains meets there.
            host: whom we connect to.
        """
        if host.certificates:
            return direct_demand(host.server, host.name, host.certificates)
        by_dns = profile.key.delivery_type is DeliveryType.DNS
        required = self.required(domain) if by_dns else None
        wanted, tls_domain, why = _wanted(profile, required)
        server_name = "" if host.is_address else host.name
        if wanted is SendTls.CERTIFICATE:
            return TlsDemand(TlsLevel.VERIFIED, server_name, (host.name,), why=why)
        if wanted is SendTls.DOMAIN:
            name = tls_domain or (domain if by_dns else host.name)
            return TlsDemand(TlsLevel.VERIFIED, server_name or name, (name,), why=why)
        floor = TlsDemand(
            TlsLevel.OPPORTUNISTIC if wanted is SendTls.OPPORTUNISTIC else TlsLevel.ENCRYPTED,
            server_name,
            server=host.server,
            why=why,
        )
        published = self._dane_demand(now, profile, domain, host) if self._dane else None
        if published is None and by_dns and self._mta_sts:
            # DANE comes before MTA-STS (RFC 8461 section 2).
            published = self._sts_demand(now, domain, host)
        if published is None:
            return floor
        if isinstance(published, TlsDemand) and published.optional and not floor.optional:
            return floor
        return published

    def required(self, domain: str) -> RequiredTls | None:
        """What the administrator demands for mail to a domain: its own, else that of the nearest above it."""
        domain = domain.lower()
        exact = self._required.get(domain)
        if exact is not None:
            return exact
        above = domain
        while above:
            found = self._required.get(f"*.{above}")  # *.example.com means it and all below
            if found is not None:
                return found
            above = above.partition(".")[2]
        return None

    # --- DANE ------------------------------------------------------------------------------------

    def _dane_demand(
        self, now: float, profile: HopProfile, domain: str, host: Host
    ) -> TlsDemand | TlsPending | HostRefused | None:
        if profile.key.delivery_type is DeliveryType.SERVER or host.is_address:
            return None
        if not (host.name_validated or host.declared):
            return None  # RFC 7672 section 2.2: without DNSSEC on the way there is no DANE
        # RFC 7672 section 2.2: where the host is an alias, the name that it leads to comes first.
        bases = (host.canonical_name or host.name, host.name)
        if not host.addresses_validated:
            if bases[0] == host.name:
                return None
            # RFC 7672 section 2.2.2: what a signed alias leads to may be unsigned; then the alias counts.
            alias = self._names.ask(now, Question(host.name, RecordType.CNAME))
            if alias is None:
                return TLS_PENDING
            if alias.outcome is Outcome.FAILED and not host.declared:
                return _unreadable(host.name, alias)
            if alias.outcome is not Outcome.FOUND or not alias.validated:
                return None
            bases = (host.name, host.name)
        for base in dict.fromkeys(bases):
            answer = self._names.ask(now, Question(f"_{host.port}._tcp.{base}", RecordType.TLSA))
            if answer is None:
                return TLS_PENDING
            if answer.outcome is Outcome.FAILED:
                return _unreadable(base, answer)
            if answer.outcome is Outcome.FOUND and answer.validated:
                return _by_records(answer, base, host, domain)
        return None

    # --- MTA-STS ----------------------------------------------------------------------------------

    def _sts_demand(self, now: float, domain: str, host: Host) -> TlsDemand | TlsPending | HostRefused | None:
        policy = self._policies.find(now, domain)
        if isinstance(policy, TlsPending):
            return policy
        if policy is None or policy.mode is StsMode.NONE:
            return None
        named = policy.names(host.name)
        enforced = policy.mode is StsMode.ENFORCE
        reason = "" if named else f"the MTA-STS policy of {domain} does not name {host.name}"
        if reason and enforced:
            result = ResultType.VALIDATION_FAILURE
            return HostRefused(reason, result, PolicyType.STS, policy.text, policy.mx)
        return _by_policy(policy, domain, host, reason)


def _wanted(profile: HopProfile, required: RequiredTls | None) -> tuple[SendTls, str, str]:
    """The administrator's demand: how much, of which name, and who says so."""
    if required is not None and (
        required.level is not SendTls.OPPORTUNISTIC or profile.tls is SendTls.OPPORTUNISTIC
    ):
        if required.level is SendTls.ENCRYPTED and profile.tls in (SendTls.CERTIFICATE, SendTls.DOMAIN):
            return profile.tls, profile.tls_domain, f"send connector {profile.key.connector}"
        return required.level, required.tls_domain, f"TLS is required for {required.domain}"
    if profile.tls is SendTls.OPPORTUNISTIC:
        return profile.tls, "", "opportunistic"
    if profile.key.connector:
        by = f"send connector {profile.key.connector}"
    elif profile.key.delivery_type is DeliveryType.SMART_HOST:
        by = "the way that the mail was redirected from (tls require, or its send connector)"
    else:
        by = "server of ours"
    return profile.tls, profile.tls_domain, by


def direct_demand(server: str, fqdn: str, certificates: tuple[bytes, ...]) -> TlsDemand:
    """Only a server of ours itself, by the certificates that the directory has (TL-3, TL-4).

    Args:
        server: its name.
        fqdn: what is sent as SNI.
        certificates: as DER.
    """
    return TlsDemand(
        TlsLevel.DIRECT,
        fqdn,
        certificates=certificates,
        server=server,
        why=f"the directory entry of server {server}",
    )


def _unreadable(base: str, answer: Answer) -> HostRefused:
    """RFC 7672 section 2.1.2: an attacker could make it so."""
    return HostRefused(
        f"the TLSA records of {base} cannot be read: {answer.reason or 'no usable answer'}",
        ResultType.DNSSEC_INVALID,
        PolicyType.TLSA,
    )


def _by_records(answer: Answer, base: str, host: Host, domain: str) -> TlsDemand:
    records = tuple(each for each in answer.records if isinstance(each, TlsaRecord))
    usable = tuple(each for each in records[:TLSA_COUNT_MAX] if _usable(each))
    strings = tuple(
        f"{each.usage} {each.selector} {each.matching_type} {each.data.hex()}"
        for each in records[:TLSA_COUNT_MAX]
    )
    # RFC 7672 section 3.2.2: these names count where a certificate of usage 2 is looked at.
    names = tuple(dict.fromkeys((base, host.name, domain)))
    if not usable:
        # RFC 7672 section 2.2: records that nobody can use ask for encryption still.
        return TlsDemand(
            TlsLevel.ENCRYPTED,
            base,
            why=f"DANE of {base}, whose records cannot be used",
            policy=PolicyType.TLSA,
            policy_strings=strings,
            note=f"no TLSA record of {base} can be used",
        )
    return TlsDemand(
        TlsLevel.DANE,
        base,
        names,
        usable,
        why=f"DANE of {base}",
        policy=PolicyType.TLSA,
        policy_strings=strings,
    )


def _usable(record: TlsaRecord) -> bool:
    """RFC 7672 section 3.1: usages 2 and 3, of a selector and a digest that we know."""
    if record.usage not in (2, 3) or record.selector not in (0, 1) or not record.data:
        return False
    if record.matching_type == 0:
        return True
    return len(record.data) == _DIGEST_BYTES.get(record.matching_type)


def _by_policy(policy: StsPolicy, domain: str, host: Host, reason: str) -> TlsDemand:
    enforced = policy.mode is StsMode.ENFORCE
    return TlsDemand(
        TlsLevel.VERIFIED,
        host.name,
        (host.name,),
        why=f"MTA-STS of {domain}" if enforced else f"MTA-STS of {domain}, in testing",
        only_report=not enforced,
        policy=PolicyType.STS,
        policy_strings=policy.text,
        policy_mx=policy.mx,
        note=reason,
    )
