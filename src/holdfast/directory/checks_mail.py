"""Checks of what carries mail addresses: domains, mailboxes, groups, quotas.

Every address must be found by the key under which recipients are looked up
(``kernel.address.Address.key``), else mail to it would be refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.directory.kinds import subject_of
from holdfast.directory.model import (
    DistributionGroup,
    DomainKind,
    Mailbox,
    Organisation,
)
from holdfast.directory.references import Names, nearest_name
from holdfast.kernel.address import parse_address, parse_domain
from holdfast.kernel.errors import Problem, Refusal


def check_addresses(organisation: Organisation) -> Iterator[Problem]:
    """Domains, and the addresses of mailboxes and groups: well formed, ours, and used once."""
    for domain in organisation.accepted_domains:
        yield from _accepted_domain(domain.name, subject_of(domain))
    names = Names(organisation)
    external = {
        domain.name for domain in organisation.accepted_domains if domain.kind is DomainKind.EXTERNAL_RELAY
    }
    used: dict[str, str] = {}
    holders: tuple[Mailbox | DistributionGroup, ...] = (
        *organisation.mailboxes,
        *organisation.distribution_groups,
    )
    for holder in holders:
        subject = subject_of(holder)
        own: set[str] = set()
        for address in (holder.address, *holder.aliases):
            yield from _address(address, subject, organisation.domain_names)
            yield from _elsewhere(address, subject, external)
            first = used.setdefault(address.casefold(), subject)
            # Two objects of one name are told by the check of names.
            if first != subject or address.casefold() in own:
                yield Problem(
                    subject, f"uses the address {address}, which {first} uses already", "take one away"
                )
            own.add(address.casefold())
        if isinstance(holder, Mailbox):
            yield from names.check("mailbox database", (holder.database,), subject)


def _accepted_domain(name: str, subject: str) -> Iterator[Problem]:
    try:
        comparable = parse_domain(name)
    except Refusal:
        comparable = ""
    if not comparable or comparable.startswith("["):
        yield Problem(subject, "is not a domain name", "write a name such as example.com")
    elif comparable != name:
        yield Problem(subject, "is not in the form in which domains are compared", f"write {comparable}")


def _address(address: str, subject: str, domains: frozenset[str]) -> Iterator[Problem]:
    try:
        parsed = parse_address(address)
    except Refusal as refusal:
        yield Problem(subject, f'"{address}" is not a mail address: {refusal.text}', "write name@example.com")
        return
    if parsed.key != address.casefold():
        yield Problem(
            subject,
            f'mail to "{address}" would be looked up as "{parsed.key}"',
            "write it like that, without quotes, the domain in its xn-- form",
        )
    elif parsed.domain not in domains:
        yield Problem(
            subject,
            f"{address} is not in an accepted domain",
            nearest_name(f'accepted domain "{parsed.domain}"', parsed.domain, sorted(domains)),
        )


def _elsewhere(address: str, subject: str, external: set[str]) -> Iterator[Problem]:
    domain = address.rpartition("@")[2].casefold()
    if domain in external:
        yield Problem(
            subject,
            f'gets no mail at {address}: the domain "{domain}" is external-relay, all its mail is handed on',
            "make the domain internal-relay or authoritative, or take the address away",
        )


def check_quotas(organisation: Organisation) -> Iterator[Problem]:
    """The three limits of a database rise (exchange-behaviour QT-1)."""
    for database in organisation.mailbox_databases:
        limits = (database.warn_bytes, database.prohibit_send_bytes, database.prohibit_send_receive_bytes)
        if list(limits) != sorted(limits):
            yield Problem(
                subject_of(database),
                f"warn is {limits[0]}, prohibit_send {limits[1]} and prohibit_send_receive {limits[2]} bytes",
                "each must be at least as large as the one before",
            )


def check_groups(organisation: Organisation) -> Iterator[Problem]:
    """Members are addresses of ours, each named once, and no group contains itself."""
    recipients = organisation.recipients
    for group in organisation.distribution_groups:
        subject = subject_of(group)
        seen: set[str] = set()
        for member in group.members:
            key = member.casefold()
            if key in seen:
                yield Problem(subject, f"names the member {member} twice", "take one away")
            seen.add(key)
            if key not in recipients:
                yield Problem(
                    subject,
                    f"its member {member} is no address of ours",
                    nearest_name("mailbox or group", member, _near_candidates(recipients, key)),
                )
    yield from _loops(organisation)


def _near_candidates(recipients: dict[str, Mailbox | DistributionGroup], key: str) -> list[str]:
    # Comparing with every address of a large organisation would take seconds.
    return [each for each in recipients if each[:1] == key[:1]][:1000]


def _loops(organisation: Organisation) -> Iterator[Problem]:
    """Walk the groups depth first, with a stack of our own since a chain may be longer than Python's."""
    recipients = organisation.recipients
    finished: set[str] = set()
    for start in organisation.distribution_groups:
        path: list[DistributionGroup] = []
        on_path: set[str] = set()
        stack: list[tuple[DistributionGroup, bool]] = [(start, True)]
        while stack:
            group, entering = stack.pop()
            if not entering:
                path.pop()
                on_path.discard(group.address)
                finished.add(group.address)
            elif group.address in on_path:
                yield _loop(path, group)
            elif group.address not in finished:
                path.append(group)
                on_path.add(group.address)
                stack.append((group, False))
                inner = (recipients.get(member.casefold()) for member in group.members)
                stack += [(each, True) for each in inner if isinstance(each, DistributionGroup)]


def _loop(path: list[DistributionGroup], group: DistributionGroup) -> Problem:
    addresses = [each.address for each in path]
    circle = [*addresses[addresses.index(group.address) :], group.address]
    shown = circle if len(circle) <= 6 else [*circle[:3], "…", *circle[-2:]]
    return Problem(
        subject_of(group), f"contains itself: {' > '.join(shown)}", "take one of these members away"
    )
