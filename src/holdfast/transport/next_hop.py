"""Find the hosts that take the mail of one queue, in the order in which they are tried.

Pure, and written as if every name were known: where one is not, the answer is
``Pending`` and the question is made anew once DNS has answered.

A domain says by MX who takes its mail; one without MX takes it itself. Smart
hosts are looked up in the same way, each by itself, and all first choices make
one group. Servers of ours are known without DNS.

Invariant: DNS leads only to public addresses, except where the connector names
the range; and never back to ourselves.

Source: RFC 5321 section 5.1; RFC 7505; RFC 7672 section 2.2 (what DANE must know of the way);
exchange-behaviour SC-4, RT-6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby, zip_longest

from holdfast.directory.model import ErrorPolicy
from holdfast.kernel.address import parse_domain
from holdfast.kernel.errors import Refusal
from holdfast.transport.hop_profile import HopProfile
from holdfast.transport.names import NameCache
from holdfast.transport.queue import DeliveryType, Failure
from holdfast.transport.special_purpose import address_of, canonical_address, not_led_to
from holdfast.wire.dns_answers import Answer, MxRecord, Outcome, Question, RecordType

# A domain may list a hundred exchangers. So many are tried, the most preferred that have an address; RFC 5321
# section 5.1 allows a limit.
EXCHANGER_COUNT_MAX = 20
ADDRESS_COUNT_MAX = 16  # of one host
NOTE_COUNT_MAX = 20

NULL_MX = "5.1.10"  # RFC 7505
LOOP = "5.4.6"  # RFC 3463 section 3.5
NO_HOST = "5.4.4"
NO_HOST_NOW = "4.4.4"
NO_ANSWER = "4.4.3"


@dataclass(frozen=True, slots=True)
class Ourselves:
    """How we would find ourselves in an MX list (RFC 5321 section 5.1).

    Attributes:
        names: of this server, in lower case.
        addresses: where it takes mail from outside, each as ``canonical_address`` gives it.
        ports: on which; a host that is reached by another port is somebody else.
    """

    names: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset((25,))


@dataclass(frozen=True, slots=True)
class Host:
    """One host that takes mail, and where.

    Attributes:
        name: as the MX or the administrator says it; the address itself where there is no name.
        addresses: IPv6 and IPv4, at least one.
        preference: the MX's; a lower one is tried first.
        canonical_name: where the CNAMEs of ``name`` lead to; the same where there are none.
        name_validated: whether DNSSEC proved that the domain leads to this name: its MX, or that it has none.
        addresses_validated: whether DNSSEC proved the addresses.
        declared: named by the administrator: a smart host, or a server of ours.
        server: the name of the server of ours that it is; empty for hosts of others.
        certificates: by which that server must prove it, as DER; none when it need not.
    """

    name: str
    addresses: tuple[str, ...]
    port: int
    preference: int = 0
    canonical_name: str = ""
    name_validated: bool = False
    addresses_validated: bool = False
    declared: bool = False
    server: str = ""
    certificates: tuple[bytes, ...] = ()

    @property
    def validated(self) -> bool:
        """Whether DNSSEC proved the whole way here, as DANE needs it (RFC 7672 section 2.2)."""
        return self.name_validated and self.addresses_validated

    @property
    def is_address(self) -> bool:
        """Whether nobody named it: it is an address literal."""
        return self.addresses == (self.name,)


@dataclass(frozen=True, slots=True)
class HostList:
    """Who takes the mail of one queue.

    Attributes:
        domain: what was looked up: the recipients' domain, the smart hosts, or the site.
        groups: the most preferred first; each is used in turns, the next one only when nobody of
            those before it can be reached. None is empty.
        canonical_domain: where the CNAMEs of a domain lead to; the same where there are none.
        found_by: for people: ``MX``, ``address``, ``literal``, ``smart host`` or ``server``.
        notes: for people: what was left out, and why.
    """

    domain: str
    groups: tuple[tuple[Host, ...], ...]
    canonical_domain: str = ""
    found_by: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """DNS is being asked; the answers to these questions are needed before anything else."""

    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class HopFailure:
    """Nobody takes it.

    Attributes:
        permanent: it never will: the recipients fail. Otherwise it is worth another try.
        failure: what their sender is told.
    """

    permanent: bool
    failure: Failure


NOBODY = Ourselves()


def find_hosts(
    now: float, names: NameCache, profile: HopProfile, ourselves: Ourselves = NOBODY
) -> HostList | Pending | HopFailure:
    """Find who takes the mail of one queue, as far as DNS has answered.

    Args:
        names: is asked what is needed and not known.
        profile: of the queue.
        ourselves: is not found again by DNS; smart hosts and servers are where the administrator says.
    """
    if profile.server_groups or profile.key.delivery_type is DeliveryType.SERVER:
        return _servers(profile)
    search = _Search(now, names, profile)
    if profile.smart_hosts:
        return search.smart_hosts()
    return search.domain(ourselves)


def _servers(profile: HopProfile) -> HostList | HopFailure:
    """Servers of ours, the nearest to the destination first (exchange-behaviour RT-6)."""
    groups = tuple(
        tuple(
            Host(
                each.fqdn,
                (each.address,),
                each.port,
                preference,
                each.fqdn,
                declared=True,
                server=each.name,
                certificates=each.certificates,
            )
            for each in group
        )
        for preference, group in enumerate(group for group in profile.server_groups if group)
    )
    if not groups:
        text = f"no server of ours takes mail for {profile.key.domain}"
        return HopFailure(permanent=False, failure=Failure(NO_HOST_NOW, text))
    return HostList(profile.key.domain, groups, found_by="server")


@dataclass(slots=True)
class _Search:
    """One look at what is known.

    Attributes:
        waiting: questions whose answers are needed.
        notes: what was left out, and why.
        unanswered: whether something was left out since DNS gave no usable answer.
    """

    now: float
    names: NameCache
    profile: HopProfile
    waiting: list[Question] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unanswered: bool = False

    # --- a domain --------------------------------------------------------------------------------

    def domain(self, ourselves: Ourselves) -> HostList | Pending | HopFailure:
        """The hosts of the recipients' domain (RFC 5321 section 5.1)."""
        domain = self.profile.key.domain
        if domain.startswith("["):
            return self._literal(domain, ourselves)
        mx = self._ask(domain, RecordType.MX)
        if mx is None:
            return Pending(tuple(self.waiting))
        match mx.outcome:
            case Outcome.FAILED:
                return self._later(f"DNS gave no usable answer for the MX of {domain}: {mx.reason}")
            case Outcome.NO_NAME:
                return self._nobody(f"the domain {domain} does not exist")
            case Outcome.NO_DATA:
                exchangers = [MxRecord(0, domain)]
            case Outcome.FOUND:
                exchangers = _exchangers(mx)
                if not exchangers and _is_null(mx):
                    return HopFailure(True, Failure(NULL_MX, f"the domain {domain} takes no mail (null MX)"))
        better = self._before_us(exchangers, ourselves)
        if better is None:
            return self._loop(domain)
        hosts = self._found(
            better, lambda host: host if self._is_ours(host, ourselves) else self._public(host), mx.validated
        )
        if self.waiting:
            return Pending(tuple(self.waiting))
        ours = min((host.preference for host in hosts if self._is_ours(host, ourselves)), default=None)
        public = hosts if ours is None else [host for host in hosts if host.preference < ours]
        if not public:
            # Better ones that were left out are the reason then; DNS may say more of them later.
            if ours is not None and not any(each.preference < ours for each in better):
                return self._loop(domain)
            return self._no_host(f"no host takes mail for {domain}")
        return HostList(
            domain,
            tuple(tuple(group) for _, group in groupby(public, lambda host: host.preference)),
            mx.canonical_name or domain,
            "MX" if mx.outcome is Outcome.FOUND else "address",
            tuple(self.notes),
        )

    def _literal(self, domain: str, ourselves: Ourselves) -> HostList | HopFailure:
        """An address in place of a domain (RFC 5321 section 4.1.3)."""
        text = _bare(domain)
        host = Host(text, (text,), self.profile.port, canonical_name=text)
        if self._is_ours(host, ourselves):
            return self._loop(domain)
        usable = self._public(host)
        if usable is None:
            return self._no_host(f"no mail is sent to {domain}")
        return HostList(domain, ((usable,),), domain, "literal")

    def _before_us(self, exchangers: list[MxRecord], ourselves: Ourselves) -> list[MxRecord] | None:
        """Without ourselves and whoever is no better; None when nobody is left (RFC 5321 section 5.1)."""
        if self.profile.port not in ourselves.ports:
            return exchangers
        ours = min((each.preference for each in exchangers if each.host in ourselves.names), default=None)
        if ours is None:
            return exchangers
        self.notes.append(f"we are in the list with preference {ours}: only better ones are tried")
        return [each for each in exchangers if each.preference < ours] or None

    def _is_ours(self, host: Host, ourselves: Ourselves) -> bool:
        if host.port not in ourselves.ports:
            return False
        return (
            host.name in ourselves.names
            or host.canonical_name in ourselves.names
            or any(canonical_address(each) in ourselves.addresses for each in host.addresses)
        )

    # --- smart hosts -----------------------------------------------------------------------------

    def smart_hosts(self) -> HostList | Pending | HopFailure:
        """The hosts that the administrator names; the first choices of all of them are used in turns."""
        ranked = [self._smart_host(text) for text in self.profile.smart_hosts]
        if self.waiting:
            return Pending(tuple(self.waiting))
        seen: set[tuple[str, int]] = set()
        groups: list[tuple[Host, ...]] = []
        for rank in zip_longest(*ranked, fillvalue=()):
            group: list[Host] = []
            for host in (host for hosts in rank for host in hosts):
                if (host.name, host.port) not in seen:
                    seen.add((host.name, host.port))
                    group.append(host)
            if group:
                groups.append(tuple(group))
        joined = ", ".join(self.profile.smart_hosts)
        if not groups:
            return self._later(f"no smart host of {joined} can be found: {self._why()}")
        return HostList(joined, tuple(groups), found_by="smart host", notes=tuple(self.notes))

    def _smart_host(self, text: str) -> list[tuple[Host, ...]]:
        """What one entry stands for, best first: MX, then A and AAAA, then an address (SC-4)."""
        bare = _bare(text)
        if address_of(bare) is not None:
            host = Host(bare, (bare,), self.profile.port, canonical_name=bare, declared=True)
            usable = self._reachable(host)
            return [(usable,)] if usable else []
        try:
            name = parse_domain(text.removesuffix("."))
        except Refusal as refusal:
            self._note(f'"{text}": {refusal.text}')
            return []
        mx = self._ask(name, RecordType.MX)
        if mx is None:
            return []
        if mx.outcome in (Outcome.FAILED, Outcome.NO_NAME):
            self._left_out(name, mx)
            return []
        exchangers = _exchangers(mx) or [MxRecord(0, name)]
        hosts = self._found(exchangers, self._reachable, mx.validated, declared=True)
        return [tuple(group) for _, group in groupby(hosts, lambda host: host.preference)]

    # --- hosts -----------------------------------------------------------------------------------

    def _found(
        self,
        exchangers: list[MxRecord],
        usable: Callable[[Host], Host | None],
        name_validated: bool,
        *,
        declared: bool = False,
    ) -> list[Host]:
        """The first ones that there is use for; names that lead nowhere take nobody's place."""
        found: list[Host] = []
        for start in range(0, len(exchangers), EXCHANGER_COUNT_MAX):
            # So many are asked for at a time.
            some = exchangers[start : start + EXCHANGER_COUNT_MAX]
            hosts = [self._host(each, name_validated, declared=declared) for each in some]
            if self.waiting:
                return []
            found += [fit for host in hosts if host is not None and (fit := usable(host)) is not None]
            if len(found) >= EXCHANGER_COUNT_MAX:
                break
        if len(exchangers) > EXCHANGER_COUNT_MAX <= len(found):
            text = f"only the first {EXCHANGER_COUNT_MAX} of {len(exchangers)} MX names are used"
            self.notes.insert(0, text)  # however many are left out for other reasons
        return found[:EXCHANGER_COUNT_MAX]

    def _host(self, exchanger: MxRecord, name_validated: bool, *, declared: bool = False) -> Host | None:
        """A host with all its addresses; None when one must be waited for, or there is none."""
        name = exchanger.host
        answers = [self._ask(name, record_type) for record_type in (RecordType.AAAA, RecordType.A)]
        known = [answer for answer in answers if answer is not None]
        if len(known) < len(answers):
            return None
        found = [answer for answer in known if answer.outcome is Outcome.FOUND]
        addresses = [each for answer in found for each in answer.records if isinstance(each, str)]
        for answer in known:
            if answer.outcome is Outcome.FAILED or (not addresses and answer is known[-1]):
                self._left_out(name, answer)
        if not addresses:
            return None
        return Host(
            name,
            tuple(dict.fromkeys(addresses)),
            self.profile.port,
            exchanger.preference,
            found[0].canonical_name or name,
            name_validated,
            # What was not answered is not used, so it needs no proof.
            all(answer.validated for answer in known if answer.outcome is not Outcome.FAILED),
            declared,
        )

    def _public(self, host: Host) -> Host | None:
        """The host with those of its addresses that DNS may lead to; None when there are none."""
        allowed = []
        for text in host.addresses:
            designation = not_led_to(text, self.profile.private_ranges)
            if designation:
                self._note(f"{_named(host, text)} is not used: {designation}")
            else:
                allowed.append(text)
        return self._reachable(_with(host, allowed)) if allowed else None

    def _reachable(self, host: Host) -> Host | None:
        """The host with those of its addresses that our own source address can reach."""
        source = address_of(self.profile.source_address) if self.profile.source_address else None
        fitting = [
            text
            for text in host.addresses
            if (address := address_of(text)) is not None
            and (source is None or address.version == source.version)
        ]
        if len(fitting) < len(host.addresses):
            self._note(f"{host.name}: only addresses that {source or 'we'} can reach are used")
        if not fitting:
            return None
        return _with(host, fitting[:ADDRESS_COUNT_MAX])

    def _ask(self, name: str, record_type: RecordType) -> Answer | None:
        question = Question(name, record_type)
        answer = self.names.ask(self.now, question)
        if answer is None:
            self.waiting.append(question)
        return answer

    # --- what is said ----------------------------------------------------------------------------

    def _left_out(self, name: str, answer: Answer) -> None:
        match answer.outcome:
            case Outcome.FAILED:
                self.unanswered = True
                self._note(f"{name}: DNS gave no usable answer: {answer.reason}")
            case Outcome.NO_NAME:
                self._note(f"{name} does not exist")
            case _:
                self._note(f"{name} has no address")

    def _note(self, text: str) -> None:
        if len(self.notes) < NOTE_COUNT_MAX and text not in self.notes:
            self.notes.append(text)

    def _why(self) -> str:
        return "; ".join(self.notes[:3]) or "the list is empty"

    def _no_host(self, text: str) -> HopFailure:
        said = f"{text}: {self._why()}"
        return self._later(said) if self.unanswered else self._nobody(said)

    def _later(self, text: str) -> HopFailure:
        """Worth another try: DNS did not answer, or the administrator may correct a name."""
        answered = bool(self.profile.smart_hosts) and not self.unanswered
        return HopFailure(permanent=False, failure=Failure(NO_HOST_NOW if answered else NO_ANSWER, text))

    def _nobody(self, text: str) -> HopFailure:
        """DNS says that there is nobody (exchange-behaviour SC-8 for what may be tried again)."""
        downgraded = ErrorPolicy.DOWNGRADE_DNS_FAILURES in self.profile.error_policies
        return HopFailure(not downgraded, Failure(NO_HOST_NOW if downgraded else NO_HOST, text))

    def _loop(self, domain: str) -> HopFailure:
        return HopFailure(True, Failure(LOOP, f"mail for {domain} would come back to this server"))


def _exchangers(mx: Answer) -> list[MxRecord]:
    """Who the MX records name, the most preferred first, each once."""
    best: dict[str, int] = {}
    for record in mx.records:
        if isinstance(record, MxRecord) and record.host:
            best[record.host] = min(record.preference, best.get(record.host, record.preference))
    return sorted(MxRecord(preference, host) for host, preference in best.items())


def _is_null(mx: Answer) -> bool:
    """Whether the domain says that it takes no mail (RFC 7505 section 3)."""
    return any(isinstance(record, MxRecord) and not record.host for record in mx.records)


def _bare(text: str) -> str:
    """An address without brackets and the tag of RFC 5321 section 4.1.3."""
    inner = text.removeprefix("[").removesuffix("]")
    return inner[5:] if inner[:5].lower() == "ipv6:" else inner


def _named(host: Host, address: str) -> str:
    return address if host.is_address else f"{host.name} at {address}"


def _with(host: Host, addresses: list[str]) -> Host:
    """The host with only some of its addresses; most keep all, and copying is dear."""
    if len(addresses) == len(host.addresses):
        return host
    return Host(
        host.name,
        tuple(addresses),
        host.port,
        host.preference,
        host.canonical_name,
        host.name_validated,
        host.addresses_validated,
        host.declared,
    )
